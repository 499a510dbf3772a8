/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schsm_blob.c - a key of the SmartCard-HSM wrapped under a DKEK, the device key encryption key.
 *
 *   check value 8 | kind 1 | default algorithm | allowed algorithms | access conditions | key OID | key | AES-CMAC 16
 *
 * The four in the middle have two bytes of length each. The key is encrypted by AES-256-CBC with IV 0: 8 random bytes,
 * the size in bits (2 bytes), numbers with two bytes of length each, and padding 80 00 ... Encryption and MAC have keys
 * of their own, SHA-256 of the DKEK and 00000001 or 00000002; the check value is the beginning of SHA-256 of the DKEK.
 */
#include "schsm_blob.h"
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include "card_ecc.h"
#include "card_rsa.h"
#include "schsm_cvc.h"

enum { KIND_RSA = 5, KIND_EC = 12 };

#define BLOCK 16
#define MAC 16
#define KEY_MAX 1200 /* n and d of RSA 4096; a curve of 521 bits is shorter */

static const uint8_t RSA_ALGORITHM[] = { 0x04, 0x00, 0x7f, 0x00, 0x07, 0x02, 0x02, 0x02, 0x01, 0x02 };
static const uint8_t EC_ALGORITHM[] = { 0x04, 0x00, 0x7f, 0x00, 0x07, 0x02, 0x02, 0x02, 0x02, 0x03 };

/* ---- what follows from the DKEK ---- */

bool schsm_check_value(const uint8_t dkek[SCHSM_DKEK_LENGTH], uint8_t value[SCHSM_CHECK_LENGTH])
{
    uint8_t hash[32];
    const bool ok = EVP_Digest(dkek, SCHSM_DKEK_LENGTH, hash, NULL, EVP_sha256(), NULL);
    memcpy(value, hash, SCHSM_CHECK_LENGTH);
    OPENSSL_cleanse(hash, sizeof hash);
    return ok;
}

static bool derive(const uint8_t *dkek, uint8_t counter, uint8_t key[32])
{
    uint8_t input[SCHSM_DKEK_LENGTH + 4] = { 0 };
    memcpy(input, dkek, SCHSM_DKEK_LENGTH);
    input[sizeof input - 1] = counter;
    const bool ok = EVP_Digest(input, sizeof input, key, NULL, EVP_sha256(), NULL);
    OPENSSL_cleanse(input, sizeof input);
    return ok;
}

static bool crypt(const uint8_t *dkek, bool encrypt, const uint8_t *from, size_t length, uint8_t *to)
{
    static const uint8_t IV[BLOCK];
    uint8_t key[32];
    int written = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool ok = ctx && derive(dkek, 1, key) && EVP_CipherInit_ex2(ctx, EVP_aes_256_cbc(), key, IV, encrypt, NULL) &&
                    EVP_CIPHER_CTX_set_padding(ctx, 0) && EVP_CipherUpdate(ctx, to, &written, from, (int)length) &&
                    written == (int)length;
    EVP_CIPHER_CTX_free(ctx);
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

static bool authenticate(const uint8_t *dkek, const uint8_t *bytes, size_t length, uint8_t mac[MAC])
{
    char cipher[] = "AES-256-CBC";
    const OSSL_PARAM parameters[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                                      OSSL_PARAM_construct_end() };
    uint8_t key[32];
    size_t written = 0;
    const bool ok = derive(dkek, 2, key) &&
                    EVP_Q_mac(NULL, "CMAC", NULL, NULL, parameters, key, sizeof key, bytes, length, mac, MAC, &written);
    OPENSSL_cleanse(key, sizeof key);
    return ok && written == MAC;
}

/* ---- wrapping ---- */

static void put_length(struct tlv_writer *writer, size_t length)
{
    const uint8_t bytes[] = { (uint8_t)(length >> 8), (uint8_t)length };
    tlv_append(writer, bytes, sizeof bytes);
}

static void put(struct tlv_writer *writer, struct tlv_view value)
{
    put_length(writer, value.length);
    tlv_append(writer, value.bytes, value.length);
}

static bool put_number(struct tlv_writer *writer, EVP_PKEY *key, const char *name, size_t length)
{
    uint8_t bytes[CARD_RSA_BYTES_MAX];
    BIGNUM *value = NULL;
    const bool ok = EVP_PKEY_get_bn_param(key, name, &value) && BN_bn2binpad(value, bytes, (int)length) > 0;
    if (ok)
        put(writer, (struct tlv_view){ bytes, length });
    BN_clear_free(value);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ok;
}

static bool put_rsa(struct tlv_writer *writer, EVP_PKEY *key)
{
    const size_t length = (size_t)EVP_PKEY_get_bits(key) / 8;
    put_length(writer, 8 * length);
    return length <= CARD_RSA_BYTES_MAX && put_number(writer, key, OSSL_PKEY_PARAM_RSA_D, length) &&
           put_number(writer, key, OSSL_PKEY_PARAM_RSA_N, length) && put_number(writer, key, OSSL_PKEY_PARAM_RSA_E, 3);
}

static bool put_ec(struct tlv_writer *writer, EVP_PKEY *key)
{
    struct schsm_domain domain;
    uint8_t point[CARD_ECC_BYTES_MAX];
    size_t length = 0;
    const struct card_curve *const curve = schsm_curve_of(key);
    if (!curve || !schsm_domain(curve, &domain) ||
        !EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &length))
        return false;
    put_length(writer, 8 * curve->bytes);
    put(writer, domain.a);
    put(writer, domain.b);
    put(writer, domain.prime);
    put(writer, domain.order);
    put(writer, domain.base);
    if (!put_number(writer, key, OSSL_PKEY_PARAM_PRIV_KEY, curve->bytes))
        return false;
    put(writer, (struct tlv_view){ point, length });
    return true;
}

