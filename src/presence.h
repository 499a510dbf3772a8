/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * presence.h - what pcscd is told about the presence of the card, and the polling that tells it at once.
 *
 * The card in a key is never removed, so presence is known without asking the key: it changes only when the key is
 * unplugged, when another program lets go of it, or when the driver had to give the card up. All functions may be
 * called from any thread and none but presence_sleep() waits.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum presence { READER_PRESENT, READER_ABSENT, READER_GONE };

/* All fields belong to presence.c. */
struct presence_state {
    pthread_mutex_t lock; /* of all that follows; never held while waiting */
    bool claimed, gone, away;
    enum { NOTICE_NONE, NOTICE_DUE, NOTICE_SEEN } notice;
    bool poller_known;
    pthread_t poller;
    int wake; /* eventfd, a semaphore: each count ends one poll */
    int work; /* eventfd: the poller has something to do */
};

/* false: out of file descriptors; nothing is left then. */
bool presence_init(struct presence_state *presence);
void presence_destroy(struct presence_state *presence);

/* The key was unplugged. */
void presence_set_gone(struct presence_state *presence);
/* The card has to be powered on again: every program shall learn that its state is gone. */
void presence_set_card_lost(struct presence_state *presence);
/* Whether the interface is ours; until then there is no card. */
void presence_set_claimed(struct presence_state *presence, bool claimed);
bool presence_is_claimed(struct presence_state *presence);

/* Whether no command may be sent to the key, though it is plugged in: there is no card meanwhile. When it has come back it
 * has to be powered on again, and every program shall learn that its state is gone. */
void presence_set_away(struct presence_state *presence, bool away);

/* What to tell pcscd now. */
enum presence presence_now(struct presence_state *presence);

/* The polling function is entered. true: there is something to tell already. */
bool presence_enter_poll(struct presence_state *presence);
/* Sleeps till there is something to tell or a stop (PRESENCE_STOP), something to do (PRESENCE_WORK), or the deadline of
 * presence_clock_ms() (PRESENCE_TIME). One thread at a time. */
enum presence_woken { PRESENCE_TIME, PRESENCE_STOP, PRESENCE_WORK };
enum presence_woken presence_sleep(struct presence_state *presence, int64_t deadline_ms);
int64_t presence_clock_ms(void);
/* Ends exactly one sleep: the one that goes on, or else the next. */
void presence_wake(struct presence_state *presence);

/* Whether the next sleep will end at once for a stop. */
bool presence_stop_is_due(struct presence_state *presence);

/* There is something for the poller to do. */
void presence_set_work(struct presence_state *presence);
