/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtual_slot.h - what usb_virtual.c (slots and clocks) and libusb_virtual.c (who uses them) share. */
#pragma once
#include <pthread.h>
#include "usb_virtual.h"

#define VIRTUAL_NEVER INT64_MAX

struct virtual_action {
    int64_t at_us;
    void (*run)(void *context);
    void *context;
};

struct virtual_slot {
    struct virtual_slot *next;
    pthread_mutex_t lock; /* recursive: actions run within it */
    pthread_cond_t changed;
    uint8_t bus, address;
    struct host_controller *host;
    struct device *device;
    int64_t now_us, hold_us;
    bool held;            /* somebody waits at the stopped clock */
    int node;             /* what an open node is a copy of; another one each time the device is plugged in */
    unsigned plugged;     /* how often the device has been plugged in: a handle outlives only one */
    int denied;           /* errno of an open; 0: the node may be opened */
    bool occupied[256];
    const void *claims[256]; /* by interface number: whose */
    struct virtual_action actions[16];
    size_t action_count;
};

/* NULL: none has been inserted there. */
struct virtual_slot *virtual_slot_at(uint8_t bus, uint8_t address);

/* All slots, in no order; at most so many. Returns how many. */
size_t virtual_slots(struct virtual_slot **slots, size_t most);

/* "/dev/bus/usb/BBB/DDD" */
bool virtual_parse_node(const char *node, uint8_t *bus, uint8_t *address);

/* With the lock held: what can happen now happens; transfers that have ended are handed to virtual_ended(). */
void virtual_run(struct virtual_slot *slot);

/* With the lock held, but not while it waits, so what the caller knew may have changed: lets the clock jump to what
 * happens next, at most to limit_us; waits first where it is stopped. */
void virtual_jump(struct virtual_slot *slot, int64_t limit_us);

/* libusb_virtual.c: the transfer has ended. Called with the lock held. */
void virtual_ended(struct urb *urb);
