/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader_poll.c - who has the key: the calls of pcscd, one at a time, or else its polling thread, which reads what is owed
 * and waits for a holder to let go; and what pcscd and the tools are told of it meanwhile.
 */
#include "log.h"
#include "reader_inner.h"

#define CLAIM_RETRY_MS 1000     /* while another program holds the key; a claim sends nothing */
#define SILENT_ASK_MS 10000     /* a key of which even the transfers fail is asked as often */
#define COLLECT_LEAST_MS 3000   /* to listen for less would tell nothing; a stop or a call ends it all the same */

/* ---- the lock ---- */

/* The poller gives way at once to whoever has been called by pcscd. */
void reader_take(struct reader *reader)
{
    atomic_fetch_add(&reader->wanted, 1);
    if (atomic_load(&reader->collecting))
        usb_interrupt(reader->port);
    pthread_mutex_lock(&reader->lock);
}

/* Some firmware has to be read, or it loses an answer, or its life. */
bool reader_must_be_read(const struct reader *reader)
{
    const struct exchange *const exchange = &reader->exchange;
    if (!reader->model->dies_when_disturbed || exchange->dead || exchange_held_ms(exchange) > 0)
        return false;
    return exchange->inherited || exchange->pending->phase != PENDING_NOTHING;
}

/* Whether the poller has something to do. */
static bool has_work(const struct reader *reader)
{
    return reader_must_be_read(reader) || reader->silent || exchange_owes(&reader->exchange);
}

static enum reader_state state_of(const struct reader *reader)
{
    if (reader->exchange.dead)
        return READER_DEAD;
    if (exchange_held_ms(&reader->exchange) > 0)
        return READER_HELD;
    if (exchange_owes(&reader->exchange) || (reader->silent && reader->exchange.inherited))
        return READER_LATE;
    return reader->silent ? READER_SILENT : READER_SERVED;
}

/* Of one to which no command may be sent, or that answers none, there is no card. */
void reader_tell_state(struct reader *reader)
{
    const enum reader_state state = state_of(reader);
    const int64_t held_ms = exchange_held_ms(&reader->exchange);
    reader->busy_at_open = reader->busy_at_open && (state != READER_SERVED || reader_must_be_read(reader));
    presence_set_away(&reader->presence,
                      state == READER_HELD || state == READER_DEAD || reader->silent || reader->busy_at_open);
    if (state == reader->state)
        return;
    reader->state = state;
    atomic_store(&reader->held_until_ms, held_ms > 0 ? presence_clock_ms() + held_ms : 0);
    reader_file_write(reader->identity.bus, reader->identity.address, reader->lun, state, held_ms);
    if (state == READER_HELD)
        log_error(reader->name, "it may be at work for a pcscd that has ended, and a command would make its firmware stop. "
                  "It is shown without a card for %lld min at most; unplug it and plug it in again to use it at once",
                  (long long)(held_ms + 59999) / 60000);
    else if (state == READER_SILENT)
        log_error(reader->name, "no response to power on. It is shown without a card until it answers; unplug it and plug it "
                  "in again if this stays");
}

void reader_give(struct reader *reader)
{
    reader_tell_state(reader);
    const bool work = has_work(reader);
    pthread_mutex_unlock(&reader->lock);
    if (atomic_fetch_sub(&reader->wanted, 1) == 1 && work && presence_is_claimed(&reader->presence))
        presence_set_work(&reader->presence); /* of a key that another program holds nothing can be read */
}

/* ---- presence ---- */

/* Draws the consequences of an error for everybody else who looks at the reader. */
enum err reader_note(struct reader *reader, enum err err)
{
    if (err == ERR_GONE)
        presence_set_gone(&reader->presence);
    else if (err == ERR_CARD_RESET)
        presence_set_card_lost(&reader->presence);
    return err;
}

enum presence reader_presence(struct reader *reader)
{
    return presence_now(&reader->presence);
}

/* ERR_NONE, ERR_BUSY, or why the key is of no use. */
enum err reader_claim(struct reader *reader)
{
    reader_take(reader);
    const enum err err = usb_claim(reader->port);
    reader_give(reader);
    presence_set_claimed(&reader->presence, err == ERR_NONE);
    return reader_note(reader, err);
}

