/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pro.c - the firmware of Nitrokey Pro and Pro 2, and of keys without HID made from it, as the host sees it.
 *
 * Theory of operation (Ccid_usb.c of nitrokey-pro-firmware 0.15)
 *
 *                  first packet, more to come          last packet
 *   BEGINNING ----------------------------> CONTINUED -------------+
 *     ^  |                                                         v
 *     |  +------------- a message of one packet -------------> COMPLETE: the main loop executes it
 *     |                                                            |
 *     |     last packet loaded: OUT opens                          v first packet of the answer loaded
 *     +-------------------------------------------------------- SENDING <-+
 *                                                                  +------+ a packet was read: the next is loaded
 *
 * One buffer holds the request and then the answer, one pointer and one count go through both. Whether a packet is
 * taken is up to the controller: it takes one after OUT was opened, and then answers NAK until it is opened again.
 * OUT is opened for the rest of a request, when the last packet of an answer has been loaded (not when it was read),
 * and by a bus reset. A bus reset also makes the bulk IN endpoint give its 64 bytes of memory, and changes nothing
 * else: neither the state nor a running command. So a packet that is taken while a command runs is added to the
 * request, which is then too long, and is swallowed.
 *
 * What looks like a mistake here is one of the real firmware, kept because hosts have to live with it.
 */
#include "pro_firmware.h"
#include <stdlib.h>
#include <string.h>
#include "hid_report.h"

#define SECOND INT64_C(1000000)
#define DESCRIPTOR_HID 0x21
#define DESCRIPTOR_REPORT 0x22
#define HID_DESCRIPTOR_LENGTH 9
#define REPORT_LENGTH 64

const struct pro_options pro_defaults = { .first_byte_limit_us = 120 * SECOND, .stale_packet = true };

static struct pro *pro_of(struct device *device)
{
    return (struct pro *)device;
}

static const struct pro *const_pro_of(const struct device *device)
{
    return (const struct pro *)device;
}

static int length_in_header(const struct pro *pro)
{
    return PRO_HEADER + (pro->message[1] | pro->message[2] << 8);
}

/* ---- the answer ---- */

static void answer_is_loaded(struct pro *pro)
{
    memcpy(pro->previous, pro->message, pro->at);
    pro->previous_len = pro->at;
    pro->state = BEGINNING;
    pro->out_valid = true;
}

/* Loads a packet; the last one is shorter than 64 bytes, so it may be empty. Memory is written in words of 16 bits. */
static void load(struct pro *pro, const uint8_t *bytes, size_t left)
{
    pro->in_count = left < PRO_PACKET ? left : PRO_PACKET;
    memcpy(pro->in_memory, bytes, pro->in_count + pro->in_count % 2);
    pro->in_valid = true;
    pro->in_is_old = false;
}

static void load_next(struct pro *pro)
{
    if (pro->repeating) {
        load(pro, pro->previous + pro->repeated, pro->previous_len - pro->repeated);
        pro->repeated += pro->in_count;
        pro->repeating = pro->in_count == PRO_PACKET;
        return;
    }
    load(pro, pro->message + pro->at, (size_t)pro->left);
    pro->at += pro->in_count;
    pro->left -= (int)pro->in_count;
    if (pro->in_count < PRO_PACKET)
        answer_is_loaded(pro);
}

void pro_answer(struct pro *pro)
{
    const int said = length_in_header(pro), length = said < PRO_LONGEST_ANSWER ? said : PRO_LONGEST_ANSWER;
    const enum answer_fault fault = faults_next_answer(&pro->device.faults);
    pro->work = AT_LEISURE;
    pro->state = SENDING;
    pro->at = pro->repeated = 0;
    pro->left = (int)faults_spoil_answer(fault, pro->message, (size_t)length);
    pro->repeating = fault == ANSWER_REPEATED && pro->previous_len > 0;
    if (pro->left > 0)
        load_next(pro);
    else
        answer_is_loaded(pro); /* swallowed */
}

/* ---- the request ---- */

static void store(struct pro *pro, const uint8_t *packet, size_t length)
{
    const size_t room = pro->at < PRO_BUFFER ? PRO_BUFFER - pro->at : 0;
    if (room > 0) /* what lies behind the buffer is written to in the real one */
        memcpy(pro->message + pro->at, packet, length < room ? length : room);
    pro->at += length;
}

static bool length_is_possible(const struct pro *pro)
{
    return pro->message[3] == 0 && pro->message[4] == 0 && length_in_header(pro) <= PRO_LONGEST_REQUEST;
}

/* The length is looked at once, with the first packet, however short that is: what the buffer has from the message
 * before then counts as its header. */
static void take_packet(struct pro *pro, const uint8_t *packet, size_t length)
{
    if (pro->state == BEGINNING)
        pro->at = 0;
    store(pro, packet, length);
    if (pro->state == BEGINNING) {
        pro->left = length_in_header(pro);
        if (!length_is_possible(pro))
            pro->at = PRO_HEADER; /* more is taken, to be refused */
    }
    pro->left -= (int)length;
    pro->out_valid = pro->left > 0;
    pro->state = pro->left > 0 ? CONTINUED : COMPLETE;
    if (pro->left < 0)
        memset(pro->message + 1, 0xff, 4); /* dwLength: so every command refuses it that looks there */
}

/* ---- the main loop ---- */

