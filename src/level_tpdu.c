/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* level_tpdu.c - APDUs through a reader of TPDU level: the driver speaks T=1 with the card itself. */
#include "level_tpdu.h"
#include "log.h"

#define IFS_LIMIT_MS 2000 /* a card that negotiates does so in milliseconds */

/* ---- one block ---- */

/* Sends a block and waits for what comes. ERR_CARD: the reader says that nothing came. */
static enum err exchange_block(struct card *card, const struct t1_step *step, struct vigil *vigil,
                               struct ccid_answer *answer)
{
    const struct ccid_command command = {
        .type = CCID_XFR_BLOCK,
        /* bBWI counts only when the card has asked for more time: CCID 1.1 §6.1.4 */
        .parameter = { step->multiplier == 1 ? 0 : step->multiplier, 0, 0 },
        .data = step->block, .length = step->length,
    };
    vigil_allow(vigil, card->bwt_ms, step->multiplier);
    return exchange_run(card->exchange, &command, vigil, answer);
}

/* What an answer of the reader means for T=1. sent_ms: when the block before it went out. */
static struct t1_step digest(struct card *card, const struct ccid_answer *answer, int64_t sent_ms)
{
    if (answer->status != CCID_OK || !answer->complete)
        return t1_silence(&card->t1);
    if (!model_is_mute_answer(card->model, answer->data, answer->length))
        return t1_received(&card->t1, answer->data, answer->length);
    /* The firmware gave up before we do. The card may be at work still, so listen again. But a firmware that gives up
     * before the card's block waiting time is over did not wait for it. */
    log_debug("the firmware gave up waiting for the card after %lld ms", (long long)(card_now_ms(card) - sent_ms));
    return card_now_ms(card) - sent_ms >= card->bwt_ms ? t1_listen(&card->t1) : t1_silence(&card->t1);
}

/* Does what the steps say until the T=1 exchange has ended: *last is its end, when ERR_NONE. */
static enum err converse(struct card *card, struct t1_step step, struct vigil *vigil, struct t1_step *last)
{
    while (step.action == T1_SEND) {
        const int64_t sent_ms = card_now_ms(card);
        struct ccid_answer answer;
        const enum err err = exchange_block(card, &step, vigil, &answer);
        if (err != ERR_NONE)
            return err;
        step = digest(card, &answer, sent_ms);
        if (step.heard)
            vigil_renew(vigil, card_now_ms(card));
    }
    *last = step;
    return ERR_NONE;
}

/* ---- start ---- */

/* Tells the card how large its blocks may be. The descriptors say that the reader does it; none does. Whatever goes
 * wrong with it, the card goes on with the size it has; only an error that is for good is one. */
static enum err negotiate_ifsd(struct card *card, const struct vigil *vigil)
{
    if (card->model->ifsd == T1_IFSD_DEFAULT)
        return ERR_NONE;
    struct vigil part = vigil_within(vigil, IFS_LIMIT_MS, card_now_ms(card));
    struct t1_step last;
    const enum err err = converse(card, t1_negotiate_ifsd(&card->t1, card->model->ifsd), &part, &last);
    if (err == ERR_TIMEOUT || (err == ERR_NONE && last.action != T1_DONE))
        log_info("the card did not agree to larger blocks; it works, but slower");
    if (err == ERR_NONE && last.action == T1_FAILED && last.failure == T1_DEAD)
        return ERR_CARD;
    return err == ERR_GONE || err == ERR_CANCELLED ? err : ERR_NONE;
}

enum err level_tpdu_start(struct card *card, struct vigil *vigil)
{
    t1_reset(&card->t1, card->atr.ifsc, card->atr.crc);
    const enum err err = negotiate_ifsd(card, vigil);
    card->powered = err == ERR_NONE;
    return err;
}

/* ---- APDUs ---- */

/*
 * A command was given up before: hears the card out and drops what it says, so that this answer never meets another
 * command. The card keeps its state. But a card that let even the firmware's own limit pass after all our patience is
 * not at work any more.
 */
enum err level_tpdu_hear_out(struct card *card, struct vigil *vigil)
{
    if (!t1_pending(&card->t1))
        return ERR_NONE;
    struct t1_step step = { .action = T1_FAILED };
    struct ccid_answer answer = { .status = CCID_FAILED };
    enum err err = exchange_collect(card->exchange, vigil, &answer);
    if (err == ERR_NONE && answer.status == CCID_OK && model_is_mute_answer(card->model, answer.data, answer.length))
        return card_give_up(card);
    if (err == ERR_NONE || err == ERR_PROTOCOL) { /* ERR_PROTOCOL: nothing is owed, our last block never left */
        step = err == ERR_NONE ? digest(card, &answer, card_now_ms(card)) : t1_silence(&card->t1);
        err = converse(card, step, vigil, &step);
    }
    if (err == ERR_NONE && step.action == T1_FAILED && step.failure == T1_DEAD)
        return card_give_up(card);
    if (err == ERR_NONE)
        log_info("the answer to the command that was given up has come and was dropped");
    return err;
}

static enum err conclude(struct card *card, const struct t1_step *last, size_t *length)
{
    if (last->action == T1_DONE && last->answer_length >= 2) {
        *length = last->answer_length;
        return ERR_NONE;
    }
    if (last->action == T1_FAILED && last->failure == T1_DEAD)
        return card_give_up(card);
    if (last->action == T1_FAILED && last->failure == T1_TOO_LONG)
        return ERR_TOO_LONG;
    return ERR_PROTOCOL; /* resynchronised, or an answer without a status word */
}

enum err level_tpdu_transmit(struct card *card, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                             uint8_t *answer, size_t size, size_t *length)
{
    struct t1_step last;
    const enum err err = converse(card, t1_transmit(&card->t1, apdu, apdu_length, answer, size), vigil, &last);
    if (err == ERR_NONE)
        return conclude(card, &last, length);
    t1_abandon(&card->t1);
    return err;
}
