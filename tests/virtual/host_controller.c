/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host_controller.c - queues of transfers, and the rules by which packets end them (USB 2.0 §5.5, §5.8). */
#include "host_controller.h"
#include <stdlib.h>
#include <string.h>

#define QUEUES 32 /* by endpoint number; IN from 16 on; control is 0 */

struct queue {
    struct urb *first, *last;
};

struct host_controller {
    struct device *device;
    struct queue pending[QUEUES], ended;
    struct host_statistics statistics;
};

/* ---- queues ---- */

static size_t queue_of(uint8_t endpoint)
{
    return (endpoint & 0x0f) + (endpoint & 0x80 && endpoint & 0x0f ? 16u : 0u);
}

static void append(struct queue *queue, struct urb *urb)
{
    urb->next = NULL;
    if (queue->last)
        queue->last->next = urb;
    else
        queue->first = urb;
    queue->last = urb;
}

static bool take_out(struct queue *queue, struct urb *urb)
{
    struct urb *before = NULL;
    struct urb *at = queue->first;
    while (at && at != urb) {
        before = at;
        at = at->next;
    }
    if (!at)
        return false;
    if (before)
        before->next = urb->next;
    else
        queue->first = urb->next;
    if (queue->last == urb)
        queue->last = before;
    return true;
}

static bool end(struct host_controller *host, struct urb *urb, enum urb_status status)
{
    if (!take_out(&host->pending[queue_of(urb->endpoint)], urb))
        return false;
    urb->status = status;
    append(&host->ended, urb);
    return true;
}

void host_end_all(struct host_controller *host, enum urb_status status)
{
    for (size_t i = 0; i < QUEUES; i++)
        while (host->pending[i].first)
            (void)end(host, host->pending[i].first, status);
}

/* ---- packets ---- */

/* What the handshake of one packet does to the transfer; last: an acknowledged packet ends it. */
static bool settle(struct host_controller *host, struct urb *urb, enum handshake handshake, bool last)
{
    switch (handshake) {
    case HANDSHAKE_ACK:
        if (last)
            (void)end(host, urb, URB_OK);
        return true;
    case HANDSHAKE_NAK:
        return false;
    case HANDSHAKE_STALL:
        return end(host, urb, URB_STALL);
    case HANDSHAKE_NONE:
        return end(host, urb, URB_NO_ANSWER);
    case HANDSHAKE_BABBLE:
        return end(host, urb, URB_OVERFLOW);
    }
    return false;
}

static bool move_control(struct host_controller *host, struct urb *urb)
{
    size_t length = 0;
    const enum handshake handshake = device_control(host->device, &urb->setup, urb->buffer, &length);
    if (handshake == HANDSHAKE_ACK)
        urb->actual = length;
    return settle(host, urb, handshake, true);
}

static bool move_out(struct host_controller *host, struct urb *urb)
{
    const size_t packet_size = device_packet_size(host->device, urb->endpoint);
    const size_t left = urb->length - urb->actual;
    const size_t length = left < packet_size ? left : packet_size;
    const enum handshake handshake = device_out(host->device, urb->endpoint, urb->buffer + urb->actual, length);
    if (handshake == HANDSHAKE_ACK)
        urb->actual += length;
    return settle(host, urb, handshake, urb->actual == urb->length && (length < packet_size || !urb->zero_packet));
}

static bool move_in(struct host_controller *host, struct urb *urb)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length = 0;
    const size_t room = urb->length - urb->actual;
    const enum handshake handshake = device_in(host->device, urb->endpoint, packet, &length);
    if (handshake == HANDSHAKE_ACK && length > 0 && room > 0) {
        memcpy(urb->buffer + urb->actual, packet, length < room ? length : room);
        urb->actual += length < room ? length : room;
    }
    explicit_bzero(packet, sizeof packet); /* tests look for what the driver leaves in memory */
    const size_t packet_size = device_packet_size(host->device, urb->endpoint);
    if (handshake == HANDSHAKE_ACK && (length > room || length > packet_size))
        return end(host, urb, URB_OVERFLOW);
    const bool is_short = length < packet_size;
    return settle(host, urb, handshake, is_short || urb->actual == urb->length);
}

static bool move_packet(struct host_controller *host, struct urb *urb)
{
    if (urb->endpoint == 0)
        return move_control(host, urb);
    return urb->endpoint & 0x80 ? move_in(host, urb) : move_out(host, urb);
}

void host_run(struct host_controller *host, int64_t now_us)
{
    bool moved = true;
    while (moved) {
        moved = false;
        device_advance(host->device, now_us);
        for (size_t i = 0; i < QUEUES; i++)
            while (host->pending[i].first && move_packet(host, host->pending[i].first))
                moved = true;
    }
}

int64_t host_next_us(const struct host_controller *host)
{
    return device_next_us(host->device);
}

/* ---- transfers ---- */

static void count(struct host_controller *host, uint8_t endpoint)
{
    struct host_statistics *s = &host->statistics;
    const struct identity *identity = host->device->identity;
    if (endpoint == 0)
        s->control++;
    else if (endpoint == identity->bulk_out)
        s->bulk_out++;
    else if (endpoint == identity->bulk_in)
        s->bulk_in++;
    else
        s->interrupt_in++;
}

void host_submit(struct host_controller *host, struct urb *urb)
{
    count(host, urb->endpoint);
    urb->status = URB_PENDING;
    urb->actual = 0;
    append(&host->pending[queue_of(urb->endpoint)], urb);
    if (!host_plugged(host))
        (void)end(host, urb, URB_GONE);
}

bool host_cancel(struct host_controller *host, struct urb *urb)
{
    if (!end(host, urb, URB_CANCELLED))
        return false;
    if (host->device->faults.cancels_unreported)
        urb->actual = 0;
    return true;
}

struct urb *host_reap(struct host_controller *host)
{
    struct urb *urb = host->ended.first;
    if (urb)
        (void)take_out(&host->ended, urb);
    return urb;
}

struct host_statistics host_statistics(const struct host_controller *host)
{
    struct host_statistics statistics = host->statistics;
    for (size_t i = 0; i < QUEUES; i++)
        for (const struct urb *urb = host->pending[i].first; urb; urb = urb->next)
            statistics.pending++;
    return statistics;
}

/* ---- the port ---- */

static void enumerate(struct host_controller *host, bool configure)
{
    device_reset(host->device);
    if (configure)
        (void)device_configure(host->device, host->device->identity->configuration[5]);
}

void host_plug(struct host_controller *host, int64_t now_us, bool configure)
{
    device_advance(host->device, now_us);
    device_power(host->device, true);
    enumerate(host, configure);
}

void host_unplug(struct host_controller *host, int64_t now_us)
{
    device_advance(host->device, now_us);
    host_end_all(host, URB_GONE);
    device_power(host->device, false);
}

bool host_plugged(const struct host_controller *host)
{
    return host->device->powered;
}

const struct identity *host_identity(const struct host_controller *host)
{
    return host->device->identity;
}

void host_reset_port(struct host_controller *host, int64_t now_us, bool configure)
{
    device_advance(host->device, now_us);
    host_end_all(host, URB_CANCELLED);
    if (host_plugged(host))
        enumerate(host, configure);
}

struct host_controller *host_new(struct device *device)
{
    struct host_controller *host = calloc(1, sizeof *host);
    if (host)
        host->device = device;
    return host;
}

void host_free(struct host_controller *host)
{
    free(host);
}
