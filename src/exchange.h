/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exchange.h - one CCID command and its answer: sequence numbers, time extensions, patience, draining.
 *
 * Nothing else in the driver waits for a message of the key. It waits as long as the vigil says that it is given; only what
 * ends or voids a command that has failed has short limits of its own. Control requests wait in usb.c, see there.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ccid.h"
#include "err.h"
#include "model.h"
#include "patience.h"
#include "pending.h"
#include "trace.h"
#include "usb.h"

/* Others may read what is here. It is written by exchange.c, await.c and recover.c, but for chain and rest of what is
 * pending, which are the levels', and for what the reader sets: interruptible, and after exchange_open() name, status,
 * longest and trace. */
struct exchange {
    struct usb_port *port;
    const char *name;          /* for the log, see log.h */
    const struct model *model; /* see exchange_set_model() */
    struct patience status;    /* of GetSlotStatus and Abort */
    int64_t longest[PATIENCE_CLASSES]; /* the longest that a command of another process may take, ms */
    struct trace *trace;       /* NULL: nobody is told */
    uint8_t bulk_in, bulk_out;
    uint16_t packet_size, bcd_device;
    uint8_t slot, sequence;
    uint8_t *in, *out;
    size_t in_size, out_size;
    size_t filled;                /* bytes of in that the last transfers may have brought */
    size_t begun;                 /* of them, of a message that goes on */
    uint16_t sign_of_life_ms;     /* a device at work is heard at least this often; 0: it may be silent */
    bool torn;                    /* what comes next may be the rest of an answer whose beginning is lost */
    bool one_packet_ends;         /* see struct model */
    bool each_packet_ends;        /* a message is one packet, with an empty one behind it if it is full */
    bool refuses_at_work;         /* it refuses messages while it is at work; a refused one ends a chain of parts */
    bool synchronised;            /* nothing from before this driver is left in the device */
    bool inherited;               /* what is pending is from before this driver */
    bool half_aborted;            /* it refuses everything until it has heard both halves of an Abort pair */
    bool interruptible;           /* usb_interrupt() ends a wait */
    bool dead;                    /* it serves no command until it is unplugged */
    struct pending *pending;      /* never NULL */
    struct pending_store store;
    struct ccid_expectation debt; /* the pending answer */
    int64_t heard_ms;             /* when the device was last heard, or should have been for the first time */
    int64_t failed_ms;            /* when an IN transfer has failed; what it was to bring may be lost */
    int64_t silence_ms;           /* for so long it had not been heard when a wait ended last */
    int64_t first_sign_ms;        /* by then a living device has been heard; 0: nobody knows */
    int64_t listened_ms;          /* since then somebody reads */
    int64_t held_until_ms;        /* ERR_HELD until then: no command can last longer; 0: it is not held back */
    uint32_t bwt_ms;
    unsigned restarts; /* since open, that the device has heard */
    enum { RESTARTED_NEVER, RESTARTED, RESTART_UNANSWERED } restart; /* by it; PINs may be verified from before */
    unsigned dropped; /* answers that belonged to no command, since open */
};

/* max_message: the longest message either way, in bytes. ERR_NO_MEMORY. */
enum err exchange_open(struct exchange *exchange, struct usb_port *port, const struct usb_identity *identity,
                       size_t max_message);

/* What the model does at this exchange level. */
void exchange_set_model(struct exchange *exchange, const struct model *model, enum ccid_level level);

/* The port is closed. unplugged: nothing is pending any more. */
void exchange_close(struct exchange *exchange, bool unplugged);

/* The clock by which vigils on this exchange are kept, see usb_now_ms(). */
int64_t exchange_now_ms(const struct exchange *exchange);

/* The block waiting time, the unit of CCID time extensions. */
void exchange_set_bwt(struct exchange *exchange, uint32_t bwt_ms);

/*
 * Gets rid of what the device may still hold for a driver that is gone (its process was killed in the middle of a
 * command): sends GetSlotStatus, drops everything until its answer. Done by exchange_run() if it was not done before.
 */
enum err exchange_synchronise(struct exchange *exchange, struct vigil *vigil);

/*
 * Sends a command and waits for its answer. First it finds out or ends what is pending. Never sends an XfrBlock twice. The
 * answer points into the exchange's buffer: valid until the next call or exchange_wipe(). ERR_TIMEOUT: the patience has
 * ended; if the command has left, its answer is pending. ERR_IO: a transfer has failed, and what is pending with it is
 * found out by the next call. ERR_HELD: nothing has left. ERR_DEAD: the firmware has stopped, before or with this command.
 */
enum err exchange_run(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                      struct ccid_answer *answer);

/* After open: what another process has left is found out, ended or waited for, as far as the vigil (ERR_TIMEOUT) and the
 * firmware (ERR_HELD, ERR_DEAD) allow, and the device is synchronised. */
enum err exchange_first_contact(struct exchange *exchange, struct vigil *vigil);

/* Finds out or ends what is pending now, as exchange_run() does before an XfrBlock; answers are dropped. */
enum err exchange_recover(struct exchange *exchange, struct vigil *vigil);

/* An answer is pending, and the device has the whole command. */
bool exchange_owes(const struct exchange *exchange);

/* It is known that nothing is pending, so that a control transfer does not meet a device at work. */
bool exchange_at_rest(const struct exchange *exchange);

/* For how long at most, from now, no command may leave (ERR_HELD); 0: it is not held back. */
int64_t exchange_held_ms(const struct exchange *exchange);

/* Waits for the pending answer, which is dropped, and concludes nothing from silence. ERR_TIMEOUT, ERR_INTERRUPTED. */
enum err exchange_listen(struct exchange *exchange, struct vigil *vigil);

/* Waits for the pending answer. ERR_PROTOCOL when there is none; ERR_INTERRUPTED when interruptible. */
enum err exchange_collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer);

/* Ends a chain of parts that the device holds. Not while it is at work. What is late is waited for within the vigil.
 * ERR_CARD_RESET: only the loss of power does. */
enum err exchange_forget_parts(struct exchange *exchange, const struct vigil *vigil);

/* Overwrites what an answer has left behind, unless one is pending: that is written there. A command is overwritten when it
 * has gone. */
void exchange_wipe(struct exchange *exchange);
