/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exchange.h - one CCID command and its answer: sequence numbers, time extensions, patience, draining.
 *
 * The only place of the driver that waits, and only as long as the vigil it is given says.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ccid.h"
#include "err.h"
#include "patience.h"
#include "trace.h"
#include "usb.h"

/* All fields belong to exchange.c. */
struct exchange {
    struct usb_port *port;
    uint8_t bulk_in, bulk_out;
    uint16_t packet_size;
    uint8_t slot, sequence;
    uint8_t *in, *out;
    size_t in_size, out_size;
    size_t filled;                /* bytes of in that the last transfers may have brought */
    size_t begun;                 /* of them, of a message that goes on */
    bool one_packet_ends;         /* see struct model */
    bool synchronised;            /* nothing from before this driver is left in the device */
    bool owed;                    /* the answer to a command that was given up is still to come */
    struct ccid_expectation debt; /* which one */
    int64_t heard_ms;             /* when the device was last heard, or should have been for the first time */
    int64_t silence_ms;           /* for so long it had not been heard when a wait ended last */
    struct patience status;       /* of GetSlotStatus and Abort */
    uint32_t bwt_ms;
    bool can_abort;   /* see exchange_abort() */
    bool can_restart; /* SET_CONFIGURATION ends what the device does */
    unsigned restarts; /* since open, that the device has heard */
    enum { RESTARTED_NEVER, RESTARTED, RESTART_UNANSWERED } restart; /* by it; PINs may be verified from before */
    bool half_aborted; /* an Abort pair was begun and not brought to its end */
    unsigned dropped; /* answers that belonged to no command, since open */
    struct trace *trace; /* NULL: nobody is told */
};

/* max_message: the longest message either way, in bytes. ERR_NO_MEMORY. */
enum err exchange_open(struct exchange *exchange, struct usb_port *port, const struct usb_identity *identity,
                       size_t max_message);
void exchange_close(struct exchange *exchange);

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
 * Sends a command and waits for its answer. First it waits for an answer that is owed, and drops it. Never sends
 * anything twice. The answer points into the exchange's buffer: valid until the next call or exchange_wipe().
 * ERR_TIMEOUT: the patience has ended; if the command has left, its answer is owed.
 */
enum err exchange_run(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                      struct ccid_answer *answer);

/* Waits for the answer that is owed. ERR_PROTOCOL when none is. */
enum err exchange_collect(struct exchange *exchange, struct vigil *vigil, struct ccid_answer *answer);

/*
 * Ends the command that is owed an answer by the Abort pair, on devices that implement it (can_abort). true: nothing is
 * owed any more. The command itself may still be executed, and its device may not hear others until it has been.
 */
bool exchange_abort(struct exchange *exchange);

/* Overwrites what an answer has left behind; a command is overwritten when it has gone. */
void exchange_wipe(struct exchange *exchange);
