/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_controller.h - moves transfers (URBs) packet by packet between a host and one virtual device.
 *
 * Transfers wait in one queue an endpoint and end in the order of their ends; who submitted one takes it back by
 * host_reap(). Nothing moves but in host_run(), whose caller says what time it is: the real one, or a virtual one.
 * Not thread safe: one thread at a time. Times are microseconds.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "device.h"

enum urb_status {
    URB_PENDING,
    URB_OK,
    URB_STALL,     /* the endpoint is halted until CLEAR_FEATURE(ENDPOINT_HALT), or the control request is refused */
    URB_OVERFLOW,  /* the device sent a packet larger than it may, or than the room that was left; the room is filled */
    URB_NO_ANSWER, /* a transaction error: the packet got lost, no such endpoint, or the device is not configured */
    URB_CANCELLED,
    URB_GONE,      /* unplugged */
};

struct urb {
    /* set by who submits it; buffer and urb are the controller's until host_reap() has given the urb back */
    uint8_t endpoint; /* its address; 0 for a control transfer, in either direction */
    struct setup setup; /* control transfers only */
    uint8_t *buffer;
    size_t length;    /* control transfers: of the buffer, at least setup.length */
    bool zero_packet; /* an OUT transfer of full packets only is followed by a zero-length one (USB 2.0 §5.8.3) */
    void *owner;      /* the controller does not look at it */
    /* set by the controller */
    enum urb_status status;
    size_t actual;    /* bytes moved; also of one that was cancelled or failed */
    struct urb *next; /* its own */
};

/* Transfers submitted since the controller was made, and how many of them have not ended. */
struct host_statistics {
    uint64_t control, bulk_out, bulk_in, interrupt_in;
    size_t pending;
};

struct host_controller;

/* A controller with an empty port. device stays the caller's. NULL: out of memory. */
struct host_controller *host_new(struct device *device);

/* Nothing may be pending: unplug and reap before. NULL is allowed. */
void host_free(struct host_controller *host);

const struct identity *host_identity(const struct host_controller *host);

/* Plugs the device in: power, bus reset and, if asked for, SET_CONFIGURATION, as a kernel does. */
void host_plug(struct host_controller *host, int64_t now_us, bool configure);

/* Every pending transfer ends with URB_GONE, the device loses its power. */
void host_unplug(struct host_controller *host, int64_t now_us);
bool host_plugged(const struct host_controller *host);

/* A reset of the port: pending transfers end with URB_CANCELLED; the device keeps its power. */
void host_reset_port(struct host_controller *host, int64_t now_us, bool configure);

void host_submit(struct host_controller *host, struct urb *urb);

/* Ends a pending transfer with URB_CANCELLED and the bytes moved so far in actual; the device does not take back
 * what it has sent, nor forget what it has got. false: it had ended before. Either way it comes by host_reap(). */
bool host_cancel(struct host_controller *host, struct urb *urb);

/* Ends all pending transfers, as when the process that has submitted them is gone: the device hears nothing of it. May
 * be called when a packet fault strikes. */
void host_end_all(struct host_controller *host, enum urb_status status);

/* Moves what can be moved now. */
void host_run(struct host_controller *host, int64_t now_us);

/* When the device will change on its own; DEVICE_NEVER: only a transfer can change it. */
int64_t host_next_us(const struct host_controller *host);

/* The transfer that ended first and has not been taken back; NULL: none. */
struct urb *host_reap(struct host_controller *host);

struct host_statistics host_statistics(const struct host_controller *host);
