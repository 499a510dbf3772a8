/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* level_tpdu.h - APDUs through a reader of TPDU level: the driver speaks T=1 with the card itself. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "atr.h"
#include "err.h"
#include "exchange.h"
#include "model.h"
#include "t1.h"

/* All fields belong to level_tpdu.c, but for the first two, which are to be set. */
struct level_tpdu {
    struct exchange *exchange;
    const struct model *model;
    struct t1 t1;
    uint32_t bwt_ms;
};

/* The card has been powered on: T=1 begins anew. ERR_CARD: it is of no use. */
enum err level_tpdu_start(struct level_tpdu *level, const struct atr *atr, uint32_t bwt_ms, struct vigil *vigil);

/* Hears a card out that was given up, and drops what it says. ERR_CARD_RESET: only a reset helps. */
enum err level_tpdu_hear_out(struct level_tpdu *level, struct vigil *vigil);

/* See card_transmit(); nothing may be left to be heard out. */
enum err level_tpdu_transmit(struct level_tpdu *level, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                             uint8_t *answer, size_t size, size_t *length);
