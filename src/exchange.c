/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exchange.c - one CCID command and its answer: sequence numbers, what is pending, the last resort.
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

#define MAX_FAILURES 3 /* of transfers, of one question */
#define CROWD_MS 200   /* a device at rest takes a message within */
#define SELDOM_MS 10000 /* more seldom than this no device is asked for the slot's status */
#define GRACE_MS 500   /* for an OUT transfer that has begun to move when patience ends */
#define CMD_ABORTED 0xff /* CCID 1.1 table 6.2-2 */
#define OVERSHOOT 2    /* bytes that a message may be made too long by, see exchange_fill() */
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

int64_t exchange_held_ms(const struct exchange *exchange)
{
    const int64_t left = exchange->held_until_ms > 0 ? exchange->held_until_ms - exchange_now_ms(exchange) : 0;
    return left > 0 ? left : 0;
}

bool exchange_owes(const struct exchange *exchange)
{
    return exchange->pending->phase == PENDING_ANSWER;
}

bool exchange_at_rest(const struct exchange *exchange)
{
    return exchange->synchronised && !exchange->dead && exchange->pending->phase <= PENDING_NOTHING;
}

/* ---- when no answer has come ---- */

/* The last resort. The next command will find the card without power. What does not help is told once. */
static void restart(struct exchange *exchange)
{
    const bool again = exchange->restart == RESTART_UNANSWERED;
    if (!again)
        log_error(exchange->name, "no response for %d s: starting it anew", DEBT_LIMIT_MS / 1000);
    exchange->silence_ms = 0;
    exchange_take_back_in(exchange);
    exchange->restart = usb_set_configuration(exchange->port) == ERR_NONE ? RESTARTED : RESTART_UNANSWERED;
    if (exchange->restart == RESTART_UNANSWERED && !again)
        log_error(exchange->name, "it cannot be started anew; plug it in again");
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
        exchange_take_back_in(exchange);
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
    exchange_take_back_in(exchange);
    log_info(exchange->name, "a USB transfer has failed: finding out what has arrived");
    if (exchange->pending->phase != PENDING_ANSWER || exchange_hears_at_work(exchange))
        return;
    exchange->pending->phase = PENDING_NOTHING;
    exchange->synchronised = false;
}

static void died(struct exchange *exchange)
{
    exchange->dead = true;
    exchange->pending->phase = PENDING_UNKNOWN;
    exchange_take_back_in(exchange);
    log_error(exchange->name, "it serves no command any more: its firmware has stopped. Unplug it and plug it in again");
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
    enum err err = exchange_post_in(exchange);
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
    if (err == ERR_TIMEOUT && block && exchange_owes(exchange) && exchange_has_come(exchange, expected, answer)) {
        exchange->pending->phase = PENDING_NOTHING;
        return ERR_NONE;
    }
    if (block)
        err = without_answer(exchange, expected, err);
    else
        exchange_take_back_in(exchange);
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
    if (err == ERR_NONE) /* whatever its transfer says, it has arrived; nobody else is to be told */
        (void)usb_take_back_out(exchange->port, now);
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
    exchange_take_back_in(exchange);
    if (err == ERR_TIMEOUT && sent == 0)
        count_silence(exchange);
    return err == ERR_NONE || sent == fits;
}

bool exchange_crowd(struct exchange *exchange, unsigned messages)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    bool sent = true;
    exchange_take_back_in(exchange);
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
 * alone, is asked again; one that does not answer for long, ever more seldom. */
static enum err synchronise(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer)
{
    static const struct ccid_command status = { .type = CCID_GET_SLOT_STATUS };
    struct patience patience = exchange->status;
    unsigned failures = 0;
    enum err err;
    do {
        struct vigil attempt = vigil_part(vigil, patience, exchange_now_ms(exchange));
        err = exchange_send(exchange, &status, &attempt, answer);
        if (patience.silence_ms < SELDOM_MS / 2)
            patience.total_ms = patience.silence_ms *= 2;
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
    if (err != ERR_NONE && exchange->restart == RESTARTED)
        log_error(exchange->name, "it cannot be powered off, and a PIN may still be verified; plug it in again");
    exchange->restart = err == ERR_NONE ? RESTARTED_NEVER : RESTART_UNANSWERED;
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

enum err exchange_listen(struct exchange *exchange, struct vigil *vigil)
{
    const struct ccid_expectation debt = exchange->debt;
    struct ccid_answer late;
    const enum err err = exchange_await(exchange, &debt, vigil, &late);
    if (err == ERR_NONE) {
        exchange->pending->phase = PENDING_NOTHING;
        exchange->pending->rest = ccid_goes_on(&late);
        exchange_wipe(exchange);
    }
    return err;
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
