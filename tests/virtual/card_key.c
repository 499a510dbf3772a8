/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_key.c - keys as a card uses them. Slow operations run in a thread. */
#include "card_key.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include "card_ecc.h"
#include "card_rsa.h"

void card_key_put_public(EVP_PKEY *key, struct tlv_writer *writer)
{
    uint8_t inner[CARD_RSA_BYTES_MAX + 32];
    struct tlv_writer parts = { .bytes = inner, .size = sizeof inner };
    (EVP_PKEY_is_a(key, "RSA") ? card_rsa_put_public : card_ecc_put_public)(key, &parts);
    tlv_put(writer, 0x7f49, inner, parts.length);
}

struct card_job {
    enum card_job_kind kind;
    card_operation *operation; /* NULL: what the kind says */
    EVP_PKEY *key;
    struct card_algorithm algorithm;
    uint8_t input[CARD_KEY_BYTES_MAX];
    size_t length;
    struct card_result result;
    pthread_t thread;
    bool started;
    atomic_bool done, cancelled;
};

static int go_on(EVP_PKEY_CTX *ctx)
{
    const struct card_job *job = EVP_PKEY_CTX_get_app_data(ctx);
    return !atomic_load(&job->cancelled);
}

static bool generate(struct card_job *job)
{
    const struct card_algorithm *const algorithm = &job->algorithm;
    job->result.key = algorithm->curve ? card_ecc_generate(algorithm->curve) :
                                         card_rsa_generate(algorithm->bits, go_on, job);
    return job->result.key != NULL;
}

static bool use_private_key(struct card_job *job)
{
    const struct tlv_view input = { job->input, job->length };
    uint8_t *const output = job->result.output;
    size_t *const length = &job->result.length;
    if (job->operation)
        return job->operation(job->key, input, output, length);
    if (EVP_PKEY_is_a(job->key, "RSA"))
        return (job->kind == CARD_JOB_SIGN ? card_rsa_sign : card_rsa_decipher)(job->key, input, output, length);
    return (job->kind == CARD_JOB_SIGN ? card_ecc_sign : card_ecc_agree)(job->key, input, output, length);
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

struct card_job *card_job_new(enum card_job_kind kind, EVP_PKEY *key, const struct card_algorithm *algorithm,
                              struct tlv_view input)
{
    struct card_job *job = input.length <= CARD_KEY_BYTES_MAX ? calloc(1, sizeof *job) : NULL;
    if (!job)
        return NULL;
    job->kind = kind;
    job->algorithm = *algorithm;
    job->length = input.length;
    if (input.length > 0)
        memcpy(job->input, input.bytes, input.length);
    if (key && EVP_PKEY_up_ref(key))
        job->key = key;
    return job;
}

struct card_job *card_job_new_operation(card_operation *operation, EVP_PKEY *key, struct tlv_view input)
{
    struct card_job *job = card_job_new(CARD_JOB_SIGN, key, &(struct card_algorithm){ 0 }, input);
    if (job)
        job->operation = operation;
    return job;
}

bool card_job_start(struct card_job *job)
{
    job->started = pthread_create(&job->thread, NULL, work, job) == 0;
    return job->started;
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
    if (!job->started) {
        free_job(job);
        return;
    }
    atomic_store(&job->cancelled, true);
    struct card_result result = card_job_finish(job);
    EVP_PKEY_free(result.key);
    OPENSSL_cleanse(&result, sizeof result);
}
