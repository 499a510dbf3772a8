/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnuk.c - the firmware of Nitrokey Start and other Gnuk tokens, as the host sees it.
 *
 *   START --IccPowerOn--> WAIT --XfrBlock--> EXECUTE --answer read--> WAIT
 *     ^                    |                   |
 *     +--IccPowerOff-------+    SET_CONFIGURATION, a bus reset: START, the command is lost
 *
 * While it executes, and until what it has to say is read, the bulk OUT endpoint answers NAK. A time extension comes at
 * once (formerly not) and then each 1.95 s; the answer waits until the extension has been read. Every error is an
 * RDR_to_PC_SlotStatus.
 */
#include "gnuk.h"
#include <stdlib.h>
#include <string.h>

#define HEADER 10
#define PACKET 64
#define LONGEST_MESSAGE 271
#define SHORT_APDU_MAX 261
#define EXTENSION_US 1950000
#define EXTENSIONS_UNTOUCHED 7 /* then it waits no longer for a touch */

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { ACTIVE = 0x00, INACTIVE = 0x01, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, BAD_LENGTH = 0x01, BAD_LEVEL = 0x08, TOUCH_ME = 0xff };

enum state { START, WAIT, EXECUTE };

struct gnuk {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    enum state state;
    bool extension_at_once;
    int64_t extension_us; /* when the next one is due */
    unsigned untouched;   /* extensions since it waits for a touch */
    uint8_t request[LONGEST_MESSAGE + PACKET], answer[LONGEST_MESSAGE];
    size_t received, length, sent; /* length: of the answer; 0: there is none to be read */
    bool presence_due;
};

static struct gnuk *gnuk_of(struct device *device)
{
    return (struct gnuk *)device;
}

/* ---- answers ---- */

static void say(struct gnuk *gnuk, uint8_t type, uint8_t status, uint8_t error, const uint8_t *data, size_t length)
{
    const uint8_t header[HEADER] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, gnuk->request[5],
                                     gnuk->request[6], status, error, 0 };
    memcpy(gnuk->answer, header, HEADER);
    if (length > 0)
        memcpy(gnuk->answer + HEADER, data, length);
    gnuk->length = faults_spoil_answer(faults_next_answer(&gnuk->device.faults), gnuk->answer, HEADER + length);
    gnuk->sent = 0;
    gnuk->received = 0;
}

static void refuse(struct gnuk *gnuk, uint8_t error)
{
    say(gnuk, SLOT_STATUS, (uint8_t)(FAILED | (gnuk->state == START ? INACTIVE : ACTIVE)), error, NULL, 0);
}

static void extend(struct gnuk *gnuk)
{
    const bool untouched = icc_waits_for_touch(gnuk->icc);
    say(gnuk, DATA_BLOCK, EXTENSION, untouched ? TOUCH_ME : 1, NULL, 0);
    gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
    gnuk->untouched += untouched;
}

/* What is due while a command runs: the answer, or a time extension; nothing while something is unread. */
static void go_on(struct gnuk *gnuk)
{
    uint8_t answer[LONGEST_MESSAGE - HEADER];
    const bool due = gnuk->device.now_us >= gnuk->extension_us;
    if (gnuk->state != EXECUTE || gnuk->length > 0)
        return;
    if (due && gnuk->untouched == EXTENSIONS_UNTOUCHED)
        icc_touch_timeout(gnuk->icc, gnuk->device.now_us);
    const size_t length = icc_take_answer(gnuk->icc, gnuk->device.now_us, answer, sizeof answer);
    if (length > 0) {
        gnuk->state = WAIT;
        say(gnuk, DATA_BLOCK, ACTIVE, 0, answer, length);
    } else if (due) {
        extend(gnuk);
    }
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

static void execute(struct gnuk *gnuk, size_t length)
{
    if (gnuk->request[8] != 0 || gnuk->request[9] != 0) {
        refuse(gnuk, BAD_LEVEL);
    } else if (length < 4 || length > SHORT_APDU_MAX) {
        refuse(gnuk, BAD_LENGTH);
    } else {
        icc_execute(gnuk->icc, gnuk->device.now_us, gnuk->request + HEADER, length);
        gnuk->state = EXECUTE;
        gnuk->extension_us = gnuk->device.now_us;
        if (!gnuk->extension_at_once && !icc_waits_for_touch(gnuk->icc))
            gnuk->extension_us += EXTENSION_US;
        gnuk->untouched = 0;
        gnuk->received = 0;
        go_on(gnuk);
    }
}

static void dispatch(struct gnuk *gnuk, size_t length)
{
    static const uint8_t PARAMETER_BYTES[] = { 0x11, 0x11, 0xfe, 0x55, 0x03, 0xfe, 0x00 };
    const uint8_t type = gnuk->request[0];
    if (type == 0x62)
        power_on(gnuk);
    else if (type == 0x63)
        power_off(gnuk);
    else if (type == 0x65)
        say(gnuk, SLOT_STATUS, gnuk->state == START ? INACTIVE : ACTIVE, 0, NULL, 0);
    else if (type == 0x6f && gnuk->state == WAIT)
        execute(gnuk, length);
    else if ((type == 0x61 || type == 0x6c || type == 0x6d) && gnuk->state == WAIT) {
        say(gnuk, PARAMETERS, ACTIVE, 0, PARAMETER_BYTES, sizeof PARAMETER_BYTES);
        gnuk->answer[9] = 1; /* bProtocolNum */
    } else
        refuse(gnuk, UNSUPPORTED);
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
    const size_t said = (size_t)(gnuk->request[1] | gnuk->request[2] << 8);
    if (length == PACKET && gnuk->received < HEADER + said)
        return HANDSHAKE_ACK;
    if (gnuk->received != HEADER + said || gnuk->received > LONGEST_MESSAGE)
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
    packet[1] = 0x03;
    *length = 2;
    return HANDSHAKE_ACK;
}

static enum handshake gnuk_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t CLOCK[] = { 0xa0, 0x0f, 0x00, 0x00 }, RATE[] = { 0x80, 0x25, 0x00, 0x00 };
    (void)device;
    if (setup->request_type != 0xa1 || (setup->request != 2 && setup->request != 3) || setup->length < sizeof CLOCK)
        return HANDSHAKE_STALL; /* ABORT too */
    memcpy(data, setup->request == 2 ? CLOCK : RATE, sizeof CLOCK);
    *length = sizeof CLOCK;
    return HANDSHAKE_ACK;
}

/* ---- life ---- */

static void begin_anew(struct device *device)
{
    struct gnuk *const gnuk = gnuk_of(device);
    icc_power_off(gnuk->icc);
    gnuk->state = START;
    gnuk->received = gnuk->length = 0;
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
    free(gnuk_of(device));
}

static const struct firmware GNUK_FIRMWARE = {
    .power = gnuk_power, .reset = begin_anew, .configured = gnuk_configured, .control = gnuk_control, .out = gnuk_out,
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
    gnuk->extension_at_once = options->extension_at_once;
    return &gnuk->device;
}
