/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_keys.c - generate, sign, decipher, authenticate (OpenPGP card 3.4 §7.2.10 ... §7.2.14). */
#include <openssl/crypto.h>
#include "openpgp_card.h"

static uint16_t start(struct openpgp *card, enum card_job_kind kind, enum card_key_id id, const uint8_t *input,
                      size_t length)
{
    card->job = card_job_start(kind, card->memory.key[id], card_memory_key_bits(&card->memory, id), input, length);
    card->job_kind = kind;
    card->job_key = id;
    return card->job ? SW_LATER : SW_NO_MEMORY;
}

static bool find_key(const struct command *command, enum card_key_id *id)
{
    if (command->length < 2 || command->length > 5)
        return false;
    switch (command->data[0]) {
    case 0xb6: return *id = KEY_SIGNATURE, true;
    case 0xb8: return *id = KEY_DECRYPTION, true;
    case 0xa4: return *id = KEY_AUTHENTICATION, true;
    default: return false;
    }
}

uint16_t openpgp_generate(struct openpgp *card, const struct command *command)
{
    enum card_key_id id;
    if ((command->p1 != 0x80 && command->p1 != 0x81) || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (!find_key(command, &id))
        return SW_WRONG_DATA;
    if (command->p1 == 0x81) {
        if (!card->memory.key[id])
            return SW_NO_REFERENCE;
        card_key_put_public(card->memory.key[id], &card->data);
        return SW_OK;
    }
    return card->verified[VERIFIED_83] ? start(card, CARD_JOB_GENERATE, id, NULL, 0) : SW_SECURITY_STATUS;
}

/* A DigestInfo may fill 40 % of the modulus (OpenPGP card 3.4 §7.2.10). */
static uint16_t sign(struct openpgp *card, enum card_key_id id, const struct command *command)
{
    const size_t modulus = card_memory_key_bits(&card->memory, id) / 8;
    if (!card->memory.key[id])
        return SW_NO_REFERENCE;
    if (command->length == 0 || command->length * 5 > modulus * 2)
        return SW_WRONG_DATA;
    return start(card, CARD_JOB_SIGN, id, command->data, command->length);
}

uint16_t openpgp_security_operation(struct openpgp *card, const struct command *command)
{
    if (command->p1 == 0x9e && command->p2 == 0x9a) {
        if (!card->verified[VERIFIED_81])
            return SW_SECURITY_STATUS;
        const uint16_t status_word = sign(card, KEY_SIGNATURE, command);
        if (status_word == SW_LATER)
            card->verified[VERIFIED_81] = card->memory.pin_lasts;
        return status_word;
    }
    if (command->p1 != 0x80 || command->p2 != 0x86)
        return SW_WRONG_P1_P2;
    if (!card->verified[VERIFIED_82])
        return SW_SECURITY_STATUS;
    if (!card->memory.key[KEY_DECRYPTION])
        return SW_NO_REFERENCE;
    if (command->length < 2 || command->data[0] != 0x00) /* padding indicator */
        return SW_WRONG_DATA;
    if (command->length - 1 > card_memory_key_bits(&card->memory, KEY_DECRYPTION) / 8)
        return SW_WRONG_DATA;
    return start(card, CARD_JOB_DECIPHER, KEY_DECRYPTION, command->data + 1, command->length - 1);
}

uint16_t openpgp_authenticate(struct openpgp *card, const struct command *command)
{
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    return card->verified[VERIFIED_82] ? sign(card, KEY_AUTHENTICATION, command) : SW_SECURITY_STATUS;
}

uint16_t openpgp_end_job(struct openpgp *card)
{
    struct card_result result = card_job_finish(card->job);
    card->job = NULL;
    if (!result.ok) {
        OPENSSL_cleanse(&result, sizeof result);
        return card->job_kind == CARD_JOB_GENERATE ? SW_CONDITIONS : SW_WRONG_DATA;
    }
    if (card->job_kind == CARD_JOB_GENERATE) {
        card_memory_set_key(&card->memory, card->job_key, result.key, KEY_GENERATED);
        card_key_put_public(result.key, &card->data);
    } else
        tlv_append(&card->data, result.output, result.length);
    const bool counts = card->job_kind == CARD_JOB_SIGN && card->job_key == KEY_SIGNATURE;
    if (counts && card->memory.signatures < CARD_SIGNATURES_MAX)
        card->memory.signatures++;
    OPENSSL_cleanse(&result, sizeof result);
    openpgp_save(card);
    return SW_OK;
}
