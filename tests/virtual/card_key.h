/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_key.h - keys as a card uses them. Slow operations run in a thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "card_algorithm.h"
#include "tlv.h"

#define CARD_KEY_BYTES_MAX 512 /* of what goes into an operation, or comes out */

/* The public key as data object 7F49 (OpenPGP card 3.4 §7.2.14). */
void card_key_put_public(EVP_PKEY *key, struct tlv_writer *writer);

enum card_job_kind { CARD_JOB_GENERATE, CARD_JOB_SIGN, CARD_JOB_DECIPHER };

struct card_job; /* one operation */

/* Prepares an operation; key is referenced, input copied. algorithm: of the key to generate. NULL: out of memory, or
 * more input than CARD_KEY_BYTES_MAX. */
struct card_job *card_job_new(enum card_job_kind kind, EVP_PKEY *key, const struct card_algorithm *algorithm,
                              struct tlv_view input);
/* The same for an operation with a private key that is none of these; its output has room for CARD_KEY_BYTES_MAX. */
typedef bool card_operation(EVP_PKEY *key, struct tlv_view input, uint8_t *output, size_t *length);
struct card_job *card_job_new_operation(card_operation *operation, EVP_PKEY *key, struct tlv_view input);
/* Starts it; false: no thread to be had. */
bool card_job_start(struct card_job *job);
bool card_job_done(struct card_job *job);

/* What came of it. */
struct card_result {
    bool ok;
    EVP_PKEY *key; /* CARD_JOB_GENERATE: the caller's */
    uint8_t output[CARD_KEY_BYTES_MAX];
    size_t length;
};

/* Waits for the end of a job that was started, and frees it. */
struct card_result card_job_finish(struct card_job *job);

/* Ends it as soon as possible, started or not; what came of it is lost. NULL is allowed. */
void card_job_cancel(struct card_job *job);
