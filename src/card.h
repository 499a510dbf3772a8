/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card.h - one powered card: power on, ATR, transmit an APDU at the reader's exchange level. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "atr.h"
#include "err.h"
#include "exchange.h"
#include "model.h"
#include "patience.h"
#include "progress.h"
#include "t1.h"

/* All fields belong to card.c and its levels. */
struct card {
    struct exchange *exchange;
    const struct model *model;
    const struct patience_table *patience;
    struct progress *progress; /* NULL: nobody is told */
    uint32_t clock_khz;
    enum ccid_level level;
    bool powered;
    struct atr atr;
    uint32_t bwt_ms;
    struct t1 t1;        /* level_tpdu.c */
    /* level_apdu.c */
    bool answer_chained;     /* the reader holds further parts of an answer */
    bool readiness_doubtful; /* it may be deaf, at work for a command that nobody waits for */
};

/* What it points to must outlive the card. */
void card_init(struct card *card, struct exchange *exchange, const struct model *model, const struct ccid_class *class,
               const struct patience_table *patience);

/* Powers the card on or, when it is powered, resets it cold. A pending command is lost. ERR_CARD: it is mute, or speaks
 * no T=1. */
enum err card_power_on(struct card *card, struct vigil *vigil);
enum err card_power_off(struct card *card, struct vigil *vigil);

/* The ATR of the powered card; NULL when there is none. */
const struct atr *card_atr(const struct card *card);

/*
 * Sends a command APDU of at least 4 bytes and receives its answer, *length bytes of at most size. The command is never
 * sent twice. ERR_TIMEOUT: its patience has ended; the answer, if it comes, is dropped. ERR_CARD_RESET: the card is not
 * powered any more, nothing but card_power_on() helps, and its PIN state is gone. ERR_NOT_POWERED.
 */
enum err card_transmit(struct card *card, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                       size_t *length);

/* For the levels. */
int64_t card_now_ms(const struct card *card);

/* For the levels. Only a reset helps: the card is not powered any more. It is not reset here, since whoever uses the
 * card must learn of it first. Returns ERR_CARD_RESET. */
enum err card_give_up(struct card *card);
