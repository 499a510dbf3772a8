/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card.c - one powered card: power on, ATR, transmit an APDU at the reader's exchange level. */
#include "card.h"
#include "log.h"

#define IFS_LIMIT_MS 2000 /* a card that negotiates does so in milliseconds */

void card_init(struct card *card, struct exchange *exchange, const struct model *model, const struct ccid_class *class,
               const struct patience_table *patience)
{
    *card = (struct card){
        .exchange = exchange, .model = model, .patience = patience, .clock_khz = class->clock_khz,
    };
}

static int64_t now_ms(const struct card *card)
{
    return usb_now_ms(card->exchange->port);
}

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
    log_debug("the firmware gave up waiting for the card after %lld ms", (long long)(now_ms(card) - sent_ms));
    return now_ms(card) - sent_ms >= card->bwt_ms ? t1_listen(&card->t1) : t1_silence(&card->t1);
}

/* Does what the steps say until the T=1 exchange has ended: *last is its end, when ERR_NONE. */
static enum err converse(struct card *card, struct t1_step step, struct vigil *vigil, struct t1_step *last)
{
    while (step.action == T1_SEND) {
        const int64_t sent_ms = now_ms(card);
        struct ccid_answer answer;
        const enum err err = exchange_block(card, &step, vigil, &answer);
        if (err != ERR_NONE)
            return err;
        step = digest(card, &answer, sent_ms);
        if (step.heard)
            vigil_renew(vigil, now_ms(card));
    }
    *last = step;
    return ERR_NONE;
}

/* ---- power ---- */

/* Tells the card how large its blocks may be. The descriptors say that the reader does it; none does. Whatever goes
 * wrong, the card goes on with the size it has. */
static void negotiate_ifsd(struct card *card, const struct vigil *vigil)
{
    if (card->model->ifsd == T1_IFSD_DEFAULT)
        return;
    struct vigil part = vigil_within(vigil, IFS_LIMIT_MS, now_ms(card));
    struct t1_step last;
    const enum err err = converse(card, t1_negotiate_ifsd(&card->t1, card->model->ifsd), &part, &last);
    if (err == ERR_TIMEOUT || (err == ERR_NONE && last.action != T1_DONE))
        log_info("the card did not agree to larger blocks; it works, but slower");
    if (err == ERR_NONE && last.action == T1_FAILED && last.failure == T1_DEAD)
        card->powered = false;
}

static enum err accept_atr(struct card *card, const struct ccid_answer *answer)
{
    if (answer->status != CCID_OK || !answer->complete || answer->length == 0) {
        log_error("the card does not answer to power on (reader's code %02x); plug the key in again if this stays",
                  answer->error);
        return ERR_CARD;
    }
    if (atr_parse(answer->data, answer->length, &card->atr) != ERR_NONE || !card->atr.t1) {
        log_error("the card's answer to reset is not understood, or it does not speak T=1");
        return ERR_CARD;
    }
    return ERR_NONE;
}

enum err card_power_on(struct card *card, struct vigil *vigil)
{
    static const struct ccid_command power_on = { .type = CCID_ICC_POWER_ON };
    struct ccid_answer answer;
    card->powered = false;
    enum err err = exchange_run(card->exchange, &power_on, vigil, &answer);
    if (err == ERR_NONE)
        err = accept_atr(card, &answer);
    if (err != ERR_NONE)
        return err;
    card->powered = true;
    card->bwt_ms = atr_bwt_ms(&card->atr, card->clock_khz);
    exchange_set_bwt(card->exchange, card->bwt_ms);
    t1_reset(&card->t1, card->atr.ifsc, card->atr.crc);
    negotiate_ifsd(card, vigil);
    return card->powered ? ERR_NONE : ERR_CARD;
}

enum err card_power_off(struct card *card, struct vigil *vigil)
{
    static const struct ccid_command power_off = { .type = CCID_ICC_POWER_OFF };
    struct ccid_answer answer;
    card->powered = false;
    return exchange_run(card->exchange, &power_off, vigil, &answer);
}

const struct atr *card_atr(const struct card *card)
{
    return card->powered ? &card->atr : NULL;
}

/* ---- transmit ---- */

/* Only a reset helps. It is not done here: whoever uses the card must learn of it first. */
static enum err give_up(struct card *card)
{
    log_error("the card has to be reset to be usable again; programs must verify the PIN anew");
    card->powered = false;
    return ERR_CARD_RESET;
}

/*
 * A command was given up before: hears the card out and drops what it says, so that this answer never meets another
 * command. The card keeps its state. But a card that let even the firmware's own limit pass after all our patience is
 * not at work any more.
 */
static enum err hear_out(struct card *card, struct vigil *vigil)
{
    if (!t1_pending(&card->t1))
        return ERR_NONE;
    struct t1_step step = { .action = T1_FAILED };
    struct ccid_answer answer = { .status = CCID_FAILED };
    enum err err = exchange_collect(card->exchange, vigil, &answer);
    if (err == ERR_NONE && answer.status == CCID_OK && model_is_mute_answer(card->model, answer.data, answer.length))
        return give_up(card);
    if (err == ERR_NONE || err == ERR_PROTOCOL) { /* ERR_PROTOCOL: nothing is owed, our last block never left */
        step = err == ERR_NONE ? digest(card, &answer, now_ms(card)) : t1_silence(&card->t1);
        err = converse(card, step, vigil, &step);
    }
    if (err == ERR_NONE && step.action == T1_FAILED && step.failure == T1_DEAD)
        return give_up(card);
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
        return give_up(card);
    if (last->action == T1_FAILED && last->failure == T1_TOO_LONG)
        return ERR_TOO_LONG;
    return ERR_PROTOCOL; /* resynchronised, or an answer without a status word */
}

enum err card_transmit(struct card *card, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                       size_t *length)
{
    *length = 0;
    if (!card->powered)
        return ERR_NOT_POWERED;
    if (apdu_length < 4)
        return ERR_PROTOCOL;
    struct vigil vigil = vigil_begin(card->patience, patience_classify(apdu, apdu_length), now_ms(card));
    struct t1_step last;
    enum err err = hear_out(card, &vigil);
    if (err == ERR_NONE) {
        err = converse(card, t1_transmit(&card->t1, apdu, apdu_length, answer, size), &vigil, &last);
        if (err == ERR_NONE)
            err = conclude(card, &last, length);
        else
            t1_abandon(&card->t1);
    }
    exchange_wipe(card->exchange);
    if (err == ERR_TIMEOUT)
        log_error("no answer to a command of class \"%s\" within its patience; it will be dropped when it comes",
                  patience_name(vigil.class));
    return err;
}
