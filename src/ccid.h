/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ccid.h - CCID 1.1 messages and the class descriptor, bytes <-> structs. Pure: no I/O, no allocation. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

#define CCID_HEADER 10           /* bytes before abData, CCID 1.1 §6.1 and §6.2 */
#define CCID_INTERFACE_CLASS 0x0b
#define CCID_DESCRIPTOR_LENGTH 54
#define CCID_MINIMUM_MESSAGE 271 /* the least dwMaxCCIDMessageLength of a TPDU or short APDU device */

enum ccid_type { /* bMessageType */
    CCID_ICC_POWER_ON = 0x62,
    CCID_ICC_POWER_OFF = 0x63,
    CCID_GET_SLOT_STATUS = 0x65,
    CCID_XFR_BLOCK = 0x6f,
    CCID_ABORT = 0x72,
    CCID_DATA_BLOCK = 0x80,
    CCID_SLOT_STATUS = 0x81,
};

enum ccid_level { CCID_CHARACTER, CCID_TPDU, CCID_SHORT_APDU, CCID_EXTENDED_APDU };

/* What the class descriptor says, as far as the driver asks it. CCID 1.1 table 5.1-1. */
struct ccid_class {
    enum ccid_level level;
    uint32_t protocols;   /* bit 0: T=0, bit 1: T=1 */
    uint32_t clock_khz;   /* dwDefaultClock */
    uint32_t max_message; /* dwMaxCCIDMessageLength, as it stands */
    uint32_t max_ifsd;
};

/* ERR_NOT_CCID when the bytes are no CCID class descriptor. */
enum err ccid_parse_class(const uint8_t *bytes, size_t length, struct ccid_class *class);

/* A command; the bytes 7 to 9 of its header mean something else in every message type. */
struct ccid_command {
    enum ccid_type type;
    uint8_t parameter[3];
    const uint8_t *data; /* may be NULL when length is 0 */
    size_t length;
};

/* The type of the answer to a command, CCID 1.1 table 6.2-1. */
enum ccid_type ccid_answer_type(enum ccid_type command);

/* Writes header and data; returns the message's length, 0 when it does not fit the capacity. */
size_t ccid_write(uint8_t *message, size_t capacity, uint8_t slot, uint8_t sequence,
                  const struct ccid_command *command);

enum ccid_status { /* bmCommandStatus, CCID 1.1 table 6.2-3 */
    CCID_OK = 0,
    CCID_FAILED = 1,
    CCID_TIME_EXTENSION = 2,
    CCID_RESERVED = 3,
};

/* An answer: a checked view of the buffer it was found in. */
struct ccid_answer {
    uint8_t type, slot, sequence;
    enum ccid_status status;
    bool powered;      /* bmICCStatus: the card is present and active */
    uint8_t error;     /* bError: a code when CCID_FAILED, a multiplier of the waiting time when CCID_TIME_EXTENSION */
    uint8_t parameter; /* bChainParameter, bClockStatus */
    bool complete;     /* false: it says that it is longer than it is; data is what came */
    const uint8_t *data;
    size_t length;
};

/* wLevelParameter, CCID 1.1 §6.1.4; bChainParameter is its low byte, §6.2.1. */
enum ccid_chain {
    CCID_CHAIN_WHOLE = 0,
    CCID_CHAIN_BEGINS = 1,
    CCID_CHAIN_ENDS = 2,
    CCID_CHAIN_GOES_ON = 3,
    CCID_CHAIN_SEND_ME_MORE = 0x10,
};
/* How long the message is that begins with these CCID_HEADER bytes, by its dwLength; not yet believed. */
uint64_t ccid_message_length(const uint8_t header[CCID_HEADER]);

/* Whether more messages of an answer follow this one, CCID 1.1 §6.2.1. */
bool ccid_goes_on(const struct ccid_answer *answer);

/* What an answer must bear to belong to a command. */
struct ccid_expectation {
    enum ccid_type type;
    uint8_t slot, sequence;
    bool any_sequence; /* the command was another process's */
};

/*
 * Looks in what one transfer brought for the answer that is expected. An answer has the slot and the sequence
 * number of its command and the type that belongs to it; firmwares answer with another type when they fail.
 * A stale full packet may stand before the answer in the same transfer: then the answer begins at a multiple of
 * packet_size and must end where the transfer ends. Returns false when it is not there.
 */
bool ccid_find_answer(const uint8_t *bytes, size_t length, size_t packet_size,
                      const struct ccid_expectation *expected, struct ccid_answer *answer);
