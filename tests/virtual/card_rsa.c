/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_rsa.c - RSA as a card computes it, by libcrypto. */
#include "card_rsa.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

static size_t component(EVP_PKEY *key, const char *name, uint8_t *bytes, size_t size)
{
    BIGNUM *number = NULL;
    size_t length = 0;
    if (EVP_PKEY_get_bn_param(key, name, &number) && (size_t)BN_num_bytes(number) <= size)
        length = (size_t)BN_bn2bin(number, bytes);
    BN_free(number);
    return length;
}

void card_rsa_put_public(EVP_PKEY *key, struct tlv_writer *writer)
{
    uint8_t number[CARD_RSA_BYTES_MAX];
    tlv_put(writer, 0x81, number, component(key, OSSL_PKEY_PARAM_RSA_N, number, sizeof number));
    tlv_put(writer, 0x82, number, component(key, OSSL_PKEY_PARAM_RSA_E, number, sizeof number));
}

/* The numbers of a key that follow from e, p and q (RFC 8017 §3.2). */
struct numbers {
    BIGNUM *e, *p, *q, *n, *d, *dp, *dq, *qinv;
};

static bool derive(struct numbers *k, BN_CTX *ctx)
{
    BIGNUM *p1 = BN_dup(k->p), *q1 = BN_dup(k->q), *phi = BN_new();
    k->n = BN_new(), k->d = BN_new(), k->dp = BN_new(), k->dq = BN_new(), k->qinv = BN_new();
    const bool ok = p1 && q1 && phi && k->n && k->d && k->dp && k->dq && k->qinv &&
                    BN_sub_word(p1, 1) && BN_sub_word(q1, 1) && BN_mul(k->n, k->p, k->q, ctx) &&
                    BN_mul(phi, p1, q1, ctx) && BN_mod_inverse(k->d, k->e, phi, ctx) && BN_mod(k->dp, k->d, p1, ctx) &&
                    BN_mod(k->dq, k->d, q1, ctx) && BN_mod_inverse(k->qinv, k->q, k->p, ctx);
    BN_clear_free(p1);
    BN_clear_free(q1);
    BN_clear_free(phi);
    return ok;
}

static EVP_PKEY *assemble(const struct numbers *k)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    if (ctx && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, k->n) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, k->e) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_D, k->d) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_FACTOR1, k->p) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_FACTOR2, k->q) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_EXPONENT1, k->dp) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_EXPONENT2, k->dq) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, k->qinv) &&
        (parameters = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(ctx) > 0 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, parameters) <= 0)
        key = NULL;
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

EVP_PKEY *card_rsa_import(struct tlv_view e, struct tlv_view p, struct tlv_view q, unsigned bits)
{
    EVP_PKEY *key = NULL;
    BN_CTX *ctx = BN_CTX_new();
    struct numbers k = {
        .e = BN_bin2bn(e.bytes, (int)e.length, NULL),
        .p = BN_bin2bn(p.bytes, (int)p.length, NULL),
        .q = BN_bin2bn(q.bytes, (int)q.length, NULL),
    };
    if (ctx && k.e && k.p && k.q && derive(&k, ctx) && BN_num_bits(k.n) == (int)bits)
        key = assemble(&k);
    BIGNUM *const all[] = { k.e, k.p, k.q, k.n, k.d, k.dp, k.dq, k.qinv };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        BN_clear_free(all[i]);
    BN_CTX_free(ctx);
    return key;
}

/* A prime factor of n: the square root of 1 that is neither 1 nor -1 and is found on the way from g to g^(ed-1) = 1. */
static bool try_factor(const BIGNUM *n, const BIGNUM *odd, int twos, BIGNUM *factor, BN_CTX *ctx)
{
    BIGNUM *root = BN_new(), *square = BN_new();
    bool found = false, ok = root && square && BN_rand_range(root, n) && BN_mod_exp(root, root, odd, n, ctx);
    for (int i = 0; ok && !found && i < twos && !BN_is_one(root); i++) {
        ok = BN_mod_sqr(square, root, n, ctx);
        found = ok && BN_is_one(square) && BN_sub_word(root, 1) && BN_gcd(factor, root, n, ctx) && !BN_is_one(factor) &&
                BN_cmp(factor, n) != 0;
        ok = ok && BN_copy(root, square);
    }
    BN_clear_free(root);
    BN_clear_free(square);
    return found;
}

