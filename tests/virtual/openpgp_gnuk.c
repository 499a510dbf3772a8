/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openpgp_gnuk.c - what Gnuk's application does in its own way. As in openpgp.c and ac.c of Gnuk 1.2.19:
 * process_command_apdu, cmd_select_file, cmd_verify, cmd_get_challenge, cmd_terminate_df, cmd_activate_file.
 *
 * CLA is not looked at. Nothing but SELECT is heard before the application is selected. A wrong PIN takes nothing away
 * that is verified. Who changes the user's PIN before the admin's has no admin any more: that PIN is good for both.
 */
#include <string.h>
#include <openssl/rand.h>
#include "openpgp_card.h"

#define CHALLENGE_MAX 32
#define RC_TRIES 3 /* also when there is no resetting code */

static bool is_file(const struct command *command, uint16_t file)
{
    return command->length == 2 && command->data[0] == file >> 8 && command->data[1] == (file & 0xff);
}

static void forget_pins(struct openpgp *card)
{
    memset(card->verified, 0, sizeof card->verified);
}

static uint16_t select_file(struct openpgp *card, const struct command *command)
{
    const size_t rid_and_application = 6;
    if (command->p1 == 0x04) {
        if (command->length != rid_and_application ||
            memcmp(command->data, card->profile->aid, rid_and_application) != 0)
            return SW_NO_FILE;
        if (card->memory.terminated)
            return SW_TERMINATED;
        card->selected = true;
        return SW_OK;
    }
    card->selected = false;
    if (is_file(command, 0x2f02))
        return SW_OK;
    if (!is_file(command, 0x3f00))
        return SW_NO_FILE;
    forget_pins(card);
    return SW_OK;
}

static bool has_no_admin(const struct openpgp *card)
{
    return card->memory.pin[PIN_PW3].length == 0;
}

static bool has_keys(const struct openpgp *card)
{
    for (enum card_key_id id = KEY_SIGNATURE; id < KEY_COUNT; id++)
        if (card->memory.key[id])
            return true;
    return false;
}

/* CHANGE REFERENCE DATA of an admin PIN that was the user's. */
static uint16_t make_admin(struct openpgp *card, const struct command *command)
{
    struct card_pin *const pin = card->memory.pin;
    const size_t length = pin[PIN_PW1].length, old = command->length < length ? command->length : length;
    const uint16_t status_word = card_pin_try(&pin[PIN_PW1], command->data, old);
    openpgp_save(card);
    if (status_word != SW_OK)
        return status_word;
    if (command->length < length + pin[PIN_PW3].minimum || command->length - length > CARD_PIN_MAX)
        return SW_CONDITIONS;
    card_pin_set(&pin[PIN_PW3], command->data + length, command->length - length);
    card->verified[VERIFIED_83] = false;
    openpgp_save(card);
    return SW_OK;
}

/* The keys are enciphered with the PINs. The user's cannot be changed while there are none, and has to be as long as an
 * admin's where it is to be that as well. */
static uint16_t change(struct openpgp *card, const struct command *command)
{
    struct card_pin *const pin = card->memory.pin;
    const bool user = command->p2 == 0x81, first = card_memory_has_first_admin_pin(&card->memory);
    if (!user && has_no_admin(card))
        return make_admin(card, command);
    if (!user)
        return openpgp_change(card, command);
    const size_t least = first || has_no_admin(card) ? pin[PIN_PW3].minimum : pin[PIN_PW1].minimum;
    if (command->length < pin[PIN_PW1].length + least || !has_keys(card)) {
        const size_t old = command->length < pin[PIN_PW1].length ? command->length : pin[PIN_PW1].length;
        const uint16_t status_word = card_pin_try(&pin[PIN_PW1], command->data, old);
        openpgp_save(card);
        return status_word == SW_OK ? SW_CONDITIONS : status_word;
    }
    const uint16_t status_word = openpgp_change(card, command);
    if (status_word != SW_OK)
        return status_word;
    if (first)
        card_pin_set(&pin[PIN_PW3], NULL, 0);
    if (has_no_admin(card))
        card->verified[VERIFIED_83] = false;
    card->verified[VERIFIED_81] = card->verified[VERIFIED_82] = false;
    openpgp_save(card);
    return SW_OK;
}

