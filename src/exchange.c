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
#define MAX_FAILURES 3 /* of USB transfers, before the device counts as broken */
#define GRACE_MS 500   /* for an OUT transfer that has begun to move when patience ends */
#define CMD_ABORTED 0xff /* CCID 1.1 table 6.2-2 */
#define RESTART_LIMIT_MS 10000 /* for a device to be ready and power cycled after SET_CONFIGURATION */
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
        .in_size = round_up(longest + (size_t)2 * identity->packet_size, identity->packet_size),
        .out_size = max_message,
        .status = patience_defaults.of[PATIENCE_STATUS],
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
    /* The port is closed: nothing writes to them any more, whatever is owed. */
    if (exchange->in)
        explicit_bzero(exchange->in, exchange->in_size);
    if (exchange->out)
        explicit_bzero(exchange->out, exchange->out_size);
    free(exchange->in);
    free(exchange->out);
    exchange->in = exchange->out = NULL;
}

int64_t exchange_now_ms(const struct exchange *exchange)
{
    return usb_now_ms(exchange->port);
}

void exchange_set_bwt(struct exchange *exchange, uint32_t bwt_ms)
{
    exchange->bwt_ms = bwt_ms;
}

void exchange_wipe(struct exchange *exchange)
{
    if (exchange->owed) /* a transfer that is posted still writes there */
        return;
    explicit_bzero(exchange->in, exchange->filled);
    exchange->filled = 0;
}

/* ---- waiting ---- */

/* Counters of one wait, so that no device can keep it busy for the whole patience. */
struct nuisance {
    unsigned dropped, stalls;
};

static void heard(struct exchange *exchange)
{
    exchange->heard_ms = exchange_now_ms(exchange);
    exchange->silence_ms = 0;
}

/* Before the answer there may be something stale. */
static void record(struct exchange *exchange, size_t length, const uint8_t *answer)
{
    const size_t stale = answer ? (size_t)(answer - exchange->in) : length;
    if (stale > 0)
        trace_received(exchange->trace, exchange->in, stale, exchange->heard_ms);
    if (answer)
        trace_received(exchange->trace, answer, length - stale, exchange->heard_ms);
}

/*
 * What the message before has brought goes first: nobody wipes the buffer while a transfer is posted.
 * A transfer ends with a short packet. Where a message of one full packet has none behind it, the first packet is read
 * alone: its header tells whether there is more.
 */
static enum err post_in(struct exchange *exchange)
{
    const size_t begun = exchange->begun;
    if (begun == 0) {
        explicit_bzero(exchange->in, exchange->filled);
        exchange->filled = 0;
    }
    const bool one_packet = exchange->one_packet_ends && begun == 0;
    return usb_post_in(exchange->port, exchange->in + begun,
                       one_packet ? exchange->packet_size : exchange->in_size - begun);
}

/* A transfer has brought so many bytes. Returns how long the message is, 0: it goes on. */
static size_t received(struct exchange *exchange, size_t length)
{
    const size_t message = exchange->begun + length;
    const bool first = exchange->begun == 0;
    exchange->filled = message;
    exchange->begun = 0;
    if (exchange->one_packet_ends && first && length == exchange->packet_size && length >= CCID_HEADER &&
        ccid_message_length(exchange->in) > length) {
        exchange->begun = length;
        heard(exchange);
        return 0;
    }
    return message;
}

/* The buffer holds nothing that can be trusted, and maybe something anywhere. */
static void spoilt(struct exchange *exchange)
{
    exchange->begun = 0;
    exchange->filled = exchange->in_size;
}

