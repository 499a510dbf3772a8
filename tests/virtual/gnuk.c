/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnuk.c - the firmware of Nitrokey Start and other Gnuk tokens, as the host sees it.
 *
 *   START --IccPowerOn--> WAIT --XfrBlock--> EXECUTE --answer read--> WAIT
 *     ^                    |                   |
 *     +--IccPowerOff-------+    SET_CONFIGURATION, a bus reset: START, the command is lost
 *
 * While it executes, and until what it has to say is read, the bulk OUT endpoint answers NAK. A time extension comes at
 * once (formerly not), and again 1.95 s after the host has read one; the answer waits until the extension has been
 * read. One that asks for a touch comes at once in any case. Every error is an RDR_to_PC_SlotStatus.
 * The vendor request CARD_CHANGE takes the card out (ABSENT) and puts it in again (START).
 */
#include "gnuk.h"
#include <stdlib.h>
#include <string.h>

#define HEADER 10
#define PACKET 64
#define LONGEST_MESSAGE 271
#define EXTENSION_US 1950000
#define TICKS_UNTOUCHED 7 /* with the seventh it waits no longer for a touch */
#define CLA_CHAIN 0x10
#define INS_GET_RESPONSE 0xc0

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { ACTIVE = 0x00, INACTIVE = 0x01, NO_CARD = 0x02, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, BAD_LENGTH = 0x01, BAD_LEVEL = 0x08, TOUCH_ME = 0xff };
enum { GET_CLOCK_FREQUENCIES = 2, GET_DATA_RATES = 3, CARD_CHANGE = 3 };
enum { INSERT = 0, REMOVE = 1, TOGGLE = 2 };

enum state { ABSENT, START, WAIT, EXECUTE };

struct gnuk {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    enum state state;
    bool extension_at_once;
    int64_t extension_us; /* when the next one is due */
    unsigned ticks;       /* so often has one been due for this command */
    bool asks_for_touch;
    uint8_t request[LONGEST_MESSAGE + PACKET], answer[LONGEST_MESSAGE];
    size_t received, length, sent; /* length: of the answer; 0: there is none to be read */
    bool presence_due, change_due; /* to be told; to be done when nothing runs and nothing is unread */
};

static struct gnuk *gnuk_of(struct device *device)
{
    return (struct gnuk *)device;
}

/* ---- answers ---- */

static void say(struct gnuk *gnuk, uint8_t type, uint8_t status, uint8_t error, const uint8_t *data, size_t length)
{
    const uint8_t header[HEADER] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, 0, gnuk->request[6], status,
                                     error, 0 };
    memcpy(gnuk->answer, header, HEADER);
    if (length > 0)
        memcpy(gnuk->answer + HEADER, data, length);
    gnuk->length = faults_spoil_answer(faults_next_answer(&gnuk->device.faults), gnuk->answer, HEADER + length);
    gnuk->sent = 0;
    gnuk->received = 0;
}

static uint8_t slot_status(const struct gnuk *gnuk)
{
    return gnuk->state == ABSENT ? NO_CARD : gnuk->state == START ? INACTIVE : ACTIVE;
}

static void refuse(struct gnuk *gnuk, uint8_t error)
{
    say(gnuk, SLOT_STATUS, FAILED | slot_status(gnuk), error, NULL, 0);
}

static void extend(struct gnuk *gnuk, uint8_t multiplier)
{
    say(gnuk, DATA_BLOCK, EXTENSION, multiplier, NULL, 0);
    gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
}

/* What is due while a command runs: the answer, or a time extension. The first one never asks for a touch: the
 * application has not yet come so far. */
static void go_on_executing(struct gnuk *gnuk)
{
    uint8_t answer[LONGEST_MESSAGE - HEADER];
    const bool due = gnuk->device.now_us >= gnuk->extension_us;
    gnuk->ticks += due;
    if (due && gnuk->ticks == TICKS_UNTOUCHED)
        icc_touch_timeout(gnuk->icc, gnuk->device.now_us);
    const size_t length = icc_take_answer(gnuk->icc, gnuk->device.now_us, answer, sizeof answer);
    const bool untouched = icc_waits_for_touch(gnuk->icc);
    if (length > 0) {
        gnuk->state = WAIT;
        say(gnuk, DATA_BLOCK, ACTIVE, 0, answer, length);
    } else if (due && gnuk->ticks == 1 && gnuk->extension_at_once) {
        extend(gnuk, 1);
    } else if (due || (untouched && !gnuk->asks_for_touch)) {
        gnuk->asks_for_touch = untouched;
        extend(gnuk, untouched ? TOUCH_ME : 1);
    }
}

