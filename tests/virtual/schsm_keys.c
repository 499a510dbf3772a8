/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_keys.c - generate, sign, decipher, agree: the keys of the SmartCard-HSM. */
#include <string.h>
#include <openssl/crypto.h>
#include "card_ecc.h"
#include "card_rsa.h"
#include "schsm_card.h"
#include "schsm_cvc.h"

/* ---- generate ---- */

static const uint8_t RSA_V15_SHA256[] = { 0x04, 0x00, 0x7f, 0x00, 0x07, 0x02, 0x02, 0x02, 0x01, 0x02 };

/* RSA: 02 is the length of the modulus, 82 the exponent; otherwise the domain of a curve. */
static bool find_algorithm(const struct schsm *card, struct tlv_view public_key, struct card_algorithm *algorithm)
{
    static const uint8_t F4[] = { 0x01, 0x00, 0x01 };
    struct tlv_view oid, bits, exponent;
    *algorithm = (struct card_algorithm){ 0 };
    if (!tlv_find(public_key, 0x06, &oid))
        return false;
    if (oid.length != sizeof RSA_V15_SHA256 || memcmp(oid.bytes, RSA_V15_SHA256, oid.length) != 0) {
        algorithm->curve = schsm_find_curve(public_key, card->profile->curve_max);
        return algorithm->curve;
    }
    if (!tlv_find(public_key, 0x02, &bits) || bits.length != 2 || !tlv_find(public_key, 0x82, &exponent) ||
        exponent.length != sizeof F4 || memcmp(exponent.bytes, F4, sizeof F4) != 0)
        return false;
    algorithm->bits = (unsigned)(bits.bytes[0] << 8 | bits.bytes[1]);
    return algorithm->bits >= 1024 && algorithm->bits <= card->profile->rsa_max && algorithm->bits % 512 == 0;
}

static bool keep(struct tlv_view from, uint8_t *to, size_t *length)
{
    if (from.length > SCHSM_HOLDER_MAX)
        return false;
    memcpy(to, from.bytes, from.length);
    *length = from.length;
    return true;
}

/* The answer is a request for a certificate. The key is there from now on. */
static uint16_t end_generation(struct schsm *card)
{
    struct card_result result = card_job_finish(card->job);
    card->job = NULL;
    if (!result.ok)
        return SW_CONDITIONS;
    schsm_memory_set_key(&card->memory, card->key_id, result.key);
    const bool ok =
        schsm_put_request(&card->data, result.key, (struct tlv_view){ card->holder, card->holder_length },
                          (struct tlv_view){ card->authority, card->authority_length }, card->memory.key[0]);
    schsm_save(card);
    return ok ? SW_OK : SW_CONDITIONS;
}

/* The data are the body of a certificate without the public key's value: 42, 7F49 and 5F20 count. A key on a curve is
 * quickly made. */
uint16_t schsm_generate(struct schsm *card, const struct command *command)
{
    const struct tlv_view body = { command->data, command->length };
    struct tlv_view public_key, holder, authority;
    struct card_algorithm algorithm;
    if (!schsm_may_use(card))
        return SW_SECURITY_STATUS;
    if (command->p1 == 0x00)
        return SW_WRONG_P1_P2;
    if (card->memory.key[command->p1])
        return SW_EXISTS;
    if (!tlv_find(body, 0x7f49, &public_key) || !tlv_find(body, 0x5f20, &holder) || !tlv_find(body, 0x42, &authority) ||
        !keep(holder, card->holder, &card->holder_length) ||
        !keep(authority, card->authority, &card->authority_length) || !find_algorithm(card, public_key, &algorithm))
        return SW_WRONG_DATA;
    card->key_id = command->p1;
    card->job = card_job_new(CARD_JOB_GENERATE, NULL, &algorithm, (struct tlv_view){ 0 });
    if (!card->job)
        return SW_NO_MEMORY;
    card->finish_later = end_generation;
    card->effort = algorithm.curve ? EFFORT_PRIVATE_KEY : EFFORT_GENERATE;
    return SW_LATER;
}

/* ---- use ---- */

static uint16_t end_use(struct schsm *card)
{
    struct card_result result = card_job_finish(card->job);
    card->job = NULL;
    if (result.ok)
        tlv_append(&card->data, result.output, result.length);
    const bool ok = result.ok;
    OPENSSL_cleanse(&result, sizeof result);
    return ok ? SW_OK : SW_WRONG_DATA;
}

