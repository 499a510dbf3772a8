/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile_device.c - a virtual device that a script of bytes makes say anything, at any time.
 *
 * The script: model, chance, flags (1: the name has no node, 2: spoiled descriptors, 4: a configuration descriptor of
 * its own), then with 2 a count and so many times offset (2 bytes) and value, with 4 a length and so many bytes. After
 * that actions: their lowest five bits are one of enum action, with the operands named there. What belongs to the
 * host's next packet has 111 in its highest bits, to its next control request 110; until such a one comes it waits. A
 * packet is also one within a message: E2h 00h lets one pass, so that what follows is for the next.
 */
#include "hostile_device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "honest_card.h"

#define HEADER 10
#define ITEMS 24
#define ARENA 16384
#define MESSAGE_MAX 5000
#define PART 254 /* of a long answer at extended APDU level */
#define MOST_OF_A_STREAM 64

enum action {
    HONEST_AT_ONCE = 0,
    HONEST_LATE = 2,    /* delay */
    EXTENSION = 3,      /* delay, multiplier; the next action follows */
    EXTENSIONS = 4,     /* delay, multiplier, count; the next action follows */
    RAW = 5,            /* length, bytes */
    FRAMED = 6,         /* length, bytes: with the right header */
    PATCHED = 7,        /* count, (offset, value)...: the honest answer, spoiled */
    BLOCK = 8,          /* PCB, length, bytes: a right T=1 block */
    BAD_BLOCK = 9,      /* PCB, length, bytes, what its EDC is XORed with */
    CUT = 10,           /* length: the beginning of the honest answer */
    TWICE = 11,
    GLUED = 12,         /* the last answer, filled up to a packet, and this one behind it */
    SILENCE = 13,
    STALL_IN = 14,
    ERROR_IN = 15,
    EMPTY = 16,         /* the next action follows */
    FLOOD = 17,         /* length (2 bytes), byte */
    UNPLUG = 18,        /* delay; the next action follows */
    OTHER_NUMBER = 19,  /* what is added to bSeq */
    REFUSED = 20,       /* bStatus, bError */
    CHAINED = 21,       /* bChainParameter */
    INTERRUPT = 22,     /* length, bytes; the next action follows */
    STATUS_WORD = 23,   /* SW1, SW2: alone */
    OTHER_LENGTH = 24,  /* dwLength, 2 bytes: not what there is */
    HALT = 25,          /* the IN endpoint, until it is cleared */
    BABBLE = 26,        /* a packet larger than a packet may be */
};

struct item {
    int64_t due_us;
    enum handshake handshake;
    const uint8_t *bytes; /* NULL: filler */
    size_t length, sent;
    uint8_t filler;
    bool babble;
};

struct hostile {
    struct device device;
    struct identity identity;
    uint8_t device_descriptor[18];
    const struct identity *model;
    uint8_t configuration[DEVICE_CONFIGURATION_MAX];
    const uint8_t *script;
    size_t left;
    uint8_t chance, flags;
    bool reformed;
    struct virtual_slot *slot;

    struct honest_card card;
    uint8_t message[MESSAGE_MAX];
    size_t received;
    int64_t blocked_until_us; /* no packet is taken till then */
    int64_t deaf_until_us;    /* to control requests */
    bool block_after_one;
    int64_t block_us;

    struct item items[ITEMS];
    size_t first, count;
    uint8_t arena[ARENA];
    size_t used;
    uint8_t last[HONEST_ANSWER_MAX + HEADER];
    size_t last_length;
    uint8_t command[HONEST_COMMAND_MAX]; /* in parts, at extended APDU level */
    size_t command_length;
    size_t answer_sent;
};

/* ---- the script ---- */

static uint8_t take(struct hostile *h)
{
    if (h->left == 0)
        return 0;
    h->left--;
    return *h->script++;
}

static const uint8_t *take_bytes(struct hostile *h, size_t *length)
{
    const uint8_t *const bytes = h->script;
    if (*length > h->left)
        *length = h->left;
    h->script += *length;
    h->left -= *length;
    return bytes;
}

static int64_t take_delay_us(struct hostile *h)
{
    static const int64_t MS[] = { 0,    1,     20,    400,   900,   1600,   2100,   4600,
                                  9000, 11000, 29000, 31000, 61000, 170000, 200000, 1300000 };
    return MS[take(h) & 15] * 1000;
}

/* ---- what it will say ---- */

static struct item *new_item(struct hostile *h, int64_t due_us)
{
    if (h->count == ITEMS)
        return NULL;
    if (h->count == 0)
        h->used = 0;
    struct item *const item = &h->items[(h->first + h->count++) % ITEMS];
    *item = (struct item){ .due_us = due_us, .handshake = HANDSHAKE_ACK };
    return item;
}

