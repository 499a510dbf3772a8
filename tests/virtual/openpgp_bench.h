/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_bench.h - an OpenPGP card in hand: say APDUs to it, look at its answers. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "hex.h"
#include "openpgp.h"

struct answer {
    uint8_t bytes[OPENPGP_ANSWER_MAX];
    size_t length; /* without the status word */
    uint16_t status_word;
};

/* APDUs are in hexadecimal, see hex.h. What fails fails the test. */
enum openpgp_effort begin(struct openpgp *card, const char *hex);
struct answer finish(struct openpgp *card);
struct answer say(struct openpgp *card, const char *hex);

/* A short command with 1 to 255 bytes of data and Le; an extended one with data (case 4E). */
struct answer say_bytes(struct openpgp *card, const char *header, const uint8_t *data, size_t length);
struct answer say_extended(struct openpgp *card, const char *header, const uint8_t *data, size_t length);

/* The answer has this status word; these data and 9000. */
#define expect(card, hex, status_word) expect_at(card, hex, status_word, __FILE__, __LINE__)
#define expect_data(card, hex, data) expect_data_at(card, hex, data, __FILE__, __LINE__)
void expect_at(struct openpgp *card, const char *hex, uint16_t status_word, const char *file, int line);
void expect_data_at(struct openpgp *card, const char *hex, const char *data, const char *file, int line);
