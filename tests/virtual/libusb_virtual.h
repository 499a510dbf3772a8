/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libusb_virtual.h - libusb-1.0 on the slots of usb_virtual.h: as much of its API as CCID drivers use.
 *
 * The functions are those of <libusb.h>; link the program with -Wl,--wrap=open,--wrap=open64 so that the nodes of the
 * slots can be opened. Waiting in them lets the slot's clock jump, also for time-outs. A context serves the slot that
 * was opened last by it. What the real one does that a driver could notice is done here too: a transfer ends only in
 * an event handler, also one that was cancelled; an interruption stays until the next wait; strings are read from the
 * device at each call, descriptors were read when it was plugged in.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libusb.h>
#include "usb_virtual.h"

/* Calls that can fail, of this thread: the nth from now on fails with the error of libusb given, or that and all after
 * it. n = 0: none. Opening a file counts. */
void libusb_virtual_fail(size_t n, int error, bool all_after);
/* How many of them there were since. */
size_t libusb_virtual_calls(void);
/* What function the failing call was; NULL: it was not reached. */
const char *libusb_virtual_failed(void);

/* For what else shall fail in turn: counts the call; true: it shall fail. Never within the virtual bus. */
bool libusb_virtual_fails(const char *function);

/* Contexts, references to devices, handles, transfers, lists and configurations that were not given back. */
size_t libusb_virtual_held(void);

/* Each context is told of every device of the bus that comes or goes, and keeps that until events are handled, also with
 * NO_DEVICE_DISCOVERY: so does libusb as long as one context of the process, as another driver's, discovers devices. How
 * much of it the context has that has most. */
size_t libusb_virtual_unhandled(void);

enum libusb_virtual_event {
    TAP_SENT,       /* an OUT transfer was submitted */
    TAP_RECEIVED,   /* an IN transfer has ended well, by a short packet */
    TAP_FULL,       /* an IN transfer has ended well, since its buffer is full: what follows may belong to it */
    TAP_TAKEN_BACK, /* an IN transfer was taken back and had brought something: what follows may belong to it */
};

/* Told of transfers, with what they carried. NULL: nobody. */
typedef void (*libusb_virtual_tap)(void *context, enum libusb_virtual_event event, const uint8_t *bytes, size_t length);
void libusb_virtual_listen(libusb_virtual_tap tap, void *context);