/* Of P2 only 81 and 82 mean the user's PIN. */
static uint16_t verify(struct openpgp *card, const struct command *command)
{
    const bool user = command->p2 == 0x81 || command->p2 == 0x82;
    const enum openpgp_verified verified = user ? (enum openpgp_verified)(command->p2 - 0x81) : VERIFIED_83;
    struct card_pin *const pin = &card->memory.pin[user || has_no_admin(card) ? PIN_PW1 : PIN_PW3];
    if (command->length == 0 && command->p1 == 0xff) {
        card->verified[verified] = false;
        return SW_OK;
    }
    if (command->length == 0 && command->p1 != 0x00)
        return SW_WRONG_P1_P2;
    if (command->length == 0 && card->verified[verified])
        return SW_OK;
    if (command->length == 0)
        return (uint16_t)(0x63c0 | (user || command->p2 == 0x83 ? pin->tries : RC_TRIES));
    const uint16_t status_word = card_pin_try(pin, command->data, command->length);
    if (status_word == SW_OK)
        card->verified[verified] = true;
    openpgp_save(card);
    return status_word;
}

static uint16_t get_challenge(struct openpgp *card, const struct command *command)
{
    uint8_t random[CHALLENGE_MAX];
    if (command->expected > sizeof random || RAND_bytes(random, sizeof random) <= 0)
        return SW_CONDITIONS;
    tlv_append(&card->answer.data, random, command->expected > 0 ? command->expected : sizeof random);
    return SW_OK;
}

static uint16_t read_binary(struct openpgp *card, const struct command *command)
{
    (void)card, (void)command;
    return SW_NO_FILE;
}

static uint16_t terminate(struct openpgp *card, const struct command *command)
{
    const struct card_pin *const pin = card->memory.pin;
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (command->length > 0)
        return SW_WRONG_LENGTH;
    const bool blocked = has_no_admin(card) || card_memory_has_first_admin_pin(&card->memory)
                             ? pin[PIN_PW1].tries == 0
                             : pin[PIN_PW3].tries == 0;
    if (!card->verified[VERIFIED_83] && !blocked)
        return SW_SECURITY_STATUS;
    forget_pins(card);
    card->memory.terminated = true;
    card->selected = false;
    openpgp_save(card);
    return SW_OK;
}

static uint16_t activate(struct openpgp *card, const struct command *command)
{
    (void)command;
    if (!card->memory.terminated)
        return SW_NO_REFERENCE;
    if (!card_memory_format(&card->memory, card->profile))
        return SW_NO_MEMORY;
    forget_pins(card);
    card->selected = true;
    openpgp_save(card);
    return SW_OK;
}

enum heard { HEARD_WHEN_SELECTED, HEARD_UNSELECTED, HEARD_ALWAYS }; /* the last also when terminated */

static const struct {
    uint8_t ins;
    enum heard heard;
    uint16_t (*execute)(struct openpgp *card, const struct command *command);
} INSTRUCTIONS[] = {
    { 0x20, HEARD_WHEN_SELECTED, verify },
    { 0x24, HEARD_WHEN_SELECTED, change },
    { 0x2a, HEARD_WHEN_SELECTED, openpgp_security_operation },
    { 0x2c, HEARD_WHEN_SELECTED, openpgp_reset_retry },
    { 0x44, HEARD_ALWAYS, activate },
    { 0x47, HEARD_WHEN_SELECTED, openpgp_generate },
    { 0x84, HEARD_ALWAYS, get_challenge },
    { 0x88, HEARD_WHEN_SELECTED, openpgp_authenticate },
    { 0xa4, HEARD_ALWAYS, select_file },
    { 0xb0, HEARD_UNSELECTED, read_binary },
    { 0xca, HEARD_WHEN_SELECTED, openpgp_get_data },
    { 0xda, HEARD_WHEN_SELECTED, openpgp_put_data },
    { 0xdb, HEARD_WHEN_SELECTED, openpgp_import },
    { 0xe6, HEARD_WHEN_SELECTED, terminate },
};

uint16_t openpgp_gnuk_execute(struct openpgp *card, const struct command *command)
{
    for (size_t i = 0; i < sizeof INSTRUCTIONS / sizeof INSTRUCTIONS[0]; i++) {
        const enum heard heard = INSTRUCTIONS[i].heard;
        if (INSTRUCTIONS[i].ins != command->ins)
            continue;
        if (card->memory.terminated && heard != HEARD_ALWAYS)
            return SW_TERMINATED;
        if (!card->selected && heard == HEARD_WHEN_SELECTED)
            return SW_NO_REFERENCE;
        return INSTRUCTIONS[i].execute(card, command);
    }
    return SW_NO_INSTRUCTION;
}
