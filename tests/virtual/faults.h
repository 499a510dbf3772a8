/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* faults.h - what a test can make go wrong at the USB side of a virtual key, whatever its firmware. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is wrong with an answer (a CCID message, CCID 1.1 §6.2) on its way to the host. */
enum answer_fault {
    ANSWER_RIGHT,
    ANSWER_WRONG_SEQUENCE, /* another bSeq */
    ANSWER_WRONG_SLOT,     /* another bSlot */
    ANSWER_WRONG_TYPE,     /* bMessageType of another kind of answer */
    ANSWER_TOO_LONG,       /* dwLength says 16 bytes more than there are */
    ANSWER_TOO_SHORT,      /* dwLength says one byte less than there are; an answer without data stays right */
    ANSWER_CUT,            /* half of the data is missing, or half of the header if there are none */
    ANSWER_SWALLOWED,      /* it is never sent; the firmware goes on as if it had been read */
    ANSWER_REPEATED,       /* the answer before this one is sent once more, then this one */
};

/* What is wrong with the configuration descriptor. */
enum descriptor_fault {
    DESCRIPTORS_RIGHT,
    DESCRIPTORS_CLASS_CUT,     /* the CCID class descriptor has lost its last 10 bytes; all else is consistent */
    DESCRIPTORS_CLASS_GARBAGE, /* all its values are FFh */
    DESCRIPTORS_TOTAL_LONG,    /* wTotalLength counts 25 bytes that do not come */
    DESCRIPTORS_TOTAL_SHORT,   /* wTotalLength ends within the last descriptor */
    DESCRIPTORS_NEVER_END,     /* the second descriptor says bLength 0 */
};

/* What happens to one packet between host and device. */
enum packet_fault_kind {
    PACKET_RIGHT,
    PACKET_LOST,           /* it does not arrive, and the host sees a transaction error; what the device had to give, it
                              keeps, and it is not asked whether it was ready */
    PACKET_UNACKNOWLEDGED, /* the device has it, or has given it away, but the host sees a transaction error */
    PACKET_BABBLE,         /* IN only: the device sends more bytes than it may; the packet is gone */
    PACKET_HALTED,         /* in its place the endpoint is halted; what the device had to give is gone. A control
                              request is refused */
    PACKET_NO_ZLP,         /* it is an empty one, and is left out */
    PACKET_NAKED,          /* NAK for a time, then it moves */
    PACKET_PAUSED,         /* before it moves, every endpoint answers NAK, until faults.paused is taken back */
};

struct packet_fault {
    enum packet_fault_kind kind;
    uint8_t endpoint;               /* its address; 0: control transfers, each of which counts as one packet */
    unsigned nth;                   /* of those that move there from now on, the next is the 1st; PACKET_NO_ZLP: of the
                                       empty ones */
    int64_t naked_us;               /* how long, PACKET_NAKED */
    void (*struck)(void *context);  /* called when it happens, in the middle of a transfer; NULL: nobody */
    void *context;
};

struct faults {
    enum answer_fault answer;
    unsigned answers;                  /* to so many of the next answers */
    enum descriptor_fault descriptors;
    bool frozen;                       /* every endpoint answers NAK; the card works on */
    struct packet_fault packet;        /* PACKET_RIGHT as soon as it has happened */
    unsigned packets_struck;           /* so many have happened */
    bool paused;                       /* as frozen, by PACKET_PAUSED */
    uint8_t naked_endpoint;            /* answers NAK until then, by PACKET_NAKED */
    int64_t naked_until_us;
    bool cancels_unreported;           /* a cancelled transfer says that nothing has moved, as by USB/IP's RET_UNLINK */
};

/* Takes one fault off the account: what is wrong with the answer that is now ready. */
enum answer_fault faults_next_answer(struct faults *faults);

/* The packet fault that is due at this endpoint: the next packet there is the one; PACKET_RIGHT: none. */
enum packet_fault_kind faults_packet_due(const struct faults *faults, uint8_t endpoint);

/* It happens. */
void faults_strike_packet(struct faults *faults, int64_t now_us);

/* A packet has moved at this endpoint as it should. */
void faults_count_packet(struct faults *faults, uint8_t endpoint, bool empty);

/* Spoils the answer of length bytes (at least a header of 10); returns how many of them are sent. */
size_t faults_spoil_answer(enum answer_fault fault, uint8_t *message, size_t length);

/* Spoils a configuration descriptor in place; returns its new length. */
size_t faults_spoil_configuration(enum descriptor_fault fault, uint8_t *bytes, size_t length);
