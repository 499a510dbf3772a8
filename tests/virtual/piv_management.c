/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_management.c - the administrator of a PIV card shows that it knows the management key 9B (SP 800-73-4 part 2,
 * appendix A.1): alone, or card and administrator each to the other. */
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "piv_card.h"

#define MANAGEMENT_KEY 0x9b

static size_t block_length(const struct piv *card)
{
    return (size_t)EVP_CIPHER_get_block_size(piv_cipher(card->memory.management_algorithm));
}

static bool encrypt(const struct piv *card, const uint8_t *input, uint8_t *output)
{
    int length = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx &&
                    EVP_EncryptInit_ex2(ctx, piv_cipher(card->memory.management_algorithm), card->memory.management,
                                        NULL, NULL) > 0 &&
                    EVP_CIPHER_CTX_set_padding(ctx, 0) > 0 &&
                    EVP_EncryptUpdate(ctx, output, &length, input, (int)block_length(card)) > 0;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static void put_template(struct piv *card, uint16_t tag, const uint8_t *value, size_t length)
{
    uint8_t bytes[24];
    struct tlv_writer template = { .bytes = bytes, .size = sizeof bytes };
    tlv_put(&template, tag, value, length);
    tlv_put(&card->answer.data, 0x7c, bytes, template.length);
}

/* A witness goes out encrypted and must come back decrypted; a challenge the other way round. */
static uint16_t ask(struct piv *card, enum piv_challenge what)
{
    uint8_t encrypted[sizeof card->challenge_value];
    if (RAND_bytes(card->challenge_value, (int)block_length(card)) <= 0 ||
        !encrypt(card, card->challenge_value, encrypted))
        return SW_CONDITIONS;
    card->challenge = what;
    if (what == PIV_WITNESS) {
        put_template(card, 0x80, encrypted, block_length(card));
    } else {
        put_template(card, 0x81, card->challenge_value, block_length(card));
        memcpy(card->challenge_value, encrypted, sizeof encrypted);
    }
    return SW_OK;
}

/* Each question may be answered once. */
static bool is_right(struct piv *card, enum piv_challenge what, struct tlv_view answer)
{
    const bool right = card->challenge == what && answer.length == block_length(card) &&
                       CRYPTO_memcmp(answer.bytes, card->challenge_value, answer.length) == 0;
    card->challenge = PIV_NONE;
    return right;
}

static uint16_t answer_challenge(struct piv *card, struct tlv_view challenge)
{
    uint8_t encrypted[16];
    if (challenge.length != block_length(card))
        return SW_WRONG_DATA;
    if (!encrypt(card, challenge.bytes, encrypted))
        return SW_CONDITIONS;
    put_template(card, 0x82, encrypted, challenge.length);
    return SW_OK;
}

uint16_t piv_authenticate_administrator(struct piv *card, const struct command *command, struct tlv_view template)
{
    struct tlv_view witness, challenge, response;
    const bool has_witness = tlv_find(template, 0x80, &witness), has_challenge = tlv_find(template, 0x81, &challenge),
               has_response = tlv_find(template, 0x82, &response);
    if (command->p1 != card->memory.management_algorithm)
        return SW_WRONG_P1_P2;
    if (has_witness && witness.length == 0)
        return ask(card, PIV_WITNESS);
    if (has_challenge && challenge.length == 0)
        return ask(card, PIV_CHALLENGE);
    if (has_witness && has_challenge) {
        card->administrator = is_right(card, PIV_WITNESS, witness);
        return card->administrator ? answer_challenge(card, challenge) : SW_SECURITY_STATUS;
    }
    if (!has_response || has_witness || has_challenge)
        return SW_WRONG_DATA;
    card->administrator = is_right(card, PIV_CHALLENGE, response);
    return card->administrator ? SW_OK : SW_SECURITY_STATUS;
}

/* Algorithm, 9B, length, key. */
uint16_t piv_set_management_key(struct piv *card, const struct command *command)
{
    const uint8_t *const data = command->data;
    if (!card->administrator)
        return SW_SECURITY_STATUS;
    const EVP_CIPHER *const cipher = command->length > 3 ? piv_cipher(data[0]) : NULL;
    if (!cipher || data[1] != MANAGEMENT_KEY || data[2] != command->length - 3 ||
        data[2] != EVP_CIPHER_get_key_length(cipher))
        return SW_WRONG_DATA;
    card->memory.management_algorithm = data[0];
    memcpy(card->memory.management, data + 3, data[2]);
    piv_save(card);
    return SW_OK;
}