static void say(struct hostile *h, int64_t after_us, const uint8_t *bytes, size_t length)
{
    struct item *const item = new_item(h, h->device.now_us + after_us);
    if (!item)
        return;
    if (length > ARENA - h->used)
        length = ARENA - h->used;
    if (length)
        memcpy(h->arena + h->used, bytes, length);
    item->bytes = h->arena + h->used;
    item->length = length;
    h->used += length;
}

static size_t put_header(const struct hostile *h, uint8_t *out, uint8_t type, size_t length, uint8_t status,
                         uint8_t error, uint8_t last)
{
    const uint8_t header[HEADER] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, h->message[5], h->message[6],
                                     status, error, last };
    memcpy(out, header, HEADER);
    return HEADER + length;
}

/* ---- the honest reader ---- */

/* dwFeatures of the class descriptor that is shown, its highest word but one. */
static uint8_t level(const struct hostile *h)
{
    const uint8_t *const d = h->identity.configuration;
    for (size_t at = 0; at + 54 <= h->identity.configuration_len && d[at] >= 2; at += d[at])
        if (d[at] == 54 && d[at + 1] == 0x21)
            return d[at + 42] & 7;
    return 1;
}

static size_t next_part(struct hostile *h, uint8_t *out)
{
    const size_t answer = h->card.answer_length, left = answer > h->answer_sent ? answer - h->answer_sent : 0;
    const size_t part = left < PART ? left : PART;
    const bool first = h->answer_sent == 0, last = part == left;
    memcpy(out + HEADER, h->card.answer + h->answer_sent, part);
    h->answer_sent += part;
    return put_header(h, out, 0x80, part, 0, 0, first ? (last ? 0 : 1) : last ? 2 : 3);
}

static size_t extended(struct hostile *h, const uint8_t *data, size_t length, uint8_t *out)
{
    const uint8_t chain = h->message[8];
    if (chain == 0x10)
        return next_part(h, out);
    if (chain == 0 || chain == 1)
        h->command_length = 0;
    if (length > sizeof h->command - h->command_length)
        length = sizeof h->command - h->command_length;
    memcpy(h->command + h->command_length, data, length);
    h->command_length += length;
    if (chain == 1 || chain == 3)
        return put_header(h, out, 0x80, 0, 0, 0, 0x10);
    h->card.answer_length = honest_answer(h->command, h->command_length, h->card.answer);
    h->answer_sent = 0;
    return next_part(h, out);
}

static size_t transfer(struct hostile *h, uint8_t *out)
{
    const uint8_t *const data = h->message + HEADER;
    const size_t length = h->received - HEADER;
    if (level(h) & 4)
        return extended(h, data, length, out);
    const size_t answer = level(h) & 2 ? honest_short(&h->card, data, length, out + HEADER)
                                       : honest_block(&h->card, data, length, out + HEADER);
    return put_header(h, out, 0x80, answer, 0, 0, 0);
}

static size_t honest(struct hostile *h, uint8_t out[HONEST_ANSWER_MAX + HEADER])
{
    switch (h->message[0]) {
    case 0x62:
        honest_reset(&h->card);
        memcpy(out + HEADER, h->model->atr, h->model->atr_len);
        return put_header(h, out, 0x80, h->model->atr_len, 0, 0, 0);
    case 0x6f:
        return transfer(h, out);
    default:
        return put_header(h, out, 0x81, 0, 0, 0, 0);
    }
}

/* ---- actions ---- */

static void unplug(void *context)
{
    const struct hostile *const h = context;
    if (!h->reformed) /* what was planned is over by then */
        virtual_unplug(h->slot);
}

static void say_extensions(struct hostile *h, unsigned count)
{
    uint8_t out[HEADER];
    const int64_t every_us = take_delay_us(h);
    const uint8_t multiplier = take(h);
    if (count == 0)
        count = take(h) % MOST_OF_A_STREAM;
    (void)put_header(h, out, 0x80, 0, 0x80, multiplier, 0);
    for (unsigned i = 1; i <= count; i++)
        say(h, every_us * i, out, sizeof out);
}

static void say_block(struct hostile *h, bool bad)
{
    uint8_t out[HEADER + 260] = { 0 }, *const block = out + HEADER;
    block[1] = take(h);
    size_t length = take(h);
    const uint8_t *const inf = take_bytes(h, &length);
    length = length > 254 ? 254 : length;
    block[2] = (uint8_t)length;
    memcpy(block + 3, inf, length);
    for (size_t i = 0; i < 3 + length; i++)
        block[3 + length] ^= block[i];
    if (bad)
        block[3 + length] ^= take(h);
    say(h, 0, out, put_header(h, out, 0x80, 4 + length, 0, 0, 0));
}

