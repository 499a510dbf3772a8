/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* oracle.c - from what went over the bus: what answer a client may be given, and whether a command was sent twice. */
#include "oracle.h"
#include <stdio.h>
#include <string.h>
#include "libusb_virtual.h"

#define EVENTS 4096
#define ARENA (1u << 19)
#define HEADER 10
#define ANSWER_MAX 70000

enum edc { LRC = 1, CRC = 2 };

struct event {
    bool received;
    const uint8_t *bytes;
    size_t length, last; /* of its last transfer */
};

struct part {
    const uint8_t *bytes;
    size_t length;
};

bool oracle_verbose;
static struct event events[EVENTS];
static uint8_t arena[ARENA];
static size_t event_count, used, command_begin, packet_size;
static bool full; /* more came than can be remembered: nothing is judged any more */
static bool unfinished; /* what follows may belong to the last event */

static void tell(enum libusb_virtual_event what, const uint8_t *bytes, size_t length)
{
    static const char *const WORDS[] = {
        [TAP_SENT] = "out", [TAP_RECEIVED] = "in ", [TAP_FULL] = "in full", [TAP_TAKEN_BACK] = "in, taken back",
    };
    fprintf(stderr, "  %s %zu:", WORDS[what], length);
    for (size_t i = 0; i < length && i < 40; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n");
}

static size_t said(const uint8_t *m)
{
    return (size_t)m[1] | (size_t)m[2] << 8 | (size_t)m[3] << 16 | (size_t)m[4] << 24;
}

/* What a message is read by: one transfer; or one that is full and whose header says that there is more, or some that were
 * taken back, and then another. */
static void add(enum libusb_virtual_event what, size_t length)
{
    const bool joined = what != TAP_SENT && unfinished;
    if (joined) {
        events[event_count - 1].length += length;
        events[event_count - 1].last = length;
    } else {
        events[event_count++] = (struct event){ what != TAP_SENT, arena + used, length, length };
    }
    unfinished = what == TAP_TAKEN_BACK ||
                 (what == TAP_FULL && !joined && length >= HEADER && said(arena + used) > length - HEADER);
    used += length;
}

static void hear(void *context, enum libusb_virtual_event what, const uint8_t *bytes, size_t length)
{
    (void)context;
    if (oracle_verbose)
        tell(what, bytes, length);
    if (event_count == EVENTS || length > ARENA - used) {
        full = true;
        return;
    }
    if (length)
        memcpy(arena + used, bytes, length);
    add(what, length);
}

void oracle_begin(size_t unit)
{
    event_count = used = command_begin = 0;
    packet_size = unit ? unit : 64;
    full = unfinished = false;
    libusb_virtual_listen(hear, NULL);
}

void oracle_end(void)
{
    libusb_virtual_listen(NULL, NULL);
}

void oracle_command(void)
{
    command_begin = event_count;
}

size_t oracle_messages(void)
{
    return event_count;
}

/* ---- CCID ---- */

/* A successful data block of this slot and number at the beginning of these bytes. */
static bool is_answer(const uint8_t *m, size_t there, uint8_t slot, uint8_t number)
{
    return there >= HEADER && m[0] == 0x80 && m[5] == slot && m[6] == number && m[7] >> 6 == 0 &&
           said(m) <= there - HEADER;
}

/* The answer to the OUT message in these bytes: alone, or behind stale packets. */
static bool find_answer(const struct event *out, struct part in, struct part *part)
{
    for (size_t at = 0; at < in.length; at += packet_size) {
        const uint8_t *const m = in.bytes + at;
        const size_t there = in.length - at;
        if (!is_answer(m, there, out->bytes[5], out->bytes[6]) || (at > 0 && said(m) != there - HEADER))
            continue;
        if (at == 0 && said(m) != there - HEADER) { /* garbage behind it; a whole one further on goes first */
            struct part other;
            const struct part rest = { in.bytes + packet_size, in.length > packet_size ? in.length - packet_size : 0 };
            if (rest.length > 0 && find_answer(out, rest, &other) && other.bytes + other.length == m + there) {
                *part = other;
                return true;
            }
        }
        *part = (struct part){ m + HEADER, said(m) };
        return true;
    }
    return false;
}

static bool is_transfer(const struct event *event)
{
    return !event->received && event->length >= HEADER && event->bytes[0] == 0x6f;
}

static bool asks_status(const struct event *event)
{
    return !event->received && event->length == HEADER && event->bytes[0] == 0x65;
}

/* What was taken back may have been thrown away. */
static bool brought(const struct event *out, const struct event *in, struct part *part)
{
    return find_answer(out, (struct part){ in->bytes, in->length }, part) ||
           find_answer(out, (struct part){ in->bytes + in->length - in->last, in->last }, part);
}

/* The answer to the OUT message: it came before the next, and after the one before. The IN transfer is posted first, so
 * a device that guesses the number can end it before. The slot's status may be asked meanwhile, which begins nothing. */
static bool answer_to(size_t out, struct part *part)
{
    size_t first = out;
    while (first > 0 && events[first - 1].received)
        first--;
    for (size_t i = first; i < event_count && (i <= out || events[i].received || asks_status(&events[i])); i++)
        if (i != out && brought(&events[out], &events[i], part))
            return true;
    return false;
}

/* ---- T=1 ---- */

static size_t crc_of(const uint8_t *b, size_t length)
{
    unsigned crc = 0xffff;
    for (size_t i = 0; i < 8 * length; i++) {
        const unsigned in = (b[i / 8] >> i % 8 & 1u) ^ (crc & 1u);
        crc = crc >> 1 ^ (in ? 0x8408u : 0);
    }
    return crc ^ 0xffffu;
}

/* The INF of a right block; false: it is none. */
static bool open_block(struct part block, enum edc edc, struct part *inf)
{
    const size_t tail = edc == LRC ? 1 : 2;
    uint8_t lrc = 0;
    if (block.length < 3 + tail || block.bytes[0] != 0 || block.bytes[2] != block.length - 3 - tail)
        return false;
    for (size_t i = 0; i < block.length; i++)
        lrc ^= block.bytes[i];
    const uint8_t *const end = block.bytes + block.length - tail;
    *inf = (struct part){ block.bytes + 3, block.bytes[2] };
    return edc == LRC ? lrc == 0 : crc_of(block.bytes, block.length - 2) == ((size_t)end[0] | (size_t)end[1] << 8);
}

/* The PCB of the block in an OUT message; -1: there is none. */
static int pcb_of(const struct event *out)
{
    return is_transfer(out) && out->length >= HEADER + 4 ? out->bytes[HEADER + 1] : -1;
}

static bool acknowledges(const struct event *out, unsigned number)
{
    const int pcb = pcb_of(out);
    return pcb >= 0 && (pcb & 0xef) == 0x80 && (unsigned)(pcb >> 4 & 1) != number;
}

/* What the card's I-blocks carried: those that the host acknowledged, and the last. */
static size_t carried(enum edc edc, uint8_t *bytes, bool *whole)
{
    size_t length = 0;
    bool begun = false; /* the command has left to its end */
    int last_number = -1;
    *whole = false;
    for (size_t i = command_begin; i < event_count; i++) {
        struct part block, inf;
        const int sent = pcb_of(&events[i]);
        if (sent >= 0 && (sent & 0x80) == 0)
            begun = (sent & 0x20) == 0;
        if (!begun || sent < 0 || !answer_to(i, &block) || !open_block(block, edc, &inf) || block.bytes[1] & 0x80)
            continue;
        const int number = block.bytes[1] >> 6 & 1, more = block.bytes[1] & 0x20;
        size_t next = i + 1;
        while (next < event_count && (events[next].received || !is_transfer(&events[next])))
            next++; /* the driver may have to find out first whether the key is at rest */
        if (next < event_count && !acknowledges(&events[next], (unsigned)number))
            continue;
        if (number == last_number) /* the same block once more */
            continue;
        last_number = number;
        if (length + inf.length <= ANSWER_MAX)
            memcpy(bytes + length, inf.bytes, inf.length);
        length += inf.length;
        *whole = next >= event_count && !more;
    }
    return length;
}

static bool answers_t1(const uint8_t *answer, size_t length)
{
    static uint8_t bytes[ANSWER_MAX];
    bool whole;
    if (carried(LRC, bytes, &whole) == length && whole && memcmp(bytes, answer, length) == 0)
        return true;
    return carried(CRC, bytes, &whole) == length && whole && memcmp(bytes, answer, length) == 0;
}

/* ---- APDU level ---- */

/* bChainParameter, CCID 1.1 §6.2.1: whole, or begins, goes on, ends. */
static bool in_order(bool first, bool *open, uint8_t chain)
{
    const bool right = first ? chain == 0 || chain == 1 : *open && (chain == 3 || chain == 2);
    *open = right && (chain == 1 || chain == 3);
    return right;
}

static size_t collected(enum oracle_level level, uint8_t own_ins, uint8_t *bytes, bool *whole)
{
    size_t length = 0;
    bool open = false, right = false;
    *whole = false;
    for (size_t i = command_begin; i < event_count; i++) {
        struct part part = { NULL, 0 };
        const uint8_t *const out = events[i].bytes;
        if (!is_transfer(&events[i]))
            continue;
        const bool goes_on = out[8] == 0x10;
        const bool gets = level == ORACLE_SHORT && !goes_on && events[i].length > HEADER + 1 &&
                          out[HEADER + 1] == 0xc0 && own_ins != 0xc0;
        if (!answer_to(i, &part))
            part = (struct part){ out, 0 }; /* no answer: nothing can be right that ends here */
        const uint8_t chain = part.bytes == out ? 0xff : part.bytes[-1];
        right = in_order(!goes_on, &open, chain) && (right || (!goes_on && !gets));
        *whole = right && !open;
        if (!goes_on && !gets)
            length = 0;
        else if (gets && length >= 2)
            length -= 2; /* 61xx */
        if (length + part.length <= ANSWER_MAX && part.length > 0)
            memcpy(bytes + length, part.bytes, part.length);
        length += part.length;
    }
    return length;
}

bool oracle_answers(enum oracle_level level, const uint8_t *apdu, size_t apdu_length, const uint8_t *answer,
                    size_t length, const char **why)
{
    static uint8_t bytes[ANSWER_MAX];
    bool whole;
    *why = "the device has not sent it for this command";
    if (full)
        return true;
    if (level == ORACLE_TPDU)
        return answers_t1(answer, length);
    return collected(level, apdu_length > 1 ? apdu[1] : 0, bytes, &whole) == length && whole &&
           memcmp(bytes, answer, length) == 0;
}

/* ---- sent twice ---- */

/* The card asked for this very block, in the last thing that it said before. */
static bool asked_for(size_t out, unsigned number)
{
    struct part block, inf;
    size_t before = out;
    while (before > 0 && !is_transfer(&events[before - 1]))
        before--;
    return before > 0 && answer_to(before - 1, &block) &&
           (open_block(block, LRC, &inf) || open_block(block, CRC, &inf)) && (block.bytes[1] & 0xc0) == 0x80 &&
           (unsigned)(block.bytes[1] >> 4 & 1) == number;
}

static bool carries(enum oracle_level level, const struct event *out, const uint8_t *apdu, size_t apdu_length)
{
    const size_t head = level == ORACLE_TPDU ? HEADER + 3 : HEADER;
    const size_t tail = level == ORACLE_TPDU ? 1 : 0;
    if (!is_transfer(out) || out->length < head + 4 + tail || (level == ORACLE_TPDU && out->bytes[HEADER + 1] & 0x80))
        return false;
    const size_t length = out->length - head - tail;
    const size_t compared = level == ORACLE_SHORT || length > apdu_length ? 4 : length;
    const uint8_t *const data = out->bytes + head;
    return compared <= apdu_length && (data[0] & 0xef) == (apdu[0] & 0xef) &&
           memcmp(data + 1, apdu + 1, compared - 1) == 0 && !(level == ORACLE_SHORT && data[0] & 0x10);
}

unsigned oracle_departures(enum oracle_level level, const uint8_t *apdu, size_t apdu_length)
{
    unsigned departures = 0;
    for (size_t i = 0; i < event_count; i++) {
        if (!carries(level, &events[i], apdu, apdu_length))
            continue;
        const bool by_request = level == ORACLE_TPDU && asked_for(i, events[i].bytes[HEADER + 1] >> 6 & 1u);
        departures += !by_request || departures == 0;
    }
    return departures;
}
