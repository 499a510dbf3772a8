/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schsm.c - the application on the chip of a Nitrokey HSM: a SmartCard-HSM.
 *
 * An APDU is taken apart and its command executed: at once, or, where a private key computes, in a thread. Erasing all
 * that is on the card takes the longest; what it does is done at its end.
 */
#include "schsm.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "schsm_card.h"
#include "schsm_state.h"

#define CHALLENGE_MAX 1024

static const uint8_t AID[] = { 0xe8, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xc3, 0x1f, 0x02, 0x01 };

static void forget_command(struct schsm *card)
{
    card_job_cancel(card->job);
    card->job = NULL;
    card->finish_later = NULL;
    OPENSSL_cleanse(&card->initialization, sizeof card->initialization);
    OPENSSL_cleanse(card->data_bytes, sizeof card->data_bytes);
    card->data.length = 0;
    card->data.overflow = false;
}

static void reset(void *context)
{
    struct schsm *const card = context;
    forget_command(card);
    card->selected = card->user_verified = card->so_verified = false;
    card->current = 0;
}

static void free_card(void *context)
{
    struct schsm *const card = context;
    if (!card)
        return;
    reset(card);
    schsm_memory_clear(&card->memory);
    free(card->state_path);
    free(card);
}

void *schsm_new(const char *state_path, const struct schsm_profile *profile)
{
    struct schsm *card = calloc(1, sizeof *card);
    if (!card)
        return NULL;
    card->data = (struct tlv_writer){ .bytes = card->data_bytes, .size = sizeof card->data_bytes - 2 };
    card->profile = profile;
    card->state_path = state_path ? strdup(state_path) : NULL;
    if ((state_path && !card->state_path) || !schsm_memory_format(&card->memory) ||
        (state_path && !schsm_state_load(state_path, &card->memory))) {
        free_card(card);
        return NULL;
    }
    return card;
}

void schsm_save(struct schsm *card)
{
    if (card->state_path && !schsm_state_save(card->state_path, &card->memory))
        exit(EXIT_FAILURE); /* the message is printed; to go on would lose keys */
}

bool schsm_may_use(const struct schsm *card)
{
    return card->memory.user.length > 0 && card->user_verified;
}

/* ---- commands of the card as a whole ---- */

/* Version and options are in tag 85 of the FCP. Selected anew, the application has forgotten who was there. */
static uint16_t select_application(struct schsm *card, const struct command *command)
{
    const uint8_t fcp[] = {
        0x82, 0x01, 0x38, 0x85, 0x05, 0x00, card->memory.options, 0xff, card->profile->major, card->profile->minor
    };
    if (command->length > sizeof AID || command->length < 5 || memcmp(command->data, AID, command->length) != 0)
        return SW_NO_FILE;
    card->selected = true;
    card->user_verified = card->so_verified = false;
    card->current = 0;
    if (command->p2 != 0x0c)
        tlv_put(&card->data, 0x6f, fcp, sizeof fcp);
    return SW_OK;
}

static uint16_t select_any(struct schsm *card, const struct command *command)
{
    if (command->p2 != 0x00 && command->p2 != 0x0c)
        return SW_WRONG_P1_P2;
    if (command->p1 == 0x04)
        return select_application(card, command);
    if (!card->selected)
        return SW_NO_FILE;
    return command->p1 == 0x00 ? schsm_select_file(card, command) : SW_WRONG_P1_P2;
}

static uint16_t get_challenge(struct schsm *card, const struct command *command)
{
    uint8_t random[CHALLENGE_MAX];
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (command->expected == 0 || command->expected > sizeof random)
        return SW_WRONG_LENGTH;
    if (RAND_bytes(random, (int)command->expected) <= 0)
        return SW_CONDITIONS;
    tlv_append(&card->data, random, command->expected);
    return SW_OK;
}

static const struct {
    uint8_t cla, ins;
    uint16_t (*execute)(struct schsm *card, const struct command *command);
} INSTRUCTIONS[] = {
    { 0x00, 0x20, schsm_verify },     { 0x00, 0x24, schsm_change },      { 0x00, 0x2c, schsm_reset_retry },
    { 0x00, 0x46, schsm_generate },   { 0x00, 0x84, get_challenge },     { 0x00, 0xa4, select_any },
    { 0x00, 0xb1, schsm_read },       { 0x00, 0xd7, schsm_update },      { 0x00, 0xe4, schsm_delete },
    { 0x80, 0x50, schsm_initialize }, { 0x80, 0x52, schsm_import_dkek }, { 0x80, 0x58, schsm_enumerate },
    { 0x80, 0x62, schsm_decipher },   { 0x80, 0x68, schsm_sign },        { 0x80, 0x72, schsm_wrap },
    { 0x80, 0x74, schsm_unwrap },
};

static uint16_t execute(struct schsm *card, const struct command *command)
{
    if (command->cla != 0x00 && command->cla != 0x80)
        return SW_NO_CLASS;
    if (!card->selected && command->ins != 0xa4)
        return SW_NO_INSTRUCTION;
    if (command->length > card->profile->command_max)
        return SW_WRONG_LENGTH;
    for (size_t i = 0; i < sizeof INSTRUCTIONS / sizeof INSTRUCTIONS[0]; i++)
        if (INSTRUCTIONS[i].cla == command->cla && INSTRUCTIONS[i].ins == command->ins)
            return INSTRUCTIONS[i].execute(card, command);
    return SW_NO_INSTRUCTION;
}

/* ---- the application ---- */

static enum application_effort begin(void *context, const uint8_t *apdu, size_t length)
{
    struct schsm *const card = context;
    struct command command;
    forget_command(card);
    card->effort = EFFORT_QUICK;
    if (!command_parse(apdu, length, &command)) {
        card->status_word = SW_WRONG_LENGTH;
        return EFFORT_QUICK;
    }
    card->expected = command.expected;
    card->status_word = execute(card, &command);
    if (card->status_word != SW_LATER)
        return EFFORT_QUICK;
    if (card->job && !card_job_start(card->job)) {
        forget_command(card);
        card->status_word = SW_NO_MEMORY;
        return EFFORT_QUICK;
    }
    return card->effort;
}

static bool done(void *context)
{
    const struct schsm *const card = context;
    return !card->job || card_job_done(card->job);
}

/* Data that were not asked for do not come; more than was asked for is refused. */
static size_t finish(void *context, uint8_t *answer, size_t capacity)
{
    struct schsm *const card = context;
    if (card->finish_later)
        card->status_word = card->finish_later(card);
    size_t length = card->expected == 0 ? 0 : card->data.length;
    if (card->data.overflow || length > card->expected || length > capacity - 2) {
        card->status_word = SW_WRONG_LENGTH;
        length = 0;
    }
    memcpy(answer, card->data_bytes, length);
    answer[length] = (uint8_t)(card->status_word >> 8);
    answer[length + 1] = (uint8_t)card->status_word;
    forget_command(card);
    return length + 2;
}

static bool waits_for_touch(const void *card)
{
    (void)card; /* there is no button */
    return false;
}

static void touch(void *card)
{
    (void)card;
}

static struct application_tries tries(const void *context)
{
    const struct schsm *const card = context;
    return (struct application_tries){ .pw1 = card->memory.user.tries, .pw3 = card->memory.so.tries };
}

const struct application_class schsm_application = {
    .reset_us = 40000000, /* as reported of devices in use */
    .free = free_card,
    .reset = reset,
    .begin = begin,
    .waits_for_touch = waits_for_touch,
    .touch = touch,
    .touch_timeout = touch,
    .done = done,
    .finish = finish,
    .tries = tries,
};
