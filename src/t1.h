/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * t1.h - the interface device's side of T=1 (ISO 7816-3:2006 §11) as a state machine without I/O.
 *
 * The caller tells what happened (t1_received(), t1_silence(), ...) and does what the returned step says. Pure: no
 * clock, no allocation; command and answer stay the caller's buffers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define T1_HEADER 3    /* NAD PCB LEN */
#define T1_INF_MAX 254 /* §11.4.2 */
#define T1_BLOCK_MAX (T1_HEADER + T1_INF_MAX + 2) /* and EDC */
#define T1_IFSD_DEFAULT 32

enum t1_action {
    T1_SEND,   /* send the block, then wait for one */
    T1_DONE,   /* the exchange has ended: answer_length bytes are in the answer buffer */
    T1_FAILED, /* the exchange has failed, see failure */
};

enum t1_failure {
    T1_RESYNCHRONISED, /* the exchange is lost, but card and driver are in step again */
    T1_NOT_TAKEN,      /* the card was out of step and has not taken the command; in step again */
    T1_TOO_LONG,       /* the answer does not fit the buffer; in step */
    T1_DEAD,           /* nothing but a reset of the card helps */
};

struct t1_step {
    enum t1_action action;
    const uint8_t *block; /* T1_SEND: valid until the next call */
    size_t length;
    uint8_t multiplier;   /* T1_SEND: the card may take this many BWT to answer it; also bBWI */
    bool heard;           /* what was received is a valid block: the card is alive */
    size_t answer_length; /* T1_DONE */
    enum t1_failure failure;
};

/* What the machine is waiting for; see the theory of operation in t1.c. */
enum t1_state { T1_IDLE, T1_SENDING, T1_RECEIVING, T1_NEGOTIATING, T1_ABORTING, T1_RESYNCHRONISING };

/* All fields belong to t1.c. */
struct t1 {
    uint8_t ifsc, ifsc_initial, ifsd_asked;
    uint8_t inf_max; /* the longest INF we send, whatever the card takes */
    bool crc;
    uint8_t ns, nr; /* N(S) of our next I-block, N(S) expected of the card's next */
    enum t1_state state;
    bool first_word; /* nothing has come since our last I-block went out for the first time */
    bool not_taken;  /* RESYNCHRONISING: because the card was out of step */
    bool abandoned;  /* nobody wants the answer any more */
    const uint8_t *command;
    size_t command_length, acknowledged, in_flight;
    uint8_t *answer;
    size_t answer_size, answer_length; /* answer_length counts on beyond answer_size */
    unsigned errors, repeats, resynchs;
    uint8_t block[T1_BLOCK_MAX];
};

/* The state after a reset of the card. ifsc 1 ... 254 and crc from the ATR. */
void t1_reset(struct t1 *t1, uint8_t ifsc, bool crc);

/* After t1_reset(): no INF we send is longer, whatever the card says it takes. 1 ... 254. */
void t1_limit_inf(struct t1 *t1, uint8_t inf_max);

/* Tells the card the largest INF it may send (§11.4.2): S(IFS request). T1_DONE whatever the card agreed to: blocks
 * of every size are taken. */
struct t1_step t1_negotiate_ifsd(struct t1 *t1, uint8_t ifsd);

/* Begins an exchange. Both buffers stay the caller's and must live until it has ended or was abandoned. Must not be
 * called while t1_pending(). */
struct t1_step t1_transmit(struct t1 *t1, const uint8_t *command, size_t length, uint8_t *answer, size_t size);

/* Bytes came that should be a block. */
struct t1_step t1_received(struct t1 *t1, const uint8_t *bytes, size_t length);

/* Nothing came, or what came was lost on the way. Counts as an error. */
struct t1_step t1_silence(struct t1 *t1);

/* Nothing came, and that is no wonder: the card is at work and only the reader ran out of time. Asks again for the
 * block that is due, which executes nothing and is not counted. */
struct t1_step t1_listen(struct t1 *t1);

/* The exchange has begun and not ended. */
bool t1_pending(const struct t1 *t1);

/* Nobody waits for the answer of the pending exchange any more: forgets both buffers. What the card still has to say
 * is heard to its end and dropped; the card is never again given a part of the command. */
void t1_abandon(struct t1 *t1);
