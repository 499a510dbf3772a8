/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * t1_card.h - the card's side of T=1 (ISO 7816-3:2006 §11), block by block, without clock and line.
 *
 * Written for the virtual key from the standard; the driver has its own side and shares nothing with it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "application.h"

#define T1_CARD_BLOCK_MAX 258 /* NAD PCB LEN, 254 bytes INF, LRC */

/* What a block that was heard leads to. */
enum t1_card_event {
    T1_CARD_SPEAK,   /* the card says out[0 ... out_len) */
    T1_CARD_EXECUTE, /* command[0 ... command_len) is a whole APDU */
    T1_CARD_RESUME,  /* S(WTX response): the card may speak again when its work is done */
};

enum t1_card_state {
    T1_CARD_LISTENING, /* the host has to send a command, or goes on with one */
    T1_CARD_WORKING,   /* the APDU is being executed */
    T1_CARD_ASKING,    /* an S(... request) of the card waits for its response */
    T1_CARD_ANSWERING, /* the I-block in out is not acknowledged yet */
};

/* All fields belong to t1_card.c, but a reader may look at command, out and state. */
struct t1_card {
    enum t1_card_state state;
    uint8_t ifsc, ifsd; /* the longest INF that the card takes, that the host takes */
    uint8_t ns, nr;     /* N(S) of the card's next I-block, N(S) it expects of the host */
    uint8_t asked;      /* PCB of the S(... request) that waits */
    uint8_t asked_inf;
    uint8_t ask_ifs;    /* to be asked before the next answer; 0 = not */
    bool ask_abort;     /* instead of the next block of a chain that has begun */
    bool overflow;      /* the chain is longer than any command */
    size_t command_len, answer_len, answered, in_flight, out_len;
    uint8_t command[APPLICATION_COMMAND_MAX];
    uint8_t answer[APPLICATION_ANSWER_MAX];
    uint8_t out[T1_CARD_BLOCK_MAX];
};

/* The state after a cold reset. What the card was told to ask for (ask_ifs, ask_abort) is kept. */
void t1_card_reset(struct t1_card *t1);

/* A block arrived, right or wrong. Not to be called while WORKING: a chip that computes does not listen. */
enum t1_card_event t1_card_hear(struct t1_card *t1, const uint8_t *bytes, size_t length);

/* The APDU is executed: the answer is copied. Returns true when its first block is in out, false while an S(WTX
 * request) waits: the answer then follows the response. */
bool t1_card_answer(struct t1_card *t1, const uint8_t *answer, size_t length);

/* S(WTX request) is in out. While WORKING only. */
void t1_card_ask_wtx(struct t1_card *t1, uint8_t multiplier);