static bool find_factor(const BIGNUM *n, const BIGNUM *e, const BIGNUM *d, BIGNUM *factor, BN_CTX *ctx)
{
    BIGNUM *odd = BN_new();
    int twos = 0;
    bool found = false;
    if (odd && BN_mul(odd, e, d, ctx) && BN_sub_word(odd, 1) && !BN_is_zero(odd)) {
        while (!BN_is_bit_set(odd, twos))
            twos++;
        if (BN_rshift(odd, odd, twos))
            for (int i = 0; !found && i < 100; i++) /* each one fails with a chance of one half at most */
                found = try_factor(n, odd, twos, factor, ctx);
    }
    BN_clear_free(odd);
    return found;
}

EVP_PKEY *card_rsa_import_private(struct tlv_view n, struct tlv_view e, struct tlv_view d)
{
    uint8_t p_bytes[CARD_RSA_BYTES_MAX], q_bytes[CARD_RSA_BYTES_MAX];
    EVP_PKEY *key = NULL;
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *modulus = BN_bin2bn(n.bytes, (int)n.length, NULL), *exponent = BN_bin2bn(e.bytes, (int)e.length, NULL);
    BIGNUM *secret = BN_bin2bn(d.bytes, (int)d.length, NULL), *p = BN_new(), *q = BN_new();
    if (n.length <= CARD_RSA_BYTES_MAX && ctx && modulus && exponent && secret && p && q && BN_is_odd(modulus) &&
        find_factor(modulus, exponent, secret, p, ctx) && BN_div(q, NULL, modulus, p, ctx)) {
        const struct tlv_view first = { p_bytes, (size_t)BN_bn2bin(p, p_bytes) };
        const struct tlv_view second = { q_bytes, (size_t)BN_bn2bin(q, q_bytes) };
        key = card_rsa_import(e, first, second, (unsigned)BN_num_bits(modulus));
    }
    BIGNUM *const all[] = { modulus, exponent, secret, p, q };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        BN_clear_free(all[i]);
    BN_CTX_free(ctx);
    OPENSSL_cleanse(p_bytes, sizeof p_bytes);
    OPENSSL_cleanse(q_bytes, sizeof q_bytes);
    return key;
}

bool card_rsa_sign(EVP_PKEY *key, struct tlv_view digest_info, uint8_t *output, size_t *length)
{
    *length = CARD_RSA_BYTES_MAX;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    const bool ok = ctx && EVP_PKEY_sign_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
                    EVP_PKEY_sign(ctx, output, length, digest_info.bytes, digest_info.length) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

bool card_rsa_decipher(EVP_PKEY *key, struct tlv_view cryptogram, uint8_t *output, size_t *length)
{
    *length = CARD_RSA_BYTES_MAX;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    const bool ok = ctx && EVP_PKEY_decrypt_init(ctx) > 0 &&
                    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
                    EVP_PKEY_decrypt(ctx, output, length, cryptogram.bytes, cryptogram.length) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

bool card_rsa_raw(EVP_PKEY *key, struct tlv_view number, uint8_t *output, size_t *length)
{
    *length = CARD_RSA_BYTES_MAX;
    EVP_PKEY_CTX *ctx = number.length == (size_t)EVP_PKEY_get_size(key) ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    const bool ok = ctx && EVP_PKEY_decrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
                    EVP_PKEY_decrypt(ctx, output, length, number.bytes, number.length) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static const EVP_MD *hash_of(size_t digest_length)
{
    switch (digest_length) {
    case 20: return EVP_sha1();
    case 28: return EVP_sha224();
    case 32: return EVP_sha256();
    case 48: return EVP_sha384();
    case 64: return EVP_sha512();
    default: return NULL;
    }
}

bool card_rsa_sign_pss(EVP_PKEY *key, struct tlv_view digest, uint8_t *output, size_t *length)
{
    const EVP_MD *const hash = hash_of(digest.length);
    *length = CARD_RSA_BYTES_MAX;
    EVP_PKEY_CTX *ctx = hash ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    const bool ok = ctx && EVP_PKEY_sign_init(ctx) > 0 &&
                    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                    EVP_PKEY_CTX_set_signature_md(ctx, hash) > 0 &&
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0 &&
                    EVP_PKEY_sign(ctx, output, length, digest.bytes, digest.length) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}
