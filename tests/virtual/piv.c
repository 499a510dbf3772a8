/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * piv.c - a PIV card application.
 *
 * An APDU is taken apart, a chain of them put together, its command executed at once or, where a private key computes,
 * begun in a thread; the answer is cut to what the command asked for, the rest waits for GET RESPONSE.
 */
#include "piv.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include "piv_card.h"
#include "piv_state.h"

#define COMMAND_MAX 7609 /* data of a command, put together from its chain */

static const uint8_t AID[] = { 0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00 };

void piv_forget_security(struct piv *card)
{
    card->pin_verified = card->just_verified = card->administrator = false;
    card->challenge = PIV_NONE;
    OPENSSL_cleanse(card->challenge_value, sizeof card->challenge_value);
}

static void reset(void *context)
{
    struct piv *const card = context;
    card_job_cancel(card->job);
    card->job = NULL;
    piv_forget_security(card);
    command_chain_forget(&card->chain);
    answer_chain_forget(&card->answer);
}

static void free_card(void *context)
{
    struct piv *const card = context;
    if (!card)
        return;
    reset(card);
    piv_memory_clear(&card->memory);
    free(card->state_path);
    free(card);
}

void *piv_new(const char *state_path)
{
    struct piv *card = calloc(1, sizeof *card);
    if (!card)
        return NULL;
    answer_chain_forget(&card->answer);
    card->state_path = state_path ? strdup(state_path) : NULL;
    if ((state_path && !card->state_path) || !piv_memory_format(&card->memory) ||
        (state_path && !piv_state_load(state_path, &card->memory))) {
        free_card(card);
        return NULL;
    }
    return card;
}

void piv_save(struct piv *card)
{
    if (card->state_path && !piv_state_save(card->state_path, &card->memory))
        exit(EXIT_FAILURE); /* the message is printed; to go on would lose keys */
}

/* ---- commands of the card as a whole ---- */

/* The application property template: PIX, label, specification, algorithms, who gives such numbers out. */
static uint16_t select_application(struct piv *card, const struct command *command)
{
    static const char LABEL[] = "Nitrokey PIV", URL[] = "https://github.com/Nitrokey/piv-authenticator";
    static const uint8_t ALGORITHMS[] = { 0x80, 1, 0x03, 0x80, 1, 0x0c, 0x80, 1, 0x11, 0x80, 1, 0x07, 0x06, 1, 0x00 };
    static const uint8_t AUTHORITY[] = { 0x4f, 5, 0xa0, 0x00, 0x00, 0x03, 0x08 };
    uint8_t bytes[128];
    struct tlv_writer template = { .bytes = bytes, .size = sizeof bytes };
    if (command->p1 != 0x04 || command->p2 != 0x00)
        return SW_NOT_SUPPORTED;
    if (command->length > sizeof AID || command->length < 9 || memcmp(command->data, AID, command->length) != 0)
        return SW_NO_FILE;
    tlv_put(&template, 0x4f, AID + 5, sizeof AID - 5);
    tlv_put(&template, 0x50, (const uint8_t *)LABEL, sizeof LABEL - 1);
    tlv_put(&template, 0x5f50, (const uint8_t *)URL, sizeof URL - 1);
    tlv_put(&template, 0xac, ALGORITHMS, sizeof ALGORITHMS);
    tlv_put(&template, 0x79, AUTHORITY, sizeof AUTHORITY);
    tlv_put(&card->answer.data, 0x61, bytes, template.length);
    return SW_OK;
}

/* ---- what Yubico has added ---- */

static uint16_t get_version(struct piv *card, const struct command *command)
{
    (void)command;
    tlv_append(&card->answer.data, (const uint8_t[]){ 0x06, 0x06, 0x06 }, 3);
    return SW_OK;
}

static uint16_t get_serial(struct piv *card, const struct command *command)
{
    (void)command;
    tlv_append(&card->answer.data, (const uint8_t[]){ 0x00, 0x52, 0xf7, 0x43 }, 4);
    return SW_OK;
}

