/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnuk_2010.c - the firmware of Gnuk's first year, as the host sees it.
 *
 *   START --IccPowerOn--> WAIT --XfrBlock--> EXECUTE --answer--> WAIT, or SEND if it is longer than one packet
 *                         WAIT --XfrBlock, chain 1--> RECEIVE --chain 3--> RECEIVE --chain 2--> EXECUTE
 *                         SEND --XfrBlock, chain 10h--> SEND, WAIT after the last part
 *
 * Each packet is taken for a message, so a message of more than 64 bytes is several to it. It hears messages while it
 * executes, but refuses all except IccPowerOff and GetSlotStatus. Time extensions come when it has heard nothing for
 * 1.95 s, and say 0. IccPowerOff does not end a command: whatever is sent next is answered with its answer.
 *
 * What was read: gniibe/gnuk of 2010-11-12 (src/usb-icc.c: icc_handle_data, icc_handle_timeout, USBthread; usb_prop.c).
 */
#include "gnuk_2010.h"
#include <stdlib.h>
#include <string.h>
#include "application.h"

#define HEADER 10
#define PACKET 64
#define PART (PACKET - HEADER)
#define EXTENSION_US 1950000

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { INACTIVE = 0x01, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, BAD_LEVEL = 0x08, OVERRUN = 0xfc };
enum { CHAIN_WHOLE = 0, CHAIN_BEGINS = 1, CHAIN_ENDS = 2, CHAIN_GOES_ON = 3, CHAIN_MORE = 0x10 };

enum state { START, WAIT, EXECUTE, RECEIVE, SEND };

struct gnuk_2010 {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    enum state state;
    bool working, waiting; /* the application has a command, and another one waits for its end */
    int64_t extension_us;
    uint8_t sequence; /* of the message that was heard last */
    uint8_t command[APPLICATION_COMMAND_MAX];
    size_t command_length;
    uint8_t answer[APPLICATION_ANSWER_MAX], unwanted[APPLICATION_ANSWER_MAX];
    size_t answer_length, answer_sent;
    uint8_t packet[PACKET];
    size_t packet_length;
    bool packet_full, mute;
};

static struct gnuk_2010 *gnuk_of(struct device *device)
{
    return (struct gnuk_2010 *)device;
}

/* ---- answers ---- */

/* What is said while the packet before has not been read is lost. */
static void say(struct gnuk_2010 *gnuk, uint8_t type, uint8_t status, uint8_t error, uint8_t chain, const uint8_t *data,
                size_t length)
{
    const uint8_t active = gnuk->state == START ? INACTIVE : 0;
    const uint8_t header[HEADER] = { type, (uint8_t)length, 0, 0, 0, 0, gnuk->sequence, status | active, error, chain };
    if (gnuk->packet_full || gnuk->mute)
        return;
    memcpy(gnuk->packet, header, HEADER);
    if (length > 0)
        memcpy(gnuk->packet + HEADER, data, length);
    const enum answer_fault fault = faults_next_answer(&gnuk->device.faults);
    gnuk->packet_length = faults_spoil_answer(fault, gnuk->packet, HEADER + length);
    gnuk->packet_full = fault != ANSWER_SWALLOWED;
}

static void refuse(struct gnuk_2010 *gnuk, uint8_t error)
{
    say(gnuk, SLOT_STATUS, FAILED, error, 0, NULL, 0);
}

static void say_next_part(struct gnuk_2010 *gnuk)
{
    const size_t left = gnuk->answer_length - gnuk->answer_sent, length = left < PART ? left : PART;
    const bool first = gnuk->answer_sent == 0, last = length == left;
    const uint8_t chain = first ? (last ? CHAIN_WHOLE : CHAIN_BEGINS) : last ? CHAIN_ENDS : CHAIN_GOES_ON;
    say(gnuk, DATA_BLOCK, 0, 0, chain, gnuk->answer + gnuk->answer_sent, length);
    gnuk->answer_sent += length;
    gnuk->state = last ? WAIT : SEND;
}

