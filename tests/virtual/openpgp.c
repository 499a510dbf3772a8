/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openpgp.c - the application on the card: an OpenPGP card.
 *
 * An APDU is taken apart, a chain of them put together, its command executed at once or, where a private key computes,
 * begun in a thread; the answer is cut to what the command asked for, the rest waits for GET RESPONSE.
 */
#include "openpgp.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "card_state.h"
#include "openpgp_card.h"

struct openpgp *openpgp_new(const char *state_path)
{
    return openpgp_new_profile(state_path, NULL);
}

struct openpgp *openpgp_new_profile(const char *state_path, const struct openpgp_profile *profile)
{
    struct openpgp *card = calloc(1, sizeof *card);
    if (!card)
        return NULL;
    answer_chain_forget(&card->answer);
    card->profile = profile ? profile : &openpgp_card_3_4;
    card->state_path = state_path ? strdup(state_path) : NULL;
    if ((state_path && !card->state_path) || !card_memory_format(&card->memory, card->profile) ||
        (state_path && !card_state_load(state_path, &card->memory))) {
        openpgp_free(card);
        return NULL;
    }
    return card;
}

void openpgp_cancel(struct openpgp *card)
{
    card_job_cancel(card->job);
    card->job = NULL;
    card->waits_for_touch = false;
    card->certificate = 0;
    command_chain_forget(&card->chain);
    answer_chain_forget(&card->answer);
}

void openpgp_start(struct openpgp *card)
{
    card->selected = false;
    card->is_task = true;
}

void openpgp_reset(struct openpgp *card)
{
    openpgp_cancel(card);
    memset(card->verified, 0, sizeof card->verified);
    card->selected = false;
}

bool openpgp_is_terminated(const struct openpgp *card)
{
    return card->memory.terminated;
}

void openpgp_free(struct openpgp *card)
{
    if (!card)
        return;
    openpgp_reset(card);
    card_memory_clear(&card->memory);
    free(card->state_path);
    free(card);
}

void openpgp_save(struct openpgp *card)
{
    if (card->state_path && !card_state_save(card->state_path, &card->memory))
        exit(EXIT_FAILURE); /* the message is printed; to go on would lose keys */
}

bool openpgp_allowed(const struct openpgp *card, enum card_access access)
{
    switch (access) {
    case ACCESS_NEVER: return false;
    case ACCESS_ALWAYS: return true;
    case ACCESS_PW1: return card->verified[VERIFIED_82];
    case ACCESS_PW3: return card->verified[VERIFIED_83];
    }
    return false;
}

struct openpgp_tries openpgp_tries(const struct openpgp *card)
{
    const struct card_pin *pin = card->memory.pin;
    if (pin[PIN_PW3].length == 0) /* see openpgp_gnuk.c */
        return (struct openpgp_tries){ .pw1 = pin[PIN_PW1].tries, .rc = pin[PIN_RC].tries, .pw3 = pin[PIN_PW1].tries };
    return (struct openpgp_tries){ .pw1 = pin[PIN_PW1].tries, .rc = pin[PIN_RC].tries, .pw3 = pin[PIN_PW3].tries };
}

/* ---- commands of the card as a whole ---- */

/* The only application is selected from the start; to select it again leaves PINs verified. */
static uint16_t select_application(struct openpgp *card, const struct command *command)
{
    const size_t rid_and_application = 6;
    if (command->p1 != 0x04 || (command->p2 != 0x00 && command->p2 != 0x0c))
        return SW_WRONG_P1_P2;
    if (command->length < rid_and_application || command->length > OPENPGP_AID_LENGTH ||
        memcmp(command->data, card->profile->aid, command->length) != 0)
        return SW_NO_FILE;
    card->certificate = 0;
    return card->memory.terminated ? SW_TERMINATED : SW_OK;
}

static uint16_t get_challenge(struct openpgp *card, const struct command *command)
{
    uint8_t random[256];
    const size_t most = (size_t)card->profile->capabilities[2] << 8 | card->profile->capabilities[3];
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (command->expected == 0 || command->expected > most)
        return SW_WRONG_LENGTH;
    if (RAND_bytes(random, (int)command->expected) <= 0)
        return SW_CONDITIONS;
    tlv_append(&card->answer.data, random, command->expected);
    return SW_OK;
}

