/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exchange.c - one CCID command and its answer: sequence numbers, time extensions, patience, draining.
 *
 * Theory of operation
 *
 *   not synchronised --GetSlotStatus is answered--> nothing pending --XfrBlock--> message pending
 *                                                    ^   ^                         |          |
 *                                                    |   |              it has     |          | it has failed, or
 *                                                    |   |              left whole |          | patience ended first
 *                                                    |   |                         v          v
 *                                                    |   +---- its answer ---- answer     recover.c: listen,
 *                                                    |                         pending    end the message
 *                                                    +------------------------------------------+
 *
 * What is pending is written down (pending.h) before a packet leaves, since it outlives the process. A transfer that has
 * failed is not one that has not happened: until recover.c has found out or ended what the device has of it, no command
 * leaves.
 *
 * A device answers in order and one command at a time. So once the answer to a command of ours has been seen, nothing
 * older can follow: synchronising means asking for the slot's status and dropping everything up to the answer. Data
 * blocks among it belong to nobody, whatever sequence number they bear.
 *
 * While an answer is pending nothing goes out. What that would do depends on the firmware and is never good: a key that
 * computes does not take the command, loses it, drops the answer of the one before, or panics.
 */
#include "exchange.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "exchange_inner.h"
#include "log.h"

#define MAX_DROPPED 64 /* answers to nothing within one wait; a device that sends more is not speaking CCID */
#define MAX_STALLS 3   /* within one wait */
#define MAX_FAILURES 3 /* of transfers, within one wait or of one question */
#define CROWD_MS 200   /* a device at rest takes a message within */
#define GRACE_MS 500   /* for an OUT transfer that has begun to move when patience ends */
#define CMD_ABORTED 0xff /* CCID 1.1 table 6.2-2 */
#define OVERSHOOT 2    /* bytes that a message may be made too long by, see exchange_fill() */
#define STALE_MS 700 /* after open: less than the time between two signs of life */
#define LISTEN_MS 100 /* to a key that gives no sign of life while it works */
#define FIRST_SIGN_MS 5000 /* a living key of which it is known gives a sign of life in less than a third of this */
#define RESTART_LIMIT_MS 10000 /* for a device to be ready and power cycled after SET_CONFIGURATION */
#define EMPTY_PACKET_MS 100 /* an empty packet that ends a message follows at once */
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
        .packet_size = identity->packet_size, .bcd_device = identity->bcd_device,
        /* room for a stale packet before the answer, and never a multiple short of a packet */
        .in_size = round_up(longest + (size_t)2 * identity->packet_size, identity->packet_size),
        .out_size = max_message,
        .status = patience_defaults.of[PATIENCE_STATUS],
    };
    pending_open(&exchange->store, &(struct pending_key){
        .node = identity->node, .vendor_id = identity->vendor_id, .product_id = identity->product_id,
        .bcd_device = identity->bcd_device, .bus = identity->bus, .address = identity->address,
    });
    exchange->pending = exchange->store.now;
    exchange->inherited = exchange->pending->phase != PENDING_NOTHING;
    if (exchange->pending->phase == PENDING_MESSAGE && exchange->pending->sent == exchange->pending->length)
        exchange->pending->phase = PENDING_ANSWER;
    exchange->debt = (struct ccid_expectation){ .type = CCID_DATA_BLOCK, .any_sequence = true };
    exchange->listened_ms = usb_now_ms(port);
    exchange->in = calloc(1, exchange->in_size);
    exchange->out = calloc(1, exchange->out_size + OVERSHOOT);
    if (!exchange->in || !exchange->out) {
        exchange_close(exchange, false);
        return ERR_NO_MEMORY;
    }
    /* Not from 0 as everyone else: an answer left by another driver should not look like one to us. */
    if (getrandom(&exchange->sequence, 1, GRND_NONBLOCK) != 1)
        exchange->sequence = (uint8_t)usb_now_ms(port);
    return ERR_NONE;
}