static void say_patched(struct hostile *h)
{
    uint8_t out[HONEST_ANSWER_MAX + HEADER];
    const size_t length = honest(h, out);
    for (unsigned count = take(h) & 7; count > 0; count--) {
        const uint8_t at = take(h);
        out[at % length] = take(h);
    }
    say(h, 0, out, length);
}

static void say_glued(struct hostile *h)
{
    uint8_t out[2 * (HONEST_ANSWER_MAX + HEADER) + DEVICE_PACKET_MAX];
    const size_t packet = device_packet_size(&h->device, h->identity.bulk_in);
    const size_t unit = packet > 0 && packet <= DEVICE_PACKET_MAX ? packet : 64;
    const size_t begin = (h->last_length + unit - 1) / unit * unit;
    memset(out, 0, sizeof out);
    memcpy(out, h->last, h->last_length);
    const size_t length = honest(h, out + begin);
    say(h, 0, out, begin + length);
}

static void say_framed(struct hostile *h)
{
    uint8_t out[HEADER + 255];
    size_t length = take(h);
    const uint8_t *const bytes = take_bytes(h, &length);
    memcpy(out + HEADER, bytes, length);
    say(h, 0, out, put_header(h, out, h->message[0] == 0x65 ? 0x81 : 0x80, length, 0, 0, 0));
}

static void say_flood(struct hostile *h)
{
    struct item *const item = new_item(h, h->device.now_us);
    const size_t high = take(h), low = take(h);
    if (item)
        item->length = high << 8 | low, item->filler = take(h);
}

static void babble(struct hostile *h)
{
    struct item *const item = new_item(h, h->device.now_us);
    if (item)
        item->length = DEVICE_PACKET_MAX, item->filler = 0x80, item->babble = true;
}

static void fail_in(struct hostile *h, enum handshake handshake)
{
    struct item *const item = new_item(h, h->device.now_us);
    if (item)
        item->handshake = handshake;
}

static void say_honestly(struct hostile *h, int64_t after_us, unsigned times)
{
    uint8_t out[HONEST_ANSWER_MAX + HEADER];
    const size_t length = honest(h, out);
    for (; times > 0; times--)
        say(h, after_us, out, length);
    memcpy(h->last, out, length);
    h->last_length = length;
}

/* The honest answer with something else in its header. */
static void say_changed(struct hostile *h, enum action action)
{
    uint8_t out[HONEST_ANSWER_MAX + HEADER];
    size_t length = honest(h, out);
    switch ((int)action) {
    case CUT:
        length = take(h) % length;
        break;
    case OTHER_NUMBER:
        out[6] = (uint8_t)(out[6] + take(h));
        break;
    case CHAINED:
        out[9] = take(h);
        break;
    case REFUSED:
        out[7] = take(h);
        out[8] = take(h);
        length = put_header(h, out, out[0], 0, out[7], out[8], 0);
        break;
    case STATUS_WORD:
        out[HEADER] = take(h);
        out[HEADER + 1] = take(h);
        length = put_header(h, out, 0x80, 2, 0, 0, 0);
        break;
    case OTHER_LENGTH:
        out[1] = take(h);
        out[2] = take(h);
        break;
    }
    say(h, 0, out, length);
}

/* What goes on beside the answer, which the next action gives; false: it is another action. */
static bool act_beside(struct hostile *h, enum action action)
{
    size_t length;
    switch ((int)action) {
    case EXTENSION:
        return say_extensions(h, 1), true;
    case EXTENSIONS:
        return say_extensions(h, 0), true;
    case EMPTY:
        return say(h, 0, NULL, 0), true;
    case UNPLUG:
        return (void)virtual_at(h->slot, h->device.now_us + take_delay_us(h), unplug, h), true;
    case INTERRUPT:
        length = take(h);
        return (void)take_bytes(h, &length), true;
    default:
        return false;
    }
}

/* Where there is no message at all. */
static void act_badly(struct hostile *h, enum action action)
{
    switch ((int)action) {
    case SILENCE:
        break;
    case STALL_IN:
        fail_in(h, HANDSHAKE_STALL);
        break;
    case ERROR_IN:
        fail_in(h, HANDSHAKE_NONE);
        break;
    case FLOOD:
        say_flood(h);
        break;
    case BABBLE:
        babble(h);
        break;
    case HALT:
        device_halt(&h->device, h->identity.bulk_in);
        break;
    default:
        say_honestly(h, 0, 1);
    }
}