static uint16_t terminate(struct openpgp *card, const struct command *command)
{
    const struct card_pin *pin = card->memory.pin;
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (!card->verified[VERIFIED_83] && (pin[PIN_PW1].tries > 0 || pin[PIN_PW3].tries > 0))
        return SW_SECURITY_STATUS;
    card->memory.terminated = true;
    openpgp_save(card);
    return SW_OK;
}

static uint16_t activate(struct openpgp *card, const struct command *command)
{
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (!card->memory.terminated)
        return SW_OK;
    if (!card_memory_format(&card->memory, card->profile))
        return SW_NO_MEMORY;
    memset(card->verified, 0, sizeof card->verified);
    openpgp_save(card);
    return SW_OK;
}

static const struct {
    uint8_t ins;
    bool when_terminated;
    uint16_t (*execute)(struct openpgp *card, const struct command *command);
} INSTRUCTIONS[] = {
    { 0x20, false, openpgp_verify },
    { 0x24, false, openpgp_change },
    { 0x2a, false, openpgp_security_operation },
    { 0x2c, false, openpgp_reset_retry },
    { 0x44, true, activate },
    { 0x47, false, openpgp_generate },
    { 0x84, false, get_challenge },
    { 0x88, false, openpgp_authenticate },
    { 0xa4, true, select_application },
    { 0xa5, false, openpgp_select_data },
    { 0xca, true, openpgp_get_data },
    { 0xda, false, openpgp_put_data },
    { 0xdb, false, openpgp_import },
    { 0xe6, false, terminate },
};

static uint16_t execute(struct openpgp *card, const struct command *command)
{
    if (card->profile->no_application)
        return SW_NO_FILE;
    if (card->profile->gnuk)
        return openpgp_gnuk_execute(card, command);
    if ((command->cla & ~CLA_CHAIN) != 0)
        return SW_NO_CLASS;
    for (size_t i = 0; i < sizeof INSTRUCTIONS / sizeof INSTRUCTIONS[0]; i++)
        if (INSTRUCTIONS[i].ins == command->ins) {
            if (card->memory.terminated && !INSTRUCTIONS[i].when_terminated)
                return SW_TERMINATED;
            return INSTRUCTIONS[i].execute(card, command);
        }
    return SW_NO_INSTRUCTION;
}

/* ---- APDUs ---- */

static uint16_t take(struct openpgp *card, const uint8_t *apdu, size_t length)
{
    struct command command;
    if (!command_parse(apdu, length, &command))
        return SW_WRONG_LENGTH;
    if (card->is_task) {
        answer_chain_forget(&card->answer);
        card->answer.expected = SIZE_MAX;
        return execute(card, &command);
    }
    answer_chain_expect(&card->answer, &command, true);
    if (command.ins == 0xc0) /* GET RESPONSE */
        return answer_chain_has_more(&card->answer) ? SW_OK : SW_CONDITIONS;
    answer_chain_forget(&card->answer);
    switch (command_chain_join(&card->chain, &command, card->profile->command_max)) {
    case CHAIN_GOES_ON: return SW_OK;
    case CHAIN_TOO_LONG: return SW_WRONG_LENGTH;
    case CHAIN_WHOLE: break;
    }
    const uint16_t status_word = execute(card, &command);
    OPENSSL_cleanse(card->chain.bytes, command.length);
    return status_word;
}

enum openpgp_effort openpgp_begin(struct openpgp *card, const uint8_t *command, size_t length)
{
    card->status_word = take(card, command, length);
    if (card->status_word != SW_LATER)
        return OPENPGP_QUICK;
    return card->job_kind == CARD_JOB_GENERATE ? OPENPGP_GENERATE : OPENPGP_PRIVATE_KEY;
}

bool openpgp_done(struct openpgp *card)
{
    return !card->job || card_job_done(card->job);
}

size_t openpgp_finish(struct openpgp *card, uint8_t *answer, size_t capacity)
{
    openpgp_touch_timeout(card);
    if (card->job)
        card->status_word = openpgp_end_job(card);
    return answer_chain_take(&card->answer, card->status_word, answer, capacity);
}
