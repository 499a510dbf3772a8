/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recover.c - a key that was left in the middle of something: by a transfer that failed, patience that ended, or a pcscd
 * that was killed. Finds out what it has, or ends it, so that the next command meets a key at rest.
 *
 * First it listens. A key that is at work and gives signs of life shows that it has the whole message; then its answer is
 * waited for. Silence shows that it has not, and what it has is ended as its firmware was seen to take it (model.h). On
 * firmware that a command kills while it is at work nothing else is ever sent.
 */
#include "exchange_inner.h"
#include "log.h"

#define FILL_MS 500         /* the refusal of a message that was ended comes within */
#define ABORT_MS 200        /* the answer to an Abort comes within */
#define ABORT_ATTEMPTS 4
#define LATE_ABORT_MS 2500  /* ... or to one of them within this */
#define CROWD 3             /* GetSlotStatus: one answer is on its way, one waits, one has no room */
#define LOST_MS 200         /* of more silence: then the answer of a key that gives signs of life is lost */
#define UNREAD_MS 2000      /* a key that was at work is heard again if nobody has read it for less than this */

/* What listening has told. */
enum heard {
    HEARD_ANSWER,  /* the pending one; dropped */
    HEARD_NOTHING, /* a key at work would have been heard */
    HEARD_WORK,    /* it is at work, and the vigil has ended */
    HEARD_SHORT,   /* the vigil has ended before it could be told */
    HEARD_ERROR,
};

/* Until it has been silent for so long as it never is at work (*silent), or the vigil ends. *heard_ms: its last sign of
 * life, if it has given one. */
static enum err listen_from(struct exchange *exchange, struct vigil *vigil, int64_t from_ms, int64_t *heard_ms, bool *silent)
{
    const uint32_t silence_ms = exchange_silence_ms(exchange);
    struct vigil part = vigil_part(vigil, (struct patience){ silence_ms, UINT32_MAX }, from_ms);
    if (exchange->inherited)
        part.patience.silence_ms = silence_ms; /* the command's own silence begins only when this is over */
    struct ccid_answer answer;
    const enum err err = exchange_await(exchange, &exchange->debt, &part, &answer);
    if (part.heard_ms > from_ms) {
        vigil_renew(vigil, part.heard_ms);
        *heard_ms = part.heard_ms;
    }
    *silent = exchange_now_ms(exchange) - part.heard_ms >= silence_ms;
    if (err == ERR_NONE)
        exchange->pending->rest = ccid_goes_on(&answer);
    return err;
}

static enum heard listen_for_answer(struct exchange *exchange, struct vigil *vigil, enum err *err)
{
    const int64_t begun_ms = exchange_now_ms(exchange);
    int64_t heard_ms = begun_ms;
    bool silent;
    *err = listen_from(exchange, vigil, begun_ms, &heard_ms, &silent);
    if (*err == ERR_TIMEOUT && exchange->failed_ms > heard_ms) /* a sign of life may have been lost then */
        *err = listen_from(exchange, vigil, exchange->failed_ms, &heard_ms, &silent);
    if (*err == ERR_NONE)
        return HEARD_ANSWER;
    if (*err != ERR_TIMEOUT)
        return HEARD_ERROR;
    if (silent)
        return HEARD_NOTHING;
    return heard_ms > begun_ms ? HEARD_WORK : HEARD_SHORT;
}

/* ---- what another process has begun ---- */

static int64_t longest_ms(const struct exchange *exchange)
{
    const struct model *const model = exchange->model;
    const enum patience_class class =
        exchange->pending->class < PATIENCE_CLASSES ? (enum patience_class)exchange->pending->class : PATIENCE_GENERATE;
    if (model->watchdog_s && exchange->bcd_device >= model->watchdog_from)
        return (int64_t)model->watchdog_s * 1000;
    return exchange->longest[class];
}

/* It does not say a word. Either it has ended, or it has been unheard for so long that it says nothing any more; so has
 * perhaps one to which a message had only begun to leave, as far as that process knew. */
static enum err judge_silence(struct exchange *exchange)
{
    const struct pending *const pending = exchange->pending;
    const int64_t unheard_ms = exchange->listened_ms - pending->heard_ms;
    const int64_t until_ms = pending->begun_ms + longest_ms(exchange);
    const bool may_work = pending->phase == PENDING_ANSWER || pending->phase == PENDING_MESSAGE;
    const bool held = exchange->inherited && exchange->model->dies_when_disturbed && may_work &&
                      unheard_ms >= UNREAD_MS && exchange_now_ms(exchange) < until_ms;
    exchange->held_until_ms = held ? until_ms : 0;
    return held ? ERR_HELD : ERR_NONE;
}

