/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnuk.c - the firmware of Nitrokey Start and other Gnuk tokens, as the host sees it.
 *
 *   START --IccPowerOn--> WAIT --XfrBlock--> EXECUTE --answer--> WAIT
 *     ^                    |                   |
 *     +--IccPowerOff-------+    SET_CONFIGURATION, a bus reset: START, the command is lost
 *
 * While it executes, and until what it has to say is read, the bulk OUT endpoint answers NAK. A time extension comes at
 * once (formerly not), and again 1.95 s after the host has read one; the answer waits until the extension has been
 * read. One that asks for a touch comes at once in any case. Every error is an RDR_to_PC_SlotStatus.
 * An answer that fills one packet has no empty one behind it, longer ones have.
 * The application is a thread that IccPowerOn begins. IccPowerOff lets it end, and with it what PINs are verified;
 * SET_CONFIGURATION kills it, and that stays.
 * The vendor request CARD_CHANGE takes the card out (ABSENT) and puts it in again (START).
 * As in usb-ccid.c of Gnuk 1.2.19: ccid_thread, ccid_handle_data, ccid_send_data_block_internal.
 */
#include "gnuk.h"
#include <stdlib.h>
#include <string.h>
#include "application.h"
#include "gnuk_apdu.h"

#define EXTENSION_US 1950000
#define TICKS_UNTOUCHED 7 /* with the seventh it waits no longer for a touch */
#define LIFE_CYCLE_FROM_END 4 /* where an ATR tells it, before a status word and TCK */

enum { POWER_ON = 0x62, POWER_OFF = 0x63, GET_SLOT_STATUS = 0x65, SECURE = 0x69, XFR_BLOCK = 0x6f };
enum { SET_PARAMETERS = 0x61, GET_PARAMETERS = 0x6c, RESET_PARAMETERS = 0x6d };
enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { ACTIVE = 0x00, INACTIVE = 0x01, NO_CARD = 0x02, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, BAD_LENGTH = 0x01, BAD_LEVEL = 0x08, BAD_DATA = 0x0a, TOUCH_ME = 0xff };
enum { GET_CLOCK_FREQUENCIES = 2, GET_DATA_RATES = 3, CARD_CHANGE = 3 };
enum { INSERT = 0, REMOVE = 1, TOGGLE = 2 };

enum state { ABSENT, START, WAIT, EXECUTE };

struct gnuk {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    enum state state;
    bool extension_at_once;
    bool runs; /* the application's thread */
    int64_t extension_us; /* when the next one is due */
    unsigned ticks;       /* so often has one been due for this command */
    bool asks_for_touch, asks_for_pinpad;
    struct gnuk_apdu apdu;
    bool receives; /* the OUT endpoint is open */
    uint8_t answer[GNUK_HEADER + GNUK_ANSWER_MAX];
    size_t length, sent; /* of the answer; length 0: there is none to be read */
    bool presence_due, change_due; /* to be told; to be done when nothing runs */
};

static struct gnuk *gnuk_of(struct device *device)
{
    return (struct gnuk *)device;
}

/* ---- answers ---- */

static void has_sent(struct gnuk *gnuk);

static void say(struct gnuk *gnuk, uint8_t type, uint8_t sequence, uint8_t status, uint8_t error, const uint8_t *data,
                size_t length)
{
    const uint8_t header[GNUK_HEADER] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, 0, sequence, status,
                                          error, 0 };
    memcpy(gnuk->answer, header, sizeof header);
    if (length > 0)
        memcpy(gnuk->answer + sizeof header, data, length);
    gnuk->length = faults_spoil_answer(faults_next_answer(&gnuk->device.faults), gnuk->answer, sizeof header + length);
    gnuk->sent = 0;
    if (gnuk->length == 0) /* swallowed */
        has_sent(gnuk);
}

static uint8_t slot_status(const struct gnuk *gnuk)
{
    return gnuk->state == ABSENT ? NO_CARD : gnuk->state == START ? INACTIVE : ACTIVE;
}

static void say_status(struct gnuk *gnuk, uint8_t failed, uint8_t error)
{
    say(gnuk, SLOT_STATUS, gnuk->apdu.header[6], failed | slot_status(gnuk), error, NULL, 0);
}

static void refuse(struct gnuk *gnuk, uint8_t error)
{
    say_status(gnuk, FAILED, error);
}

/* Of an XfrBlock: its own bSeq, and not that of a header which brought nothing. */
static void reply(struct gnuk *gnuk, const struct gnuk_reply *reply)
{
    uint8_t bytes[GNUK_ANSWER_MAX];
    memcpy(bytes, gnuk->apdu.bytes + reply->begins, reply->length);
    bytes[reply->length] = (uint8_t)(reply->status_word >> 8);
    bytes[reply->length + 1] = (uint8_t)reply->status_word;
    say(gnuk, DATA_BLOCK, gnuk->apdu.sequence, ACTIVE, 0, bytes, reply->length + 2);
}

