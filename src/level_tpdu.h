/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* level_tpdu.h - APDUs through a reader of TPDU level: the driver speaks T=1 with the card itself. */
#pragma once
#include "card.h"

/* The card has been powered on: T=1 begins anew. ERR_CARD: it is of no use. */
enum err level_tpdu_start(struct card *card, struct vigil *vigil);

/* Hears a card out that was given up, and drops what it says. ERR_CARD_RESET: only a reset helps. */
enum err level_tpdu_hear_out(struct card *card, struct vigil *vigil);

/* See card_transmit(); nothing may be left to be heard out. */
enum err level_tpdu_transmit(struct card *card, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                             uint8_t *answer, size_t size, size_t *length);
