/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * level_apdu.h - APDUs through a reader of APDU level (CCID 1.1 §3.2.1.3, §3.2.2): the reader takes whole APDUs.
 *
 * A reader of short APDU level gets the parts of an extended APDU by command chaining and gives the parts of its answer
 * by GET RESPONSE (ISO 7816-4 §5.3.3, §5.3.4); a client's short APDU passes as it is, with the 61xx it may bring. A
 * reader of extended APDU level gets and gives long messages in CCID's own parts (CCID 1.1 §6.1.4, §6.2.1).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "exchange.h"
#include "model.h"

/* To be set; what is left of a command is in exchange->pending. */
struct level_apdu {
    struct exchange *exchange;
    const struct model *model;
    bool takes_extended;
};

/* The card has been powered on. */
void level_apdu_start(struct level_apdu *level);

/* Waits for the answer to a command that was given up and drops it; ends what a command before has left half given or
 * half taken. ERR_CARD_RESET: only a reset helps. */
enum err level_apdu_hear_out(struct level_apdu *level, struct vigil *vigil);

/* See card_transmit(). ERR_UNSUPPORTED: on a reader of short APDU level, an extended APDU with secure messaging, or what is
 * too long and no APDU. */
enum err level_apdu_transmit(struct level_apdu *level, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                             uint8_t *answer, size_t size, size_t *length);