/* ---- a message of which a part may not have arrived ---- */

static bool abort_pair(struct exchange *exchange, uint32_t wait_ms)
{
    static const struct ccid_command abort = { .type = CCID_ABORT };
    struct vigil vigil = exchange_own_vigil(exchange, (struct patience){ wait_ms, wait_ms });
    struct ccid_answer answer;
    return exchange_send(exchange, &abort, &vigil, &answer) == ERR_NONE && answer.status == CCID_OK;
}

/* To be asked is nothing to a device at rest; in the middle of a message it takes the question for a part of that. */
static bool is_at_rest(struct exchange *exchange)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    struct vigil vigil = exchange_own_vigil(exchange, (struct patience){ ABORT_MS, ABORT_MS });
    struct ccid_answer answer;
    return exchange_send(exchange, &status, &vigil, &answer) == ERR_NONE;
}

/* Firmware without Abort gives a chain up when it has no room for what it has to say. */
static enum err end_by_crowding(struct exchange *exchange)
{
    return exchange_crowd(exchange, CROWD) && is_at_rest(exchange) ? ERR_NONE : ERR_IO;
}

/* What is asked would be more of the message, also after a restart of pcscd. */
static enum err only_unplugging_helps(struct exchange *exchange)
{
    log_error(exchange->name, "it has got a part of a command, and its firmware cannot be told to forget it. Unplug it "
              "and plug it in again");
    exchange->dead = true;
    return ERR_DEAD;
}

/* Firmware that does not forget a part of a message. Its rest must not be what is asked: it would be executed. */
static enum err find_at_rest(struct exchange *exchange)
{
    const bool fits = exchange->pending->length % exchange->packet_size == CCID_HEADER;
    if (!fits && is_at_rest(exchange))
        return ERR_NONE;
    exchange->pending->phase = PENDING_FOR_GOOD;
    return only_unplugging_helps(exchange);
}

/* The last attempt waits for a late answer to any of them, as far as the vigil allows. */
static uint32_t abort_wait_ms(const struct exchange *exchange, const struct vigil *vigil, unsigned attempt)
{
    const int64_t left = vigil_deadline_ms(vigil) - exchange_now_ms(exchange);
    if (attempt + 1 < ABORT_ATTEMPTS || left < ABORT_MS)
        return ABORT_MS;
    return left < LATE_ABORT_MS ? (uint32_t)left : LATE_ABORT_MS;
}

/* CCID 1.1 §5.3.1. What is filled up meanwhile is refused. */
static enum err end_by_abort(struct exchange *exchange, size_t missing, const struct vigil *vigil)
{
    const struct model *const model = exchange->model;
    if (missing > 0 && exchange->bcd_device < model->abort_cut_from)
        return find_at_rest(exchange);
    if (exchange->bcd_device < model->abort_from)
        return end_by_crowding(exchange);
    const uint8_t sequence = exchange->sequence;
    for (unsigned i = 0; i < ABORT_ATTEMPTS; i++) {
        const enum err err = usb_abort(exchange->port, exchange->slot, sequence);
        if (err != ERR_NONE)
            return err == ERR_GONE || err == ERR_UNSUPPORTED ? err : ERR_IO;
        if (i == 0 && missing > 0 && !exchange_fill(exchange, missing, FILL_MS))
            return ERR_IO;
        exchange->sequence = sequence; /* both halves of the pair bear the same */
        if (abort_pair(exchange, abort_wait_ms(exchange, vigil, i))) {
            exchange->pending->chain = exchange->pending->rest = 0;
            return ERR_NONE;
        }
    }
    exchange->sequence = sequence; /* also the next time: an answer may come late */
    return ERR_IO;
}

/* Whatever fits exactly would be executed. The packet that failed may have arrived all the same. */
static size_t filler(const struct exchange *exchange, size_t missing)
{
    if (exchange->model->cut_message == CUT_OVERSHOOT)
        return missing >= CCID_HEADER ? missing + 1 : CCID_HEADER + 1;
    const bool fits = missing == (size_t)CCID_HEADER || missing == (size_t)CCID_HEADER + exchange->packet_size;
    return fits ? CCID_HEADER + 1 : CCID_HEADER;
}

