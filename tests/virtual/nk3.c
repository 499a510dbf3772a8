/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nk3.c - the firmware of Nitrokey 3 and Nitrokey Passkey, as the host sees it.
 *
 *   IDLE --XfrBlock--> PROCESSING --answer--> IDLE, or SENDING if it is longer than one packet
 *   IDLE --XfrBlock, chain 1--> RECEIVING --chain 3--> RECEIVING --chain 2--> PROCESSING
 *   SENDING --empty XfrBlock, chain 10h--> SENDING, IDLE after the last part
 *
 * Each message of its own is one packet. What breaks these rules brings it back to IDLE without a word. The applications
 * run on regardless: while one is busy no other command gets through to them, and an answer that is due when the state is
 * not PROCESSING is dropped.
 *
 * One packet waits in the endpoint for the host, one more in the outbox behind it. A time extension that finds the
 * outbox full ends PROCESSING.
 */
#include "nk3.h"
#include <stdlib.h>
#include <string.h>
#include "application.h"

#define HEADER 10
#define PACKET 64
#define PART (PACKET - HEADER)
#define SHORTEST_APDU 4
#define LONGEST_MESSAGE 3072
#define EXTENSION_US 1000000
#define TOUCH_LIMIT_US 15000000

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82, REFUSAL = 0x6c };
enum { SUCCEEDED = 0x00, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, ABORTED = 0xff };
enum { CHAIN_WHOLE = 0, CHAIN_BEGINS = 1, CHAIN_ENDS = 2, CHAIN_GOES_ON = 3, CHAIN_MORE = 0x10 };

enum state { IDLE, RECEIVING, PROCESSING, SENDING };

struct packet {
    uint8_t bytes[PACKET];
    size_t length;
    bool full; /* there is one, perhaps of no bytes */
};

struct nk3 {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    bool survives_abort;
    enum state state;
    uint8_t sequence; /* of the message that was heard last: all answers bear it */
    int64_t extension_us, touch_us;
    uint8_t message[LONGEST_MESSAGE];
    size_t received;
    uint8_t command[APPLICATION_COMMAND_MAX];
    size_t command_length;
    uint8_t answer[APPLICATION_ANSWER_MAX];
    size_t answer_length, answer_sent;
    struct packet endpoint, outbox;
    bool abort_by_control, abort_by_bulk;
    uint8_t abort_sequence;
};

static struct nk3 *nk3_of(struct device *device)
{
    return (struct nk3 *)device;
}

static void panic(struct nk3 *nk3)
{
    nk3->device.faults.frozen = true;
}

static void reset_state(struct nk3 *nk3)
{
    nk3->state = IDLE;
    nk3->received = nk3->command_length = 0;
}

/* ---- packets to the host ---- */

static void fill_endpoint(struct nk3 *nk3)
{
    if (!nk3->endpoint.full && nk3->outbox.full) {
        nk3->endpoint = nk3->outbox;
        nk3->outbox.full = false;
    }
}

/* false: there is no room */
static bool say(struct nk3 *nk3, uint8_t type, uint8_t status, uint8_t error, uint8_t chain, const uint8_t *data,
                size_t length)
{
    const uint8_t header[HEADER] = { type, (uint8_t)length, 0, 0, 0, 0, nk3->sequence, status, error, chain };
    if (nk3->outbox.full)
        return false;
    memcpy(nk3->outbox.bytes, header, HEADER);
    if (length > 0)
        memcpy(nk3->outbox.bytes + HEADER, data, length);
    const enum answer_fault fault = faults_next_answer(&nk3->device.faults);
    nk3->outbox.length = faults_spoil_answer(fault, nk3->outbox.bytes, HEADER + length);
    nk3->outbox.full = fault != ANSWER_SWALLOWED;
    fill_endpoint(nk3);
    return true;
}

