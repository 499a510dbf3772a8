/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pro.c - the firmware of Nitrokey Pro and Pro 2, and of keys without HID made from it, as the host sees it.
 *
 * Theory of operation
 *
 *                    command complete            card answers, or is given up
 *   LISTENING ------------------------> POWERING, LISTENING_TO_CARD, HEARING_CARD --+
 *     ^   |  \_____ answered at once ______________________________________         |
 *     |   | impossible length                                              \        v
 *     |   +-----> WEDGED (until a bus reset)                                +--> ANSWERING
 *     +------------ last packet read, which is shorter than 64 bytes -------------- |
 *
 * One buffer holds the request and then the answer. Outside LISTENING the bulk OUT endpoint answers NAK. A bus reset
 * ends neither a running command nor an answer that has not been read; losing power does.
 *
 * What looks like a mistake below is one of the real firmware, kept because hosts have to live with it.
 */
#include "pro.h"
#include <stdlib.h>
#include <string.h>
#include "hid_report.h"

#define SECOND INT64_C(1000000)
#define HEADER 10
#define PACKET 64
#define BUFFER 352           /* one packet more than the longest request */
#define LONGEST_REQUEST 281
#define MUTE_LENGTH 2        /* the answer of a card that stayed silent */
#define FILLER 0xa5          /* what the buffer for the card's answer holds before */
#define POWER_ON_US 600000
#define END_OF_ANSWER_US 10000 /* a block ends when the card has been silent for so long */
#define RETRY_US 1000        /* a card whose computation is late is listened to in such steps */

const struct pro_options pro_defaults = { .first_byte_limit_us = 120 * SECOND, .stale_packet = true };

enum stage { LISTENING, WEDGED, POWERING, LISTENING_TO_CARD, HEARING_CARD, ANSWERING };

struct pro {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    struct pro_options options;
    uint8_t hid_interface;
    bool has_hid;

    enum stage stage;
    int64_t until_us;         /* POWERING, HEARING_CARD: when it ends; LISTENING_TO_CARD: when the card is given up */
    uint8_t message[BUFFER];  /* the request, then the answer */
    size_t length;            /* LISTENING: bytes received; later: of the answer */
    const uint8_t *sending;   /* ANSWERING: message, or before it previous */
    size_t sending_len, sent;
    uint8_t previous[BUFFER]; /* the last answer, for the host that is to get it twice */
    size_t previous_len;

    uint8_t packet_memory[PACKET]; /* what the bulk IN endpoint sent last */
    bool stale, presence_due, sibling_reset_due;
};

static struct pro *pro_of(struct device *device)
{
    return (struct pro *)device;
}

static const struct pro *const_pro_of(const struct device *device)
{
    return (const struct pro *)device;
}

static bool serves_card(const struct pro *pro)
{
    return pro->stage == POWERING || pro->stage == LISTENING_TO_CARD || pro->stage == HEARING_CARD;
}

static size_t data_length(const struct pro *pro)
{
    return (size_t)(pro->message[1] | pro->message[2] << 8);
}

/* ---- answers ---- */

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82, ESCAPE = 0x83 };
enum { OK = 0x00, INACTIVE = 0x01, FAILED = 0x40 };
enum { UNSUPPORTED = 0x00, BAD_LENGTH = 0x01, BAD_SLOT = 0x05, BAD_BYTE_7 = 0x07, BAD_BYTE_8 = 0x08,
       BAD_FI_DI = 0x0a, BAD_T1_CHECKSUM = 0x0b, HARDWARE_ERROR = 0xfb, ABORTED = 0xff };

static void start_sending(struct pro *pro, const uint8_t *bytes, size_t length)
{
    pro->stage = ANSWERING;
    pro->sending = bytes;
    pro->sending_len = length;
    pro->sent = 0;
}

static void listen(struct pro *pro)
{
    pro->stage = LISTENING;
    pro->length = 0;
}