/* Any message that it does not know ends a chain of parts, and is refused. */
static enum err end_by_refusal(struct exchange *exchange)
{
    static const struct ccid_command unknown = { .type = CCID_ABORT };
    struct vigil vigil = exchange_own_vigil(exchange, exchange->status);
    struct ccid_answer answer;
    if (!exchange->refuses_at_work)
        return ERR_CARD_RESET;
    const enum err err = exchange_send(exchange, &unknown, &vigil, &answer);
    return err == ERR_NONE && answer.status != CCID_FAILED ? ERR_CARD_RESET : err;
}

static bool can_forget_parts(const struct exchange *exchange)
{
    return exchange->refuses_at_work || exchange->model->cut_message == CUT_ABORT;
}

/* ERR_IO: it takes nothing now. Whatever were sent next would be the rest of the message. Of a message of one packet
 * there is no part; a key that is heard at work would have been heard. */
static enum err end_what_has_arrived(struct exchange *exchange, size_t missing, const struct vigil *vigil)
{
    if (exchange->sign_of_life_ms > 0 && exchange->pending->length <= exchange->packet_size)
        return ERR_NONE;
    if (exchange->model->cut_message == CUT_ABORT)
        return end_by_abort(exchange, missing, vigil);
    /* what is missing of full packets only, full packets would fit: a short one goes before them */
    const bool full = exchange->model->cut_message == CUT_OVERSHOOT &&
                      exchange->pending->length % exchange->packet_size == 0;
    if (full && !exchange_fill(exchange, CCID_HEADER + 1, FILL_MS))
        return ERR_IO;
    return exchange_fill(exchange, filler(exchange, missing), FILL_MS) ? ERR_NONE : ERR_IO;
}

static enum err end_message_once(struct exchange *exchange, struct vigil *vigil)
{
    struct pending *const pending = exchange->pending;
    const size_t missing = pending->length - pending->sent;
    enum err err;
    switch (listen_for_answer(exchange, vigil, &err)) {
    case HEARD_ANSWER:
        break;
    case HEARD_WORK:
        pending->phase = PENDING_ANSWER; /* it has the whole message */
        return err;
    case HEARD_SHORT:
    case HEARD_ERROR:
        return err;
    case HEARD_NOTHING:
        if ((err = judge_silence(exchange)) != ERR_NONE)
            return err;
        log_debug(exchange->name, "%zu bytes of a message are missing: ending it", missing);
        err = end_what_has_arrived(exchange, missing, vigil);
        if (err != ERR_NONE)
            return err;
    }
    pending->phase = PENDING_NOTHING;
    exchange->synchronised = false;
    return ERR_NONE;
}

/* One that does not even take a control request is asked again. */
static enum err end_message(struct exchange *exchange, struct vigil *vigil)
{
    int64_t begun_ms;
    enum err err;
    do {
        begun_ms = exchange_now_ms(exchange);
        err = end_message_once(exchange, vigil);
    } while (err == ERR_IO && exchange->pending->phase == PENDING_MESSAGE && exchange_now_ms(exchange) > begun_ms &&
             exchange_now_ms(exchange) < vigil_deadline_ms(vigil));
    const bool over = exchange->pending->phase != PENDING_MESSAGE || /* it was started anew */
                      exchange_now_ms(exchange) >= vigil_deadline_ms(vigil);
    return err == ERR_IO && over ? ERR_TIMEOUT : err;
}

/* ---- an answer that another process has waited for ---- */

static enum err await_predecessor(struct exchange *exchange, struct vigil *vigil)
{
    enum err err;
    switch (listen_for_answer(exchange, vigil, &err)) {
    case HEARD_ANSWER:
        break;
    case HEARD_NOTHING:
        err = judge_silence(exchange);
        /* it may hold parts, and then swallows a command */
        exchange->pending->chain = err == ERR_NONE && can_forget_parts(exchange);
        break;
    case HEARD_WORK:
        exchange->pending->phase = PENDING_ANSWER;
        return err;
    case HEARD_SHORT:
    case HEARD_ERROR:
        return err;
    }
    if (err == ERR_NONE) {
        exchange->pending->phase = PENDING_NOTHING;
        exchange->inherited = false;
        vigil_renew(vigil, exchange_now_ms(exchange)); /* the command begins only now */
    }
    return err;
}

/* ---- all of it ---- */

