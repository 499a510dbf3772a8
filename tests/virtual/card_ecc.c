/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_ecc.c - elliptic curves as a card computes on them, by libcrypto. */
#include "card_ecc.h"
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

void card_ecc_put_public(EVP_PKEY *key, struct tlv_writer *writer)
{
    uint8_t point[CARD_ECC_BYTES_MAX];
    size_t length = 0;
    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &length);
    tlv_put(writer, 0x86, point, length);
}

EVP_PKEY *card_ecc_generate(const struct card_curve *curve)
{
    return curve->group ? EVP_PKEY_Q_keygen(NULL, NULL, curve->type, curve->group) :
                          EVP_PKEY_Q_keygen(NULL, NULL, curve->type);
}

/* ---- import ---- */

/* The public point that belongs to a private number; 0: the number is 0 or not less than the order. */
static size_t public_point(const char *name, const BIGNUM *number, uint8_t *bytes, size_t size)
{
    size_t length = 0;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_sn2nid(name));
    EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    if (point && !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
        EC_POINT_mul(group, point, number, NULL, NULL, NULL))
        length = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, bytes, size, NULL);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return length;
}

static EVP_PKEY *from_data(const char *group, const BIGNUM *number, const uint8_t *point, size_t length, int selection)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    if (ctx && build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, length) &&
        (!number || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number)) &&
        (parameters = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(ctx) > 0 &&
        EVP_PKEY_fromdata(ctx, &key, selection, parameters) <= 0)
        key = NULL;
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *import_weierstrass(const char *group, const uint8_t *bytes, size_t length)
{
    uint8_t point[CARD_ECC_BYTES_MAX];
    EVP_PKEY *key = NULL;
    BIGNUM *number = BN_secure_new();
    if (number && BN_bin2bn(bytes, (int)length, number)) {
        const size_t point_length = public_point(group, number, point, sizeof point);
        if (point_length > 0)
            key = from_data(group, number, point, point_length, EVP_PKEY_KEYPAIR);
    }
    BN_clear_free(number);
    return key;
}

EVP_PKEY *card_ecc_import(const struct card_curve *curve, struct tlv_view number)
{
    uint8_t bytes[66] = { 0 };
    if (number.length == 0 || number.length > curve->bytes)
        return NULL;
    memcpy(bytes + curve->bytes - number.length, number.bytes, number.length);
    if (strcmp(curve->type, "X25519") == 0)
        for (size_t i = 0; i < curve->bytes / 2; i++) {
            const uint8_t byte = bytes[i];
            bytes[i] = bytes[curve->bytes - 1 - i];
            bytes[curve->bytes - 1 - i] = byte;
        }
    EVP_PKEY *key = curve->group ? import_weierstrass(curve->group, bytes, curve->bytes) :
                                   EVP_PKEY_new_raw_private_key_ex(NULL, curve->type, NULL, bytes, curve->bytes);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return key;
}

/* ---- private operations ---- */

static bool sign_message(EVP_PKEY *key, struct tlv_view message, uint8_t *output, size_t *length)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *length = CARD_ECC_BYTES_MAX;
    const bool ok = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) > 0 &&
                    EVP_DigestSign(ctx, output, length, message.bytes, message.length) > 0;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* From the DER of RFC 3279 §2.2.3 to two numbers of the size of the curve. */
static bool to_raw(const uint8_t *der, size_t der_length, size_t half, uint8_t *output)
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)der_length);
    const bool ok = signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), output, (int)half) > 0 &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(signature), output + half, (int)half) > 0;
    ECDSA_SIG_free(signature);
    return ok;
}

bool card_ecc_sign_der(EVP_PKEY *key, struct tlv_view digest, uint8_t *output, size_t *length)
{
    *length = CARD_ECC_DER_MAX;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    const bool ok = ctx && EVP_PKEY_sign_init(ctx) > 0 &&
                    EVP_PKEY_sign(ctx, output, length, digest.bytes, digest.length) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

bool card_ecc_sign(EVP_PKEY *key, struct tlv_view input, uint8_t *output, size_t *length)
{
    uint8_t der[CARD_ECC_DER_MAX];
    size_t der_length;
    const size_t half = ((size_t)EVP_PKEY_get_bits(key) + 7) / 8;
    if (!EVP_PKEY_is_a(key, "EC"))
        return sign_message(key, input, output, length);
    *length = 2 * half;
    return card_ecc_sign_der(key, input, der, &der_length) && to_raw(der, der_length, half, output);
}

/* NULL: no point on the curve of the key. */
static EVP_PKEY *peer(EVP_PKEY *key, struct tlv_view point)
{
    char group[32];
    size_t length;
    if (EVP_PKEY_is_a(key, "EC"))
        return EVP_PKEY_get_group_name(key, group, sizeof group, &length) ?
                   from_data(group, NULL, point.bytes, point.length, EVP_PKEY_PUBLIC_KEY) : NULL;
    const bool prefixed = point.length == 33 && point.bytes[0] == 0x40;
    return EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, point.bytes + prefixed, point.length - prefixed);
}

bool card_ecc_agree(EVP_PKEY *key, struct tlv_view point, uint8_t *output, size_t *length)
{
    EVP_PKEY *other = peer(key, point);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    *length = CARD_ECC_BYTES_MAX;
    const bool ok = other && ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, other) > 0 &&
                    EVP_PKEY_derive(ctx, output, length) > 0;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(other);
    return ok;
}

bool card_ecc_agree_point(EVP_PKEY *key, struct tlv_view point, uint8_t *output, size_t *length)
{
    char name[32];
    size_t name_length;
    BIGNUM *number = NULL;
    if (!EVP_PKEY_get_group_name(key, name, sizeof name, &name_length) ||
        !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number))
        return false;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_txt2nid(name));
    EC_POINT *shared = group ? EC_POINT_new(group) : NULL;
    *length = 0;
    if (shared && EC_POINT_oct2point(group, shared, point.bytes, point.length, NULL) &&
        EC_POINT_mul(group, shared, NULL, shared, number, NULL) && !EC_POINT_is_at_infinity(group, shared))
        *length = EC_POINT_point2oct(group, shared, POINT_CONVERSION_UNCOMPRESSED, output, CARD_ECC_BYTES_MAX, NULL);
    EC_POINT_clear_free(shared);
    EC_GROUP_free(group);
    BN_clear_free(number);
    return *length > 0;
}