static void act(struct hostile *h, enum action action)
{
    size_t length;
    const uint8_t *bytes;
    switch ((int)action) {
    case HONEST_LATE:
        say_honestly(h, take_delay_us(h), 1);
        break;
    case RAW:
        length = take(h);
        bytes = take_bytes(h, &length);
        say(h, 0, bytes, length);
        break;
    case FRAMED:
        say_framed(h);
        break;
    case PATCHED:
        say_patched(h);
        break;
    case BLOCK:
    case BAD_BLOCK:
        say_block(h, action == BAD_BLOCK);
        break;
    case TWICE:
        say_honestly(h, 0, 2);
        break;
    case GLUED:
        say_glued(h);
        break;
    case CUT:
    case OTHER_NUMBER:
    case REFUSED:
    case CHAINED:
    case STATUS_WORD:
    case OTHER_LENGTH:
        say_changed(h, action);
        break;
    default:
        act_badly(h, action);
    }
}

/* Does what the script says to one message. */
static void answer(struct hostile *h)
{
    enum action action = take(h) & 31;
    while (act_beside(h, action))
        action = take(h) & 31;
    act(h, action);
}

/* ---- firmware ---- */

static struct hostile *hostile_of(struct device *device)
{
    return (struct hostile *)device;
}

static void forget(struct device *device)
{
    struct hostile *const h = hostile_of(device);
    h->count = h->received = h->command_length = h->last_length = h->used = 0;
    h->blocked_until_us = h->deaf_until_us = 0;
    h->block_after_one = false;
    honest_reset(&h->card);
}

static void hostile_power(struct device *device, bool on)
{
    (void)on;
    forget(device);
}

static enum handshake hostile_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    struct hostile *const h = hostile_of(device);
    (void)data;
    *length = setup->request_type & 0x80 ? 0 : setup->length;
    if (device->now_us < h->deaf_until_us)
        return HANDSHAKE_NAK;
    if (h->left == 0 || (*h->script & 0xe0) != 0xc0)
        return HANDSHAKE_ACK;
    switch (take(h) & 3) {
    case 0:
        return HANDSHAKE_STALL;
    case 1:
        return HANDSHAKE_NONE;
    case 2:
        h->deaf_until_us = device->now_us + take_delay_us(h);
        break;
    default:
        break;
    }
    return device->now_us < h->deaf_until_us ? HANDSHAKE_NAK : HANDSHAKE_ACK;
}

/* What the script does to a packet of the host. HANDSHAKE_ACK: it is taken. */
static enum handshake refuse(struct hostile *h)
{
    if (h->left > 0 && (*h->script & 0xe0) == 0xe0) {
        switch (take(h) & 3) {
        case 0:
            return HANDSHAKE_STALL;
        case 1:
            return HANDSHAKE_NONE;
        case 2:
            h->blocked_until_us = h->device.now_us + take_delay_us(h);
            break;
        default:
            h->block_after_one = true;
            h->block_us = take_delay_us(h);
        }
    }
    return h->device.now_us < h->blocked_until_us ? HANDSHAKE_NAK : HANDSHAKE_ACK;
}

static enum handshake hostile_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct hostile *const h = hostile_of(device);
    const enum handshake handshake = refuse(h);
    if (handshake != HANDSHAKE_ACK)
        return handshake;
    if (h->block_after_one)
        h->blocked_until_us = h->device.now_us + h->block_us;
    h->block_after_one = false;
    if (length > sizeof h->message - h->received)
        length = sizeof h->message - h->received;
    if (length)
        memcpy(h->message + h->received, packet, length);
    h->received += length;
    const size_t said = h->received >= HEADER ? (size_t)h->message[1] | (size_t)h->message[2] << 8 : MESSAGE_MAX;
    if (length == device_packet_size(device, endpoint) && h->received < HEADER + said &&
        h->received < sizeof h->message)
        return HANDSHAKE_ACK;
    if (h->received >= HEADER)
        answer(h);
    h->received = 0;
    return HANDSHAKE_ACK;
}

static enum handshake hostile_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct hostile *const h = hostile_of(device);
    struct item *const item = &h->items[h->first];
    const size_t unit = device_packet_size(device, endpoint);
    const size_t most = unit < DEVICE_PACKET_MAX && !item->babble ? unit : DEVICE_PACKET_MAX;
    if (endpoint == h->identity.interrupt_in || h->count == 0 || item->due_us > device->now_us)
        return HANDSHAKE_NAK;
    const size_t left = item->length - item->sent;
    *length = left < most ? left : most;
    if (item->bytes)
        memcpy(packet, item->bytes + item->sent, *length);
    else
        memset(packet, item->filler, *length);
    item->sent += *length;
    const enum handshake handshake = item->handshake;
    if (item->sent == item->length) { /* no empty packet after full ones: some firmwares forget it */
        h->first = (h->first + 1) % ITEMS;
        h->count--;
    }
    return handshake;
}

