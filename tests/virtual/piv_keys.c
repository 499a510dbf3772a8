/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_keys.c - generate, sign, decipher, agree (SP 800-73-4 part 2, §3.2.4 and §3.3.1). */
#include <string.h>
#include <openssl/crypto.h>
#include "card_ecc.h"
#include "card_rsa.h"
#include "piv_card.h"

enum { MANAGEMENT_KEY = 0x9b, SIGNATURE_KEY = 0x9c, CARD_AUTHENTICATION_KEY = 0x9e };

static uint16_t start(struct piv *card, struct card_job *job, uint8_t reference, bool generates)
{
    if (!job)
        return SW_WRONG_DATA; /* more than any of them takes */
    card->job = job;
    card->reference = reference;
    card->generates = generates;
    if (card_job_start(job))
        return SW_LATER;
    card_job_cancel(job);
    card->job = NULL;
    return SW_NO_MEMORY;
}

/* ---- generate ---- */

static bool find_algorithm(const struct command *command, struct card_algorithm *algorithm)
{
    struct tlv_view control, mechanism;
    if (!tlv_find((struct tlv_view){ command->data, command->length }, 0xac, &control) ||
        !tlv_find(control, 0x80, &mechanism) || mechanism.length != 1)
        return false;
    *algorithm = (struct card_algorithm){ 0 };
    if (mechanism.bytes[0] == 0x07)
        algorithm->bits = 2048;
    else if (mechanism.bytes[0] == 0x11)
        algorithm->curve = &card_curves[CURVE_P256];
    return algorithm->bits || algorithm->curve;
}

uint16_t piv_generate(struct piv *card, const struct command *command)
{
    struct card_algorithm algorithm;
    if (command->p1 != 0x00)
        return SW_NOT_SUPPORTED;
    if (!piv_is_key(command->p2))
        return SW_NO_REFERENCE;
    if (!card->administrator)
        return SW_SECURITY_STATUS;
    if (!find_algorithm(command, &algorithm))
        return SW_WRONG_DATA;
    return start(card, card_job_new(CARD_JOB_GENERATE, NULL, &algorithm, (struct tlv_view){ 0 }), command->p2, true);
}

/* ---- use ---- */

/* What the firmware has a name for (SP 800-78-4 table 6-2, and some more). */
static bool is_algorithm(uint8_t number)
{
    static const uint8_t NUMBERS[] = { 0x03, 0x06, 0x07, 0x08, 0x0a, 0x0c, 0x11, 0x14, 0x15, 0xe0,
                                       0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4 };
    return memchr(NUMBERS, number, sizeof NUMBERS) != NULL;
}

/* The PIN before each use of the key that signs, once for the others, never for the key that opens doors (part 1,
 * table 4b). */
static bool may_use(const struct piv *card, uint8_t reference)
{
    if (reference == CARD_AUTHENTICATION_KEY)
        return true;
    return reference == SIGNATURE_KEY ? card->just_verified : card->pin_verified;
}

/* RSA is asked for a signature also when it is to decipher: it looks at no padding. */
static uint16_t use(struct piv *card, const struct command *command, struct tlv_view template)
{
    struct tlv_view response, challenge, point;
    EVP_PKEY *const key = card->memory.key[command->p2];
    if (!key)
        return SW_CONDITIONS;
    if (command->p1 != piv_key_algorithm(key))
        return SW_WRONG_P1_P2;
    if (!tlv_find(template, 0x82, &response) || response.length != 0)
        return SW_WRONG_DATA;
    const bool is_rsa = EVP_PKEY_is_a(key, "RSA");
    if (tlv_find(template, 0x81, &challenge))
        return start(card, card_job_new_operation(is_rsa ? card_rsa_raw : card_ecc_sign_der, key, challenge),
                     command->p2, false);
    if (is_rsa || !tlv_find(template, 0x85, &point))
        return SW_WRONG_DATA;
    return start(card, card_job_new_operation(card_ecc_agree, key, point), command->p2, false);
}

uint16_t piv_authenticate(struct piv *card, const struct command *command)
{
    struct tlv_view template;
    if (!is_algorithm(command->p1) || (!piv_is_key(command->p2) && command->p2 != MANAGEMENT_KEY))
        return SW_NO_REFERENCE;
    if (command->p2 != MANAGEMENT_KEY && !may_use(card, command->p2))
        return SW_SECURITY_STATUS;
    if (!tlv_find((struct tlv_view){ command->data, command->length }, 0x7c, &template))
        return SW_WRONG_DATA;
    return command->p2 == MANAGEMENT_KEY ? piv_authenticate_administrator(card, command, template)
                                         : use(card, command, template);
}

/* ---- the end of a job ---- */

static void put_response(struct piv *card, const struct card_result *result)
{
    uint8_t bytes[CARD_KEY_BYTES_MAX + 4];
    struct tlv_writer template = { .bytes = bytes, .size = sizeof bytes };
    tlv_put(&template, 0x82, result->output, result->length);
    tlv_put(&card->answer.data, 0x7c, bytes, template.length);
    OPENSSL_cleanse(bytes, sizeof bytes);
}

uint16_t piv_end_job(struct piv *card)
{
    struct card_result result = card_job_finish(card->job);
    const bool ok = result.ok;
    card->job = NULL;
    if (ok && card->generates) {
        piv_memory_set_key(&card->memory, card->reference, result.key);
        piv_save(card);
        card_key_put_public(result.key, &card->answer.data);
    } else if (ok) {
        put_response(card, &result);
    }
    OPENSSL_cleanse(&result, sizeof result);
    if (ok)
        return SW_OK;
    return card->generates ? SW_CONDITIONS : SW_WRONG_DATA;
}
