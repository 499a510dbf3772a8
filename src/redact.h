/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * redact.h - what of the CCID traffic with a key anybody may see. Pure: no I/O, no clock, no allocation.
 *
 * Works by permission: a byte is shown only if it is known to be no secret, and everything else is zero.
 *
 *   shown      the header of a message that is what it should be; the ATR; T=1 blocks but I-blocks; CLA INS P1 P2; a
 *              SELECT with its AID; answers to GET DATA as objects.h says; the status word, from the last part only
 *   length     of other commands that ISO 7816-4/-8/-9 and the OpenPGP card know, and of their answers
 *   nothing    of VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER, and of every command that is not known: neither
 *              the data nor its length. Nor of a message that answers nothing, nor the EDC of an I-block: the LRC is
 *              the XOR of a PIN
 *
 * A part of a command or an answer (T=1 block, CCID part, GET RESPONSE) is treated as its first part was. Cards with a
 * CRC instead of an LRC are not understood: of their answers no data is shown.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ccid.h"
#include "objects.h"

#define REDACT_MAX 4096 /* bytes of a message that are shown at most; none of the keys sends a longer one */

enum sight {
    SIGHT_NOTHING, /* not even the length */
    SIGHT_LENGTH,
    SIGHT_DATA,
};

/* All fields belong to redact.c. */
struct redactor {
    enum ccid_level level;
    bool names;
    /* the last message that was sent */
    uint8_t type, sequence; /* type 0: no answer is due */
    /* the command under way */
    uint8_t header[4];  /* CLA INS P1 P2 */
    size_t part_length; /* of its last part */
    bool part_first;    /* which is the first, too */
    uint8_t hidden[4];  /* the header of the last command of which nothing is shown */
    enum sight sight;
    bool answers_data; /* its answer can have more than a status word */
    bool first_answer; /* no part of its answer has come */
    bool more_promised;
    bool selecting, selected; /* the OpenPGP application */
    struct gate gate;
    /* T=1: our last I-block, and the card's */
    bool block_sent, block_first, block_chained, block_received;
    unsigned sent_ns, received_ns;
};

/* One key. names: see gate_open(). */
void redact_init(struct redactor *redactor, enum ccid_level level, bool names);

/* A message as it may be seen. */
struct redacted {
    size_t length;   /* bytes in shown, at most REDACT_MAX */
    size_t original; /* the length to be told: that of the message, or another where that is not to be known */
    bool begins;     /* a command */
};

/* Each message to the key and from it, in the order in which they pass. Writes what may be seen of it to shown, and
 * never any other byte. */
struct redacted redact_sent(struct redactor *redactor, const uint8_t *message, size_t length,
                            uint8_t shown[REDACT_MAX]);
struct redacted redact_received(struct redactor *redactor, const uint8_t *message, size_t length,
                                uint8_t shown[REDACT_MAX]);
