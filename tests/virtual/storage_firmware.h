/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_firmware.h - what the parts of the Storage's firmware share.
 *
 *   storage.c       endpoints and control requests: what the host sees
 *   storage_task.c  the task that serves CCID: takes a message, has it executed, writes the answer
 *   storage_ccid.c  CCID's commands: the message becomes the answer
 *   storage_hid.c   HID's commands for the card, and the two locks that keep CCID and HID apart
 */
#pragma once
#include <string.h>
#include "mass_storage.h"
#include "storage.h"

#define STORAGE_MS INT64_C(1000)
#define STORAGE_SECOND (1000 * STORAGE_MS)
#define STORAGE_HEADER 10
#define STORAGE_ANSWER_MAX 300 /* more than any answer of the card */
#define STORAGE_MESSAGE_MAX (STORAGE_HEADER + STORAGE_ANSWER_MAX)

/* What differs between versions; storage_task.c has the table. */
struct storage_traits {
    size_t buffer;                /* CCID_MAX_XFER_LENGTH: a request of so many bytes is too long */
    int64_t startup_us;           /* from the enumeration to the interrupt message; nothing is served meanwhile */
    int64_t answer_patience_us;   /* how long it waits in all for the host to read its answer, and then goes on */
    int64_t lock_poll_us;         /* how often it looks whether HID has done with the card; 0: all the time */
    bool gathers_packets;         /* a message is what comes until nothing more comes for 1 ms, not one packet */
    bool power_on_resets;         /* also a card that is active */
    bool counts_blocks;           /* of the host, so that HID goes on with its N(S) */
    bool dispatches_answers;      /* the answer just sent is taken for a message once more */
};

/* One packet on its way. The controller has one bank an endpoint. */
struct storage_bank {
    bool full;
    size_t length;
    uint8_t bytes[DEVICE_PACKET_MAX];
};

enum storage_stage {
    STORAGE_STARTING,          /* powers the card on for itself */
    STORAGE_LOOKING,           /* is there a packet? */
    STORAGE_ANNOUNCING,        /* waits before the interrupt message */
    STORAGE_GATHERING,         /* has a packet; comes there another? */
    STORAGE_WAITING_FOR_HID,   /* has a message; HID has the card */
    STORAGE_POWERING,          /* IccPowerOn: the card's reset comes at the end of the stage */
    STORAGE_POWERED,           /* ... and after it a pause */
    STORAGE_LISTENING_TO_CARD, /* XfrBlock: no byte has come */
    STORAGE_HEARING_CARD,      /* ... the block is over when nothing comes for 5 ms */
    STORAGE_WRITING,           /* has an answer; is the IN bank free? */
    STORAGE_DRAINING,          /* has written the answer; does the host read it? */
};

enum storage_hid_stage { HID_IDLE, HID_WANTS_CARD, HID_LISTENING, HID_HEARING, HID_RELEASING };

struct storage_hid {
    enum storage_hid_stage stage;
    int64_t until_us;      /* when the stage ends; HID_LISTENING: when the card is given up */
    int64_t lock_until_us; /* CCID keeps off the card */
    uint8_t ns;            /* N(S) of its next I-block */
    unsigned tries;        /* of the block that waits for its answer */
    unsigned due;          /* commands that wait, with the one that runs */
    bool reset_due;        /* one that powers the card off and on */
    uint8_t apdu[32], block[STORAGE_ANSWER_MAX];
    size_t apdu_len, block_len, got;
};

struct storage {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    const struct storage_traits *traits;
    int64_t first_byte_limit_us;
    struct mass_storage disk;
    struct storage_disturbances disturbances;
    struct storage_bank out, in, interrupt;
    struct storage_hid hid;

    enum storage_stage stage;
    int64_t until_us;           /* when the stage ends; LISTENING_TO_CARD: when the card is given up */
    int64_t lock_until_us;      /* HID keeps off the card */
    bool card_active;           /* as GetSlotStatus says: CCID has powered it on */
    bool announced;
    bool dispatching_answer;    /* traits->dispatches_answers: what runs is nobody's command */
    bool repeating;             /* ANSWER_REPEATED: the answer follows the one before it */
    unsigned tries;             /* POWERING: that have failed */
    uint8_t atr[33], atr_len;   /* of the last reset */
    uint8_t message[STORAGE_MESSAGE_MAX]; /* the request, then the answer */
    uint8_t heard[STORAGE_ANSWER_MAX]; /* HEARING_CARD: what the card has said */
    size_t heard_len;
    size_t data_len;            /* of the answer, beyond its header; of the request while it is gathered: all bytes */
    uint8_t previous[STORAGE_MESSAGE_MAX]; /* the last answer, for the host that is to get it twice */
    size_t previous_len;
};

/* ---- storage_task.c ---- */

void storage_task_start(struct storage *storage);
/* One step of what is due; false: nothing is. */
bool storage_task_step(struct storage *storage);
int64_t storage_task_next_us(const struct storage *storage);
bool storage_task_is_idle(const struct storage *storage);
/* The command is executed, the answer is in message. */
void storage_task_answer(struct storage *storage);

/* Resets the card and keeps its ATR. false: it is mute. */
bool storage_reset_card(struct storage *storage);

/* Powers the card on, as often as it takes; the stages end in storage_ccid_powered_on(). */
void storage_task_power_on(struct storage *storage);
/* Waits before the answer to IccPowerOn. */
void storage_task_pause(struct storage *storage);
/* The first byte of what the card says has come. */
void storage_task_hear_card(struct storage *storage);
/* Sends a block to the card and listens; ends in storage_ccid_card_answered(). */
void storage_task_send_block(struct storage *storage, const uint8_t *block, size_t length);

/* ---- storage_ccid.c ---- */

/* Executes the message. What takes time ends in one of the functions below. */
void storage_ccid_run(struct storage *storage);
void storage_ccid_powered_on(struct storage *storage, bool active);
void storage_ccid_paused(struct storage *storage);
void storage_ccid_card_answered(struct storage *storage, const uint8_t *block, size_t length);

/* ---- storage_hid.c ---- */

void storage_hid_command(struct storage *storage, const uint8_t *apdu, size_t length);
/* A command that powers the card off and on. */
void storage_hid_reset(struct storage *storage);
bool storage_hid_step(struct storage *storage);
int64_t storage_hid_next_us(const struct storage *storage);
/* The card's line: what it says goes to who listens. false: nothing is said, or nobody listens. */
bool storage_line_step(struct storage *storage);
