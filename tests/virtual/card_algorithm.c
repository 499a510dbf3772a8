/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_algorithm.c - what the algorithm attributes C1 ... C3 of an OpenPGP card say (OpenPGP card 3.4 §4.4.3.9). */
#include "card_algorithm.h"
#include <string.h>

enum { ALGORITHM_RSA = 0x01, ECDH = 0x12, ECDSA = 0x13, EDDSA = 0x16 }; /* RFC 4880 §9.1 and its successors */

#define BRAINPOOL(last) 9, { 0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, last }

const struct card_curve card_curves[CURVE_COUNT] = {
    [CURVE_P256] = { "EC", "prime256v1", ECDSA, ECDH, 32, 8, { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 } },
    [CURVE_P384] = { "EC", "secp384r1", ECDSA, ECDH, 48, 5, { 0x2b, 0x81, 0x04, 0x00, 0x22 } },
    [CURVE_P521] = { "EC", "secp521r1", ECDSA, ECDH, 66, 5, { 0x2b, 0x81, 0x04, 0x00, 0x23 } },
    [CURVE_BRAINPOOL256] = { "EC", "brainpoolP256r1", ECDSA, ECDH, 32, BRAINPOOL(0x07) },
    [CURVE_BRAINPOOL384] = { "EC", "brainpoolP384r1", ECDSA, ECDH, 48, BRAINPOOL(0x0b) },
    [CURVE_BRAINPOOL512] = { "EC", "brainpoolP512r1", ECDSA, ECDH, 64, BRAINPOOL(0x0d) },
    [CURVE_SECP256K1] = { "EC", "secp256k1", ECDSA, ECDH, 32, 5, { 0x2b, 0x81, 0x04, 0x00, 0x0a } },
    /* The names that GnuPG gave the next two before RFC 8410 did. */
    [CURVE_ED25519] = { "ED25519", NULL, EDDSA, 0, 32, 9, { 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01 } },
    [CURVE_X25519] = { "X25519", NULL, 0, ECDH, 32, 10,
                       { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01 } },
};

static uint8_t number(enum card_key_id use, const struct card_curve *curve)
{
    return use == KEY_DECRYPTION ? curve->agrees : curve->signs;
}

static bool parse_rsa(const uint8_t *bytes, size_t length, struct card_algorithm *algorithm)
{
    static const uint8_t E_BITS[] = { 0x00, 0x20 };
    if (length != 6 || bytes[0] != ALGORITHM_RSA || memcmp(bytes + 3, E_BITS, sizeof E_BITS) != 0 || bytes[5] > 3)
        return false;
    *algorithm = (struct card_algorithm){ .bits = (unsigned)(bytes[1] << 8 | bytes[2]), .format = bytes[5] };
    return true;
}

/* FF after the OID says that an import brings the public key, too. It may come and is not needed, said or not. */
static bool is_oid(const struct card_curve *curve, const uint8_t *bytes, size_t length)
{
    if (length == curve->oid_length + 1u && bytes[length - 1] == 0xff)
        length--;
    return length == curve->oid_length && memcmp(bytes, curve->oid, length) == 0;
}

bool card_algorithm_parse(enum card_key_id use, const uint8_t *bytes, size_t length, struct card_algorithm *algorithm)
{
    if (parse_rsa(bytes, length, algorithm))
        return true;
    for (size_t i = 0; i < CURVE_COUNT && length > 0; i++) {
        const struct card_curve *curve = &card_curves[i];
        if (number(use, curve) == 0 || number(use, curve) != bytes[0] || !is_oid(curve, bytes + 1, length - 1))
            continue;
        *algorithm = (struct card_algorithm){ .curve = curve };
        return true;
    }
    return false;
}

size_t card_algorithm_write(enum card_key_id use, const struct card_algorithm *algorithm,
                            uint8_t bytes[CARD_ATTRIBUTES_MAX])
{
    const struct card_curve *const curve = algorithm->curve;
    if (!curve) {
        const unsigned bits = algorithm->bits;
        const uint8_t rsa[] = { ALGORITHM_RSA, (uint8_t)(bits >> 8), (uint8_t)bits, 0x00, 0x20, 0x00 };
        memcpy(bytes, rsa, sizeof rsa);
        return sizeof rsa;
    }
    if (number(use, curve) == 0)
        return 0;
    bytes[0] = number(use, curve);
    memcpy(bytes + 1, curve->oid, curve->oid_length);
    return 1u + curve->oid_length;
}

bool card_algorithm_fits(const struct card_algorithm *algorithm, const EVP_PKEY *key)
{
    char group[32] = "";
    size_t length = 0;
    if (!algorithm->curve)
        return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) == (int)algorithm->bits;
    if (!EVP_PKEY_is_a(key, algorithm->curve->type))
        return false;
    return !algorithm->curve->group || (EVP_PKEY_get_group_name(key, group, sizeof group, &length) &&
                                        strcmp(group, algorithm->curve->group) == 0);
}