/* Bytes 0 to 9 of the answer; slot and sequence number stay as the request had them. The data are in place. */
static void answer(struct pro *pro, uint8_t type, uint8_t status, uint8_t error, uint8_t last, size_t data_len)
{
    uint8_t *m = pro->message;
    m[0] = type;
    m[1] = (uint8_t)data_len;
    m[2] = (uint8_t)(data_len >> 8);
    m[3] = m[4] = 0;
    m[7] = status;
    m[8] = error;
    m[9] = last;

    const enum answer_fault fault = faults_next_answer(&pro->device.faults);
    pro->length = faults_spoil_answer(fault, m, HEADER + data_len);
    if (pro->length == 0)
        listen(pro);
    else if (fault == ANSWER_REPEATED && pro->previous_len > 0)
        start_sending(pro, pro->previous, pro->previous_len);
    else
        start_sending(pro, m, pro->length);
}

static void refuse(struct pro *pro, uint8_t type, uint8_t error)
{
    answer(pro, type, FAILED, error, 0, 0);
}

static void whole_answer_read(struct pro *pro)
{
    if (pro->sending == pro->previous) {
        start_sending(pro, pro->message, pro->length);
        return;
    }
    memcpy(pro->previous, pro->message, pro->length);
    pro->previous_len = pro->length;
    listen(pro);
}

/* ---- commands (CCID 1.1 §6.1) ---- */

/* true: slot and length are right; otherwise the refusal is under way */
static bool addressed(struct pro *pro, uint8_t answer_type, bool may_have_data)
{
    if (pro->message[5] != 0)
        refuse(pro, answer_type, BAD_SLOT);
    else if (!may_have_data && data_length(pro) != 0)
        refuse(pro, answer_type, BAD_LENGTH);
    else
        return true;
    return false;
}

static void icc_power_on(struct pro *pro)
{
    if (!addressed(pro, DATA_BLOCK, false))
        return;
    pro->stage = POWERING; /* bPowerSelect is not looked at: it is 3 V in any case */
    pro->until_us = pro->device.now_us + POWER_ON_US;
}

/* The PPS exchange that follows is between firmware and card. */
static void powered_on(struct pro *pro)
{
    size_t atr_len;
    const uint8_t *atr = icc_reset(pro->icc, pro->device.now_us, &atr_len);
    if (atr_len == 0) {
        refuse(pro, DATA_BLOCK, HARDWARE_ERROR);
        return;
    }
    memcpy(pro->message + HEADER, atr, atr_len);
    if (pro->options.raises_ta1 && atr_len > 2 && atr[2] == 0x96)
        pro->message[HEADER + 2] = 0x98;
    answer(pro, DATA_BLOCK, OK, 0, 0, atr_len);
}

/* It only says so: the card keeps its power and its state. */
static void icc_power_off_pretended(struct pro *pro)
{
    if (addressed(pro, SLOT_STATUS, false))
        answer(pro, SLOT_STATUS, INACTIVE, 0, 1, 0);
}

static void get_slot_status(struct pro *pro)
{
    if (!addressed(pro, SLOT_STATUS, false))
        return;
    if (pro->message[7] || pro->message[8] || pro->message[9])
        refuse(pro, SLOT_STATUS, BAD_BYTE_7);
    else
        answer(pro, SLOT_STATUS, OK, 0, 0, 0);
}

/* How long bytes are on the line to the card: 11 bits each (ISO 7816-3 §11.2: the guard time of T=1 is one bit). */
static int64_t line_us(const struct pro *pro, size_t length)
{
    return pro->options.line_rate ? (int64_t)length * 11 * SECOND / pro->options.line_rate : 0;
}

static void xfr_block(struct pro *pro)
{
    const uint8_t *data = pro->message + HEADER;
    const size_t length = data_length(pro);
    if (!addressed(pro, DATA_BLOCK, true))
        return;
    if (length == 0) {
        refuse(pro, DATA_BLOCK, BAD_LENGTH);
    } else if (length == 4 && data[0] == 0xff && data[1] == 0x11) {
        answer(pro, DATA_BLOCK, OK, 0, 0, 4); /* a PPS request: done at power on, so it is agreed to unheard */
    } else {
        const int64_t sent_us = pro->device.now_us + line_us(pro, length);
        icc_hear(pro->icc, sent_us, data, length);
        pro->stage = LISTENING_TO_CARD;
        pro->until_us = sent_us + pro->options.first_byte_limit_us;
    }
}