static void say_next_part(struct nk3 *nk3)
{
    const size_t left = nk3->answer_length - nk3->answer_sent, length = left < PART ? left : PART;
    const bool first = nk3->answer_sent == 0, last = length == left;
    const uint8_t chain = first ? (last ? CHAIN_WHOLE : CHAIN_BEGINS) : last ? CHAIN_ENDS : CHAIN_GOES_ON;
    (void)say(nk3, DATA_BLOCK, SUCCEEDED, 0, chain, nk3->answer + nk3->answer_sent, length);
    nk3->answer_sent += length;
    nk3->state = last ? IDLE : SENDING;
}

static void give(struct nk3 *nk3, const uint8_t *answer, size_t length)
{
    memcpy(nk3->answer, answer, length);
    nk3->answer_length = length;
    nk3->answer_sent = 0;
    say_next_part(nk3);
}

/* ---- the application ---- */

static bool application_busy(const struct nk3 *nk3)
{
    return icc_answer_at(nk3->icc) != ICC_NEVER || icc_waits_for_touch(nk3->icc);
}

static void process(struct nk3 *nk3)
{
    static const uint8_t wrong_length[] = { 0x67, 0x00 };
    if (application_busy(nk3)) {
        reset_state(nk3);
        return;
    }
    if (nk3->command_length < SHORTEST_APDU) {
        reset_state(nk3);
        give(nk3, wrong_length, sizeof wrong_length);
        return;
    }
    icc_execute(nk3->icc, nk3->device.now_us, nk3->command, nk3->command_length);
    explicit_bzero(nk3->command, nk3->command_length);
    nk3->command_length = 0;
    nk3->state = PROCESSING;
    nk3->extension_us = nk3->device.now_us + EXTENSION_US;
    nk3->touch_us = nk3->device.now_us + TOUCH_LIMIT_US;
}

/* What is due while a command runs: the answer, or a time extension. */
static void go_on(struct nk3 *nk3)
{
    if (icc_waits_for_touch(nk3->icc) && nk3->device.now_us >= nk3->touch_us)
        icc_touch_timeout(nk3->icc, nk3->device.now_us);
    uint8_t answer[APPLICATION_ANSWER_MAX];
    const size_t length = icc_take_answer(nk3->icc, nk3->device.now_us, answer, sizeof answer);
    if (nk3->state != PROCESSING)
        return;
    if (length > 0) {
        give(nk3, answer, length);
    } else if (nk3->device.now_us >= nk3->extension_us) {
        nk3->extension_us = nk3->device.now_us + EXTENSION_US;
        if (!say(nk3, DATA_BLOCK, EXTENSION, 1, 0, NULL, 0))
            reset_state(nk3);
    }
}

/* ---- messages ---- */

static void take_part(struct nk3 *nk3, unsigned chain, const uint8_t *data, size_t length)
{
    const bool begins = chain == CHAIN_WHOLE || chain == CHAIN_BEGINS;
    if (begins != (nk3->state == IDLE) || length > sizeof nk3->command - nk3->command_length) {
        reset_state(nk3);
        return;
    }
    if (length > 0)
        memcpy(nk3->command + nk3->command_length, data, length);
    nk3->command_length += length;
    if (chain == CHAIN_WHOLE || chain == CHAIN_ENDS) {
        process(nk3);
    } else {
        nk3->state = RECEIVING;
        (void)say(nk3, DATA_BLOCK, SUCCEEDED, 0, CHAIN_MORE, NULL, 0);
    }
}

static void transfer(struct nk3 *nk3, size_t length)
{
    const unsigned chain = nk3->message[8] | (unsigned)nk3->message[9] << 8;
    const uint8_t *const data = nk3->message + HEADER;
    if (nk3->state == IDLE || nk3->state == RECEIVING) {
        if (chain <= CHAIN_GOES_ON)
            take_part(nk3, chain, data, length);
        else
            reset_state(nk3);
    } else if (nk3->state == SENDING && chain == CHAIN_MORE && length == 0) {
        say_next_part(nk3);
    } else {
        reset_state(nk3);
    }
}