static enum err synchronise(struct exchange *exchange, struct vigil *vigil)
{
    const enum err err = exchange_synchronise(exchange, vigil);
    if (err != ERR_NONE)
        return err;
    vigil_renew(vigil, exchange_now_ms(exchange));
    if (!exchange_hears_at_work(exchange)) { /* others answer nothing while they are at work */
        exchange->pending->phase = PENDING_NOTHING;
        exchange->inherited = false;
    }
    return ERR_NONE;
}

/* A key that gives signs of life and is silent has ended: the answer is lost. */
static void lose_answer(struct exchange *exchange)
{
    log_debug(exchange->name, "the answer to a command that was given up is lost");
    exchange->pending->phase = PENDING_NOTHING;
    exchange->pending->chain = exchange->pending->chain || can_forget_parts(exchange);
    exchange->synchronised = false;
}

static enum err await_answer(struct exchange *exchange, struct vigil *vigil)
{
    const struct patience silence = { exchange_silence_ms(exchange) + LOST_MS, UINT32_MAX };
    const bool tells = exchange->sign_of_life_ms > 0;
    struct vigil part = tells ? vigil_part(vigil, silence, exchange_now_ms(exchange)) : *vigil;
    struct ccid_answer late;
    enum err err = exchange_collect(exchange, &part, &late);
    if (part.heard_ms > vigil->heard_ms)
        vigil_renew(vigil, exchange_now_ms(exchange));
    if (err == ERR_TIMEOUT && tells && exchange->failed_ms > part.heard_ms) { /* a sign of life may have been lost then */
        const int64_t from_ms = exchange->failed_ms;
        part = vigil_part(vigil, silence, from_ms);
        err = exchange_collect(exchange, &part, &late);
        if (part.heard_ms > from_ms)
            vigil_renew(vigil, part.heard_ms);
    }
    if (err == ERR_TIMEOUT && exchange_now_ms(exchange) < vigil_deadline_ms(vigil)) {
        lose_answer(exchange);
        return synchronise(exchange, vigil);
    }
    if (err == ERR_IO && !exchange_owes(exchange)) /* it has come, though not whole */
        return synchronise(exchange, vigil);
    if (err == ERR_NONE) {
        exchange->pending->rest = ccid_goes_on(&late);
        exchange_wipe(exchange);
    }
    return err;
}

enum err exchange_settle(struct exchange *exchange, bool block, struct vigil *vigil)
{
    enum err err = exchange->dead ? ERR_DEAD : ERR_NONE;
    if (err == ERR_NONE && exchange->pending->phase == PENDING_FOR_GOOD)
        err = only_unplugging_helps(exchange);
    if (err == ERR_NONE && exchange->half_aborted)
        err = exchange_forget_parts(exchange, vigil);
    if (err == ERR_NONE && exchange->pending->phase == PENDING_MESSAGE)
        err = end_message(exchange, vigil);
    if (err == ERR_NONE && exchange->model->dies_when_disturbed && exchange->inherited && exchange_owes(exchange))
        err = await_predecessor(exchange, vigil); /* even GetSlotStatus may end what it does */
    if (err == ERR_NONE && (!exchange->synchronised || exchange->restart != RESTARTED_NEVER))
        err = synchronise(exchange, vigil);
    if (err == ERR_NONE && exchange->inherited && (block || exchange_owes(exchange)))
        err = await_predecessor(exchange, vigil);
    if (err == ERR_NONE && exchange_owes(exchange))
        err = await_answer(exchange, vigil);
    return err;
}

enum err exchange_first_contact(struct exchange *exchange, struct vigil *vigil)
{
    return exchange_settle(exchange, false, vigil);
}

enum err exchange_recover(struct exchange *exchange, struct vigil *vigil)
{
    return exchange_after_restart(exchange, exchange_settle(exchange, true, vigil));
}

bool exchange_tells_death(const struct exchange *exchange)
{
    return exchange->model->dead_to > 0 && exchange->bcd_device >= exchange->model->dead_from &&
           exchange->bcd_device <= exchange->model->dead_to;
}

/* What refuses the control half knows no Abort, and holds nothing that it would end. */
enum err exchange_forget_parts(struct exchange *exchange, const struct vigil *vigil)
{
    const bool by_pair = exchange->model->cut_message == CUT_ABORT;
    enum err err = by_pair ? end_by_abort(exchange, 0, vigil) : end_by_refusal(exchange);
    if (err == ERR_UNSUPPORTED)
        err = ERR_NONE;
    if (err == ERR_NONE)
        exchange->pending->chain = exchange->pending->rest = 0;
    exchange->half_aborted = exchange->half_aborted && err != ERR_NONE;
    return err;
}