/* true: the answer is there */
static bool examine(struct exchange *exchange, size_t length, const struct ccid_expectation *expected,
                    struct vigil *vigil, struct nuisance *nuisance, struct ccid_answer *answer)
{
    if (length == 0)
        return false; /* the zero-length packet after an answer of full packets, or only its first packet */
    heard(exchange);
    const bool found = ccid_find_answer(exchange->in, length, exchange->packet_size, expected, answer);
    record(exchange, length, found ? answer->data - CCID_HEADER : NULL);
    if (!found) {
        exchange->dropped++;
        nuisance->dropped++;
        log_debug("dropped %zu bytes that answer no command", length);
        return false;
    }
    if (answer->status != CCID_TIME_EXTENSION)
        return true;
    /* CCID 1.1 §6.2.6: bError multiplies the waiting time. FFh is one firmware's word for "touch me". */
    vigil_allow(vigil, exchange->bwt_ms, answer->error == 0xff ? 1 : answer->error);
    vigil_renew(vigil, exchange_now_ms(exchange));
    return false;
}

static enum err after_stall(struct exchange *exchange, uint8_t endpoint, struct nuisance *nuisance)
{
    heard(exchange);
    log_error("the key has stalled when it was to %s a message: clearing that",
              endpoint == exchange->bulk_in ? "send" : "receive");
    return nuisance->stalls++ < MAX_STALLS ? usb_clear_halt(exchange->port, endpoint) : ERR_IO;
}

/* Waits for the answer that is expected. An OUT transfer may be under way; what becomes of it is the caller's. */
static enum err await(struct exchange *exchange, const struct ccid_expectation *expected, struct vigil *vigil,
                      struct ccid_answer *answer)
{
    struct nuisance nuisance = { 0, 0 };
    for (;;) {
        enum err err = post_in(exchange);
        if (err != ERR_NONE)
            return err == ERR_GONE ? ERR_GONE : ERR_IO;
        const struct usb_news news = usb_wait(exchange->port, vigil_deadline_ms(vigil));
        switch (news.event) {
        case USB_RECEIVED:
            if (examine(exchange, received(exchange, news.length), expected, vigil, &nuisance, answer))
                return ERR_NONE;
            break;
        case USB_OVERRUN:
            spoilt(exchange);
            nuisance.dropped++;
            break;
        case USB_STALLED_IN:
            spoilt(exchange);
            err = after_stall(exchange, exchange->bulk_in, &nuisance);
            break;
        case USB_STALLED_OUT:
            (void)after_stall(exchange, exchange->bulk_out, &nuisance);
            return ERR_IO; /* it has not been taken, and is not sent again */
        case USB_FAILED:
            return ERR_IO;
        case USB_TIMEOUT:
            return ERR_TIMEOUT;
        case USB_GONE:
            return ERR_GONE;
        case USB_CANCELLED:
            return ERR_CANCELLED;
        }
        if (err != ERR_NONE || nuisance.dropped > MAX_DROPPED)
            return ERR_IO;
        if (vigil_deadline_ms(vigil) <= exchange_now_ms(exchange))
            return ERR_TIMEOUT;
    }
}

/* ---- when no answer has come ---- */

/* Nobody tells how much it had brought. */
static void take_back_in(struct exchange *exchange)
{
    usb_take_back_in(exchange->port);
    spoilt(exchange);
}

/* The last resort. The next command will find the card without power. */
static void restart(struct exchange *exchange)
{
    log_error("the key has not said a word for %d s: starting it anew", DEBT_LIMIT_MS / 1000);
    exchange->silence_ms = 0;
    take_back_in(exchange);
    exchange->restart = usb_set_configuration(exchange->port) == ERR_NONE ? RESTARTED : RESTART_UNANSWERED;
    if (exchange->restart == RESTART_UNANSWERED)
        log_error("that failed; plug the key in again");
}

/* The IN transfer stays posted while an answer is owed: some firmwares lose one that nobody reads. */
static void out_of_patience(struct exchange *exchange, const struct ccid_expectation *expected, bool sent)
{
    exchange->silence_ms = exchange_now_ms(exchange) - exchange->heard_ms;
    const bool lost = exchange->silence_ms >= DEBT_LIMIT_MS;
    exchange->owed = sent && !lost;
    exchange->debt = *expected;
    if (!sent)
        take_back_in(exchange);
    if (lost)
        exchange->synchronised = false;
    if (lost && exchange->can_restart)
        restart(exchange);
}