/* The pair of a control and a bulk ABORT with the same sequence number, CCID 1.1 §5.3.1. */
static void abort_if_both(struct nk3 *nk3)
{
    if (!nk3->abort_by_control || !nk3->abort_by_bulk)
        return;
    nk3->abort_by_control = nk3->abort_by_bulk = false;
    reset_state(nk3);
    (void)say(nk3, SLOT_STATUS, SUCCEEDED, 0, 0, NULL, 0);
}

static void bulk_abort(struct nk3 *nk3)
{
    if (nk3->abort_by_control && nk3->sequence != nk3->abort_sequence) {
        (void)say(nk3, REFUSAL, FAILED, ABORTED, 0, NULL, 0);
        return;
    }
    nk3->abort_sequence = nk3->sequence;
    nk3->abort_by_bulk = true;
    abort_if_both(nk3);
}

static void dispatch(struct nk3 *nk3, size_t length)
{
    static const uint8_t PARAMETER_BYTES[] = { 0x11, 0x10, 0x00, 0x15, 0x00, 0xfe, 0x00 };
    const struct identity *const identity = nk3->device.identity;
    const uint8_t type = nk3->message[0];
    nk3->sequence = nk3->message[6];
    if (type == 0x72)
        bulk_abort(nk3);
    else if (nk3->abort_by_control)
        (void)say(nk3, REFUSAL, FAILED, ABORTED, 0, NULL, 0);
    else if (type == 0x62)
        (void)say(nk3, DATA_BLOCK, SUCCEEDED, 0, 0, identity->atr, identity->atr_len);
    else if (type == 0x63 || type == 0x65)
        (void)say(nk3, SLOT_STATUS, SUCCEEDED, 0, 0, NULL, 0);
    else if (type == 0x6c)
        (void)say(nk3, PARAMETERS, SUCCEEDED, 0, 1, PARAMETER_BYTES, sizeof PARAMETER_BYTES);
    else if (type == 0x6f)
        transfer(nk3, length);
    else
        (void)say(nk3, REFUSAL, FAILED, UNSUPPORTED, 0, NULL, 0);
}

/* ---- packets from the host ---- */

static enum handshake nk3_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct nk3 *const nk3 = nk3_of(device);
    if (endpoint != device->identity->bulk_out)
        return HANDSHAKE_ACK; /* FIDO */
    const bool first = nk3->received == 0;
    if ((first && length < HEADER) || length > sizeof nk3->message - nk3->received) {
        reset_state(nk3);
        return HANDSHAKE_ACK;
    }
    memcpy(nk3->message + nk3->received, packet, length);
    nk3->received += length;
    const size_t said = (size_t)nk3->message[1] | (size_t)nk3->message[2] << 8 | (size_t)nk3->message[3] << 16 |
                        (size_t)nk3->message[4] << 24;
    if (first && said <= PART && length < HEADER + said) {
        panic(nk3); /* it takes the data from behind the end of the packet */
    } else if (nk3->received >= HEADER + said) {
        nk3->received = 0;
        dispatch(nk3, said);
        explicit_bzero(nk3->message, sizeof nk3->message);
    } else if (HEADER + said > sizeof nk3->message) {
        reset_state(nk3);
    }
    return HANDSHAKE_ACK;
}

static enum handshake nk3_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct nk3 *const nk3 = nk3_of(device);
    if (endpoint != device->identity->bulk_in || !nk3->endpoint.full)
        return HANDSHAKE_NAK;
    *length = nk3->endpoint.length;
    memcpy(packet, nk3->endpoint.bytes, *length);
    explicit_bzero(nk3->endpoint.bytes, sizeof nk3->endpoint.bytes);
    nk3->endpoint.full = *length == PACKET; /* an empty packet follows */
    nk3->endpoint.length = 0;
    fill_endpoint(nk3);
    return HANDSHAKE_ACK;
}

static enum handshake answer_with(const struct setup *setup, uint8_t *data, size_t *length, const uint8_t *bytes,
                                      size_t size)
{
    *length = size < setup->length ? size : setup->length;
    memcpy(data, bytes, *length);
    return HANDSHAKE_ACK;
}

