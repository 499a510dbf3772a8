/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nk3.c - the firmware of Nitrokey 3 and Nitrokey Passkey, as the host sees it: endpoints, control requests and power
 * around the CCID class (nk3_pipe.h), which has the rules.
 *
 * What was read: trussed-dev/usbd-ccid (class.rs: Ccid).
 */
#include "nk3.h"
#include <stdlib.h>
#include <string.h>
#include "nk3_pipe.h"

struct nk3 {
    struct device device; /* first: a device is cast to its firmware */
    struct nk3_pipe pipe;
};

static struct nk3_pipe *pipe_of(struct device *device)
{
    return &((struct nk3 *)device)->pipe;
}

/* ---- packets ---- */

static enum handshake nk3_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    if (endpoint == device->identity->bulk_out) { /* the other one is FIDO's */
        nk3_pipe_hear(pipe_of(device), packet, length);
        nk3_pipe_advance(pipe_of(device));
    }
    return HANDSHAKE_ACK;
}

static enum handshake nk3_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct nk3_pipe *const pipe = pipe_of(device);
    if (endpoint != device->identity->bulk_in || !pipe->endpoint.full)
        return HANDSHAKE_NAK;
    *length = pipe->endpoint.length;
    memcpy(packet, pipe->endpoint.bytes, *length);
    explicit_bzero(pipe->endpoint.bytes, sizeof pipe->endpoint.bytes);
    pipe->endpoint.full = false;
    nk3_pipe_fill_endpoint(pipe);
    return HANDSHAKE_ACK;
}

/* ---- control requests ---- */

static enum handshake answer_with(const struct setup *setup, uint8_t *data, size_t *length, const uint8_t *bytes,
                                      size_t size)
{
    *length = size < setup->length ? size : setup->length;
    memcpy(data, bytes, *length);
    return HANDSHAKE_ACK;
}

enum { CCID_ABORT = 1, CCID_GET_CLOCK_FREQUENCIES = 2, CCID_GET_DATA_RATES = 3 };

/* One of the three in the wrong direction. */
static enum handshake wrong_direction(struct device *device)
{
    nk3_pipe_break_off(pipe_of(device));
    return device->faults.frozen ? HANDSHAKE_NAK : HANDSHAKE_STALL;
}

static enum handshake ccid_in(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t CLOCK[] = { 0xfc, 0x0d, 0x00, 0x00 }, RATE[] = { 0x80, 0x25, 0x00, 0x00 };
    switch (setup->request) {
    case CCID_ABORT: return wrong_direction(device);
    case CCID_GET_CLOCK_FREQUENCIES: return answer_with(setup, data, length, CLOCK, sizeof CLOCK);
    case CCID_GET_DATA_RATES: return answer_with(setup, data, length, RATE, sizeof RATE);
    default: return HANDSHAKE_STALL;
    }
}

static enum handshake ccid_out(struct device *device, const struct setup *setup)
{
    switch (setup->request) {
    case CCID_ABORT:
        nk3_pipe_expect_abort(pipe_of(device), (uint8_t)setup->value, (uint8_t)(setup->value >> 8));
        return device->faults.frozen ? HANDSHAKE_NAK : HANDSHAKE_ACK;
    case CCID_GET_CLOCK_FREQUENCIES:
    case CCID_GET_DATA_RATES: return wrong_direction(device);
    default: return HANDSHAKE_STALL;
    }
}

static enum handshake nk3_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t HID_REPORT[] = { /* CTAPHID: reports of 64 bytes each way */
        0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95,
        0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
    };
    const uint8_t interface = device->identity->ccid_interface;
    if (setup->request_type == 0xa1 && setup->index == interface)
        return ccid_in(device, setup, data, length);
    if (setup->request_type == 0x21 && (setup->index & 0xff) == interface) /* of wIndex it looks at one byte here */
        return ccid_out(device, setup);
    if (setup->request_type == 0x81 && setup->request == 6 && setup->value == 0x2200 && setup->index == 1)
        return answer_with(setup, data, length, HID_REPORT, sizeof HID_REPORT);
    if (setup->request_type == 0x21 && setup->index == 1) /* SET_IDLE and SET_PROTOCOL of the HID interface */
        return HANDSHAKE_ACK;
    return HANDSHAKE_STALL;
}

/* ---- life ---- */

/* Neither a bus reset nor SET_CONFIGURATION is heard of but by the endpoints. */
static void empty_endpoint(struct device *device)
{
    pipe_of(device)->endpoint.full = false;
}

static void go_on_saying(struct device *device)
{
    nk3_pipe_fill_endpoint(pipe_of(device));
}

static void nk3_power(struct device *device, bool on)
{
    struct nk3_pipe *const pipe = pipe_of(device);
    size_t atr_length = device->identity->atr_len;
    icc_power_off(pipe->dispatcher.icc);
    nk3_pipe_reset(pipe);
    if (on) /* the applications live as long as there is power */
        (void)icc_reset(pipe->dispatcher.icc, device->now_us, &atr_length);
    else
        device->faults.frozen = false;
}

static void nk3_advance(struct device *device)
{
    nk3_pipe_advance(pipe_of(device));
}

static int64_t nk3_next_us(const struct device *device)
{
    return nk3_pipe_next_us(&((const struct nk3 *)device)->pipe);
}

static bool nk3_busy(const struct device *device)
{
    const struct nk3_pipe *const pipe = &((const struct nk3 *)device)->pipe;
    return pipe->state == NK3_PROCESSING || pipe->endpoint.full || nk3_dispatcher_busy(&pipe->dispatcher);
}

static void no_sibling(struct device *device)
{
    (void)device; /* FIDO has commands of its own and leaves the others' applications alone */
}

static void nk3_free(struct device *device)
{
    explicit_bzero(device, sizeof(struct nk3));
    free(device);
}

static const struct firmware NK3_FIRMWARE = {
    .power = nk3_power, .reset = empty_endpoint, .configured = go_on_saying, .control = nk3_control, .out = nk3_out,
    .in = nk3_in, .advance = nk3_advance, .next_us = nk3_next_us, .busy = nk3_busy,
    .reset_by_sibling = no_sibling, .free = nk3_free,
};

/* usbd-ccid 0.2 came with firmware 1.2 or 1.3, 0.3 with 1.6: bcdDevice is the firmware's version. */
static enum nk3_class class_of(const struct identity *identity)
{
    const unsigned version = (unsigned)identity->device[13] << 8 | identity->device[12];
    return version < 0x0103 ? NK3_CCID_0_1 : version < 0x0106 ? NK3_CCID_0_2 : NK3_CCID_0_3;
}

struct device *nk3_new(const struct identity *identity, struct icc *icc)
{
    struct nk3 *const nk3 = calloc(1, sizeof *nk3);
    if (!nk3)
        return NULL;
    nk3->device.firmware = &NK3_FIRMWARE;
    nk3->device.identity = identity;
    nk3->pipe.device = &nk3->device;
    nk3->pipe.class = class_of(identity);
    nk3->pipe.dispatcher.icc = icc;
    nk3_pipe_reset(&nk3->pipe);
    return &nk3->device;
}

bool nk3_is_dead(const struct device *device)
{
    return device->faults.frozen || ((const struct nk3 *)device)->pipe.dispatcher.state == NK3_DISOWNED;
}