/* A transfer failed for good: what the device has of the command is not known, so its answer may still come. */
static void broken(struct exchange *exchange, bool sent)
{
    exchange->owed = false;
    exchange->synchronised = exchange->synchronised && !sent;
    take_back_in(exchange);
    log_error("%s", err_in_words(ERR_IO));
}

/* sent: the device has the command, or a part of it. Returns err. */
static enum err without_answer(struct exchange *exchange, const struct ccid_expectation *expected, enum err err,
                               bool sent)
{
    if (err == ERR_TIMEOUT)
        out_of_patience(exchange, expected, sent);
    else if (err == ERR_IO)
        broken(exchange, sent);
    return err;
}

/* ---- commands ---- */

static enum err post(struct exchange *exchange, size_t length)
{
    /* IN before OUT: the answer finds its buffer waiting. */
    enum err err = post_in(exchange);
    if (err == ERR_NONE)
        err = usb_post_out(exchange->port, exchange->out, length);
    return err == ERR_NONE || err == ERR_GONE ? err : ERR_IO;
}

static enum err send_and_await(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                               struct ccid_answer *answer)
{
    const int64_t now = exchange_now_ms(exchange);
    if (vigil_deadline_ms(vigil) <= now)
        return ERR_TIMEOUT; /* nothing leaves that nobody would wait for */
    const struct ccid_expectation expected = {
        .type = ccid_answer_type(command->type), .slot = exchange->slot, .sequence = exchange->sequence++,
    };
    const size_t length = ccid_write(exchange->out, exchange->out_size, exchange->slot, expected.sequence, command);
    if (length == 0)
        return ERR_TOO_LONG;
    exchange->heard_ms = now - exchange->silence_ms;
    trace_sent(exchange->trace, exchange->out, length, now);
    enum err err = post(exchange, length);
    if (err == ERR_NONE)
        err = await(exchange, &expected, vigil, answer);
    if (err != ERR_NONE && err != ERR_GONE) {
        const int64_t grace_ms = err == ERR_IO ? 0 : GRACE_MS;
        const int64_t end = exchange_now_ms(exchange) + grace_ms;
        err = without_answer(exchange, &expected, err, usb_take_back_out(exchange->port, end) != USB_OUT_UNSENT);
    }
    explicit_bzero(exchange->out, length);
    if (err == ERR_NONE && answer->status == CCID_FAILED && answer->error == CMD_ABORTED && exchange->can_abort &&
        command->type != CCID_ABORT)
        exchange->half_aborted = true; /* by a driver before us */
    return err;
}

/* A firmware may lose a command that it gets too early, and an endpoint may be left halted, so GetSlotStatus, and it
 * alone, is asked again. */
static enum err synchronise(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    unsigned failures = 0;
    enum err err;
    do {
        struct vigil attempt = vigil_part(vigil, exchange->status, exchange_now_ms(exchange));
        err = send_and_await(exchange, &status, &attempt, answer);
        exchange->owed = false; /* a late status is known by its type and its number, and hurts nobody */
    } while ((err == ERR_TIMEOUT || (err == ERR_IO && ++failures < MAX_FAILURES)) &&
             exchange_now_ms(exchange) < vigil_deadline_ms(vigil));
    if (err == ERR_NONE)
        exchange->synchronised = true;
    return err;
}

enum err exchange_synchronise(struct exchange *exchange, struct vigil *vigil)
{
    struct ccid_answer answer;
    return synchronise(exchange, vigil, &answer);
}

static struct vigil own_vigil(const struct exchange *exchange, struct patience patience)
{
    const int64_t now = exchange_now_ms(exchange);
    return (struct vigil){ .class = PATIENCE_STATUS, .patience = patience, .begun_ms = now, .heard_ms = now };
}

/*
 * SET_CONFIGURATION may kill the application without a word, and leave what PINs are verified behind for the next one.
 * An application that IccPowerOn has begun and IccPowerOff ends takes that with it. A card that is still active has not
 * been through that: the device has not heard it.
 */