static void work(struct gnuk_2010 *gnuk)
{
    gnuk->waiting = gnuk->working;
    if (gnuk->working)
        return;
    icc_execute(gnuk->icc, gnuk->device.now_us, gnuk->command, gnuk->command_length);
    explicit_bzero(gnuk->command, gnuk->command_length);
    gnuk->working = true;
}

/* In EXECUTE any answer is the answer; otherwise it is nobody's. */
static void end_work(struct gnuk_2010 *gnuk, size_t length)
{
    gnuk->working = false;
    if (gnuk->state == EXECUTE) {
        gnuk->answer_length = length;
        gnuk->answer_sent = 0;
        say_next_part(gnuk);
    }
    if (gnuk->waiting)
        work(gnuk);
}

static void go_on(struct gnuk_2010 *gnuk)
{
    uint8_t *const answer = gnuk->state == EXECUTE ? gnuk->answer : gnuk->unwanted;
    const size_t length =
        gnuk->working ? icc_take_answer(gnuk->icc, gnuk->device.now_us, answer, sizeof gnuk->answer) : 0;
    if (length > 0) {
        end_work(gnuk, length);
    } else if (gnuk->state == EXECUTE && gnuk->device.now_us >= gnuk->extension_us) {
        say(gnuk, DATA_BLOCK, EXTENSION, 0, 0, NULL, 0);
        gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
    }
}

/* ---- messages ---- */

static void power_on(struct gnuk_2010 *gnuk)
{
    const struct identity *const identity = gnuk->device.identity;
    gnuk->state = WAIT;
    say(gnuk, DATA_BLOCK, 0, 0, 0, identity->atr, identity->atr_len);
}

static void power_off(struct gnuk_2010 *gnuk)
{
    say(gnuk, SLOT_STATUS, 0, 0, 0, NULL, 0);
    gnuk->state = START; /* the application hears nothing of it */
}

/* What it refuses for its level has been added all the same. */
static void take_part(struct gnuk_2010 *gnuk, unsigned chain, const uint8_t *data, size_t length)
{
    if (length > sizeof gnuk->command - gnuk->command_length) {
        gnuk->state = WAIT;
        say(gnuk, DATA_BLOCK, FAILED, OVERRUN, 0, NULL, 0);
        return;
    }
    memcpy(gnuk->command + gnuk->command_length, data, length);
    gnuk->command_length += length;
    const bool first = gnuk->state == WAIT;
    if (chain == (first ? CHAIN_WHOLE : CHAIN_ENDS)) {
        gnuk->state = EXECUTE;
        work(gnuk);
    } else if (chain == (first ? CHAIN_BEGINS : CHAIN_GOES_ON)) {
        gnuk->state = RECEIVE;
        say(gnuk, DATA_BLOCK, 0, 0, CHAIN_MORE, NULL, 0);
    } else {
        refuse(gnuk, BAD_LEVEL);
    }
}

static void transfer(struct gnuk_2010 *gnuk, unsigned chain, const uint8_t *data, size_t length)
{
    if (gnuk->state == WAIT && (chain == CHAIN_BEGINS || (chain == CHAIN_WHOLE && length >= 4))) {
        gnuk->command_length = 0;
        take_part(gnuk, chain, data, length);
    } else if (gnuk->state == RECEIVE) {
        take_part(gnuk, chain, data, length);
    } else if (gnuk->state == SEND && chain == CHAIN_MORE) {
        say_next_part(gnuk);
    } else {
        refuse(gnuk, BAD_LEVEL);
        gnuk->state = gnuk->state == SEND ? WAIT : gnuk->state;
    }
}

