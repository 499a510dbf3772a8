/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_rsa.h - RSA as a card computes it, by libcrypto. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "tlv.h"

#define CARD_RSA_BYTES_MAX 512 /* RSA 4096 */

/* Modulus 81 and exponent 82 of the public key. */
void card_rsa_put_public(EVP_PKEY *key, struct tlv_writer *writer);

/* A key from e, p and q, all big-endian. NULL: they make no key of so many bits. */
EVP_PKEY *card_rsa_import(struct tlv_view e, struct tlv_view p, struct tlv_view q, unsigned bits);

/* A key from n, e and d, all big-endian. NULL: they make no key. */
EVP_PKEY *card_rsa_import_private(struct tlv_view n, struct tlv_view e, struct tlv_view d);

/* go_on is asked now and then, with the application data of its argument set to context; 0 ends it. NULL: no key.
 * Made in card_rsa_generate.c; the driver's tests have ready_keys.c instead. */
EVP_PKEY *card_rsa_generate(unsigned bits, int (*go_on)(EVP_PKEY_CTX *ctx), void *context);

/* PKCS #1 v1.5; output has room for CARD_RSA_BYTES_MAX. */
bool card_rsa_sign(EVP_PKEY *key, struct tlv_view digest_info, uint8_t *output, size_t *length);
bool card_rsa_decipher(EVP_PKEY *key, struct tlv_view cryptogram, uint8_t *output, size_t *length);

/* Without padding: as many bytes as the modulus has go in and come out. */
bool card_rsa_raw(EVP_PKEY *key, struct tlv_view number, uint8_t *output, size_t *length);

/* PSS (RFC 8017 §8.1) of a digest; its length, which is also that of the salt, says by which function it was made. */
bool card_rsa_sign_pss(EVP_PKEY *key, struct tlv_view digest, uint8_t *output, size_t *length);