/* The key as it is encrypted: behind random bytes, with padding up to a block. */
static bool put_key(struct tlv_writer *plain, EVP_PKEY *key, bool rsa)
{
    static const uint8_t PADDING[BLOCK] = { 0x80 };
    uint8_t random[8];
    if (RAND_bytes(random, sizeof random) <= 0)
        return false;
    tlv_append(plain, random, sizeof random);
    if (!(rsa ? put_rsa : put_ec)(plain, key))
        return false;
    if (plain->length % BLOCK > 0)
        tlv_append(plain, PADDING, BLOCK - plain->length % BLOCK);
    return !plain->overflow;
}

bool schsm_blob_wrap(struct tlv_writer *writer, EVP_PKEY *key, const uint8_t dkek[SCHSM_DKEK_LENGTH])
{
    const bool rsa = EVP_PKEY_is_a(key, "RSA");
    const uint8_t kind = rsa ? KIND_RSA : KIND_EC;
    const struct tlv_view algorithm = { rsa ? RSA_ALGORITHM : EC_ALGORITHM, sizeof RSA_ALGORITHM };
    uint8_t check[SCHSM_CHECK_LENGTH], plain_bytes[KEY_MAX], encrypted[KEY_MAX], mac[MAC];
    struct tlv_writer plain = { .bytes = plain_bytes, .size = sizeof plain_bytes };
    const size_t begin = writer->length;
    bool ok = schsm_check_value(dkek, check) && put_key(&plain, key, rsa) &&
              crypt(dkek, true, plain_bytes, plain.length, encrypted);
    OPENSSL_cleanse(plain_bytes, sizeof plain_bytes);
    if (!ok)
        return false;
    tlv_append(writer, check, sizeof check);
    tlv_append(writer, &kind, 1);
    put(writer, algorithm);
    for (int i = 0; i < 3; i++) /* algorithms, conditions, OID: none is said */
        put_length(writer, 0);
    tlv_append(writer, encrypted, plain.length);
    ok = !writer->overflow && authenticate(dkek, writer->bytes + begin, writer->length - begin, mac);
    tlv_append(writer, mac, sizeof mac);
    return ok && !writer->overflow;
}

/* ---- unwrapping ---- */

static bool take(struct tlv_view *rest, size_t length, struct tlv_view *taken)
{
    if (length > rest->length)
        return false;
    *taken = (struct tlv_view){ rest->bytes, length };
    rest->bytes += length;
    rest->length -= length;
    return true;
}

static bool take_value(struct tlv_view *rest, struct tlv_view *value)
{
    struct tlv_view length;
    return take(rest, 2, &length) && take(rest, (size_t)(length.bytes[0] << 8 | length.bytes[1]), value);
}

static EVP_PKEY *read_rsa(struct tlv_view rest)
{
    struct tlv_view n, e, d;
    if (!take_value(&rest, &d) || !take_value(&rest, &n) || !take_value(&rest, &e))
        return NULL;
    return card_rsa_import_private(n, e, d);
}

static EVP_PKEY *read_ec(struct tlv_view rest, size_t most)
{
    struct tlv_view a, b, prime, order, base, number;
    if (!take_value(&rest, &a) || !take_value(&rest, &b) || !take_value(&rest, &prime) || !take_value(&rest, &order) ||
        !take_value(&rest, &base) || !take_value(&rest, &number))
        return NULL;
    const struct card_curve *const curve = schsm_find_prime(prime, most);
    return curve ? card_ecc_import(curve, number) : NULL;
}

static EVP_PKEY *read_key(uint8_t kind, struct tlv_view plain, size_t most)
{
    struct tlv_view skipped;
    if (!take(&plain, 8 + 2, &skipped))
        return NULL;
    return kind == KIND_RSA ? read_rsa(plain) : kind == KIND_EC ? read_ec(plain, most) : NULL;
}

EVP_PKEY *schsm_blob_unwrap(struct tlv_view blob, const uint8_t dkek[SCHSM_DKEK_LENGTH], size_t most)
{
    uint8_t check[SCHSM_CHECK_LENGTH], mac[MAC], plain[KEY_MAX];
    struct tlv_view rest = blob, told, kind, skipped, told_mac = { 0 };
    if (blob.length < MAC || !schsm_check_value(dkek, check) || !authenticate(dkek, blob.bytes, blob.length - MAC, mac))
        return NULL;
    rest.length -= MAC;
    told_mac.bytes = blob.bytes + rest.length;
    if (CRYPTO_memcmp(told_mac.bytes, mac, MAC) != 0 || !take(&rest, sizeof check, &told) ||
        memcmp(told.bytes, check, sizeof check) != 0 || !take(&rest, 1, &kind))
        return NULL;
    for (int i = 0; i < 4; i++)
        if (!take_value(&rest, &skipped))
            return NULL;
    if (rest.length == 0 || rest.length % BLOCK != 0 || rest.length > sizeof plain ||
        !crypt(dkek, false, rest.bytes, rest.length, plain))
        return NULL;
    EVP_PKEY *key = read_key(kind.bytes[0], (struct tlv_view){ plain, rest.length }, most);
    OPENSSL_cleanse(plain, sizeof plain);
    return key;
}
