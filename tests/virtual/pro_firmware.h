/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pro_firmware.h - the state of the Pro's firmware, which pro.c (USB) and pro_commands.c (CCID and the card) share. */
#pragma once
#include "pro.h"

#define PRO_HEADER 10
#define PRO_PACKET 64
#define PRO_BUFFER 352          /* UsbMessageBuffer */
#define PRO_LONGEST_REQUEST 281 /* what is longer is taken and refused */
#define PRO_LONGEST_ANSWER 302  /* what is longer is cut */

/* Where the one message stands; an OUT packet and the end of an IN packet go by this alone. */
enum pro_message { BEGINNING, CONTINUED, COMPLETE, SENDING };

/* What holds the main loop up. */
enum pro_work { AT_LEISURE, POWERING, LISTENING_TO_CARD, HEARING_CARD };

struct pro {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    struct pro_options options;
    const uint8_t *hid_descriptor; /* in the configuration; NULL: there is no HID interface */
    uint8_t hid_interface, hid_protocol;

    /* the endpoints, as the USB controller has them */
    uint8_t in_memory[PRO_PACKET];
    size_t in_count;
    bool in_valid, out_valid, notification_valid;
    bool in_is_old; /* nothing but what a bus reset has left is in the endpoint */

    /* the message: a request, then its answer, in the same buffer and with the same variables */
    enum pro_message state;
    uint8_t message[PRO_BUFFER];
    size_t at; /* where the next packet is put or taken */
    int left;  /* bytes that are still to come or to go; below zero: there were too many */

    /* the main loop */
    enum pro_work work;
    int64_t until_us;  /* POWERING, HEARING_CARD: when it ends; LISTENING_TO_CARD: when the card is given up */
    size_t received;   /* from the card; it survives the command, as an uninitialised variable on the stack does */
    int late_byte;     /* in the receiver of the line to the card though no command listened; -1: none */
    uint8_t parameters[7];
    bool presence_due, sibling_reset_due;

    /* the fault that repeats an answer */
    uint8_t previous[PRO_BUFFER];
    size_t previous_len, repeated; /* how much of the previous answer has been sent again */
    bool repeating;
};

/* pro.c: the answer is in the buffer, with its length in its header. */
void pro_answer(struct pro *pro);

/* pro_commands.c: executes the request, or begins to. */
void pro_execute(struct pro *pro);
/* What the main loop does next while a command keeps it. false: nothing is due. */
bool pro_work_on(struct pro *pro);
int64_t pro_next_work_us(const struct pro *pro);