static void change_card(struct gnuk *gnuk)
{
    icc_power_off(gnuk->icc);
    gnuk->state = gnuk->state == ABSENT ? START : ABSENT;
    gnuk->presence_due = true;
    gnuk->change_due = false;
}

/* What is due; nothing while something is unread. */
static void go_on(struct gnuk *gnuk)
{
    if (gnuk->length > 0)
        return;
    if (gnuk->state == EXECUTE)
        go_on_executing(gnuk);
    else if (gnuk->change_due)
        change_card(gnuk);
}

/* ---- messages ---- */

static void power_on(struct gnuk *gnuk)
{
    size_t length = gnuk->device.identity->atr_len;
    if (gnuk->state == START)
        (void)icc_reset(gnuk->icc, gnuk->device.now_us, &length);
    gnuk->state = WAIT; /* a verified PIN stays verified if it was there already */
    say(gnuk, DATA_BLOCK, ACTIVE, 0, gnuk->device.identity->atr, gnuk->device.identity->atr_len);
}

static void power_off(struct gnuk *gnuk)
{
    icc_power_off(gnuk->icc);
    gnuk->state = START;
    say(gnuk, SLOT_STATUS, INACTIVE, 0, NULL, 0);
}

/* A short APDU whose Lc is true (ISO 7816-4 §5.1). */
static bool is_apdu(const uint8_t *apdu, size_t length)
{
    const size_t head = 5;
    if (length <= head)
        return length >= 4;
    return length == head + apdu[4] || length == head + apdu[4] + 1;
}

/* The parts of a chain and GET RESPONSE do not get as far as the application: they are answered at once. */
static void execute(struct gnuk *gnuk, const uint8_t *apdu, size_t length)
{
    const bool at_once = gnuk->extension_at_once && !(apdu[0] & CLA_CHAIN) && apdu[1] != INS_GET_RESPONSE;
    icc_execute(gnuk->icc, gnuk->device.now_us, apdu, length);
    gnuk->state = EXECUTE;
    gnuk->extension_us = gnuk->device.now_us + (at_once ? 0 : EXTENSION_US);
    gnuk->ticks = 0;
    gnuk->asks_for_touch = false;
    gnuk->received = 0;
    go_on(gnuk);
}

static void transfer(struct gnuk *gnuk, size_t length)
{
    const uint8_t *const apdu = gnuk->request + HEADER;
    if (!is_apdu(apdu, length))
        refuse(gnuk, BAD_LENGTH);
    else if (gnuk->request[8] != 0 || gnuk->request[9] != 0)
        refuse(gnuk, BAD_LEVEL);
    else
        execute(gnuk, apdu, length);
}

static void dispatch(struct gnuk *gnuk, size_t length)
{
    static const uint8_t PARAMETER_BYTES[] = { 0x11, 0x11, 0xfe, 0x55, 0x03, 0xfe, 0x00 };
    const uint8_t type = gnuk->request[0];
    const bool present = gnuk->state != ABSENT;
    if (type == 0x62 && present) {
        power_on(gnuk);
    } else if (type == 0x63 && present) {
        power_off(gnuk);
    } else if (type == 0x65) {
        say(gnuk, SLOT_STATUS, slot_status(gnuk), 0, NULL, 0);
    } else if (type == 0x6f && gnuk->state == WAIT) {
        transfer(gnuk, length);
    } else if ((type == 0x61 || type == 0x6c || type == 0x6d) && gnuk->state == WAIT) {
        say(gnuk, PARAMETERS, ACTIVE, 0, PARAMETER_BYTES, sizeof PARAMETER_BYTES);
        gnuk->answer[9] = 1; /* bProtocolNum */
    } else {
        refuse(gnuk, UNSUPPORTED);
    }
}

/* ---- packets ---- */

static enum handshake gnuk_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct gnuk *const gnuk = gnuk_of(device);
    if (endpoint != device->identity->bulk_out || gnuk->state == EXECUTE || gnuk->length > 0)
        return HANDSHAKE_NAK;
    if (gnuk->received == 0 && length < HEADER)
        return HANDSHAKE_ACK;
    if (gnuk->received + length <= sizeof gnuk->request)
        memcpy(gnuk->request + gnuk->received, packet, length);
    gnuk->received += length;
    const uint8_t *const dw = gnuk->request + 1;
    const uint32_t said = (uint32_t)dw[0] | (uint32_t)dw[1] << 8 | (uint32_t)dw[2] << 16 | (uint32_t)dw[3] << 24;
    const size_t came = gnuk->received - HEADER;
    if (length == PACKET && came < said)
        return HANDSHAKE_ACK;
    if (came != said || gnuk->received > LONGEST_MESSAGE)
        refuse(gnuk, BAD_LENGTH);
    else
        dispatch(gnuk, said);
    return HANDSHAKE_ACK;
}