static void hostile_advance(struct device *device)
{
    (void)device;
}

static int64_t hostile_next_us(const struct device *device)
{
    const struct hostile *const h = (const struct hostile *)device;
    int64_t next = DEVICE_NEVER;
    if (h->count > 0 && h->items[h->first].due_us > device->now_us)
        next = h->items[h->first].due_us;
    if (h->blocked_until_us > device->now_us && h->blocked_until_us < next)
        next = h->blocked_until_us;
    if (h->deaf_until_us > device->now_us && h->deaf_until_us < next)
        next = h->deaf_until_us;
    return next;
}

static bool hostile_busy(const struct device *device)
{
    return ((const struct hostile *)device)->count > 0;
}

static void hostile_done(struct device *device)
{
    free(device);
}

static const struct firmware FIRMWARE = {
    .power = hostile_power, .reset = forget, .control = hostile_control, .out = hostile_out, .in = hostile_in,
    .advance = hostile_advance, .next_us = hostile_next_us, .busy = hostile_busy, .reset_by_sibling = forget,
    .free = hostile_done,
};

/* ---- its life ---- */

static void spoil(struct hostile *h)
{
    for (unsigned count = h->flags & 2 ? take(h) & 15 : 0; count > 0; count--) {
        const size_t high = take(h), low = take(h);
        h->configuration[(high << 8 | low) % h->identity.configuration_len] = take(h);
    }
    if (h->flags & 4) {
        size_t length = take(h);
        const uint8_t *const bytes = take_bytes(h, &length);
        memset(h->configuration, 0, sizeof h->configuration);
        memcpy(h->configuration, bytes, length);
        h->identity.configuration_len = length > 9 ? length : 9;
    }
}

static void show_the_models(struct hostile *h)
{
    h->identity = *h->model;
    /* Of another firmware's release than any: silence of the recorded ones is taken for death, until they are unplugged. */
    memcpy(h->device_descriptor, h->model->device, sizeof h->device_descriptor);
    h->device_descriptor[13] = 0x7f;
    h->identity.device = h->device_descriptor;
    memcpy(h->configuration, h->model->configuration, h->model->configuration_len);
    h->identity.configuration = h->configuration;
}

struct hostile *hostile_new(const uint8_t *script, size_t length)
{
    struct hostile *const h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->script = script;
    h->left = length;
    h->model = &identities[take(h) % identity_count];
    h->chance = take(h);
    h->flags = take(h);
    show_the_models(h);
    spoil(h);
    h->device.firmware = &FIRMWARE;
    h->device.identity = &h->identity;
    forget(&h->device);
    return h;
}

void hostile_free(struct hostile *hostile)
{
    free(hostile);
}

struct device *hostile_device(struct hostile *hostile)
{
    return &hostile->device;
}

void hostile_place(struct hostile *hostile, struct virtual_slot *slot)
{
    hostile->slot = slot;
}

uint8_t hostile_chance(const struct hostile *hostile)
{
    return hostile->chance;
}

void hostile_name(const struct hostile *hostile, const char *node, char name[128])
{
    const uint8_t *const d = hostile->model->device;
    const unsigned vendor = (unsigned)d[9] << 8 | d[8], product = (unsigned)d[11] << 8 | d[10];
    if (hostile->flags & 1)
        snprintf(name, 128, "usb:%04x/%04x:libusb-1.0:1:2:%u", vendor, product, hostile->model->ccid_interface);
    else
        snprintf(name, 128, "usb:%04x/%04x:libudev:%u:%s", vendor, product, hostile->model->ccid_interface, node);
}

bool hostile_over(const struct hostile *hostile)
{
    const int64_t now_us = hostile->device.now_us;
    for (size_t i = 0; i < hostile->count; i++)
        if (hostile->items[(hostile->first + i) % ITEMS].due_us > now_us)
            return false;
    return hostile->left == 0 && !hostile->block_after_one && now_us >= hostile->blocked_until_us &&
           now_us >= hostile->deaf_until_us;
}

bool hostile_has_right_descriptors(const struct hostile *hostile)
{
    return !(hostile->flags & 6);
}

void hostile_reform(struct hostile *hostile)
{
    hostile->left = 0;
    hostile->reformed = true;
    hostile->flags &= 1;
    show_the_models(hostile);
}
