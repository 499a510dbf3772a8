/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader_inner.h - what reader.c and reader_poll.c have of each other; nobody else includes it. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "card.h"
#include "exchange.h"
#include "patience.h"
#include "presence.h"
#include "progress.h"
#include "reader.h"
#include "reader_file.h"
#include "trace.h"

struct reader {
    unsigned long lun;
    unsigned references; /* under table_lock */
    struct usb_place place;
    struct usb_identity identity;
    struct ccid_class class;
    const struct model *model;
    char name[96]; /* for the log, see log.h */
    struct patience_table patience;

    pthread_mutex_t lock; /* port, exchange and card: one call at a time; see reader_take() */
    atomic_uint wanted;   /* so many threads wait for the lock, or have it, for a call of pcscd's */
    atomic_bool asked_for_poll; /* see reader_first_asked_for_poll() */
    atomic_bool collecting; /* the poller has the lock, and waits for what is pending */
    struct usb_port *port;
    struct exchange exchange;
    struct card card;
    struct progress progress;
    struct trace trace;
    int64_t opened_ms;
    bool opening; /* until the first power on has ended */
    bool usable;  /* the last power on has succeeded */
    bool busy_at_open; /* with a command from before, which must be read to its end first */
    atomic_bool silent; /* the last power on had no answer, and nothing has had one since */
    enum err failures[2]; /* the last one of a command, and of a power on; ERR_NONE: one has succeeded since */
    enum reader_state state;       /* as told in its file */
    atomic_llong held_until_ms;    /* of presence_clock_ms(); 0: it is not held back */

    struct presence_state presence;
};

/* The lock of port, exchange and card, for a call of pcscd's: the poller gives way at once. */
void reader_take(struct reader *reader);
void reader_give(struct reader *reader);

/* Draws the consequences of an error for everybody else who looks at the reader. Returns err. */
enum err reader_note(struct reader *reader, enum err err);

/* ERR_NONE, ERR_BUSY, or why the key is of no use. */
enum err reader_claim(struct reader *reader);

/* Whether somebody has to go on reading: some firmware loses an answer otherwise, or its life. Under the lock. */
bool reader_must_be_read(const struct reader *reader);

/* Tells pcscd and, in the file of the key, everybody how it is now; of one that is held back the log tells as well. Under
 * the lock. */
void reader_tell_state(struct reader *reader);
