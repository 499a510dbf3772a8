/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnuk_apdu.h - what Gnuk's USB side knows of messages and APDUs: it takes a message apart as its packets come, joins
 * the parts of a chain (ISO 7816-4 §5.3.3), and cuts answers for GET RESPONSE (§5.3.4). The application gets whole
 * commands and gives whole answers.
 *
 *   WAIT --chained part--> CHAIN --last part--> RUNS --answer fits Le----------> RESULT --it was read--> WAIT
 *   WAIT --command----------------------------> RUNS --it does not--> REST --GET RESPONSE of the last byte--> RESULT
 *
 * One buffer holds the data of the command and then those of the answer. A header whose data never come finds there
 * what the command before has left, and is executed with it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GNUK_HEADER 10
#define GNUK_PACKET 64
#define GNUK_COMMAND_MAX 540 /* bytes of data */
#define GNUK_APDU_MAX (7 + GNUK_COMMAND_MAX + 2)
#define GNUK_ANSWER_MAX (GNUK_COMMAND_MAX + 2)

enum gnuk_apdu_state { APDU_WAIT, APDU_CHAIN, APDU_RUNS, APDU_RESULT, APDU_REST };

enum gnuk_part { PART_HEADER, PART_HEAD, PART_DATA, PART_OTHER, PART_SURPLUS };

struct gnuk_apdu {
    /* the message that comes; of its last part, count bytes have come */
    uint8_t header[GNUK_HEADER];
    enum gnuk_part part;
    size_t count;
    bool failed; /* its lengths are wrong */
    /* the command, or what is left of an answer */
    enum gnuk_apdu_state state;
    uint8_t sequence; /* bSeq of its answer */
    uint8_t head[5];  /* CLA INS P1 P2 Lc */
    uint8_t chained[4];
    size_t length, expected; /* Nc, Ne */
    uint8_t bytes[GNUK_COMMAND_MAX];
    size_t at, room; /* where the next data come into bytes, or the next part of the answer begins; how much */
};

/* The answer to an XfrBlock that needs no application. */
struct gnuk_reply {
    size_t begins, length; /* in bytes of struct gnuk_apdu */
    uint16_t status_word;
};

/* Forgets a chain and an answer; the buffer keeps what is in it. */
void gnuk_apdu_reset(struct gnuk_apdu *apdu);

/* The next message may come. */
void gnuk_apdu_expect(struct gnuk_apdu *apdu);
/* Takes one packet. true: the message is over. */
bool gnuk_apdu_take(struct gnuk_apdu *apdu, const uint8_t *packet, size_t length);

/* An XfrBlock has come whole. true: the application is to execute what gnuk_apdu_command() says; false: *reply. */
bool gnuk_apdu_begin(struct gnuk_apdu *apdu, struct gnuk_reply *reply);
/* Writes the command as an APDU, an extended one if it must be; returns its length. */
size_t gnuk_apdu_command(const struct gnuk_apdu *apdu, uint8_t bytes[GNUK_APDU_MAX]);
/* The application has answered: data and status word. */
struct gnuk_reply gnuk_apdu_end(struct gnuk_apdu *apdu, const uint8_t *answer, size_t length);

/* The host has read a message. true: the next message may come. */
bool gnuk_apdu_read(struct gnuk_apdu *apdu);
