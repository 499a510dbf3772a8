/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * await.c - the way in: what a device sends is read until the answer is there or the vigil has ended. Time extensions
 * renew the vigil; what answers no command is dropped; a transfer that fails is read for once more.
 */
#include <string.h>
#include "exchange_inner.h"
#include "log.h"

#define MAX_DROPPED 64 /* answers to nothing within one wait; a device that sends more is not speaking CCID */
#define MAX_STALLS 3   /* within one wait */
#define STALE_MS 700 /* after open: less than the time between two signs of life */
#define LISTEN_MS 100 /* to a key that gives no sign of life while it works */
#define EMPTY_PACKET_MS 100 /* an empty packet that ends a message follows at once */
#define MAX_FAILURES 3 /* of transfers, within one wait */
#define LATER_SIGN_MS 200 /* the times of a firmware are not exact */
#define LOOK_MS 5000 /* nearly every answer has come within, or does not come soon */

/* Counters of one wait, so that no device can keep it busy for the whole patience. */
struct nuisance {
    unsigned dropped, stalls, failures;
    int64_t listen_until_ms; /* an IN transfer has failed: what it should have brought comes again by then, or never */
    int64_t look_ms; /* if nothing has come by then, it may be there all the same, see exchange_has_come() */
};

/* What has waited in the device for the next driver comes at once, and is no sign of life of now. */
static void heard(struct exchange *exchange)
{
    exchange->heard_ms = exchange_now_ms(exchange);
    exchange->silence_ms = 0;
    if (!exchange->inherited || exchange->heard_ms >= exchange->listened_ms + STALE_MS)
        exchange->pending->heard_ms = exchange->heard_ms;
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
enum err exchange_post_in(struct exchange *exchange)
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

/* Seldom: on some buses what has come is lost if it comes just then. */
static int64_t next_look(const struct exchange *exchange)
{
    return exchange_now_ms(exchange) +
           (exchange->sign_of_life_ms ? exchange->sign_of_life_ms + LATER_SIGN_MS : LOOK_MS);
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
    nuisance->look_ms = next_look(exchange);
    const bool found = ccid_find_answer(exchange->in, length, exchange->packet_size, expected, answer);
    record(exchange, length, found ? answer->data - CCID_HEADER : NULL);
    if (!found) {
        if (length >= CCID_HEADER)
            note_stray(exchange, answer);
        exchange->dropped++;
        nuisance->dropped++;
        log_debug(exchange->name, "dropped %zu bytes that answer no command", length);
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
    log_info(exchange->name, "it has stalled when it was to %s a message: clearing that",
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
    exchange->failed_ms = exchange_now_ms(exchange);
    if (nuisance->listen_until_ms == INT64_MAX)
        nuisance->listen_until_ms = exchange_now_ms(exchange) + exchange_silence_ms(exchange);
    return nuisance->failures++ < MAX_FAILURES ? ERR_NONE : ERR_IO;
}

static enum err after_time(const struct exchange *exchange, const struct vigil *vigil, const struct nuisance *nuisance)
{
    const int64_t now = exchange_now_ms(exchange);
    if (now >= vigil_deadline_ms(vigil))
        return ERR_TIMEOUT;
    if (now >= nuisance->listen_until_ms)
        return ERR_IO;
    return now >= first_sign(exchange) ? ERR_DEAD : ERR_NONE; /* else it was time to look */
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

void exchange_take_back_in(struct exchange *exchange)
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
        exchange_take_back_in(exchange);
}

/* An OUT transfer may be under way; what becomes of it is the caller's. */
enum err exchange_await(struct exchange *exchange, const struct ccid_expectation *expected, struct vigil *vigil,
                        struct ccid_answer *answer)
{
    struct nuisance nuisance = { .listen_until_ms = INT64_MAX, .look_ms = next_look(exchange) };
    enum err err;
    do {
        err = exchange_post_in(exchange);
        if (err != ERR_NONE)
            return err == ERR_GONE ? ERR_GONE : ERR_IO;
        const int64_t limit = earlier(vigil_deadline_ms(vigil), earlier(nuisance.listen_until_ms, first_sign(exchange)));
        const struct usb_news news = usb_wait(exchange->port, earlier(limit, nuisance.look_ms));
        if (news.event == USB_RECEIVED &&
            examine(exchange, received(exchange, news.length), expected, vigil, &nuisance, answer)) {
            read_empty_packet(exchange);
            return ERR_NONE;
        }
        if (news.event == USB_TIMEOUT && exchange_now_ms(exchange) >= nuisance.look_ms) {
            if (exchange_has_come(exchange, expected, answer))
                return ERR_NONE;
            nuisance.look_ms = INT64_MAX;
        }
        err = after_news(exchange, &news, vigil, &nuisance);
        if (err == ERR_NONE && vigil_deadline_ms(vigil) <= exchange_now_ms(exchange))
            err = ERR_TIMEOUT;
    } while (err == ERR_NONE);
    return err;
}

/* Of a message of full packets all may have come but the empty packet behind it, without which its transfer does not end.
 * What has come of any other message stays, and goes on. */
bool exchange_has_come(struct exchange *exchange, const struct ccid_expectation *expected, struct ccid_answer *answer)
{
    const size_t length = exchange->begun + usb_take_back_in(exchange->port);
    const bool found = length >= CCID_HEADER &&
                       ccid_find_answer(exchange->in, length, exchange->packet_size, expected, answer) &&
                       answer->complete && answer->status != CCID_TIME_EXTENSION;
    exchange->filled = length;
    exchange->begun = !found && length % exchange->packet_size == 0 ? length : 0;
    exchange->torn = length == 0 && !exchange->sign_of_life_ms; /* else silence will tell that it is lost */
    if (!found) {
        (void)exchange_post_in(exchange);
        return false;
    }
    heard(exchange);
    record(exchange, length, answer->data - CCID_HEADER);
    log_info(exchange->name, "it has left out the end of an answer");
    return true;
}