static enum handshake nk3_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t HID_REPORT[] = { /* CTAPHID: reports of 64 bytes each way */
        0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95,
        0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
    };
    static const uint8_t CLOCK[] = { 0xfc, 0x0d, 0x00, 0x00 }, RATE[] = { 0x80, 0x25, 0x00, 0x00 };
    struct nk3 *const nk3 = nk3_of(device);
    if (setup->request_type == 0xa1 && (setup->request == 2 || setup->request == 3))
        return answer_with(setup, data, length, setup->request == 2 ? CLOCK : RATE, sizeof CLOCK);
    if (setup->request_type == 0x81 && setup->request == 6 && setup->value == 0x2200 && setup->index == 1)
        return answer_with(setup, data, length, HID_REPORT, sizeof HID_REPORT);
    if (setup->request_type == 0x21 && setup->index == 1) /* SET_IDLE and SET_PROTOCOL of the HID interface */
        return HANDSHAKE_ACK;
    if (setup->request_type != 0x21 || setup->request != 1) {
        reset_state(nk3);
        return HANDSHAKE_STALL;
    }
    if (!nk3->survives_abort) {
        panic(nk3);
        return HANDSHAKE_NAK;
    }
    if (nk3->abort_by_bulk && nk3->abort_sequence != setup->value >> 8)
        nk3->abort_by_bulk = false;
    nk3->abort_sequence = (uint8_t)(setup->value >> 8);
    nk3->abort_by_control = true;
    abort_if_both(nk3);
    return HANDSHAKE_ACK;
}

/* ---- life ---- */

/* Neither a bus reset nor SET_CONFIGURATION is heard of but by the endpoints. */
static void empty_endpoint(struct device *device)
{
    nk3_of(device)->endpoint.full = false;
}

static void go_on_saying(struct device *device)
{
    fill_endpoint(nk3_of(device));
}

static void nk3_power(struct device *device, bool on)
{
    struct nk3 *const nk3 = nk3_of(device);
    size_t atr_length = device->identity->atr_len;
    reset_state(nk3);
    nk3->endpoint.full = nk3->outbox.full = nk3->abort_by_control = nk3->abort_by_bulk = false;
    icc_power_off(nk3->icc);
    if (on)
        (void)icc_reset(nk3->icc, device->now_us, &atr_length); /* the applications live as long as there is power */
    else
        device->faults.frozen = false;
}

static void nk3_advance(struct device *device)
{
    go_on(nk3_of(device));
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t nk3_next_us(const struct device *device)
{
    const struct nk3 *const nk3 = (const struct nk3 *)device;
    const int64_t answer_us = icc_waits_for_touch(nk3->icc) ? nk3->touch_us : icc_answer_at(nk3->icc);
    return nk3->state == PROCESSING ? earlier(answer_us, nk3->extension_us) : answer_us;
}

static bool nk3_busy(const struct device *device)
{
    const struct nk3 *const nk3 = (const struct nk3 *)device;
    return nk3->state == PROCESSING || nk3->endpoint.full || application_busy(nk3);
}

static void no_sibling(struct device *device)
{
    (void)device; /* FIDO has commands of its own and leaves the others' applications alone */
}

static void nk3_free(struct device *device)
{
    struct nk3 *const nk3 = nk3_of(device);
    explicit_bzero(nk3, sizeof *nk3);
    free(nk3);
}

static const struct firmware NK3_FIRMWARE = {
    .power = nk3_power, .reset = empty_endpoint, .configured = go_on_saying, .control = nk3_control, .out = nk3_out,
    .in = nk3_in, .advance = nk3_advance, .next_us = nk3_next_us, .busy = nk3_busy,
    .reset_by_sibling = no_sibling, .free = nk3_free,
};

struct device *nk3_new(const struct identity *identity, struct icc *icc, const struct nk3_options *options)
{
    struct nk3 *const nk3 = calloc(1, sizeof *nk3);
    if (!nk3)
        return NULL;
    nk3->device.firmware = &NK3_FIRMWARE;
    nk3->device.identity = identity;
    nk3->icc = icc;
    nk3->survives_abort = options->survives_abort;
    return &nk3->device;
}
