/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* honest_card.h - a small card that does everything right: T=1 (ISO 7816-3 §11) and predictable answers to APDUs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HONEST_ANSWER_MAX 1024
#define HONEST_COMMAND_MAX 4096

struct honest_card {
    uint8_t expected, number; /* N(S) of the host's next I-block; of our next */
    uint8_t ifsd;
    uint8_t command[HONEST_COMMAND_MAX], answer[HONEST_ANSWER_MAX];
    size_t command_length, answer_length, acknowledged, in_flight;
};

/* What a right driver makes of an APDU of the client: returns the answer's length. */
size_t honest_answer(const uint8_t *apdu, size_t length, uint8_t answer[HONEST_ANSWER_MAX]);

void honest_reset(struct honest_card *card);

/* The card's block after one of the host. */
size_t honest_block(struct honest_card *card, const uint8_t *block, size_t length, uint8_t out[260]);

/* The answer to a short APDU: long answers in parts by GET RESPONSE, long commands in parts by ISO chaining. */
size_t honest_short(struct honest_card *card, const uint8_t *apdu, size_t length, uint8_t answer[HONEST_ANSWER_MAX]);
