/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gnuk_apdu.c - what Gnuk's USB side knows of messages and APDUs: messages taken apart, chains joined, answers cut. */
#include "gnuk_apdu.h"
#include <string.h>

#define CLA_CHAIN 0x10
#define INS_GET_RESPONSE 0xc0
#define XFR_BLOCK 0x6f
#define LONGEST_SHORT 255

static void empty(struct gnuk_apdu *apdu)
{
    apdu->at = 0;
    apdu->room = sizeof apdu->bytes;
    apdu->length = 0;
}

void gnuk_apdu_reset(struct gnuk_apdu *apdu)
{
    empty(apdu);
    apdu->state = APDU_WAIT;
    apdu->expected = 0;
}

/* ---- a message, packet by packet ---- */

static uint32_t said(const struct gnuk_apdu *apdu)
{
    const uint8_t *const dw = apdu->header + 1;
    return (uint32_t)dw[0] | (uint32_t)dw[1] << 8 | (uint32_t)dw[2] << 16 | (uint32_t)dw[3] << 24;
}

void gnuk_apdu_expect(struct gnuk_apdu *apdu)
{
    apdu->part = PART_HEADER;
    apdu->count = 0;
    apdu->failed = false;
}

static bool is_of_the_chain(const struct gnuk_apdu *apdu)
{
    return (apdu->head[0] & ~CLA_CHAIN) == apdu->chained[0] &&
           memcmp(apdu->head + 1, apdu->chained + 1, sizeof apdu->chained - 1) == 0;
}

/* Another command ends a chain, or an answer of which there is more. */
static void leave_what_was_half_done(struct gnuk_apdu *apdu)
{
    const bool another = apdu->state == APDU_CHAIN && !is_of_the_chain(apdu);
    const bool rest = apdu->state == APDU_REST && apdu->head[1] != INS_GET_RESPONSE;
    if (!another && !rest)
        return;
    empty(apdu);
    apdu->state = APDU_WAIT;
}

/* More bytes have come than the part has room for. */
static void begin_next_part(struct gnuk_apdu *apdu)
{
    if (apdu->part == PART_HEADER) {
        apdu->sequence = apdu->header[6];
        apdu->part = apdu->header[0] == XFR_BLOCK ? PART_HEAD : PART_OTHER;
    } else if (apdu->part == PART_HEAD) {
        leave_what_was_half_done(apdu);
        apdu->part = PART_DATA;
    } else {
        apdu->part = PART_SURPLUS;
        apdu->failed = true;
    }
    apdu->count = 0;
}

/* Where the part goes, and how much of it. */
static uint8_t *place(struct gnuk_apdu *apdu, size_t *room)
{
    switch (apdu->part) {
    case PART_HEADER:
        *room = sizeof apdu->header - apdu->count;
        return apdu->header + apdu->count;
    case PART_HEAD:
        *room = sizeof apdu->head - apdu->count;
        return apdu->head + apdu->count;
    case PART_DATA:
    case PART_OTHER:
        *room = apdu->room - apdu->count;
        return apdu->bytes + apdu->at + apdu->count;
    case PART_SURPLUS:
        break;
    }
    *room = 0;
    return NULL;
}

/* The APDU is a header, perhaps with Le. */
static void end_head(struct gnuk_apdu *apdu)
{
    apdu->failed = apdu->count < 4 || apdu->count != said(apdu);
    if (apdu->failed)
        return;
    if (apdu->state == APDU_CHAIN)
        leave_what_was_half_done(apdu);
    apdu->expected = 0;
    if (apdu->count == sizeof apdu->head) {
        apdu->expected = apdu->head[4] ? apdu->head[4] : 256;
        apdu->head[4] = 0;
    }
    apdu->length = 0;
}

/* It has data, and perhaps Le. */
static void end_data(struct gnuk_apdu *apdu)
{
    const size_t count = apdu->count, lc = apdu->head[4];
    apdu->failed = sizeof apdu->head + count != said(apdu) || (count != lc && count != lc + 1);
    if (apdu->failed)
        return;
    const uint8_t last = apdu->bytes[apdu->at + count - 1];
    apdu->expected = count == lc ? 0 : last ? last : 256;
    apdu->length += lc;
}