static void extend(struct gnuk *gnuk, uint8_t multiplier)
{
    say(gnuk, DATA_BLOCK, gnuk->apdu.sequence, EXTENSION, multiplier, NULL, 0);
    gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
}

/* The application's answer, 0: there is none yet. Without a PIN pad a Secure command fails. */
static size_t take_answer(struct gnuk *gnuk, bool extension_due, uint8_t answer[APPLICATION_ANSWER_MAX])
{
    static const uint8_t NO_PINPAD[] = { 0x6f, 0x00 };
    if (!gnuk->asks_for_pinpad)
        return icc_take_answer(gnuk->icc, gnuk->device.now_us, answer, APPLICATION_ANSWER_MAX);
    if (extension_due)
        return 0;
    gnuk->asks_for_pinpad = false;
    memcpy(answer, NO_PINPAD, sizeof NO_PINPAD);
    return sizeof NO_PINPAD;
}

/* What is due while a command runs: the answer, or a time extension. The first one never asks for a touch: the
 * application has not yet come so far. */
static void go_on_executing(struct gnuk *gnuk)
{
    uint8_t answer[APPLICATION_ANSWER_MAX];
    const bool due = gnuk->device.now_us >= gnuk->extension_us;
    gnuk->ticks += due;
    if (due && gnuk->ticks == TICKS_UNTOUCHED)
        icc_touch_timeout(gnuk->icc, gnuk->device.now_us);
    const size_t length = take_answer(gnuk, due, answer);
    const bool untouched = icc_waits_for_touch(gnuk->icc);
    if (length > 0) {
        const struct gnuk_reply whole = gnuk_apdu_end(&gnuk->apdu, answer, length);
        gnuk->state = WAIT;
        reply(gnuk, &whole);
    } else if (due && gnuk->ticks == 1 && gnuk->extension_at_once) {
        extend(gnuk, 1);
    } else if (due || (untouched && !gnuk->asks_for_touch)) {
        gnuk->asks_for_touch = untouched;
        extend(gnuk, untouched ? TOUCH_ME : 1);
    }
    explicit_bzero(answer, sizeof answer);
}

/* ---- the application ---- */

static void start_application(struct gnuk *gnuk)
{
    if (!gnuk->runs)
        icc_start(gnuk->icc, gnuk->device.now_us);
    gnuk->runs = true;
}

static void end_application(struct gnuk *gnuk)
{
    if (gnuk->runs)
        icc_power_off(gnuk->icc);
    gnuk->runs = false;
}

static void kill_application(struct gnuk *gnuk)
{
    if (gnuk->runs)
        icc_cancel(gnuk->icc, gnuk->device.now_us);
    gnuk->runs = false;
}

/* A command that runs comes to its end first, and then nobody opens the OUT endpoint again. */
static void change_card(struct gnuk *gnuk)
{
    uint8_t answer[APPLICATION_ANSWER_MAX];
    const bool ready = gnuk->state != EXECUTE ||
                       icc_take_answer(gnuk->icc, gnuk->device.now_us, answer, sizeof answer) > 0;
    if (!ready)
        return;
    end_application(gnuk);
    gnuk->state = gnuk->state == ABSENT ? START : ABSENT;
    gnuk->presence_due = true;
    gnuk->change_due = false;
    explicit_bzero(answer, sizeof answer);
}

/* What is due; of a command that runs nothing while something is unread. */
static void go_on(struct gnuk *gnuk)
{
    if (gnuk->change_due)
        change_card(gnuk);
    else if (gnuk->length == 0 && gnuk->state == EXECUTE)
        go_on_executing(gnuk);
}

/* ---- messages ---- */

/* The ATR with the life cycle that the card has now (ISO 7816-4 §12.1.1.11), and TCK. */
static void power_on(struct gnuk *gnuk)
{
    uint8_t atr[33];
    const size_t length = gnuk->device.identity->atr_len;
    memcpy(atr, gnuk->device.identity->atr, length);
    gnuk_apdu_reset(&gnuk->apdu);
    start_application(gnuk);
    gnuk->state = WAIT; /* a verified PIN stays verified if it was there already */
    if (icc_is_terminated(gnuk->icc) && length > LIFE_CYCLE_FROM_END && atr[length - LIFE_CYCLE_FROM_END] == 0x05) {
        atr[length - LIFE_CYCLE_FROM_END] ^= 0x05 ^ 0x03;
        atr[length - 1] ^= 0x05 ^ 0x03;
    }
    say(gnuk, DATA_BLOCK, gnuk->apdu.header[6], ACTIVE, 0, atr, length);
}

static void power_off(struct gnuk *gnuk)
{
    gnuk_apdu_reset(&gnuk->apdu);
    end_application(gnuk);
    gnuk->state = START;
    say_status(gnuk, 0, 0);
}

static void begin_to_execute(struct gnuk *gnuk)
{
    gnuk->state = EXECUTE;
    gnuk->extension_us = gnuk->device.now_us + (gnuk->extension_at_once ? 0 : EXTENSION_US);
    gnuk->ticks = 0;
    gnuk->asks_for_touch = false;
    go_on(gnuk);
}