void exchange_set_model(struct exchange *exchange, const struct model *model, enum ccid_level level)
{
    const bool first_releases = level == CCID_EXTENDED_APDU && model->extended_sign_of_life_ms > 0;
    exchange->model = model;
    exchange->sign_of_life_ms = first_releases ? model->extended_sign_of_life_ms : model->sign_of_life_ms;
    exchange->one_packet_ends = model->one_packet_ends;
    exchange->each_packet_ends = exchange->refuses_at_work = first_releases;
}

void exchange_close(struct exchange *exchange, bool unplugged)
{
    pending_close(&exchange->store, unplugged);
    /* The port is closed: nothing writes to them any more, whatever is owed. */
    if (exchange->in)
        explicit_bzero(exchange->in, exchange->in_size);
    if (exchange->out)
        explicit_bzero(exchange->out, exchange->out_size + OVERSHOOT);
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
    if (exchange_owes(exchange)) /* a transfer that is posted still writes there */
        return;
    explicit_bzero(exchange->in, exchange->filled);
    exchange->filled = 0;
}

/* ---- waiting ---- */

/* Counters of one wait, so that no device can keep it busy for the whole patience. */
struct nuisance {
    unsigned dropped, stalls, failures;
    int64_t listen_until_ms; /* an IN transfer has failed: what it should have brought comes again by then, or never */
};

/* What has waited in the device for the next driver comes at once, and is no sign of life of now. */
static void heard(struct exchange *exchange)
{
    exchange->heard_ms = exchange_now_ms(exchange);
    exchange->silence_ms = 0;
    if (!exchange->inherited || exchange->heard_ms >= exchange->listened_ms + STALE_MS)
        exchange->pending->heard_ms = exchange->heard_ms;
}

int64_t exchange_held_ms(const struct exchange *exchange)
{
    const int64_t left = exchange->held_until_ms > 0 ? exchange->held_until_ms - exchange_now_ms(exchange) : 0;
    return left > 0 ? left : 0;
}

bool exchange_owes(const struct exchange *exchange)
{
    return exchange->pending->phase == PENDING_ANSWER;
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
    exchange->torn = false;
    exchange->filled = exchange->in_size;
}

/* An answer that nobody waits for: the command that it is of has ended. Its other parts may still wait. */
static void note_stray(struct exchange *exchange, const struct ccid_answer *stray)
{
    if (stray->type != CCID_DATA_BLOCK || stray->status != CCID_OK || exchange->model->cut_message != CUT_ABORT)
        return;
    if (exchange->pending->phase != PENDING_MESSAGE)
        exchange->pending->phase = PENDING_NOTHING;
    if (ccid_goes_on(stray))
        exchange->pending->rest = 1;
}

