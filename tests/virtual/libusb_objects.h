/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusb_objects.h - what the files of the virtual libusb share. */
#pragma once
#include <stdatomic.h>
#include "libusb_virtual.h"
#include "virtual_slot.h"

struct virtual_transfer;

struct libusb_context {
    struct virtual_slot *slot; /* NULL: nothing was opened yet */
    struct virtual_transfer *posted, *ended;
    bool interrupted;
    struct libusb_context *next; /* of all that there are */
    atomic_uint handled;         /* of virtual_comings_and_goings() */
};

struct libusb_device {
    struct libusb_context *context;
    struct virtual_slot *slot;
    unsigned references;
};

struct libusb_device_handle {
    struct libusb_device *device;
    unsigned plugged; /* the handle is of the device as it was plugged in then */
};

/* Counts the call; not 0: it shall fail with this error. */
int libusb_fault(const char *function);

/* An object was made (+1) or given back (-1). */
void libusb_count(int change);

/* Around what is the bus's and the device's doing, not the driver's. */
void libusb_within(bool within);

/* Around all that is done for a handle: takes the slot's lock. false: the device is gone; the lock is taken anyhow. */
bool libusb_enter(struct libusb_device_handle *handle);
void libusb_leave(struct libusb_device_handle *handle);

/* A control transfer of at most so many ms, with the lock held. Returns bytes, or an error of libusb. */
int libusb_control(struct virtual_slot *slot, const struct setup *setup, uint8_t *data, unsigned timeout_ms);

/* The handle is closed: the kernel takes back what is posted, and nobody is told. With the lock held. */
void libusb_drop(struct libusb_context *context);

/* What a transfer's end is called. */
enum libusb_transfer_status libusb_status(enum urb_status status);
int libusb_error(enum urb_status status);

/* Told at submission and at the end of bulk transfers. */
void libusb_tell(enum libusb_virtual_event event, const uint8_t *bytes, size_t length);
