/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_algorithm.h - what the algorithm attributes C1 ... C3 of an OpenPGP card say (OpenPGP card 3.4 §4.4.3.9). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>

enum card_key_id { KEY_SIGNATURE, KEY_DECRYPTION, KEY_AUTHENTICATION, KEY_COUNT };

enum card_curve_id {
    CURVE_P256, CURVE_P384, CURVE_P521, CURVE_BRAINPOOL256, CURVE_BRAINPOOL384, CURVE_BRAINPOOL512, CURVE_SECP256K1,
    CURVE_ED25519, CURVE_X25519, CURVE_COUNT
};

struct card_curve {
    const char *type, *group; /* of libcrypto; group NULL: the type has one curve only */
    uint8_t signs, agrees;    /* algorithm number of its signatures (ECDSA, EdDSA) and key agreement (ECDH); 0: none */
    size_t bytes;             /* of a coordinate, a private key, half a signature */
    uint8_t oid_length, oid[10];
};
extern const struct card_curve card_curves[CURVE_COUNT];

struct card_algorithm {
    const struct card_curve *curve; /* NULL: RSA */
    unsigned bits;                  /* RSA: of the modulus */
    uint8_t format;                 /* RSA: of the import, 0 ... 3 */
};

#define CARD_ATTRIBUTES_MAX 12

/* Takes attributes of a key with this use apart; false: nothing this program could compute with. */
bool card_algorithm_parse(enum card_key_id use, const uint8_t *bytes, size_t length, struct card_algorithm *algorithm);

/* Writes the attributes of a key with this use, import format 0; returns their length, 0: not for this use. */
size_t card_algorithm_write(enum card_key_id use, const struct card_algorithm *algorithm,
                            uint8_t bytes[CARD_ATTRIBUTES_MAX]);

/* Whether a key is one of this algorithm. */
bool card_algorithm_fits(const struct card_algorithm *algorithm, const EVP_PKEY *key);