static uint16_t use(struct schsm *card, uint8_t key_id, card_operation *operation, struct tlv_view input)
{
    card->job = card_job_new_operation(operation, card->memory.key[key_id], input);
    if (!card->job)
        return SW_WRONG_DATA; /* more than any of them takes */
    card->finish_later = end_use;
    card->effort = EFFORT_PRIVATE_KEY;
    return SW_LATER;
}

/* The operation that an algorithm number of SIGN stands for, and what is hashed before it. */
static const struct algorithm {
    uint8_t number;
    const char *key_type, *hash; /* hash NULL: the data come as they go in */
    card_operation *operation;
    uint8_t info[19]; /* before the hash, if there is something (RFC 8017 §9.2) */
    uint8_t info_length;
} ALGORITHMS[] = {
    { 0x20, "RSA", NULL, card_rsa_raw, { 0 }, 0 },
    { 0x30, "RSA", NULL, card_rsa_sign, { 0 }, 0 },
    { 0x31,
      "RSA",
      "SHA1",
      card_rsa_sign,
      { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 },
      15 },
    { 0x33,
      "RSA",
      "SHA256",
      card_rsa_sign,
      { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
        0x20 },
      19 },
    { 0x40, "RSA", NULL, card_rsa_sign_pss, { 0 }, 0 },
    { 0x41, "RSA", "SHA1", card_rsa_sign_pss, { 0 }, 0 },
    { 0x43, "RSA", "SHA256", card_rsa_sign_pss, { 0 }, 0 },
    { 0x70, "EC", NULL, card_ecc_sign_der, { 0 }, 0 },
    { 0x71, "EC", "SHA1", card_ecc_sign_der, { 0 }, 0 },
    { 0x72, "EC", "SHA224", card_ecc_sign_der, { 0 }, 0 },
    { 0x73, "EC", "SHA256", card_ecc_sign_der, { 0 }, 0 },
};

static const struct algorithm *find(uint8_t number, const EVP_PKEY *key)
{
    for (size_t i = 0; i < sizeof ALGORITHMS / sizeof ALGORITHMS[0]; i++)
        if (ALGORITHMS[i].number == number && EVP_PKEY_is_a(key, ALGORITHMS[i].key_type))
            return &ALGORITHMS[i];
    return NULL;
}

static uint16_t may_use_key(const struct schsm *card, uint8_t id)
{
    if (!schsm_may_use(card))
        return SW_SECURITY_STATUS;
    return id != 0 && card->memory.key[id] ? SW_OK : SW_NO_REFERENCE;
}

uint16_t schsm_sign(struct schsm *card, const struct command *command)
{
    uint8_t hashed[19 + 64];
    size_t length = 0;
    const uint16_t may = may_use_key(card, command->p1);
    if (may != SW_OK)
        return may;
    const struct algorithm *const algorithm = find(command->p2, card->memory.key[command->p1]);
    if (!algorithm)
        return SW_WRONG_P1_P2;
    if (command->length == 0)
        return SW_WRONG_LENGTH;
    if (!algorithm->hash)
        return use(card, command->p1, algorithm->operation, (struct tlv_view){ command->data, command->length });
    memcpy(hashed, algorithm->info, algorithm->info_length);
    if (!EVP_Q_digest(NULL, algorithm->hash, NULL, command->data, command->length, hashed + algorithm->info_length,
                      &length))
        return SW_CONDITIONS;
    return use(card, command->p1, algorithm->operation, (struct tlv_view){ hashed, algorithm->info_length + length });
}

/* 21: RSA without a look at the padding; 80: the shared point of a key agreement. */
uint16_t schsm_decipher(struct schsm *card, const struct command *command)
{
    const struct tlv_view input = { command->data, command->length };
    const uint16_t may = may_use_key(card, command->p1);
    if (may != SW_OK)
        return may;
    EVP_PKEY *const key = card->memory.key[command->p1];
    if (command->p2 == 0x21 && EVP_PKEY_is_a(key, "RSA"))
        return use(card, command->p1, card_rsa_raw, input);
    if (command->p2 == 0x80 && EVP_PKEY_is_a(key, "EC"))
        return use(card, command->p1, card_ecc_agree_point, input);
    return SW_WRONG_P1_P2;
}
