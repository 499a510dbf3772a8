/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_initialize.c - INITIALIZE DEVICE (80 50): erases all that was there, sets PINs and how keys may be wrapped. */
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "schsm_card.h"

/* The shorter the PIN, the fewer tries. */
static bool is_careful(size_t pin_length, unsigned tries)
{
    return tries >= 1 && tries <= (pin_length == 6 ? 3u : pin_length == 7 ? 5u : 10u);
}

/* 80: options, 81: user PIN, 82: initialisation code, which is the SO-PIN, 91: tries, 92: shares of the DKEK. */
static bool parse(struct tlv_view objects, struct schsm_initialization *wanted)
{
    struct tlv_view options, user, so, tries, shares;
    *wanted = (struct schsm_initialization){ .dkek_shares = SCHSM_NO_DKEK };
    if (!tlv_find(objects, 0x80, &options) || options.length != 2 || !tlv_find(objects, 0x81, &user) ||
        user.length < SCHSM_PIN_MIN || user.length > SCHSM_PIN_MAX || !tlv_find(objects, 0x82, &so) ||
        so.length != SCHSM_SO_PIN_LENGTH || !tlv_find(objects, 0x91, &tries) || tries.length != 1)
        return false;
    if (tlv_find(objects, 0x92, &shares)) {
        if (shares.length != 1)
            return false;
        wanted->dkek_shares = shares.bytes[0];
    }
    wanted->options = options.bytes[1];
    wanted->tries = tries.bytes[0];
    wanted->user_length = user.length;
    memcpy(wanted->user, user.bytes, user.length);
    memcpy(wanted->so, so.bytes, so.length);
    return is_careful(user.length, wanted->tries);
}

static uint16_t initialize(struct schsm *card)
{
    const struct schsm_initialization *const wanted = &card->initialization;
    struct schsm_memory *const memory = &card->memory;
    schsm_memory_wipe(memory);
    memory->options = wanted->options;
    memory->user.most = wanted->tries;
    schsm_pin_set(&memory->user, (struct tlv_view){ wanted->user, wanted->user_length });
    schsm_pin_set(&memory->so, (struct tlv_view){ wanted->so, sizeof wanted->so });
    memory->dkek_shares = wanted->dkek_shares;
    memory->dkek_outstanding = wanted->dkek_shares > 0 ? (unsigned)wanted->dkek_shares : 0;
    if (wanted->dkek_shares == 0 && RAND_bytes(memory->dkek, sizeof memory->dkek) <= 0)
        return SW_CONDITIONS;
    card->user_verified = card->so_verified = false;
    card->current = 0;
    schsm_save(card);
    return SW_OK;
}

uint16_t schsm_initialize(struct schsm *card, const struct command *command)
{
    const struct tlv_view objects = { command->data, command->length };
    struct tlv_view unsupported;
    struct schsm_pin *const so = &card->memory.so;
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (tlv_find(objects, 0x93, &unsupported) || tlv_find(objects, 0x97, &unsupported))
        return SW_NOT_SUPPORTED; /* authentication by public keys, key domains */
    if (!parse(objects, &card->initialization))
        return SW_WRONG_DATA;
    if (so->length > 0) {
        const uint16_t status_word =
            schsm_pin_try(so, (struct tlv_view){ card->initialization.so, SCHSM_SO_PIN_LENGTH });
        schsm_save(card);
        if (status_word != SW_OK)
            return status_word;
    }
    card->finish_later = initialize;
    card->effort = EFFORT_RESET;
    return SW_LATER;
}