static void serve(struct pro *pro)
{
    do {
        if (pro->work == AT_LEISURE && pro->state == COMPLETE)
            pro_execute(pro);
    } while (pro_work_on(pro));
    if (pro->work != AT_LEISURE)
        return;
    if (pro->presence_due)
        pro->notification_valid = true;
    pro->presence_due = false;
    if (pro->sibling_reset_due) {
        size_t atr_len;
        pro->sibling_reset_due = false;
        (void)icc_reset(pro->icc, pro->device.now_us, &atr_len);
    }
}

/* ---- packets ---- */

static enum handshake pro_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct pro *pro = pro_of(device);
    if (endpoint != device->identity->bulk_out || !pro->out_valid)
        return HANDSHAKE_NAK;
    take_packet(pro, packet, length);
    serve(pro);
    return HANDSHAKE_ACK;
}

static enum handshake read_bulk(struct pro *pro, uint8_t *packet, size_t *length)
{
    if (!pro->in_valid)
        return HANDSHAKE_NAK;
    *length = pro->in_count;
    memcpy(packet, pro->in_memory, pro->in_count);
    pro->in_valid = pro->in_is_old = false;
    if (pro->state == SENDING)
        load_next(pro);
    return HANDSHAKE_ACK;
}

static enum handshake pro_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    static const uint8_t present[] = { 0x50, 0x03 }; /* NotifySlotChange: card present, and this is news */
    struct pro *pro = pro_of(device);
    if (endpoint == device->identity->bulk_in)
        return read_bulk(pro, packet, length);
    if (endpoint != device->identity->interrupt_in || !pro->notification_valid)
        return HANDSHAKE_NAK;
    pro->notification_valid = false;
    *length = sizeof present;
    memcpy(packet, present, sizeof present);
    return HANDSHAKE_ACK;
}

/* ---- control requests ---- */

static enum handshake give(const struct setup *setup, uint8_t *data, size_t *length, const uint8_t *bytes, size_t most)
{
    *length = setup->length < most ? setup->length : most;
    memcpy(data, bytes, *length);
    return HANDSHAKE_ACK;
}

static enum handshake class_request(struct pro *pro, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t report[REPORT_LENGTH];
    const uint8_t report_type = (uint8_t)(setup->value >> 8);
    if (setup->length == 0) { /* with SET_IDLE and CCID's ABORT */
        const bool set_protocol = setup->request_type == 0x21 && setup->request == 0x0b;
        if (set_protocol)
            pro->hid_protocol = (uint8_t)setup->value;
        return set_protocol ? HANDSHAKE_ACK : HANDSHAKE_STALL;
    }
    switch (setup->request_type << 8 | setup->request) {
    case 0xa101: /* GET_REPORT: feature */
        return report_type == 3 ? give(setup, data, length, report, sizeof report) : HANDSHAKE_STALL;
    case 0x2109: /* SET_REPORT: output, feature */
        return report_type == 2 || report_type == 3 ? HANDSHAKE_ACK : HANDSHAKE_STALL;
    case 0xa103: /* GET_PROTOCOL; interface numbers are not looked at, so CCID's GET_DATA_RATES is taken for it */
        return give(setup, data, length, &pro->hid_protocol, 1);
    default:
        return HANDSHAKE_STALL;
    }
}

static enum handshake pro_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    struct pro *pro = pro_of(device);
    const bool of_hid = pro->hid_descriptor && setup->index == pro->hid_interface;
    if (setup->request_type != 0x81)
        return class_request(pro, setup, data, length);
    if (setup->request != 6 || !of_hid)
        return HANDSHAKE_STALL;
    if (setup->value == DESCRIPTOR_REPORT << 8)
        return give(setup, data, length, HID_REPORT_DESCRIPTOR, sizeof HID_REPORT_DESCRIPTOR);
    if (setup->value == DESCRIPTOR_HID << 8)
        return give(setup, data, length, pro->hid_descriptor, HID_DESCRIPTOR_LENGTH);
    return HANDSHAKE_STALL;
}

/* ---- time ---- */

static void pro_advance(struct device *device)
{
    serve(pro_of(device));
}

static int64_t pro_next_us(const struct device *device)
{
    return pro_next_work_us(const_pro_of(device));
}

/* ---- life ---- */

/* The card is powered before the key enumerates, and the firmware never switches it off. */
static void pro_power(struct device *device, bool on)
{
    struct pro *pro = pro_of(device);
    const struct pro fresh = { .device = pro->device, .icc = pro->icc, .options = pro->options,
                               .hid_descriptor = pro->hid_descriptor, .hid_interface = pro->hid_interface,
                               .out_valid = true, .late_byte = -1 };
    size_t atr_len;
    *pro = fresh;
    for (size_t i = 0; i < PRO_PACKET; i++) /* memory that nobody has written yet */
        pro->in_memory[i] = (uint8_t)(0x80 + 37 * i);
    if (on)
        (void)icc_reset(pro->icc, device->now_us, &atr_len);
    else
        icc_power_off(pro->icc);
}

static void pro_reset(struct device *device)
{
    struct pro *pro = pro_of(device);
    pro->out_valid = true;
    pro->notification_valid = false;
    pro->presence_due = true;
    if (pro->options.stale_packet) {
        pro->in_is_old = pro->in_is_old || !pro->in_valid;
        pro->in_valid = true;
        pro->in_count = PRO_PACKET;
    }
    serve(pro);
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
    return pro->work != AT_LEISURE || (pro->in_valid && !pro->in_is_old) || computing;
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
            pro->hid_interface = bytes[at + 2];
            pro->hid_descriptor = bytes + at + bytes[at];
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