static void card_is_mute(struct pro *pro)
{
    memset(pro->message + HEADER, FILLER, MUTE_LENGTH);
    answer(pro, DATA_BLOCK, OK, 0, 0, MUTE_LENGTH);
}

/* The card's first byte has come: takes what it says. A first byte 6X looks like a status word of T=0 and ends
 * the reception after two bytes. */
static void hear_card(struct pro *pro, int64_t at_us)
{
    uint8_t *data = pro->message + HEADER;
    size_t length = icc_speak(pro->icc, pro->device.now_us, data, BUFFER - HEADER);
    if (length == 0)
        return; /* not yet */
    if ((data[0] & 0xf0) == 0x60 && length > 2)
        length = 2;
    pro->length = length;
    pro->stage = HEARING_CARD;
    pro->until_us = at_us + line_us(pro, length) + END_OF_ANSWER_US;
}

/* Takes the data that some earlier message left in the buffer for the parameters of T=1. */
static void get_parameters(struct pro *pro)
{
    const uint8_t *stale = pro->message + HEADER;
    if (!addressed(pro, PARAMETERS, false))
        return;
    if (stale[0] == 0)
        refuse(pro, PARAMETERS, BAD_FI_DI);
    else if ((stale[1] & 0xfc) != 0x10)
        refuse(pro, PARAMETERS, BAD_T1_CHECKSUM);
    else
        answer(pro, PARAMETERS, OK, 0, 1, 7);
}

static void set_parameters(struct pro *pro)
{
    const size_t length = data_length(pro);
    const uint8_t protocol = pro->message[7];
    if (!addressed(pro, PARAMETERS, true))
        return;
    if (length != 5 && length != 7) {
        refuse(pro, PARAMETERS, BAD_LENGTH);
    } else if ((length == 5 || protocol != 1) && protocol != 0) { /* 7 bytes for another protocol count as 5 */
        refuse(pro, PARAMETERS, BAD_BYTE_7);
    } else if (pro->message[8] || pro->message[9]) {
        refuse(pro, PARAMETERS, BAD_BYTE_8);
    } else {
        memset(pro->message + HEADER, 0, 7);
        answer(pro, PARAMETERS, OK, 0, 1, 7);
    }
}

static void reset_parameters(struct pro *pro)
{
    static const uint8_t defaults[7] = { 0x11, 0x00, 0x00, 0x0a, 0x03, 0x00, 0x00 };
    if (!addressed(pro, PARAMETERS, false))
        return;
    memcpy(pro->message + HEADER, defaults, sizeof defaults);
    answer(pro, PARAMETERS, OK, 0, 1, sizeof defaults);
}

static void escape(struct pro *pro)
{
    static const char name[] = "GemTwin-V2.00-GT00";
    const bool asks_name = data_length(pro) == 1 && pro->message[HEADER] == 0x02;
    if (!addressed(pro, ESCAPE, true))
        return;
    if (asks_name)
        memcpy(pro->message + HEADER, name, sizeof name - 1);
    answer(pro, ESCAPE, OK, 0, 0, asks_name ? sizeof name - 1 : 0);
}

static void icc_clock(struct pro *pro)
{
    if (addressed(pro, SLOT_STATUS, true))
        refuse(pro, SLOT_STATUS, UNSUPPORTED);
}

static void abort_command(struct pro *pro)
{
    refuse(pro, SLOT_STATUS, ABORTED);
}

static const struct {
    uint8_t type;
    void (*run)(struct pro *pro);
} COMMANDS[] = {
    { 0x61, set_parameters }, { 0x62, icc_power_on },     { 0x63, icc_power_off_pretended }, { 0x65, get_slot_status },
    { 0x6b, escape },         { 0x6c, get_parameters },   { 0x6d, reset_parameters },        { 0x6f, xfr_block },
    { 0x72, abort_command },  { 0x7e, icc_clock },
};

static void run_command(struct pro *pro)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (COMMANDS[i].type == pro->message[0]) {
            COMMANDS[i].run(pro);
            return;
        }
    }
    refuse(pro, pro->message[0], UNSUPPORTED); /* not even the type of an answer */
}

/* ---- packets ---- */

