/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_ecc.h - elliptic curves as a card computes on them, by libcrypto. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "card_algorithm.h"
#include "tlv.h"

#define CARD_ECC_BYTES_MAX 133 /* a point on P-521 */
#define CARD_ECC_DER_MAX 141   /* a signature by it */

/* Public point 86: 04 x y, or what RFC 7748 and RFC 8032 call a public key (32 bytes, nothing before it). */
void card_ecc_put_public(EVP_PKEY *key, struct tlv_writer *writer);

/* A key from its private number, big-endian with or without leading zeros (also for X25519, as GnuPG has it and unlike
 * RFC 7748), or the seed of an Ed25519 key. NULL: this is none. */
EVP_PKEY *card_ecc_import(const struct card_curve *curve, struct tlv_view number);
EVP_PKEY *card_ecc_generate(const struct card_curve *curve);

/* Signs a digest by ECDSA, as r and s one after the other; a whole message by EdDSA.
 * output has room for CARD_ECC_BYTES_MAX, here and below. */
bool card_ecc_sign(EVP_PKEY *key, struct tlv_view input, uint8_t *output, size_t *length);

/* Signs a digest by ECDSA, in the DER of RFC 3279 §2.2.3; output has room for CARD_ECC_DER_MAX. */
bool card_ecc_sign_der(EVP_PKEY *key, struct tlv_view digest, uint8_t *output, size_t *length);

/* ECDH with somebody's public point (before a point on X25519 may come 40): coordinate x of the shared point. */
bool card_ecc_agree(EVP_PKEY *key, struct tlv_view point, uint8_t *output, size_t *length);

/* The same for a key on a Weierstrass curve: the whole shared point, 04 x y. */
bool card_ecc_agree_point(EVP_PKEY *key, struct tlv_view point, uint8_t *output, size_t *length);
