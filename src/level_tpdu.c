/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* level_tpdu.c - APDUs through a reader of TPDU level: the driver speaks T=1 with the card itself. */
#include "level_tpdu.h"
#include "log.h"

#define IFS_LIMIT_MS 2000 /* a card that negotiates does so in milliseconds */

/* ---- one block ---- */

/* Sends a block and waits for what comes. ERR_CARD: the reader says that nothing came. */
static enum err exchange_block(struct level_tpdu *level, const struct t1_step *step, struct vigil *vigil,
                               struct ccid_answer *answer)
{
    const struct ccid_command command = {
        .type = CCID_XFR_BLOCK,
        /* bBWI counts only when the card has asked for more time: CCID 1.1 §6.1.4 */
        .parameter = { step->multiplier == 1 ? 0 : step->multiplier, 0, 0 },
        .data = step->block, .length = step->length,
    };
    vigil_allow(vigil, level->bwt_ms, step->multiplier);
    return exchange_run(level->exchange, &command, vigil, answer);
}

/* What an answer of the reader means for T=1. sent_ms: when the block before it went out. */
static struct t1_step digest(struct level_tpdu *level, const struct ccid_answer *answer, int64_t sent_ms)
{
    if (answer->status != CCID_OK || !answer->complete)
        return t1_silence(&level->t1);
    if (!model_is_mute_answer(level->model, answer->data, answer->length))
        return t1_received(&level->t1, answer->data, answer->length);
    /* The firmware gave up before we do. The card may be at work still, so listen again. But a firmware that gives up
     * before the card's block waiting time is over did not wait for it. */
    log_debug(level->exchange->name, "the firmware gave up waiting for the card after %lld ms",
              (long long)(exchange_now_ms(level->exchange) - sent_ms));
    return exchange_now_ms(level->exchange) - sent_ms >= level->bwt_ms ? t1_listen(&level->t1) : t1_silence(&level->t1);
}

/* Does what the steps say until the T=1 exchange has ended: *last is its end, when ERR_NONE. */
static enum err converse(struct level_tpdu *level, struct t1_step step, struct vigil *vigil, struct t1_step *last)
{
    while (step.action == T1_SEND) {
        const int64_t sent_ms = exchange_now_ms(level->exchange);
        struct ccid_answer answer;
        enum err err = exchange_block(level, &step, vigil, &answer);
        const bool lost = err == ERR_IO; /* on its way, in one direction or the other */
        if (lost)
            err = exchange_recover(level->exchange, vigil);
        if (err != ERR_NONE)
            return err;
        step = lost ? t1_silence(&level->t1) : digest(level, &answer, sent_ms);
        if (step.heard)
            vigil_renew(vigil, exchange_now_ms(level->exchange));
    }
    *last = step;
    return ERR_NONE;
}

/* ---- start ---- */

/* Tells the card how large its blocks may be. The descriptors say that the reader does it; none does. Whatever goes
 * wrong with it, the card goes on with the size it has; only an error that is for good is one. */
static enum err negotiate_ifsd(struct level_tpdu *level, const struct vigil *vigil)
{
    if (level->model->ifsd == T1_IFSD_DEFAULT)
        return ERR_NONE;
    struct vigil part = vigil_within(vigil, IFS_LIMIT_MS, exchange_now_ms(level->exchange));
    struct t1_step last;
    const enum err err = converse(level, t1_negotiate_ifsd(&level->t1, level->model->ifsd), &part, &last);
    if (err == ERR_TIMEOUT || (err == ERR_NONE && last.action != T1_DONE))
        log_info(level->exchange->name, "the card did not agree to larger blocks; it works, but slower");
    if (err == ERR_NONE && last.action == T1_FAILED && last.failure == T1_DEAD) {
        log_error(level->exchange->name, "the card answers no block after power on; plug the key in again if this stays");
        return ERR_CARD;
    }
    return err == ERR_GONE || err == ERR_CANCELLED ? err : ERR_NONE;
}

/* The longest INF with which an XfrBlock fits into one packet. */
static uint8_t inf_of_one_packet(size_t packet_size, bool crc)
{
    const size_t overhead = CCID_HEADER + T1_HEADER + (crc ? 2 : 1);
    const size_t room = packet_size > overhead ? packet_size - overhead : 1;
    return (uint8_t)(room < T1_INF_MAX ? room : T1_INF_MAX);
}

enum err level_tpdu_start(struct level_tpdu *level, const struct atr *atr, uint32_t bwt_ms, struct vigil *vigil)
{
    level->bwt_ms = bwt_ms;
    t1_reset(&level->t1, atr->ifsc, atr->crc);
    if (level->model->one_packet_requests)
        t1_limit_inf(&level->t1, inf_of_one_packet(level->exchange->packet_size, atr->crc));
    return negotiate_ifsd(level, vigil);
}

/* ---- APDUs ---- */

/*
 * A command was given up before: hears the card out and drops what it says, so that this answer never meets another
 * command. The card keeps its state. But a card that let even the firmware's own limit pass after all our patience is
 * not at work any more.
 */
enum err level_tpdu_hear_out(struct level_tpdu *level, struct vigil *vigil)
{
    if (!t1_pending(&level->t1))
        return ERR_NONE;
    struct t1_step step = { .action = T1_FAILED };
    struct ccid_answer answer = { .status = CCID_FAILED };
    enum err err = exchange_owes(level->exchange) ? exchange_collect(level->exchange, vigil, &answer)
                                                  : exchange_recover(level->exchange, vigil);
    const bool collected = err == ERR_NONE && answer.data;
    if (collected && answer.status == CCID_OK && model_is_mute_answer(level->model, answer.data, answer.length))
        return ERR_CARD_RESET;
    if (err == ERR_NONE || err == ERR_IO) {
        step = collected ? digest(level, &answer, exchange_now_ms(level->exchange)) : t1_silence(&level->t1);
        err = converse(level, step, vigil, &step);
    }
    if (err == ERR_NONE && step.action == T1_FAILED && step.failure == T1_DEAD)
        return ERR_CARD_RESET;
    if (err == ERR_NONE)
        log_info(level->exchange->name, "the answer to the command that was given up has come and was dropped");
    return err;
}

static enum err conclude(const struct level_tpdu *level, const struct t1_step *last, size_t *length)
{
    if (last->action == T1_DONE && last->answer_length >= 2) {
        *length = last->answer_length;
        return ERR_NONE;
    }
    if (last->action == T1_FAILED && last->failure == T1_DEAD)
        return ERR_CARD_RESET;
    if (last->action == T1_FAILED && last->failure == T1_TOO_LONG)
        return ERR_TOO_LONG;
    if (last->action == T1_FAILED && last->failure == T1_NOT_TAKEN)
        log_error(level->exchange->name, "the card has not taken the command: a program has used the card by another "
                  "interface of the key. The next command works");
    return ERR_PROTOCOL; /* resynchronised, or an answer without a status word */
}

enum err level_tpdu_transmit(struct level_tpdu *level, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                             uint8_t *answer, size_t size, size_t *length)
{
    struct t1_step last;
    const enum err err = converse(level, t1_transmit(&level->t1, apdu, apdu_length, answer, size), vigil, &last);
    if (err == ERR_NONE)
        return conclude(level, &last, length);
    t1_abandon(&level->t1);
    return err;
}
