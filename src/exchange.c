/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exchange.c - one CCID command and its answer: sequence numbers, time extensions, patience, draining.
 *
 * Theory of operation
 *
 *   unsynchronised --synchronise--> at rest --send--> waiting --answer--> at rest
 *         ^  |                        ^  ^               |
 *         +--+ patience ended         |  |               | patience ended
 *                                     |  |               +-- the command has not moved: taken back --> at rest
 *                                     |  |               +-- it has left --> owing
 *                                     |  +-- its answer came, late: dropped, or collected -- owing
 *                 unsynchronised <-- nothing was heard for so long that it must be lost --+
 *
 * A device answers in order and one command at a time. So once the answer to a command of ours has been seen,
 * nothing older can follow: synchronising means asking for the slot's status and dropping everything up to the
 * answer. Data blocks among it belong to nobody, whatever sequence number they bear, because no XfrBlock of ours is
 * under way; they cannot be taken for the answer, which is of another type.
 *
 * While an answer is owed nothing goes out. What that would do depends on the firmware and is never good: a key that
 * computes does not take the command, loses it, or drops the answer of the one before.
 */
#include "exchange.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "log.h"

#define MAX_DROPPED 64 /* answers to nothing within one wait; a device that sends more is not speaking CCID */
#define MAX_STALLS 3   /* within one wait */
#define GRACE_MS 500   /* for an OUT transfer that has begun to move when patience ends */
#define STATUS_ATTEMPT_MS 2000
#define ABORT_LIMIT_MS 2000
#define DEBT_LIMIT_MS 180000 /* no firmware waits longer for its card: the most patient gives up after 140 s */

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

enum err exchange_open(struct exchange *exchange, struct usb_port *port, const struct usb_identity *identity,
                       size_t max_message)
{
    const size_t longest = max_message < CCID_MINIMUM_MESSAGE ? CCID_MINIMUM_MESSAGE : max_message;
    *exchange = (struct exchange){
        .port = port, .bulk_in = identity->bulk_in, .bulk_out = identity->bulk_out,
        .packet_size = identity->packet_size,
        /* room for a stale packet before the answer, and never a multiple short of a packet */
        .in_size = round_up(longest + 2u * identity->packet_size, identity->packet_size),
        .out_size = max_message,
    };
    exchange->in = calloc(1, exchange->in_size);
    exchange->out = calloc(1, exchange->out_size);
    if (!exchange->in || !exchange->out) {
        exchange_close(exchange);
        return ERR_NO_MEMORY;
    }
    /* Not from 0 as everyone else: an answer left by another driver should not look like one to us. */
    if (getrandom(&exchange->sequence, 1, GRND_NONBLOCK) != 1)
        exchange->sequence = (uint8_t)usb_now_ms(port);
    return ERR_NONE;
}

void exchange_close(struct exchange *exchange)
{
    if (exchange->in && exchange->out)
        exchange_wipe(exchange);
    free(exchange->in);
    free(exchange->out);
    exchange->in = exchange->out = NULL;
}

void exchange_set_bwt(struct exchange *exchange, uint32_t bwt_ms)
{
    exchange->bwt_ms = bwt_ms;
}

void exchange_wipe(struct exchange *exchange)
{
    if (!exchange->owed) /* a transfer that is posted still writes there */
        explicit_bzero(exchange->in, exchange->in_size);
    explicit_bzero(exchange->out, exchange->out_size);
}

/* ---- waiting ---- */

/* Counters of one wait, so that no device can keep it busy for the whole patience. */
struct nuisance {
    unsigned dropped, stalls;
};