/* true: the answer is there */
static bool examine(struct exchange *exchange, size_t length, const struct ccid_expectation *expected,
                    struct vigil *vigil, struct nuisance *nuisance, struct ccid_answer *answer)
{
    if (length == 0) { /* the zero-length packet after an answer of full packets, or only its first packet */
        nuisance->dropped += exchange->torn;
        return false;
    }
    heard(exchange);
    nuisance->listen_until_ms = INT64_MAX;
    const bool found = ccid_find_answer(exchange->in, length, exchange->packet_size, expected, answer);
    record(exchange, length, found ? answer->data - CCID_HEADER : NULL);
    if (!found) {
        if (length >= CCID_HEADER)
            note_stray(exchange, answer);
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
    log_info("%s has stalled when it was to %s a message: clearing that", exchange->model->name,
             endpoint == exchange->bulk_in ? "send" : "receive");
    return nuisance->stalls++ < MAX_STALLS ? usb_clear_halt(exchange->port, endpoint) : ERR_IO;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When a device that gives signs of life has to have given one, or it never will. */
static int64_t first_sign(const struct exchange *exchange)
{
    const int64_t due = exchange->first_sign_ms;
    return due > 0 && exchange->heard_ms <= due - FIRST_SIGN_MS ? due : INT64_MAX;
}

uint32_t exchange_silence_ms(const struct exchange *exchange)
{
    return exchange->sign_of_life_ms ? exchange->sign_of_life_ms : LISTEN_MS;
}

bool exchange_hears_at_work(const struct exchange *exchange)
{
    return exchange->model->dies_when_disturbed || exchange->refuses_at_work;
}

/* An IN transfer has failed. What it was to bring may be lost, or not have been ready, so it is read for once more. */
static enum err after_failure(struct exchange *exchange, struct nuisance *nuisance)
{
    spoilt(exchange);
    if (nuisance->listen_until_ms == INT64_MAX)
        nuisance->listen_until_ms = exchange_now_ms(exchange) + exchange_silence_ms(exchange);
    return nuisance->failures++ < MAX_FAILURES ? ERR_NONE : ERR_IO;
}

static enum err after_time(const struct exchange *exchange, const struct vigil *vigil, const struct nuisance *nuisance)
{
    const int64_t now = exchange_now_ms(exchange);
    if (now >= vigil_deadline_ms(vigil))
        return ERR_TIMEOUT;
    return now < nuisance->listen_until_ms && now >= first_sign(exchange) ? ERR_DEAD : ERR_IO;
}

static enum err after_news(struct exchange *exchange, const struct usb_news *news, const struct vigil *vigil,
                           struct nuisance *nuisance)
{
    switch (news->event) {
    case USB_RECEIVED: /* what comes after a failure and is no answer is the rest of one */
        return nuisance->dropped > (nuisance->failures || exchange->torn ? 0 : MAX_DROPPED) ? ERR_IO : ERR_NONE;
    case USB_STALLED_IN:
        (void)after_stall(exchange, exchange->bulk_in, nuisance);
        return after_failure(exchange, nuisance);
    case USB_OVERRUN:
    case USB_FAILED_IN:
        return after_failure(exchange, nuisance);
    case USB_STALLED_OUT:
        (void)after_stall(exchange, exchange->bulk_out, nuisance);
        return ERR_IO; /* it is not sent again */
    case USB_FAILED_OUT:
        return ERR_IO;
    case USB_TIMEOUT:
        return after_time(exchange, vigil, nuisance);
    case USB_GONE:
        return ERR_GONE;
    case USB_CANCELLED:
        return ERR_CANCELLED;
    case USB_INTERRUPTED:
        return exchange->interruptible ? ERR_INTERRUPTED : ERR_NONE;
    }
    return ERR_IO;
}

/* Nobody tells how much it had brought. */
static void take_back_in(struct exchange *exchange)
{
    (void)usb_take_back_in(exchange->port);
    spoilt(exchange);
}

/* What it were to say before the empty packet has gone would be lost. */
static void read_empty_packet(struct exchange *exchange)
{
    if (!exchange->each_packet_ends || exchange->filled != exchange->packet_size ||
        usb_post_in(exchange->port, exchange->in + exchange->packet_size, exchange->packet_size) != ERR_NONE)
        return;
    const struct usb_news news = usb_wait(exchange->port, exchange_now_ms(exchange) + EMPTY_PACKET_MS);
    if (news.event != USB_RECEIVED)
        take_back_in(exchange);
}

/* An OUT transfer may be under way; what becomes of it is the caller's. */
enum err exchange_await(struct exchange *exchange, const struct ccid_expectation *expected, struct vigil *vigil,
                        struct ccid_answer *answer)
{
    struct nuisance nuisance = { .listen_until_ms = INT64_MAX };
    enum err err;
    do {
        err = post_in(exchange);
        if (err != ERR_NONE)
            return err == ERR_GONE ? ERR_GONE : ERR_IO;
        const int64_t limit = earlier(nuisance.listen_until_ms, first_sign(exchange));
        const struct usb_news news = usb_wait(exchange->port, earlier(vigil_deadline_ms(vigil), limit));
        if (news.event == USB_RECEIVED &&
            examine(exchange, received(exchange, news.length), expected, vigil, &nuisance, answer)) {
            read_empty_packet(exchange);
            return ERR_NONE;
        }
        err = after_news(exchange, &news, vigil, &nuisance);
        if (err == ERR_NONE && vigil_deadline_ms(vigil) <= exchange_now_ms(exchange))
            err = ERR_TIMEOUT;
    } while (err == ERR_NONE);
    return err;
}

/* ---- when no answer has come ---- */

/* The last resort. The next command will find the card without power. */
static void restart(struct exchange *exchange)
{
    log_error("%s has not said a word for %d s: starting it anew", exchange->model->name, DEBT_LIMIT_MS / 1000);
    exchange->silence_ms = 0;
    take_back_in(exchange);
    exchange->restart = usb_set_configuration(exchange->port) == ERR_NONE ? RESTARTED : RESTART_UNANSWERED;
    if (exchange->restart == RESTART_UNANSWERED)
        log_error("%s cannot be started anew; plug it in again", exchange->model->name);
}

/* Too long for any command: the answer is lost, or the device is. */
static void give_up(struct exchange *exchange)
{
    if (exchange->pending->phase == PENDING_MESSAGE && !exchange->model->set_configuration)
        return; /* a message that has begun is still to be ended */
    exchange->pending->phase = PENDING_NOTHING;
    exchange->synchronised = false;
    if (exchange->model->set_configuration)
        restart(exchange);
}

/* The IN transfer stays posted while an answer is owed: some firmwares lose one that nobody reads. */
static void out_of_patience(struct exchange *exchange, const struct ccid_expectation *expected)
{
    exchange->debt = *expected;
    if (!exchange_owes(exchange))
        take_back_in(exchange);
}

/* Patience has ended. Of a message of full packets all may have come but the empty packet behind it, without which its
 * transfer does not end. What has come of any other message stays, and goes on. */
static bool has_come(struct exchange *exchange, const struct ccid_expectation *expected, struct ccid_answer *answer)
{
    const size_t length = exchange->begun + usb_take_back_in(exchange->port);
    const bool found = length >= CCID_HEADER &&
                       ccid_find_answer(exchange->in, length, exchange->packet_size, expected, answer) &&
                       answer->complete && answer->status != CCID_TIME_EXTENSION;
    exchange->filled = length;
    exchange->begun = !found && length % exchange->packet_size == 0 ? length : 0;
    exchange->torn = length == 0 && !exchange->sign_of_life_ms; /* else silence will tell that it is lost */
    if (!found) {
        (void)post_in(exchange);
        return false;
    }
    heard(exchange);
    record(exchange, length, answer->data - CCID_HEADER);
    log_info("the end of an answer was missing");
    return true;
}

/* Silence adds up over commands, as long as something is asked of the device. */
static void count_silence(struct exchange *exchange)
{
    exchange->silence_ms = exchange_now_ms(exchange) - exchange->heard_ms;
    if (exchange->silence_ms >= DEBT_LIMIT_MS && !exchange_hears_at_work(exchange))
        give_up(exchange);
}

/* A transfer has failed. Where a device at work takes no other message, the slot's status will tell whether it is; others
 * are listened to. */
static void broken(struct exchange *exchange, const struct ccid_expectation *expected)
{
    exchange->debt = *expected;
    take_back_in(exchange);
    log_info("%s", err_in_words(ERR_IO));
    if (exchange->pending->phase != PENDING_ANSWER || exchange_hears_at_work(exchange))
        return;
    exchange->pending->phase = PENDING_NOTHING;
    exchange->synchronised = false;
}

static void died(struct exchange *exchange)
{
    exchange->dead = true;
    exchange->pending->phase = PENDING_UNKNOWN;
    take_back_in(exchange);
    log_error("%s serves no command any more: its firmware has stopped. Unplug it and plug it in again",
              exchange->model->name);
}

/* What becomes of an XfrBlock that has no answer; returns err. */
static enum err without_answer(struct exchange *exchange, const struct ccid_expectation *expected, enum err err)
{
    if (err == ERR_TIMEOUT)
        out_of_patience(exchange, expected);
    else if (err == ERR_IO)
        broken(exchange, expected);
    else if (err == ERR_DEAD)
        died(exchange);
    return err;
}

/* ---- commands ---- */

static enum err post(struct exchange *exchange, size_t length, uint32_t *moved)
{
    /* IN before OUT: the answer finds its buffer waiting. */
    enum err err = post_in(exchange);
    if (err == ERR_NONE)
        err = usb_post_out(exchange->port, exchange->out, length, moved);
    return err == ERR_NONE || err == ERR_GONE ? err : ERR_IO;
}

/* Before a packet of an XfrBlock leaves. */
static void begins(struct exchange *exchange, const struct vigil *vigil, size_t length)
{
    struct pending *const pending = exchange->pending;
    const bool clean = pending->phase == PENDING_NOTHING && !pending->chain && !pending->rest;
    pending->length = (uint32_t)length;
    pending->sent = 0;
    pending->class = vigil->class;
    pending->begun_ms = pending->heard_ms = exchange_now_ms(exchange);
    exchange->torn = false;
    __atomic_store_n(&pending->phase, PENDING_MESSAGE, __ATOMIC_RELEASE);
    exchange->first_sign_ms = clean && exchange_tells_death(exchange) ? pending->begun_ms + FIRST_SIGN_MS : 0;
}

/* No answer has come, so it matters what has left, of an XfrBlock. */
static void ends_without_answer(struct exchange *exchange, enum err err, bool block, size_t length)
{
    const int64_t grace_ms = err == ERR_IO ? 0 : GRACE_MS;
    const size_t sent = usb_take_back_out(exchange->port, exchange_now_ms(exchange) + grace_ms);
    if (!block || exchange->pending->phase != PENDING_MESSAGE)
        return;
    exchange->pending->sent = (uint32_t)sent;
    if (sent == length)
        exchange->pending->phase = PENDING_ANSWER;
}

/* It should have been heard by now. One whose commands are served by nobody tells the slot's status all the same; one
 * that says nothing at all, or does not even take the command, is waited for. */
static enum err unless_dead(struct exchange *exchange, const struct ccid_expectation *expected, struct vigil *vigil,
                            struct ccid_answer *answer)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    struct vigil part = vigil_part(vigil, exchange->status, exchange_now_ms(exchange));
    exchange->first_sign_ms = 0;
    if (exchange->pending->sent < exchange->pending->length) /* its transfer still has the buffer */
        return exchange_await(exchange, expected, vigil, answer);
    exchange->pending->phase = PENDING_ANSWER;
    if (exchange_send(exchange, &status, &part, answer) == ERR_NONE)
        return answer->data - exchange->in > CCID_HEADER ? ERR_IO : ERR_DEAD; /* or its answer had no end */
    return exchange_await(exchange, expected, vigil, answer);
}

/* What becomes of a message that has no answer; returns err, or ERR_NONE if it has one after all. */
static enum err unanswered(struct exchange *exchange, const struct ccid_expectation *expected, bool block,
                           size_t length, enum err err, struct ccid_answer *answer)
{
    if (err == ERR_GONE)
        return err;
    ends_without_answer(exchange, err, block, length);
    if (err == ERR_TIMEOUT && block && exchange_owes(exchange) && has_come(exchange, expected, answer)) {
        exchange->pending->phase = PENDING_NOTHING;
        return ERR_NONE;
    }
    if (block)
        err = without_answer(exchange, expected, err);
    else
        take_back_in(exchange);
    if (err == ERR_TIMEOUT)
        count_silence(exchange);
    return err;
}

/* Any message. Only an XfrBlock is written down: no other begins work, and all others fit one packet. */
enum err exchange_send(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                       struct ccid_answer *answer)
{
    const bool block = command->type == CCID_XFR_BLOCK;
    const int64_t now = exchange_now_ms(exchange);
    if (vigil_deadline_ms(vigil) <= now)
        return ERR_TIMEOUT; /* nothing leaves that nobody would wait for */
    const struct ccid_expectation expected = {
        .type = ccid_answer_type(command->type), .slot = exchange->slot, .sequence = exchange->sequence++,
    };
    const size_t length = ccid_write(exchange->out, exchange->out_size, exchange->slot, expected.sequence, command);
    if (length == 0)
        return ERR_TOO_LONG;
    exchange->first_sign_ms = 0;
    if (block)
        begins(exchange, vigil, length);
    exchange->heard_ms = now - exchange->silence_ms;
    trace_sent(exchange->trace, exchange->out, length, now);
    enum err err = post(exchange, length, block ? &exchange->pending->sent : NULL);
    if (err == ERR_NONE)
        err = exchange_await(exchange, &expected, vigil, answer);
    else if (block)
        exchange->pending->phase = PENDING_NOTHING; /* the kernel has not even taken it */
    if (err == ERR_DEAD)
        err = unless_dead(exchange, &expected, vigil, answer);
    if (err == ERR_NONE && block)
        exchange->pending->phase = PENDING_NOTHING;
    if (err == ERR_NONE && answer->status == CCID_FAILED && answer->error == CMD_ABORTED &&
        exchange->model->cut_message == CUT_ABORT && command->type != CCID_ABORT)
        exchange->half_aborted = true; /* one half of an Abort pair has been heard, and the other is waited for */
    if (err != ERR_NONE)
        err = unanswered(exchange, &expected, block, length, err, answer);
    exchange->first_sign_ms = 0;
    explicit_bzero(exchange->out, length);
    return err;
}

struct vigil exchange_own_vigil(const struct exchange *exchange, struct patience patience)
{
    const int64_t now = exchange_now_ms(exchange);
    return (struct vigil){ .class = PATIENCE_STATUS, .patience = patience, .begun_ms = now, .heard_ms = now };
}

bool exchange_fill(struct exchange *exchange, size_t length, uint32_t read_ms)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    static const struct ccid_expectation anything = { .type = CCID_DATA_BLOCK, .any_sequence = true };
    struct vigil vigil = exchange_own_vigil(exchange, (struct patience){ read_ms, read_ms });
    struct ccid_answer answer;
    const size_t room = exchange->out_size + OVERSHOOT, fits = length < room ? length : room;
    exchange->heard_ms = exchange_now_ms(exchange) - exchange->silence_ms;
    memset(exchange->out, 0, fits);
    (void)ccid_write(exchange->out, exchange->out_size, exchange->slot, exchange->sequence++, &status);
    enum err err = post(exchange, fits, NULL);
    if (err == ERR_NONE)
        err = exchange_await(exchange, &anything, &vigil, &answer);
    const size_t sent = usb_take_back_out(exchange->port, exchange_now_ms(exchange));
    take_back_in(exchange);
    if (err == ERR_TIMEOUT && sent == 0)
        count_silence(exchange);
    return err == ERR_NONE || sent == fits;
}

