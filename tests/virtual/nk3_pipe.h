/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nk3_pipe.h - the state of the CCID class of a Nitrokey 3: messages in packets, commands and answers in parts, time
 * extensions, the Abort pair.
 *
 *   IDLE --XfrBlock--> PROCESSING --answer--> IDLE, or SENDING if it is longer than one packet
 *   IDLE --XfrBlock, chain 1--> RECEIVING --chain 3--> RECEIVING --chain 2--> PROCESSING
 *   SENDING --XfrBlock, chain 10h--> SENDING, IDLE after the last part
 *
 * What was read: trussed-dev/usbd-ccid 0.1.0, 0.2.0, 0.3.0 (pipe.rs: Pipe), and in the firmware runtime.rs (poll_usb,
 * ccid_keepalive). 0.3.0 answers what breaks these rules with reset_state(): IDLE, and the request is disowned. Before
 * that it was a panic in the USB interrupt: nothing is answered any more.
 *
 * One packet waits in the endpoint for the host, one more in the outbox behind it. Whatever finds the outbox full ends
 * PROCESSING. A packet of 64 bytes leaves an empty one in the outbox.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "device.h"
#include "nk3_dispatcher.h"

#define NK3_PACKET 64
#define NK3_MESSAGE_MAX 3072

enum nk3_class { NK3_CCID_0_1, NK3_CCID_0_2, NK3_CCID_0_3 }; /* version of usbd-ccid */

enum nk3_state { NK3_IDLE, NK3_RECEIVING, NK3_PROCESSING, NK3_SENDING };

struct nk3_packet {
    uint8_t bytes[NK3_PACKET];
    size_t length;
    bool full; /* there is one, perhaps of no bytes */
};

struct nk3_pipe {
    struct device *device; /* whose clock, identity and faults these are */
    enum nk3_class class;
    enum nk3_state state;
    uint8_t sequence;     /* of the message that was heard last: all answers bear it */
    int64_t extension_us; /* when the timer of the extensions ends next */
    uint8_t message[NK3_MESSAGE_MAX];
    size_t received, missing;
    bool receiving_long; /* more packets of the message are to come */
    size_t sent;         /* of the answer */
    struct nk3_packet endpoint, outbox;
    int bulk_abort, control_abort; /* bSeq of half an Abort pair, or NK3_NO_ABORT */
    struct nk3_dispatcher dispatcher;
};
#define NK3_NO_ABORT (-1)

/* Power on: nothing is known. */
void nk3_pipe_reset(struct nk3_pipe *pipe);

/* A packet from the host. */
void nk3_pipe_hear(struct nk3_pipe *pipe, const uint8_t *packet, size_t length);

/* The host breaks a rule: usbd-ccid 0.3 forgets the exchange, those before panic. */
void nk3_pipe_break_off(struct nk3_pipe *pipe);

/* The control request ABORT; it panics before 0.2. */
void nk3_pipe_expect_abort(struct nk3_pipe *pipe, uint8_t slot, uint8_t sequence);

/* The outbox moves up into an empty endpoint. */
void nk3_pipe_fill_endpoint(struct nk3_pipe *pipe);

/* Lets happen what is due; when something will be. */
void nk3_pipe_advance(struct nk3_pipe *pipe);
int64_t nk3_pipe_next_us(const struct nk3_pipe *pipe);
