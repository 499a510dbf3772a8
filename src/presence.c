/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * presence.c - what pcscd is told about the presence of the card, and the polling that tells it at once.
 *
 * Theory of operation: how every client learns that the driver had to give the card up
 *
 *   NOTICE_NONE --card lost--> NOTICE_DUE --the polling thread was told "absent"--> NOTICE_SEEN
 *        ^                                                                              |
 *        +----------------------- the polling function is entered again ----------------+
 *
 * While it is not NONE presence says "absent" and the polling function returns at once. Only pcscd's event thread
 * counts, the one that polls: it tells all clients (SCARD_W_REMOVED_CARD) and powers the card on again.
 */
#include "presence.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

bool presence_init(struct presence_state *presence)
{
    *presence = (struct presence_state){ .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE), .work = -1 };
    if (presence->wake >= 0)
        presence->work = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (presence->work < 0) {
        if (presence->wake >= 0)
            close(presence->wake);
        return false;
    }
    pthread_mutex_init(&presence->lock, NULL);
    return true;
}

void presence_destroy(struct presence_state *presence)
{
    close(presence->wake);
    close(presence->work);
    pthread_mutex_destroy(&presence->lock);
}

/* ---- what happens to a key ---- */

void presence_set_gone(struct presence_state *presence)
{
    pthread_mutex_lock(&presence->lock);
    presence->gone = true;
    pthread_mutex_unlock(&presence->lock);
    presence_wake(presence);
}

void presence_set_card_lost(struct presence_state *presence)
{
    pthread_mutex_lock(&presence->lock);
    presence->notice = NOTICE_DUE;
    pthread_mutex_unlock(&presence->lock);
    presence_wake(presence);
}

void presence_set_away(struct presence_state *presence, bool away)
{
    pthread_mutex_lock(&presence->lock);
    const bool changed = presence->away != away;
    presence->away = away;
    if (changed && away)
        presence->notice = NOTICE_DUE; /* also if it is back before anybody looks */
    pthread_mutex_unlock(&presence->lock);
    if (changed)
        presence_wake(presence);
}

void presence_set_claimed(struct presence_state *presence, bool claimed)
{
    pthread_mutex_lock(&presence->lock);
    presence->claimed = claimed;
    pthread_mutex_unlock(&presence->lock);
}

bool presence_is_claimed(struct presence_state *presence)
{
    pthread_mutex_lock(&presence->lock);
    const bool claimed = presence->claimed;
    pthread_mutex_unlock(&presence->lock);
    return claimed;
}

/* ---- what pcscd is told ---- */

enum presence presence_now(struct presence_state *presence)
{
    enum presence now = READER_PRESENT;
    pthread_mutex_lock(&presence->lock);
    if (presence->gone)
        now = READER_GONE;
    else if (!presence->claimed || presence->away || presence->notice != NOTICE_NONE)
        now = READER_ABSENT;
    if (presence->notice == NOTICE_DUE && presence->poller_known && pthread_equal(presence->poller, pthread_self()))
        presence->notice = NOTICE_SEEN;
    pthread_mutex_unlock(&presence->lock);
    return now;
}

bool presence_enter_poll(struct presence_state *presence)
{
    pthread_mutex_lock(&presence->lock);
    presence->poller = pthread_self();
    presence->poller_known = true;
    const bool news = presence->gone || presence->notice != NOTICE_NONE;
    if (presence->notice == NOTICE_SEEN)
        presence->notice = NOTICE_NONE;
    pthread_mutex_unlock(&presence->lock);
    return news;
}

int64_t presence_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool take_count(int event)
{
    uint64_t count;
    return read(event, &count, sizeof count) == (ssize_t)sizeof count;
}

enum presence_woken presence_sleep(struct presence_state *presence, int64_t deadline_ms)
{
    struct pollfd events[] = { { .fd = presence->wake, .events = POLLIN }, { .fd = presence->work, .events = POLLIN } };
    const int64_t left = deadline_ms - presence_clock_ms();
    if (poll(events, 2, left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left) <= 0)
        return PRESENCE_TIME;
    if (take_count(presence->wake))
        return PRESENCE_STOP;
    return take_count(presence->work) ? PRESENCE_WORK : PRESENCE_TIME;
}

void presence_set_work(struct presence_state *presence)
{
    const uint64_t one = 1;
    if (write(presence->work, &one, sizeof one) < 0) {
        /* It is set. */
    }
}

bool presence_stop_is_due(struct presence_state *presence)
{
    struct pollfd wake = { .fd = presence->wake, .events = POLLIN };
    return poll(&wake, 1, 0) > 0;
}

void presence_wake(struct presence_state *presence)
{
    const uint64_t one = 1;
    if (write(presence->wake, &one, sizeof one) < 0) {
        /* The counter is full: the poller is awake for a long time to come. */
    }
}