bool exchange_crowd(struct exchange *exchange, unsigned messages)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    bool sent = true;
    take_back_in(exchange);
    for (unsigned i = 0; i < messages && sent; i++) {
        const int64_t now = exchange_now_ms(exchange);
        const size_t length =
            ccid_write(exchange->out, exchange->out_size, exchange->slot, exchange->sequence++, &status);
        trace_sent(exchange->trace, exchange->out, length, now);
        sent = usb_post_out(exchange->port, exchange->out, length, NULL) == ERR_NONE;
        if (sent)
            (void)usb_wait(exchange->port, now + CROWD_MS);
        sent = usb_take_back_out(exchange->port, now) == length;
    }
    exchange->synchronised = false;
    return sent;
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
        err = exchange_send(exchange, &status, &attempt, answer);
    } while ((err == ERR_TIMEOUT || (err == ERR_IO && ++failures < MAX_FAILURES)) &&
             exchange_now_ms(exchange) < vigil_deadline_ms(vigil));
    if (err == ERR_NONE)
        exchange->synchronised = true;
    return err;
}

/*
 * SET_CONFIGURATION may kill the application without a word, and leave what PINs are verified behind for the next one.
 * An application that IccPowerOn has begun and IccPowerOff ends takes that with it. A card that is still active has not
 * been through that: the device has not heard it.
 */