/* true: the answer is there */
static bool examine(struct exchange *exchange, size_t length, const struct ccid_expectation *expected,
                    struct vigil *vigil, struct nuisance *nuisance, struct ccid_answer *answer)
{
    if (length == 0)
        return false; /* the zero-length packet after an answer of full packets */
    exchange->heard_ms = usb_now_ms(exchange->port);
    if (!ccid_find_answer(exchange->in, length, exchange->packet_size, expected, answer)) {
        exchange->dropped++;
        nuisance->dropped++;
        log_debug("dropped %zu bytes that answer no command", length);
        return false;
    }
    if (answer->status != CCID_TIME_EXTENSION)
        return true;
    /* CCID 1.1 §6.2.6: bError multiplies the waiting time. FFh is one firmware's word for "touch me". */
    vigil_allow(vigil, exchange->bwt_ms, answer->error == 0xff ? 1 : answer->error);
    vigil_renew(vigil, usb_now_ms(exchange->port));
    return false;
}

/* The last resort. What the card knew is lost with it, so the next command will find it without power. */
static void restart(struct exchange *exchange)
{
    log_error("the key has not said a word for %d s: starting it anew", DEBT_LIMIT_MS / 1000);
    if (usb_set_configuration(exchange->port) != ERR_NONE)
        log_error("that failed; plug the key in again");
}

static enum err out_of_patience(struct exchange *exchange, const struct ccid_expectation *expected)
{
    if (usb_take_back_out(exchange->port, usb_now_ms(exchange->port) + GRACE_MS) == USB_OUT_UNSENT) {
        usb_take_back_in(exchange->port);
        return ERR_TIMEOUT;
    }
    exchange->owed = usb_now_ms(exchange->port) - exchange->heard_ms < DEBT_LIMIT_MS;
    exchange->synchronised = exchange->synchronised && exchange->owed;
    exchange->debt = *expected;
    if (!exchange->owed && exchange->can_restart)
        restart(exchange);
    return ERR_TIMEOUT; /* the IN transfer stays posted: some firmwares lose an answer that nobody reads */
}

static enum err after_stall(struct exchange *exchange, uint8_t endpoint, struct nuisance *nuisance)
{
    log_error("endpoint %02x is stalled, clearing it", endpoint);
    return nuisance->stalls++ < MAX_STALLS ? usb_clear_halt(exchange->port, endpoint) : ERR_IO;
}

/* A transfer failed for good: what the device has of the command is not known, so its answer may still come. */
static enum err broken(struct exchange *exchange, const struct ccid_expectation *expected)
{
    if (usb_take_back_out(exchange->port, usb_now_ms(exchange->port)) != USB_OUT_UNSENT) {
        exchange->synchronised = false;
        exchange->owed = false;
    }
    usb_take_back_in(exchange->port);
    log_error("USB transfer failed (answer %u)", expected->sequence);
    return ERR_IO;
}

/* Waits for the answer that is expected. An OUT transfer may be under way. */
static enum err await(struct exchange *exchange, const struct ccid_expectation *expected, struct vigil *vigil,
                      struct ccid_answer *answer)
{
    struct nuisance nuisance = { 0, 0 };
    for (;;) {
        enum err err = usb_post_in(exchange->port, exchange->in, exchange->in_size);
        if (err != ERR_NONE)
            return err == ERR_GONE ? err : broken(exchange, expected);
        const struct usb_news news = usb_wait(exchange->port, vigil_deadline_ms(vigil));
        switch (news.event) {
        case USB_RECEIVED:
            if (examine(exchange, news.length, expected, vigil, &nuisance, answer))
                return ERR_NONE;
            break;
        case USB_OVERRUN:
            nuisance.dropped++;
            break;
        case USB_STALLED_IN:
            err = after_stall(exchange, exchange->bulk_in, &nuisance);
            break;
        case USB_STALLED_OUT:
            (void)after_stall(exchange, exchange->bulk_out, &nuisance);
            err = ERR_IO; /* it has not been taken, and is not sent again */
            break;
        case USB_FAILED:
            err = ERR_IO;
            break;
        case USB_TIMEOUT:
            return out_of_patience(exchange, expected);
        case USB_GONE:
            return ERR_GONE;
        case USB_CANCELLED:
            (void)usb_take_back_out(exchange->port, usb_now_ms(exchange->port) + GRACE_MS);
            return ERR_CANCELLED;
        }
        if (err != ERR_NONE || nuisance.dropped > MAX_DROPPED)
            return broken(exchange, expected);
        if (vigil_deadline_ms(vigil) <= usb_now_ms(exchange->port))
            return out_of_patience(exchange, expected);
    }
}