static void transfer(struct gnuk *gnuk)
{
    uint8_t command[GNUK_APDU_MAX];
    struct gnuk_reply at_once;
    if (gnuk->apdu.header[8] != 0 || gnuk->apdu.header[9] != 0) {
        refuse(gnuk, BAD_LEVEL);
    } else if (!gnuk_apdu_begin(&gnuk->apdu, &at_once)) {
        reply(gnuk, &at_once);
    } else {
        icc_execute(gnuk->icc, gnuk->device.now_us, command, gnuk_apdu_command(&gnuk->apdu, command));
        explicit_bzero(command, sizeof command);
        begin_to_execute(gnuk);
    }
}

/* PIN entry at the token: verification or modification. */
static void secure(struct gnuk *gnuk)
{
    if (gnuk->apdu.at > 0) {
        gnuk_apdu_reset(&gnuk->apdu);
        refuse(gnuk, BAD_LENGTH);
    } else if (gnuk->apdu.bytes[0] > 0x01) {
        refuse(gnuk, BAD_DATA);
    } else {
        gnuk->apdu.state = APDU_RUNS;
        gnuk->asks_for_pinpad = true;
        begin_to_execute(gnuk);
    }
}

static void dispatch(struct gnuk *gnuk)
{
    static const uint8_t PARAMETER_BYTES[] = { 0x11, 0x11, 0xfe, 0x55, 0x03, 0xfe, 0x00 };
    const uint8_t type = gnuk->apdu.header[0];
    const bool present = gnuk->state != ABSENT, waits = gnuk->state == WAIT;
    if (type == POWER_ON && present) {
        power_on(gnuk);
    } else if (type == POWER_OFF && present) {
        power_off(gnuk);
    } else if (type == GET_SLOT_STATUS) {
        say_status(gnuk, 0, 0);
    } else if (type == XFR_BLOCK && waits) {
        transfer(gnuk);
    } else if (type == SECURE && waits) {
        secure(gnuk);
    } else if ((type == SET_PARAMETERS || type == GET_PARAMETERS || type == RESET_PARAMETERS) && waits) {
        say(gnuk, PARAMETERS, gnuk->apdu.header[6], ACTIVE, 0, PARAMETER_BYTES, sizeof PARAMETER_BYTES);
        gnuk->answer[9] = 1; /* bProtocolNum */
    } else {
        refuse(gnuk, UNSUPPORTED);
    }
}

/* ---- packets ---- */

static enum handshake gnuk_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct gnuk *const gnuk = gnuk_of(device);
    if (endpoint != device->identity->bulk_out || !gnuk->receives)
        return HANDSHAKE_NAK;
    if (!gnuk_apdu_take(&gnuk->apdu, packet, length))
        return HANDSHAKE_ACK;
    gnuk->receives = false;
    if (gnuk->apdu.failed) {
        gnuk_apdu_reset(&gnuk->apdu);
        refuse(gnuk, BAD_LENGTH);
    } else {
        dispatch(gnuk);
    }
    return HANDSHAKE_ACK;
}

static void receive(struct gnuk *gnuk)
{
    gnuk_apdu_expect(&gnuk->apdu);
    gnuk->receives = true;
}

/* The host has read a message to its end. */
static void has_sent(struct gnuk *gnuk)
{
    gnuk->length = 0;
    gnuk->extension_us = gnuk->device.now_us + EXTENSION_US;
    if (gnuk_apdu_read(&gnuk->apdu))
        receive(gnuk);
    go_on(gnuk);
}

static enum handshake bulk_in(struct gnuk *gnuk, uint8_t *packet, size_t *length)
{
    const size_t left = gnuk->length - gnuk->sent;
    if (gnuk->length == 0)
        return HANDSHAKE_NAK;
    *length = left < GNUK_PACKET ? left : GNUK_PACKET;
    memcpy(packet, gnuk->answer + gnuk->sent, *length);
    gnuk->sent += *length;
    if (*length < GNUK_PACKET || gnuk->length == GNUK_PACKET)
        has_sent(gnuk);
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
    kill_application(gnuk);
    gnuk_apdu_reset(&gnuk->apdu);
    gnuk->state = START;
    gnuk->length = 0;
    gnuk->change_due = gnuk->asks_for_pinpad = false;
    receive(gnuk);
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
    icc_power_off(gnuk_of(device)->icc);
    gnuk_of(device)->apdu = (struct gnuk_apdu){ 0 };
    begin_anew(device);
}

static void gnuk_advance(struct device *device)
{
    go_on(gnuk_of(device));
}

static int64_t gnuk_next_us(const struct device *device)
{
    const struct gnuk *const gnuk = (const struct gnuk *)device;
    const int64_t answer_us = icc_answer_at(gnuk->icc);
    if (gnuk->change_due)
        return answer_us;
    if (gnuk->state != EXECUTE || gnuk->length > 0)
        return DEVICE_NEVER;
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