static enum err forget_pins(struct exchange *exchange, struct vigil *vigil)
{
    static const struct ccid_command cycle[] = { { .type = CCID_ICC_POWER_ON }, { .type = CCID_ICC_POWER_OFF } };
    struct ccid_answer answer = { .powered = false };
    enum err err = synchronise(exchange, vigil, &answer);
    const size_t count = err == ERR_NONE && answer.powered ? 0 : sizeof cycle / sizeof cycle[0];
    exchange->restarts += count > 0 && err == ERR_NONE;
    for (size_t i = 0; i < count && err == ERR_NONE; i++) {
        err = exchange_send(exchange, &cycle[i], vigil, &answer);
        if (err == ERR_NONE && answer.status != CCID_OK)
            err = ERR_CARD;
    }
    exchange->restart = err == ERR_NONE ? RESTARTED_NEVER : RESTART_UNANSWERED;
    if (err != ERR_NONE)
        log_error("%s cannot be powered off, and a PIN may still be verified; plug it in again", exchange->model->name);
    return err;
}

enum err exchange_after_restart(struct exchange *exchange, enum err err)
{
    static const struct patience patience = { RESTART_LIMIT_MS, RESTART_LIMIT_MS };
    struct vigil vigil = exchange_own_vigil(exchange, patience);
    if (exchange->restart == RESTARTED)
        (void)forget_pins(exchange, &vigil);
    return err;
}