/* It says that it has metadata, and has none. */
static uint16_t get_metadata(struct piv *card, const struct command *command)
{
    (void)card;
    return command->p1 == 0x00 ? SW_OK : SW_NOT_SUPPORTED;
}

/* Only when nobody gets in any more. */
static uint16_t reset_all(struct piv *card, const struct command *command)
{
    (void)command;
    if (card->memory.pin.tries > 0)
        return SW_CONDITIONS;
    if (!piv_memory_format(&card->memory))
        return SW_NO_MEMORY;
    piv_forget_security(card);
    piv_save(card);
    return SW_OK;
}

static const struct {
    uint8_t ins;
    uint16_t (*execute)(struct piv *card, const struct command *command);
} INSTRUCTIONS[] = {
    { 0x20, piv_verify },
    { 0x24, piv_change },
    { 0x2c, piv_reset_retry },
    { 0x47, piv_generate },
    { 0x87, piv_authenticate },
    { 0xa4, select_application },
    { 0xcb, piv_get_data },
    { 0xdb, piv_put_data },
    { 0xf7, get_metadata },
    { 0xf8, get_serial },
    { 0xfb, reset_all },
    { 0xfd, get_version },
    { 0xff, piv_set_management_key },
};

static uint16_t execute(struct piv *card, const struct command *command)
{
    if ((command->cla & ~CLA_CHAIN) != 0)
        return SW_NO_CLASS;
    if ((command->ins == 0xcb || command->ins == 0xdb) && (command->p1 != 0x3f || command->p2 != 0xff))
        return SW_NOT_SUPPORTED;
    for (size_t i = 0; i < sizeof INSTRUCTIONS / sizeof INSTRUCTIONS[0]; i++)
        if (INSTRUCTIONS[i].ins == command->ins)
            return INSTRUCTIONS[i].execute(card, command);
    return SW_NOT_SUPPORTED;
}

/* ---- the application ---- */

static uint16_t take(struct piv *card, const uint8_t *apdu, size_t length)
{
    struct command command;
    if (!command_parse(apdu, length, &command))
        return SW_WRONG_LENGTH;
    answer_chain_expect(&card->answer, &command, false);
    if (command.ins == 0xc0) /* GET RESPONSE */
        return answer_chain_has_more(&card->answer) ? SW_OK : SW_CONDITIONS;
    answer_chain_forget(&card->answer);
    switch (command_chain_join(&card->chain, &command, COMMAND_MAX)) {
    case CHAIN_GOES_ON:
        return SW_OK;
    case CHAIN_TOO_LONG:
        return SW_WRONG_LENGTH;
    case CHAIN_WHOLE:
        break;
    }
    const uint16_t status_word = execute(card, &command);
    if (command.ins != 0x20)
        card->just_verified = false;
    OPENSSL_cleanse(card->chain.bytes, command.length);
    return status_word;
}

static enum application_effort begin(void *context, const uint8_t *apdu, size_t length)
{
    struct piv *const card = context;
    card->status_word = take(card, apdu, length);
    if (card->status_word != SW_LATER)
        return EFFORT_QUICK;
    return card->generates ? EFFORT_GENERATE : EFFORT_PRIVATE_KEY;
}

static bool done(void *context)
{
    const struct piv *const card = context;
    return !card->job || card_job_done(card->job);
}

static size_t finish(void *context, uint8_t *answer, size_t capacity)
{
    struct piv *const card = context;
    if (card->job)
        card->status_word = piv_end_job(card);
    return answer_chain_take(&card->answer, card->status_word, answer, capacity);
}

static bool waits_for_touch(const void *card)
{
    (void)card; /* none of its keys does */
    return false;
}

static void touch(void *card)
{
    (void)card;
}

static struct application_tries tries(const void *context)
{
    const struct piv *const card = context;
    return (struct application_tries){ .has_piv = true, .pin = card->memory.pin.tries, .puk = card->memory.puk.tries };
}

const struct application_class piv_application = {
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