static enum err forget_pins(struct exchange *exchange, struct vigil *vigil)
{
    static const struct ccid_command cycle[] = { { .type = CCID_ICC_POWER_ON }, { .type = CCID_ICC_POWER_OFF } };
    struct ccid_answer answer;
    enum err err = synchronise(exchange, vigil, &answer);
    const size_t count = err == ERR_NONE && answer.powered ? 0 : sizeof cycle / sizeof cycle[0];
    exchange->restarts += count > 0 && err == ERR_NONE;
    for (size_t i = 0; i < count && err == ERR_NONE; i++) {
        err = send_and_await(exchange, &cycle[i], vigil, &answer);
        if (err == ERR_NONE && answer.status != CCID_OK)
            err = ERR_CARD;
    }
    exchange->restart = err == ERR_NONE ? RESTARTED_NEVER : RESTART_UNANSWERED;
    if (err != ERR_NONE)
        log_error("the key cannot be powered off, and a PIN may still be verified; plug the key in again");
    return err;
}

/* At once, since another process may be the next to ask; a device that does not answer is not waited for.
 * Returns err. */
static enum err after_restart(struct exchange *exchange, enum err err)
{
    static const struct patience patience = { RESTART_LIMIT_MS, RESTART_LIMIT_MS };
    struct vigil vigil = own_vigil(exchange, patience);
    if (exchange->restart == RESTARTED)
        (void)forget_pins(exchange, &vigil);
    return err;
}

static enum err collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    const struct ccid_expectation debt = exchange->debt;
    exchange->owed = false; /* until it is known that it has not come this time either */
    const enum err err = without_answer(exchange, &debt, await(exchange, &debt, vigil, answer), true);
    if (err == ERR_NONE)
        vigil_renew(vigil, exchange_now_ms(exchange)); /* the command that waited for it begins only now */
    return err;
}

enum err exchange_collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    return exchange->owed ? after_restart(exchange, collect(exchange, vigil, answer)) : ERR_PROTOCOL;
}

/* A device that has heard one half refuses everything until it has heard both. */
static bool abort_pair(struct exchange *exchange)
{
    static const struct ccid_command abort = { .type = CCID_ABORT };
    struct vigil vigil = own_vigil(exchange, exchange->status);
    struct ccid_answer answer;
    exchange->half_aborted = false;
    if (usb_abort(exchange->port, exchange->slot, exchange->sequence) != ERR_NONE)
        return false;
    const enum err err = send_and_await(exchange, &abort, &vigil, &answer);
    exchange->half_aborted = err == ERR_IO;
    return err == ERR_NONE && answer.status == CCID_OK;
}

bool exchange_abort(struct exchange *exchange)
{
    const struct ccid_expectation debt = exchange->debt;
    if (!exchange->can_abort || !exchange->owed)
        return !exchange->owed;
    exchange->owed = false;
    if (abort_pair(exchange))
        return true;
    exchange->owed = exchange->synchronised;
    exchange->debt = debt;
    return false;
}

static enum err settle(struct exchange *exchange, struct vigil *vigil)
{
    struct ccid_answer late;
    enum err err = ERR_NONE;
    if (exchange->half_aborted && abort_pair(exchange))
        exchange->owed = false;
    const bool doubtful = exchange->restart != RESTARTED_NEVER;
    if (doubtful || !exchange->synchronised) {
        err = doubtful ? forget_pins(exchange, vigil) : exchange_synchronise(exchange, vigil);
        if (err == ERR_NONE)
            vigil_renew(vigil, exchange_now_ms(exchange));
    }
    if (err == ERR_NONE && exchange->owed) {
        err = collect(exchange, vigil, &late);
        if (err == ERR_NONE)
            exchange_wipe(exchange);
    }
    return err;
}

enum err exchange_run(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                      struct ccid_answer *answer)
{
    enum err err = settle(exchange, vigil);
    if (err == ERR_NONE)
        err = send_and_await(exchange, command, vigil, answer);
    return after_restart(exchange, err);
}
