/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_key.h - RSA keys as a card uses them, by libcrypto. Slow operations run in a thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "tlv.h"

#define CARD_KEY_BYTES_MAX 512 /* RSA 4096 */

/* The public key as data object 7F49 (OpenPGP card 3.4 §4.4.3.10, RSA). */
void card_key_put_public(EVP_PKEY *key, struct tlv_writer *writer);

/* A key from e, p and q, all big-endian. NULL: they make no key of so many bits. */
EVP_PKEY *card_key_import(struct tlv_view e, struct tlv_view p, struct tlv_view q, unsigned bits);

enum card_job_kind { CARD_JOB_GENERATE, CARD_JOB_SIGN, CARD_JOB_DECIPHER };

struct card_job; /* one operation, running */

/* Starts an operation; key is referenced, input copied. bits: of the key to generate. NULL: out of memory. */
struct card_job *card_job_start(enum card_job_kind kind, EVP_PKEY *key, unsigned bits, const uint8_t *input,
                                size_t length);
bool card_job_done(struct card_job *job);

/* What came of it. */
struct card_result {
    bool ok;
    EVP_PKEY *key; /* CARD_JOB_GENERATE: the caller's */
    uint8_t output[CARD_KEY_BYTES_MAX];
    size_t length;
};

/* Waits for the end and frees the job. */
struct card_result card_job_finish(struct card_job *job);

/* Ends it as soon as possible; what came of it is lost. NULL is allowed. */
void card_job_cancel(struct card_job *job);