/* A message begins; its header is in the buffer. */
static bool length_is_possible(const struct pro *pro)
{
    return pro->message[3] == 0 && pro->message[4] == 0 && HEADER + data_length(pro) <= LONGEST_REQUEST;
}

static enum handshake pro_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct pro *pro = pro_of(device);
    if (endpoint != device->identity->bulk_out || pro->stage != LISTENING)
        return HANDSHAKE_NAK;
    const bool first = pro->length == 0;
    memcpy(pro->message + pro->length, packet, length);
    if (first && length < HEADER) {
        /* Also a zero-length packet begins a message: what the buffer still holds of the last one is its header,
         * and its length comes out as impossible. */
        refuse(pro, pro->message[0], BAD_LENGTH);
        return HANDSHAKE_ACK;
    }
    pro->length += length;
    if (first && !length_is_possible(pro))
        pro->stage = WEDGED;
    else if (pro->length >= HEADER + data_length(pro))
        run_command(pro);
    return HANDSHAKE_ACK;
}

static enum handshake send_packet(struct pro *pro, uint8_t *packet, size_t *length)
{
    const size_t left = pro->sending_len - pro->sent;
    *length = left < PACKET ? left : PACKET;
    memcpy(packet, pro->sending + pro->sent, *length);
    memcpy(pro->packet_memory, packet, *length);
    pro->sent += *length;
    pro->stale = false; /* the answer took its place before anyone had read it */
    if (*length < PACKET)
        whole_answer_read(pro);
    return HANDSHAKE_ACK;
}

static enum handshake pro_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    static const uint8_t present[] = { 0x50, 0x03 }; /* NotifySlotChange: card present, and this is news */
    struct pro *pro = pro_of(device);
    if (endpoint == device->identity->interrupt_in && pro->presence_due) {
        pro->presence_due = false;
        *length = sizeof present;
        memcpy(packet, present, sizeof present);
        return HANDSHAKE_ACK;
    }
    if (endpoint != device->identity->bulk_in)
        return HANDSHAKE_NAK;
    if (pro->stage == ANSWERING)
        return send_packet(pro, packet, length);
    if (!pro->stale)
        return HANDSHAKE_NAK;
    pro->stale = false;
    *length = PACKET;
    memcpy(packet, pro->packet_memory, PACKET);
    return HANDSHAKE_ACK;
}

/* ---- control requests ---- */

static enum handshake give_zeros(const struct setup *setup, uint8_t *data, size_t *length, size_t most)
{
    *length = setup->length < most ? setup->length : most;
    memset(data, 0, *length);
    return HANDSHAKE_ACK;
}

/* Interface numbers are not looked at, so CCID's GET_DATA_RATES is taken for HID's GET_PROTOCOL. */
static enum handshake class_request(struct pro *pro, const struct setup *setup, uint8_t *data, size_t *length)
{
    switch (setup->request_type << 8 | setup->request) {
    case 0xa101: /* GET_REPORT: answered by the loop that also serves the card */
        return serves_card(pro) ? HANDSHAKE_NAK : give_zeros(setup, data, length, 64);
    case 0x2109: /* SET_REPORT */
        return serves_card(pro) ? HANDSHAKE_NAK : HANDSHAKE_ACK;
    case 0xa103: /* GET_PROTOCOL, GET_DATA_RATES */
        return give_zeros(setup, data, length, 1);
    case 0x210a: /* SET_IDLE */
    case 0x210b: /* SET_PROTOCOL */
        return HANDSHAKE_ACK;
    default: /* with them CCID's ABORT and GET_CLOCK_FREQUENCIES */
        return HANDSHAKE_STALL;
    }
}

static enum handshake pro_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    struct pro *pro = pro_of(device);
    if (setup->request_type == 0x81 && setup->request == 6 && setup->value == 0x2200 && pro->has_hid
        && setup->index == pro->hid_interface) {
        *length = setup->length < sizeof HID_REPORT_DESCRIPTOR ? setup->length : sizeof HID_REPORT_DESCRIPTOR;
        memcpy(data, HID_REPORT_DESCRIPTOR, *length);
        return HANDSHAKE_ACK;
    }
    return class_request(pro, setup, data, length);
}

/* ---- time ---- */

