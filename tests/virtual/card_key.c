/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_key.c - RSA keys as a card uses them, by libcrypto. Slow operations run in a thread. */
#include "card_key.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

/* ---- keys ---- */

static size_t component(EVP_PKEY *key, const char *name, uint8_t *bytes, size_t size)
{
    BIGNUM *number = NULL;
    size_t length = 0;
    if (EVP_PKEY_get_bn_param(key, name, &number) && (size_t)BN_num_bytes(number) <= size)
        length = (size_t)BN_bn2bin(number, bytes);
    BN_free(number);
    return length;
}

void card_key_put_public(EVP_PKEY *key, struct tlv_writer *writer)
{
    uint8_t number[CARD_KEY_BYTES_MAX], inner[CARD_KEY_BYTES_MAX + 32];
    struct tlv_writer parts = { .bytes = inner, .size = sizeof inner };
    tlv_put(&parts, 0x81, number, component(key, OSSL_PKEY_PARAM_RSA_N, number, sizeof number));
    tlv_put(&parts, 0x82, number, component(key, OSSL_PKEY_PARAM_RSA_E, number, sizeof number));
    tlv_put(writer, 0x7f49, inner, parts.length);
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

EVP_PKEY *card_key_import(struct tlv_view e, struct tlv_view p, struct tlv_view q, unsigned bits)
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
    ERR_clear_error();
    return key;
}

/* ---- operations ---- */

struct card_job {
    enum card_job_kind kind;
    EVP_PKEY *key;
    unsigned bits;
    uint8_t input[CARD_KEY_BYTES_MAX];
    size_t length;
    struct card_result result;
    pthread_t thread;
    atomic_bool done, cancelled;
};

static int go_on(EVP_PKEY_CTX *ctx)
{
    const struct card_job *job = EVP_PKEY_CTX_get_app_data(ctx);
    return !atomic_load(&job->cancelled);
}

static bool generate(struct card_job *job)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!ctx)
        return false;
    EVP_PKEY_CTX_set_app_data(ctx, job);
    EVP_PKEY_CTX_set_cb(ctx, go_on);
    const bool ok = EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)job->bits) > 0 &&
                    EVP_PKEY_generate(ctx, &job->result.key) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool use_private_key(struct card_job *job)
{
    const bool sign = job->kind == CARD_JOB_SIGN;
    struct card_result *const result = &job->result;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(job->key, NULL);
    result->length = sizeof result->output;
    const bool ok = ctx && (sign ? EVP_PKEY_sign_init(ctx) : EVP_PKEY_decrypt_init(ctx)) > 0 &&
                    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
                    (sign ? EVP_PKEY_sign : EVP_PKEY_decrypt)(ctx, result->output, &result->length, job->input,
                                                              job->length) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static void *work(void *context)
{
    struct card_job *const job = context;
    job->result.ok = job->kind == CARD_JOB_GENERATE ? generate(job) : use_private_key(job);
    ERR_clear_error();
    atomic_store(&job->done, true);
    return NULL;
}

static void free_job(struct card_job *job)
{
    EVP_PKEY_free(job->key);
    OPENSSL_cleanse(job, sizeof *job);
    free(job);
}

struct card_job *card_job_start(enum card_job_kind kind, EVP_PKEY *key, unsigned bits, const uint8_t *input,
                                size_t length)
{
    struct card_job *job = length <= CARD_KEY_BYTES_MAX ? calloc(1, sizeof *job) : NULL;
    if (!job)
        return NULL;
    job->kind = kind;
    job->bits = bits;
    job->length = length;
    if (length > 0)
        memcpy(job->input, input, length);
    if (key && EVP_PKEY_up_ref(key))
        job->key = key;
    if (pthread_create(&job->thread, NULL, work, job) == 0)
        return job;
    free_job(job);
    return NULL;
}

bool card_job_done(struct card_job *job)
{
    return atomic_load(&job->done);
}

struct card_result card_job_finish(struct card_job *job)
{
    pthread_join(job->thread, NULL);
    const struct card_result result = job->result;
    free_job(job);
    return result;
}

void card_job_cancel(struct card_job *job)
{
    if (!job)
        return;
    atomic_store(&job->cancelled, true);
    struct card_result result = card_job_finish(job);
    EVP_PKEY_free(result.key);
    OPENSSL_cleanse(&result, sizeof result);
}
