/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card.h - one powered card: power on, ATR, transmit an APDU at the reader's exchange level. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "atr.h"
#include "err.h"
#include "exchange.h"
#include "level_apdu.h"
#include "level_tpdu.h"
#include "model.h"
#include "patience.h"
#include "progress.h"

/* All fields belong to card.c. */
struct card {
    struct exchange *exchange;
    const struct patience_table *patience;
    struct progress *progress; /* NULL: nobody is told */
    uint32_t clock_khz;
    size_t max_command; /* bytes of an APDU; 0: no limit is known */
    enum ccid_level level;
    bool powered;
    bool power_off_first; /* IccPowerOn alone does not reset a card that has power; set after card_init() */
    struct atr atr;
    struct level_tpdu tpdu; /* one of the two is used, as level says */
    struct level_apdu apdu;
};

/* What it points to must outlive the card. */
void card_init(struct card *card, struct exchange *exchange, const struct model *model, const struct ccid_class *class,
               const struct patience_table *patience);

/* Powers the card on or, when it is powered, resets it cold. A pending command is lost. ERR_CARD, and said in the log: it
 * is mute, or speaks no T=1. */
enum err card_power_on(struct card *card, struct vigil *vigil);
/* ERR_CARD, and said in the log: the reader refused; the card may still have power, and its PIN state. */
enum err card_power_off(struct card *card, struct vigil *vigil);

/* As card_power_off(), but the key is not told. */
void card_lose_power(struct card *card);

/* The ATR of the powered card; NULL when there is none. */
const struct atr *card_atr(const struct card *card);

/*
 * Sends a command APDU of at least 4 bytes and receives its answer, *length bytes of at most size. The command is never
 * sent twice. ERR_TIMEOUT: its patience has ended; the answer, if it comes, is dropped. ERR_CARD_RESET: the card is not
 * powered any more, nothing but card_power_on() helps, and its PIN state is gone. ERR_NOT_POWERED.
 * ERR_UNSUPPORTED: it was not sent, such as one that is longer than the firmware takes.
 */
enum err card_transmit(struct card *card, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                       size_t *length);