static void dispatch(struct gnuk_2010 *gnuk, const uint8_t *message, size_t length)
{
    static const uint8_t PARAMETER_BYTES[] = { 0x11, 0x11, 0xfe, 0x55, 0x03, 0xfe, 0x00 };
    const uint8_t type = message[0];
    const bool waits = gnuk->state == WAIT;
    gnuk->sequence = message[6];
    gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
    if (type == 0x62 && (waits || gnuk->state == START)) {
        power_on(gnuk);
    } else if (type == 0x63) {
        power_off(gnuk);
    } else if (type == 0x65) {
        say(gnuk, SLOT_STATUS, 0, 0, 0, NULL, 0);
    } else if (type == 0x6f && gnuk->state != START && gnuk->state != EXECUTE) {
        transfer(gnuk, message[8] | (unsigned)message[9] << 8, message + HEADER, length);
    } else if ((type == 0x61 || type == 0x6c) && waits) {
        say(gnuk, PARAMETERS, 0, 0, 1, PARAMETER_BYTES, sizeof PARAMETER_BYTES);
    } else {
        refuse(gnuk, UNSUPPORTED);
        gnuk->state = gnuk->state == RECEIVE || gnuk->state == SEND ? WAIT : gnuk->state;
    }
}

/* ---- packets ---- */

static enum handshake gnuk_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct gnuk_2010 *const gnuk = gnuk_of(device);
    if (endpoint == device->identity->bulk_out && length >= HEADER)
        dispatch(gnuk, packet, length - HEADER);
    return HANDSHAKE_ACK;
}

static enum handshake gnuk_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct gnuk_2010 *const gnuk = gnuk_of(device);
    if (endpoint != device->identity->bulk_in || !gnuk->packet_full)
        return HANDSHAKE_NAK;
    *length = gnuk->packet_length;
    memcpy(packet, gnuk->packet, *length);
    gnuk->packet_full = *length == PACKET; /* an empty packet follows */
    gnuk->packet_length = 0;
    return HANDSHAKE_ACK;
}

static enum handshake gnuk_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    (void)device, (void)setup, (void)data, (void)length;
    return HANDSHAKE_STALL;
}

/* ---- life ---- */

static void gnuk_power(struct device *device, bool on)
{
    struct gnuk_2010 *const gnuk = gnuk_of(device);
    size_t atr_length = device->identity->atr_len;
    (void)on;
    (void)icc_reset(gnuk->icc, device->now_us, &atr_length);
    gnuk->state = START;
    gnuk->working = gnuk->waiting = gnuk->packet_full = gnuk->mute = false;
}

/* A packet that has not been read is never sent, and never over: nothing more is said. */
static void gnuk_reset(struct device *device)
{
    struct gnuk_2010 *const gnuk = gnuk_of(device);
    gnuk->mute = gnuk->mute || gnuk->packet_full;
    gnuk->packet_full = false;
}

static void gnuk_configured(struct device *device)
{
    (void)device;
}

static void gnuk_advance(struct device *device)
{
    go_on(gnuk_of(device));
}

static int64_t gnuk_next_us(const struct device *device)
{
    const struct gnuk_2010 *const gnuk = (const struct gnuk_2010 *)device;
    const int64_t answer_us = gnuk->working ? icc_answer_at(gnuk->icc) : DEVICE_NEVER;
    const int64_t extension_us = gnuk->state == EXECUTE ? gnuk->extension_us : DEVICE_NEVER;
    return answer_us < extension_us ? answer_us : extension_us;
}

static bool gnuk_busy(const struct device *device)
{
    const struct gnuk_2010 *const gnuk = (const struct gnuk_2010 *)device;
    return gnuk->working || gnuk->packet_full;
}

static void no_sibling(struct device *device)
{
    (void)device;
}

static void gnuk_free(struct device *device)
{
    explicit_bzero(device, sizeof(struct gnuk_2010));
    free(gnuk_of(device));
}

static const struct firmware GNUK_2010_FIRMWARE = {
    .power = gnuk_power, .reset = gnuk_reset, .configured = gnuk_configured, .control = gnuk_control, .out = gnuk_out,
    .in = gnuk_in, .advance = gnuk_advance, .next_us = gnuk_next_us, .busy = gnuk_busy,
    .reset_by_sibling = no_sibling, .free = gnuk_free,
};

struct device *gnuk_2010_new(const struct identity *identity, struct icc *icc)
{
    struct gnuk_2010 *const gnuk = calloc(1, sizeof *gnuk);
    if (!gnuk)
        return NULL;
    gnuk->device.firmware = &GNUK_2010_FIRMWARE;
    gnuk->device.identity = identity;
    gnuk->icc = icc;
    return &gnuk->device;
}