/* Reads what is owed. Where nobody has to, it is only listened to: what follows from silence is for the next command. */
static enum err read_what_is_owed(struct reader *reader, struct vigil *vigil)
{
    struct exchange *const exchange = &reader->exchange;
    if (!reader_must_be_read(reader) && !reader->silent)
        return exchange_listen(exchange, vigil);
    enum err err = exchange_recover(exchange, vigil);
    if (err == ERR_NONE && reader->silent) {
        exchange->synchronised = false; /* or it would not even be asked */
        err = exchange_recover(exchange, vigil);
    }
    reader->silent = reader->silent && err != ERR_NONE;
    return err;
}

static void forget_others(struct reader *reader)
{
    if (pthread_mutex_trylock(&reader->lock) != 0)
        return; /* whoever has the lock waits in libusb */
    usb_forget_others(reader->port);
    pthread_mutex_unlock(&reader->lock);
}

/* Waits for what is pending, until it has come, a stop, a call, or the deadline. */
static void collect(struct reader *reader, int64_t deadline)
{
    if (pthread_mutex_trylock(&reader->lock) != 0)
        return; /* whoever has the lock reads, and tells if something is left */
    struct exchange *const exchange = &reader->exchange;
    const int64_t now = exchange_now_ms(exchange), left = deadline - presence_clock_ms();
    const uint32_t limit = left < COLLECT_LEAST_MS ? COLLECT_LEAST_MS : left > INT32_MAX ? INT32_MAX : (uint32_t)left;
    struct vigil vigil = {
        .class = PATIENCE_STATUS, .patience = { limit, limit }, .begun_ms = now, .heard_ms = now,
    };
    enum err err = ERR_INTERRUPTED;
    atomic_store(&reader->collecting, true);
    exchange->interruptible = true;
    if (atomic_load(&reader->wanted) == 0 && !presence_stop_is_due(&reader->presence) && has_work(reader))
        err = read_what_is_owed(reader, &vigil);
    exchange->interruptible = false;
    atomic_store(&reader->collecting, false);
    reader_tell_state(reader);
    pthread_mutex_unlock(&reader->lock);
    (void)reader_note(reader, err);
}

/* The next moment to do something: one that is held back may be served then. That a holder lets go is not told by anything:
 * a node may stay open without its interface, and a watch on it says "closed" before the kernel has released that. */
static int64_t next_look(struct reader *reader, int64_t deadline)
{
    const int64_t now = presence_clock_ms(), held_until = atomic_load(&reader->held_until_ms);
    int64_t next = held_until > now ? held_until : deadline;
    if (reader->silent)
        next = now + SILENT_ASK_MS;
    if (!presence_is_claimed(&reader->presence))
        next = now + CLAIM_RETRY_MS;
    return next < deadline ? next : deadline;
}

bool reader_first_asked_for_poll(struct reader *reader)
{
    return !atomic_exchange(&reader->asked_for_poll, true);
}

enum err reader_poll(struct reader *reader, int timeout_ms)
{
    const int64_t deadline = presence_clock_ms() + timeout_ms;
    bool done = presence_enter_poll(&reader->presence);
    forget_others(reader); /* pcscd comes here every 10 min at least */
    while (!done) {
        if (!presence_is_claimed(&reader->presence) && reader_claim(reader) == ERR_NONE) {
            log_info(reader->name, "the other program has let go of it: taking it");
            break;
        }
        if (presence_is_claimed(&reader->presence))
            collect(reader, deadline);
        done = presence_sleep(&reader->presence, next_look(reader, deadline)) == PRESENCE_STOP ||
               presence_clock_ms() >= deadline;
    }
    return reader_presence(reader) == READER_GONE ? ERR_GONE : ERR_NONE;
}

void reader_stop_poll(struct reader *reader)
{
    presence_wake(&reader->presence);
    if (atomic_load(&reader->collecting))
        usb_interrupt(reader->port);
}
