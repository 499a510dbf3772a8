/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* application_bench.h - one card application in hand: tell it APDUs, look at its answers. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "application.h"
#include "hex.h"

struct bench {
    struct application is;
    enum application_effort effort;
    size_t length; /* of the answer's data */
    uint8_t answer[APPLICATION_ANSWER_MAX];
};

/* See application_new(). APDUs are in hexadecimal, see hex.h. What fails fails the test. */
void insert(struct bench *bench, const char *name, const char *state);
void take_out(struct bench *bench);

#define HEX_MAX 8192 /* bytes of an APDU */

/* These return the status word, and leave the data of the answer in the bench. */
unsigned finish(struct bench *bench);
unsigned tell_bytes(struct bench *bench, const uint8_t *apdu, size_t length);
unsigned tell(struct bench *bench, const char *hex);

/* An extended APDU with these data that wants all there is. */
unsigned send(struct bench *bench, const char *header, const void *data, size_t length);

void expect(struct bench *bench, const char *hex, unsigned status_word);
void assert_answer(const struct bench *bench, const char *hex);
