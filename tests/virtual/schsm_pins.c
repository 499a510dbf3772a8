/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_pins.c - VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER of the SmartCard-HSM. */
#include "schsm_card.h"

enum { USER_PIN = 0x81, SO_PIN = 0x88 };

static struct schsm_pin *find(struct schsm *card, uint8_t reference)
{
    if (reference == USER_PIN)
        return &card->memory.user;
    return reference == SO_PIN ? &card->memory.so : NULL;
}

/* Before the first initialisation there is no SO-PIN, and a user PIN that cannot be used; a transport PIN cannot
 * either. */
static uint16_t usable(const struct schsm *card, uint8_t reference, const struct schsm_pin *pin)
{
    if (reference == SO_PIN)
        return pin->length > 0 ? SW_OK : SW_NO_REFERENCE;
    return pin->length == 0 || card->memory.options & SCHSM_OPTION_TRANSPORT_PIN ? SW_NOT_USABLE : SW_OK;
}

static uint16_t try(struct schsm *card, struct schsm_pin *pin, const uint8_t *value, size_t length)
{
    const uint16_t status_word = schsm_pin_try(pin, (struct tlv_view){ value, length });
    schsm_save(card);
    return status_word;
}

uint16_t schsm_verify(struct schsm *card, const struct command *command)
{
    struct schsm_pin *const pin = find(card, command->p2);
    if (command->p1 != 0x00)
        return SW_WRONG_P1_P2;
    if (!pin)
        return SW_NO_REFERENCE;
    const uint16_t may = usable(card, command->p2, pin);
    if (may != SW_OK)
        return may;
    bool *const verified = command->p2 == USER_PIN ? &card->user_verified : &card->so_verified;
    if (command->length == 0) {
        if (*verified)
            return SW_OK;
        return pin->tries == 0 ? SW_BLOCKED : (uint16_t)(0x63c0 | pin->tries);
    }
    const uint16_t status_word = try(card, pin, command->data, command->length);
    *verified = status_word == SW_OK;
    return status_word;
}

static uint16_t set(struct schsm *card, struct schsm_pin *pin, const uint8_t *value, size_t length)
{
    const bool is_so = pin == &card->memory.so;
    if (length > SCHSM_PIN_MAX || length < (is_so ? SCHSM_SO_PIN_LENGTH : SCHSM_PIN_MIN) ||
        (is_so && length != SCHSM_SO_PIN_LENGTH))
        return SW_WRONG_LENGTH;
    schsm_pin_set(pin, (struct tlv_view){ value, length });
    if (!is_so)
        card->memory.options &= (uint8_t)~SCHSM_OPTION_TRANSPORT_PIN;
    schsm_save(card);
    return SW_OK;
}

/* The old PIN and the new one come without a mark between them: the old one is as long as it was set. */
uint16_t schsm_change(struct schsm *card, const struct command *command)
{
    struct schsm_pin *const pin = find(card, command->p2);
    if (command->p1 != 0x00)
        return SW_WRONG_P1_P2;
    if (!pin)
        return SW_NO_REFERENCE;
    if (pin->length == 0)
        return command->p2 == USER_PIN ? SW_NOT_USABLE : SW_NO_REFERENCE;
    if (command->length <= pin->length)
        return SW_WRONG_LENGTH;
    const size_t old = pin->length;
    const uint16_t status_word = try(card, pin, command->data, old);
    return status_word == SW_OK ? set(card, pin, command->data + old, command->length - old) : status_word;
}

/* P1 00: SO-PIN and a new user PIN. */
uint16_t schsm_reset_retry(struct schsm *card, const struct command *command)
{
    struct schsm_memory *const memory = &card->memory;
    if (command->p1 != 0x00)
        return SW_WRONG_P1_P2;
    if (command->p2 != USER_PIN || memory->so.length == 0)
        return SW_NO_REFERENCE;
    if (!(memory->options & SCHSM_OPTION_SO_PIN_RESETS))
        return SW_CONDITIONS;
    if (command->length <= SCHSM_SO_PIN_LENGTH)
        return SW_WRONG_LENGTH;
    const uint16_t status_word = try(card, &memory->so, command->data, SCHSM_SO_PIN_LENGTH);
    if (status_word != SW_OK)
        return status_word;
    card->user_verified = false;
    return set(card, &memory->user, command->data + SCHSM_SO_PIN_LENGTH, command->length - SCHSM_SO_PIN_LENGTH);
}