static enum handshake bulk_in(struct gnuk *gnuk, uint8_t *packet, size_t *length)
{
    const size_t left = gnuk->length - gnuk->sent;
    if (gnuk->length == 0)
        return HANDSHAKE_NAK;
    *length = left < PACKET ? left : PACKET;
    memcpy(packet, gnuk->answer + gnuk->sent, *length);
    gnuk->sent += *length;
    if (*length < PACKET) { /* a shorter packet, perhaps an empty one, ends the message */
        gnuk->length = 0;
        gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
        go_on(gnuk);
    }
    return HANDSHAKE_ACK;
}

static enum handshake gnuk_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct gnuk *const gnuk = gnuk_of(device);
    if (endpoint == device->identity->bulk_in)
        return bulk_in(gnuk, packet, length);
    if (!gnuk->presence_due)
        return HANDSHAKE_NAK;
    gnuk->presence_due = false;
    packet[0] = 0x50;
    packet[1] = gnuk->state == ABSENT ? 0x02 : 0x03;
    *length = 2;
    return HANDSHAKE_ACK;
}

static enum handshake asked_to_change_card(struct gnuk *gnuk, const struct setup *setup)
{
    const bool absent = gnuk->state == ABSENT;
    if (setup->value > TOGGLE || setup->length > 0)
        return HANDSHAKE_STALL;
    gnuk->change_due = setup->value == TOGGLE || setup->value == (absent ? INSERT : REMOVE);
    go_on(gnuk);
    return HANDSHAKE_ACK;
}

/* ABORT is none of them. */
static enum handshake gnuk_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t CLOCK[] = { 0xa0, 0x0f, 0x00, 0x00 }, RATE[] = { 0x80, 0x25, 0x00, 0x00 };
    if (setup->request_type == 0x40 && setup->request == CARD_CHANGE)
        return asked_to_change_card(gnuk_of(device), setup);
    if (setup->request_type != 0xa1 || setup->index != device->identity->ccid_interface)
        return HANDSHAKE_STALL;
    if (setup->request != GET_CLOCK_FREQUENCIES && setup->request != GET_DATA_RATES)
        return HANDSHAKE_STALL;
    *length = setup->length < sizeof CLOCK ? setup->length : sizeof CLOCK;
    memcpy(data, setup->request == GET_CLOCK_FREQUENCIES ? CLOCK : RATE, *length);
    return HANDSHAKE_ACK;
}

/* ---- life ---- */

static void begin_anew(struct device *device)
{
    struct gnuk *const gnuk = gnuk_of(device);
    icc_power_off(gnuk->icc);
    gnuk->state = START;
    gnuk->received = gnuk->length = 0;
    gnuk->change_due = false;
}

static void gnuk_configured(struct device *device)
{
    begin_anew(device);
    gnuk_of(device)->presence_due = true;
}

static void gnuk_power(struct device *device, bool on)
{
    (void)on;
    begin_anew(device);
}

static void gnuk_advance(struct device *device)
{
    go_on(gnuk_of(device));
}

static int64_t gnuk_next_us(const struct device *device)
{
    const struct gnuk *const gnuk = (const struct gnuk *)device;
    if (gnuk->state != EXECUTE || gnuk->length > 0)
        return DEVICE_NEVER;
    const int64_t answer_us = icc_answer_at(gnuk->icc);
    return answer_us < gnuk->extension_us ? answer_us : gnuk->extension_us;
}

static bool gnuk_busy(const struct device *device)
{
    const struct gnuk *const gnuk = (const struct gnuk *)device;
    return gnuk->state == EXECUTE || gnuk->length > 0;
}

static void no_sibling(struct device *device)
{
    (void)device;
}

static void gnuk_free(struct device *device)
{
    explicit_bzero(device, sizeof(struct gnuk));
    free(gnuk_of(device));
}

static const struct firmware GNUK_FIRMWARE = {
    .power = gnuk_power, .reset = begin_anew, .configured = gnuk_configured, .interface_set = gnuk_configured,
    .control = gnuk_control, .out = gnuk_out,
    .in = gnuk_in, .advance = gnuk_advance, .next_us = gnuk_next_us, .busy = gnuk_busy,
    .reset_by_sibling = no_sibling, .free = gnuk_free,
};

struct device *gnuk_new(const struct identity *identity, struct icc *icc, const struct gnuk_options *options)
{
    struct gnuk *const gnuk = calloc(1, sizeof *gnuk);
    if (!gnuk)
        return NULL;
    gnuk->device.firmware = &GNUK_FIRMWARE;
    gnuk->device.identity = identity;
    gnuk->icc = icc;
    gnuk->state = START;
    gnuk->extension_at_once = options->extension_at_once;
    return &gnuk->device;
}