/* One step of what is due; false: nothing is. */
static bool step(struct pro *pro)
{
    const int64_t now = pro->device.now_us;
    const enum stage before = pro->stage;
    if (pro->stage == LISTENING_TO_CARD) {
        const int64_t speaks_at = icc_speaks_at(pro->icc);
        if (speaks_at <= now && speaks_at <= pro->until_us)
            hear_card(pro, speaks_at);
        else if (pro->until_us <= now)
            card_is_mute(pro);
    } else if (pro->stage == HEARING_CARD && pro->until_us <= now) {
        answer(pro, DATA_BLOCK, OK, 0, 0, pro->length);
    } else if (pro->stage == POWERING && pro->until_us <= now) {
        powered_on(pro);
    }
    return pro->stage != before;
}

static void pro_advance(struct device *device)
{
    struct pro *pro = pro_of(device);
    while (step(pro))
        continue;
    if (pro->sibling_reset_due && !serves_card(pro)) {
        size_t atr_len;
        pro->sibling_reset_due = false;
        (void)icc_reset(pro->icc, device->now_us, &atr_len);
    }
}

static int64_t pro_next_us(const struct device *device)
{
    const struct pro *pro = const_pro_of(device);
    if (!serves_card(pro))
        return DEVICE_NEVER;
    if (pro->stage != LISTENING_TO_CARD)
        return pro->until_us;
    int64_t speaks_at = icc_speaks_at(pro->icc);
    if (speaks_at <= device->now_us)
        speaks_at = device->now_us + RETRY_US;
    return speaks_at < pro->until_us ? speaks_at : pro->until_us;
}

/* ---- life ---- */

static void pro_power(struct device *device, bool on)
{
    struct pro *pro = pro_of(device);
    listen(pro);
    pro->previous_len = 0;
    pro->stale = pro->presence_due = pro->sibling_reset_due = false;
    memset(pro->message, 0, sizeof pro->message);
    for (size_t i = 0; i < PACKET; i++) /* memory that nobody has written yet */
        pro->packet_memory[i] = (uint8_t)(0x80 + 37 * i);
    if (!on)
        icc_power_off(pro->icc);
}

static void pro_reset(struct device *device)
{
    struct pro *pro = pro_of(device);
    if (pro->stage == LISTENING || pro->stage == WEDGED)
        listen(pro);
    pro->stale = pro->options.stale_packet;
    pro->presence_due = true;
}

/* The card may be in use by a command, and one loop serves both interfaces: then it waits. */
static void pro_reset_by_sibling(struct device *device)
{
    pro_of(device)->sibling_reset_due = true;
    pro_advance(device);
}

static bool pro_busy(const struct device *device)
{
    const struct pro *pro = const_pro_of(device);
    const int64_t speaks_at = icc_speaks_at(pro->icc);
    const bool computing = speaks_at != ICC_NEVER && speaks_at > device->now_us; /* though the firmware gave it up */
    return (pro->stage != LISTENING && pro->stage != WEDGED) || computing;
}

static void pro_free(struct device *device)
{
    free(pro_of(device));
}

static const struct firmware PRO_FIRMWARE = {
    .power = pro_power, .reset = pro_reset, .control = pro_control, .out = pro_out, .in = pro_in,
    .advance = pro_advance, .next_us = pro_next_us, .busy = pro_busy, .reset_by_sibling = pro_reset_by_sibling,
    .free = pro_free,
};

static void find_hid(struct pro *pro)
{
    const struct identity *identity = pro->device.identity;
    const uint8_t *bytes = identity->configuration;
    for (size_t at = 0; at + 9 <= identity->configuration_len; at += bytes[at]) {
        if (bytes[at + 1] == 4 && bytes[at + 5] == 3) { /* an interface of class HID */
            pro->has_hid = true;
            pro->hid_interface = bytes[at + 2];
        }
    }
}

struct device *pro_new(const struct identity *identity, struct icc *icc, const struct pro_options *options)
{
    struct pro *pro = calloc(1, sizeof *pro);
    if (!pro)
        return NULL;
    pro->device.firmware = &PRO_FIRMWARE;
    pro->device.identity = identity;
    pro->icc = icc;
    pro->options = *options;
    find_hid(pro);
    return &pro->device;
}