/* A packet has come. A full one is not the last if the header said that more would come. */
static bool is_over(struct gnuk_apdu *apdu, bool full)
{
    switch (apdu->part) {
    case PART_HEADER:
        return apdu->count == sizeof apdu->header; /* what dwLength says is not asked */
    case PART_HEAD:
        end_head(apdu);
        return true;
    case PART_DATA:
        if (full && sizeof apdu->head + apdu->count < said(apdu))
            return false;
        end_data(apdu);
        return true;
    case PART_OTHER:
        if (full && apdu->count < said(apdu))
            return false;
        apdu->failed = apdu->count != said(apdu);
        return true;
    case PART_SURPLUS:
        return !full;
    }
    return true;
}

bool gnuk_apdu_take(struct gnuk_apdu *apdu, const uint8_t *packet, size_t length)
{
    const bool full = length == GNUK_PACKET;
    while (length > 0 && apdu->part != PART_SURPLUS) {
        size_t room;
        uint8_t *const to = place(apdu, &room);
        const size_t count = length < room ? length : room;
        memcpy(to, packet, count);
        apdu->count += count;
        packet += count;
        length -= count;
        if (length > 0)
            begin_next_part(apdu);
    }
    return is_over(apdu, full);
}

/* ---- a command ---- */

static void take_part(struct gnuk_apdu *apdu)
{
    if (apdu->state == APDU_WAIT) {
        apdu->head[0] &= (uint8_t)~CLA_CHAIN;
        memcpy(apdu->chained, apdu->head, sizeof apdu->chained);
        apdu->state = APDU_CHAIN;
    }
    const size_t count = apdu->head[4] < apdu->room ? apdu->head[4] : apdu->room;
    apdu->at += count;
    apdu->room -= count;
}

/* The next part of the answer, of at most Ne bytes. */
static struct gnuk_reply cut(struct gnuk_apdu *apdu)
{
    const size_t length = apdu->room < apdu->expected ? apdu->room : apdu->expected, left = apdu->room - length;
    const struct gnuk_reply reply = {
        .begins = apdu->at,
        .length = length,
        .status_word = left == 0 ? 0x9000 : (uint16_t)(0x6100 | (left > 255 ? 0 : left)),
    };
    apdu->at += length;
    apdu->room = left;
    apdu->state = left == 0 ? APDU_RESULT : APDU_REST;
    return reply;
}

bool gnuk_apdu_begin(struct gnuk_apdu *apdu, struct gnuk_reply *reply)
{
    if (apdu->head[0] & CLA_CHAIN) {
        take_part(apdu);
        *reply = (struct gnuk_reply){ .status_word = 0x9000 };
        return false;
    }
    if (apdu->state == APDU_REST && apdu->head[1] == INS_GET_RESPONSE) {
        *reply = cut(apdu);
        return false;
    }
    if (apdu->state == APDU_CHAIN)
        apdu->head[4] = 0;
    apdu->state = APDU_RUNS;
    return true;
}

size_t gnuk_apdu_command(const struct gnuk_apdu *apdu, uint8_t bytes[GNUK_APDU_MAX])
{
    const bool extended = apdu->length > LONGEST_SHORT;
    size_t at = 4;
    memcpy(bytes, apdu->head, at);
    if (extended) {
        bytes[at++] = 0;
        bytes[at++] = (uint8_t)(apdu->length >> 8);
    }
    if (apdu->length > 0)
        bytes[at++] = (uint8_t)apdu->length;
    memcpy(bytes + at, apdu->bytes, apdu->length);
    at += apdu->length;
    if (apdu->expected > 0 && extended)
        bytes[at++] = (uint8_t)(apdu->expected >> 8);
    if (apdu->expected > 0)
        bytes[at++] = (uint8_t)apdu->expected;
    return at;
}

struct gnuk_reply gnuk_apdu_end(struct gnuk_apdu *apdu, const uint8_t *answer, size_t length)
{
    const size_t whole = length - 2, data = whole < sizeof apdu->bytes ? whole : sizeof apdu->bytes;
    memcpy(apdu->bytes, answer, data);
    apdu->length = apdu->at = 0;
    apdu->room = data;
    if (data > apdu->expected)
        return cut(apdu);
    apdu->state = APDU_RESULT;
    return (struct gnuk_reply){ .length = data, .status_word = (uint16_t)(answer[whole] << 8 | answer[whole + 1]) };
}

bool gnuk_apdu_read(struct gnuk_apdu *apdu)
{
    if (apdu->state == APDU_RESULT)
        gnuk_apdu_reset(apdu);
    return apdu->state != APDU_RUNS;
}
