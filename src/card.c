/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card.c - one powered card: power on, ATR, transmit an APDU at the reader's exchange level. */
#include "card.h"
#include "log.h"

void card_init(struct card *card, struct exchange *exchange, const struct model *model, const struct ccid_class *class,
               const struct patience_table *patience)
{
    *card = (struct card){
        .exchange = exchange,
        .patience = patience,
        .clock_khz = class->clock_khz,
        .max_command = model->max_command,
        .level = class->level,
        .tpdu = { .exchange = exchange, .model = model },
        .apdu = { .exchange = exchange,
                  .model = model,
                  .takes_extended = class->level == CCID_EXTENDED_APDU },
    };
}

/* ---- power ---- */

static enum err accept_atr(struct card *card, const struct ccid_answer *answer)
{
    if (answer->status != CCID_OK || !answer->complete || answer->length == 0) {
        char text[CCID_ERROR_SIZE];
        log_error(card->exchange->name, "the card does not answer to power on: %s; plug the key in again if this stays",
                  answer->status == CCID_FAILED ? ccid_error_in_words(answer->error, text) : "its answer is not whole");
        return ERR_CARD;
    }
    if (atr_parse(answer->data, answer->length, &card->atr) != ERR_NONE || !card->atr.t1) {
        log_error(card->exchange->name, "the card's answer to reset is not understood, or it does not speak T=1");
        return ERR_CARD;
    }
    return ERR_NONE;
}

enum err card_power_on(struct card *card, struct vigil *vigil)
{
    static const struct ccid_command power_on = { .type = CCID_ICC_POWER_ON };
    struct ccid_answer answer;
    card->powered = false;
    enum err err = card->power_off_first ? card_power_off(card, vigil) : ERR_NONE;
    if (err == ERR_NONE)
        err = exchange_run(card->exchange, &power_on, vigil, &answer);
    if (err == ERR_NONE)
        err = accept_atr(card, &answer);
    if (err != ERR_NONE)
        return err;
    const uint32_t bwt_ms = atr_bwt_ms(&card->atr, card->clock_khz);
    exchange_set_bwt(card->exchange, bwt_ms);
    if (card->level == CCID_TPDU)
        err = level_tpdu_start(&card->tpdu, &card->atr, bwt_ms, vigil);
    else
        level_apdu_start(&card->apdu);
    card->powered = err == ERR_NONE;
    return err;
}

enum err card_power_off(struct card *card, struct vigil *vigil)
{
    static const struct ccid_command power_off = { .type = CCID_ICC_POWER_OFF };
    struct ccid_answer answer;
    card->powered = false;
    const enum err err = exchange_run(card->exchange, &power_off, vigil, &answer);
    if (err != ERR_NONE || answer.status == CCID_OK)
        return err;
    char text[CCID_ERROR_SIZE];
    log_error(card->exchange->name, "it does not power the card off: %s", ccid_error_in_words(answer.error, text));
    return ERR_CARD;
}

void card_lose_power(struct card *card)
{
    card->powered = false;
}

const struct atr *card_atr(const struct card *card)
{
    return card->powered ? &card->atr : NULL;
}

/* ---- transmit ---- */

static enum err transmit(struct card *card, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                         uint8_t *answer, size_t size, size_t *length)
{
    const bool tpdu = card->level == CCID_TPDU;
    const enum err err = tpdu ? level_tpdu_hear_out(&card->tpdu, vigil) : level_apdu_hear_out(&card->apdu, vigil);
    if (err != ERR_NONE)
        return err;
    return tpdu ? level_tpdu_transmit(&card->tpdu, vigil, apdu, apdu_length, answer, size, length)
                : level_apdu_transmit(&card->apdu, vigil, apdu, apdu_length, answer, size, length);
}

enum err card_transmit(struct card *card, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                       size_t *length)
{
    *length = 0;
    if (!card->powered)
        return ERR_NOT_POWERED;
    if (apdu_length < 4) {
        log_info(card->exchange->name, "a command of %zu bytes was not sent: it has 4 at least", apdu_length);
        return ERR_UNSUPPORTED;
    }
    if (card->max_command > 0 && apdu_length > card->max_command) {
        log_info(card->exchange->name, "a command of %zu bytes was not sent: the firmware takes %zu at most", apdu_length,
                 card->max_command);
        return ERR_UNSUPPORTED;
    }
    const int64_t now_ms = exchange_now_ms(card->exchange);
    struct vigil vigil = vigil_begin(card->patience, patience_classify(apdu, apdu_length), now_ms);
    const unsigned restarts = card->exchange->restarts;
    progress_begin(card->progress, &vigil, now_ms);
    const enum err err = transmit(card, &vigil, apdu, apdu_length, answer, size, length);
    progress_end(card->progress);
    exchange_wipe(card->exchange);
    if (card->exchange->restarts != restarts)
        card->powered = false;
    if (err == ERR_CARD_RESET) /* it is not reset here, since whoever uses the card must learn of it first */
        card->powered = false;
    return err;
}