/* ---- commands ---- */

static enum err send_and_await(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                               struct ccid_answer *answer)
{
    const struct ccid_expectation expected = {
        .type = ccid_answer_type(command->type), .slot = exchange->slot, .sequence = exchange->sequence++,
    };
    exchange->heard_ms = usb_now_ms(exchange->port);
    const size_t length = ccid_write(exchange->out, exchange->out_size, exchange->slot, expected.sequence, command);
    if (length == 0)
        return ERR_TOO_LONG;
    /* IN before OUT: the answer finds its buffer waiting. */
    enum err err = usb_post_in(exchange->port, exchange->in, exchange->in_size);
    if (err == ERR_NONE)
        err = usb_post_out(exchange->port, exchange->out, length);
    if (err != ERR_NONE)
        return err == ERR_GONE ? err : broken(exchange, &expected);
    err = await(exchange, &expected, vigil, answer);
    explicit_bzero(exchange->out, length);
    return err;
}

enum err exchange_collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    if (!exchange->owed)
        return ERR_PROTOCOL;
    const struct ccid_expectation debt = exchange->debt;
    exchange->owed = false; /* await() owes it again if it does not come */
    return await(exchange, &debt, vigil, answer);
}

bool exchange_abort(struct exchange *exchange)
{
    static const struct ccid_command abort = { .type = CCID_ABORT };
    const struct ccid_expectation debt = exchange->debt;
    const int64_t now = usb_now_ms(exchange->port);
    struct vigil vigil = {
        .class = PATIENCE_STATUS, .patience = { ABORT_LIMIT_MS, ABORT_LIMIT_MS }, .begun_ms = now, .heard_ms = now,
    };
    struct ccid_answer answer;
    if (!exchange->can_abort || !exchange->owed)
        return !exchange->owed;
    exchange->owed = false;
    if (usb_abort(exchange->port, exchange->slot, exchange->sequence) == ERR_NONE &&
        send_and_await(exchange, &abort, &vigil, &answer) == ERR_NONE && answer.status == CCID_OK)
        return true;
    exchange->owed = exchange->synchronised;
    exchange->debt = debt;
    return false;
}

/* A firmware may lose a command that it gets too early, so GetSlotStatus, and it alone, is asked again. */
enum err exchange_synchronise(struct exchange *exchange, struct vigil *vigil)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    struct ccid_answer answer;
    enum err err;
    do {
        struct vigil attempt = vigil_within(vigil, STATUS_ATTEMPT_MS, usb_now_ms(exchange->port));
        err = send_and_await(exchange, &status, &attempt, &answer);
        exchange->owed = false; /* a late status is known by its type and its number, and hurts nobody */
    } while (err == ERR_TIMEOUT && usb_now_ms(exchange->port) < vigil_deadline_ms(vigil));
    if (err == ERR_NONE)
        exchange->synchronised = true;
    return err;
}

static enum err settle(struct exchange *exchange, struct vigil *vigil)
{
    struct ccid_answer late;
    enum err err = ERR_NONE;
    if (!exchange->synchronised)
        err = exchange_synchronise(exchange, vigil);
    if (err == ERR_NONE && exchange->owed) {
        err = exchange_collect(exchange, vigil, &late);
        if (err == ERR_NONE)
            exchange_wipe(exchange);
    }
    return err;
}

enum err exchange_run(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                      struct ccid_answer *answer)
{
    const enum err err = settle(exchange, vigil);
    return err == ERR_NONE ? send_and_await(exchange, command, vigil, answer) : err;
}
