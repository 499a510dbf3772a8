/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_keys.c - generate, sign, decipher, authenticate (OpenPGP card 3.4 §7.2.10 ... §7.2.14). */
#include <openssl/crypto.h>
#include "openpgp_card.h"

static uint16_t start(struct openpgp *card)
{
    if (card_job_start(card->job)) {
        if (card->job_kind == CARD_JOB_SIGN && card->job_key == KEY_SIGNATURE)
            card->verified[VERIFIED_81] = card->memory.pin_lasts;
        return SW_LATER;
    }
    card_job_cancel(card->job);
    card->job = NULL;
    return SW_NO_MEMORY;
}

static uint16_t prepare(struct openpgp *card, enum card_job_kind kind, enum card_key_id id, struct tlv_view input)
{
    const struct card_algorithm algorithm = card_memory_algorithm(&card->memory, id);
    card->job = card_job_new(kind, card->memory.key[id], &algorithm, input);
    card->job_kind = kind;
    card->job_key = id;
    if (!card->job)
        return SW_NO_MEMORY;
    card->waits_for_touch = kind != CARD_JOB_GENERATE && card_memory_wants_touch(&card->memory, id);
    return card->waits_for_touch ? SW_LATER : start(card);
}

bool openpgp_waits_for_touch(const struct openpgp *card)
{
    return card->waits_for_touch;
}

void openpgp_touch(struct openpgp *card)
{
    if (!card->waits_for_touch)
        return;
    card->waits_for_touch = false;
    card->status_word = start(card);
}

void openpgp_touch_timeout(struct openpgp *card)
{
    if (!card->waits_for_touch)
        return;
    card->waits_for_touch = false;
    card_job_cancel(card->job);
    card->job = NULL;
    card->status_word = card->profile->untouched;
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
        card_key_put_public(card->memory.key[id], &card->answer.data);
        return SW_OK;
    }
    if (!card->verified[VERIFIED_83])
        return SW_SECURITY_STATUS;
    return prepare(card, CARD_JOB_GENERATE, id, (struct tlv_view){ 0 });
}

/* A DigestInfo may fill 40 % of the modulus (OpenPGP card 3.4 §7.2.10). ECDSA takes a digest, EdDSA whole messages. */
static size_t longest_input(const struct card_algorithm *algorithm)
{
    if (!algorithm->curve)
        return algorithm->bits / 8 * 2 / 5;
    return algorithm->curve->group ? 64 : CARD_KEY_BYTES_MAX;
}

static uint16_t sign(struct openpgp *card, enum card_key_id id, const struct command *command)
{
    const struct card_algorithm algorithm = card_memory_algorithm(&card->memory, id);
    if (!card->memory.key[id])
        return SW_NO_REFERENCE;
    if (command->length == 0 || command->length > longest_input(&algorithm))
        return SW_WRONG_DATA;
    return prepare(card, CARD_JOB_SIGN, id, (struct tlv_view){ command->data, command->length });
}

/* RSA: a padding indicator and the cryptogram. */
static bool find_cryptogram(const struct command *command, unsigned bits, struct tlv_view *cryptogram)
{
    *cryptogram = (struct tlv_view){ command->data + 1, command->length - 1 };
    return command->length >= 2 && command->data[0] == 0x00 && cryptogram->length <= bits / 8;
}

/* ECDH: the public point of the other side. */
static bool find_point(const struct command *command, struct tlv_view *point)
{
    struct tlv_view cipher, key;
    return tlv_find((struct tlv_view){ command->data, command->length }, 0xa6, &cipher) &&
           tlv_find(cipher, 0x7f49, &key) && tlv_find(key, 0x86, point) && point->length > 0 &&
           point->length <= CARD_KEY_BYTES_MAX;
}

static uint16_t decipher(struct openpgp *card, const struct command *command)
{
    const struct card_algorithm algorithm = card_memory_algorithm(&card->memory, KEY_DECRYPTION);
    struct tlv_view input;
    if (!card->memory.key[KEY_DECRYPTION])
        return SW_NO_REFERENCE;
    if (!(algorithm.curve ? find_point(command, &input) : find_cryptogram(command, algorithm.bits, &input)))
        return SW_WRONG_DATA;
    return prepare(card, CARD_JOB_DECIPHER, KEY_DECRYPTION, input);
}

uint16_t openpgp_security_operation(struct openpgp *card, const struct command *command)
{
    if (command->p1 == 0x9e && command->p2 == 0x9a)
        return card->verified[VERIFIED_81] ? sign(card, KEY_SIGNATURE, command) : SW_SECURITY_STATUS;
    if (command->p1 == 0x80 && command->p2 == 0x86)
        return card->verified[VERIFIED_82] ? decipher(card, command) : SW_SECURITY_STATUS;
    return SW_WRONG_P1_P2;
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
        card_key_put_public(result.key, &card->answer.data);
    } else
        tlv_append(&card->answer.data, result.output, result.length);
    const bool counts = card->job_kind == CARD_JOB_SIGN && card->job_key == KEY_SIGNATURE;
    if (counts && card->memory.signatures < CARD_SIGNATURES_MAX)
        card->memory.signatures++;
    OPENSSL_cleanse(&result, sizeof result);
    openpgp_save(card);
    return SW_OK;
}