enum err exchange_synchronise(struct exchange *exchange, struct vigil *vigil)
{
    struct ccid_answer answer;
    return exchange->restart == RESTARTED_NEVER ? synchronise(exchange, vigil, &answer) : forget_pins(exchange, vigil);
}

static enum err collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    const struct ccid_expectation debt = exchange->debt;
    const enum err err = exchange_await(exchange, &debt, vigil, answer);
    if (err == ERR_NONE) {
        exchange->pending->phase = PENDING_NOTHING;
        vigil_renew(vigil, exchange_now_ms(exchange)); /* the command that waited for it begins only now */
    }
    if (err == ERR_INTERRUPTED)
        return err;
    (void)without_answer(exchange, &debt, err);
    if (err == ERR_TIMEOUT)
        count_silence(exchange);
    return err;
}

enum err exchange_collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    return exchange_owes(exchange) ? exchange_after_restart(exchange, collect(exchange, vigil, answer)) : ERR_PROTOCOL;
}

/* The first refusal may have ended a chain of parts. What is refused twice is at work, for a process that is gone. */
static enum err conclude_from_power_on(struct exchange *exchange, const struct ccid_command *power_on,
                                       struct vigil *vigil, struct ccid_answer *answer)
{
    enum err err = ERR_NONE;
    if (answer->status != CCID_OK)
        err = exchange_send(exchange, power_on, vigil, answer);
    if (err != ERR_NONE)
        return err;
    exchange->inherited = answer->status != CCID_OK;
    if (!exchange->inherited)
        return ERR_NONE;
    exchange->debt = (struct ccid_expectation){ .type = CCID_DATA_BLOCK, .any_sequence = true };
    exchange->pending->phase = PENDING_ANSWER;
    return ERR_TIMEOUT;
}

enum err exchange_run(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                      struct ccid_answer *answer)
{
    /* one that refuses at work goes on with it without power, and gives its answer to the next command */
    const bool block = command->type == CCID_XFR_BLOCK ||
                       (command->type == CCID_ICC_POWER_OFF && exchange->refuses_at_work);
    enum err err = exchange_settle(exchange, block, vigil);
    if (err == ERR_NONE)
        err = exchange_send(exchange, command, vigil, answer);
    if (err == ERR_NONE && command->type == CCID_ICC_POWER_ON && exchange->refuses_at_work)
        err = conclude_from_power_on(exchange, command, vigil, answer);
    return exchange_after_restart(exchange, err);
}
