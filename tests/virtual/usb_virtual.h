/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usb_virtual.h - a bus of virtual keys in process; libusb_virtual.h is the libusb on it.
 *
 * Each slot of the bus holds one device and has a clock of its own, which stands still until somebody waits in
 * libusb and then jumps to what happens next: to the device's next event, a planned action, or the deadline. So
 * a wait takes no real time and is exact. Packets move in no time.
 *
 * Any number of threads may use any number of slots. A slot has one lock; planned actions run within it, so they may
 * touch the device and its card, and call what is declared here, but must not wait for another thread: for that,
 * stop the clock with virtual_hold_at().
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "device.h"
#include "host_controller.h"

struct virtual_slot;

/* Plugs a device in at a node, "/dev/bus/usb/BBB/DDD", enumerates and configures it. The device stays the caller's
 * and must live until virtual_remove(). NULL: no such name, taken, or out of memory. */
struct virtual_slot *virtual_insert(const char *node, struct device *device);

/* Ends the slot; nobody may have it open. */
void virtual_remove(struct virtual_slot *slot);

/* Takes the device out: who has it open finds it gone, the node is gone; and puts it back in: it may be opened anew. */
void virtual_unplug(struct virtual_slot *slot);
void virtual_plug(struct virtual_slot *slot);

/* How often a device has come or gone, on the whole bus. */
unsigned virtual_comings_and_goings(void);

/* Another node for an unplugged device: whatever is plugged in gets an address of its own. false: it is taken. */
bool virtual_move(struct virtual_slot *slot, const char *node);

/* A reset of the port, as of a hub or after a suspend: pending transfers fail, the device is configured anew. */
void virtual_reset_port(struct virtual_slot *slot);

/* A reset that another program asks for: the kernel ends pending transfers as those of a lost device, but it stays. */
void virtual_reset_by_another(struct virtual_slot *slot);

/* Makes opening the node fail for want of permission, by EACCES or EPERM; 0: no more. */
void virtual_deny_access(struct virtual_slot *slot, int error);
/* Makes claiming an interface fail, as if another program had it. */
void virtual_occupy(struct virtual_slot *slot, uint8_t interface_number, bool occupied);

/* The process that has the device open is gone: its transfers end, its claims go, what it does from now on finds no
 * device. The device stays in its port, and may be opened anew. May be called when a packet fault strikes. */
void virtual_orphan(struct virtual_slot *slot);

int64_t virtual_now_us(struct virtual_slot *slot);

/* Lets time pass while nobody waits. */
void virtual_pass(struct virtual_slot *slot, int64_t us);

/* Calls the action when the clock gets to at_us, before what the device does then. At most 16 are planned. */
bool virtual_at(struct virtual_slot *slot, int64_t at_us, void (*action)(void *context), void *context);

/* The clock stops at at_us: whoever waits there waits in real time, until it is interrupted or virtual_release(). */
void virtual_hold_at(struct virtual_slot *slot, int64_t at_us);
void virtual_release(struct virtual_slot *slot);

/* Returns when somebody waits at a stopped clock (real time; false: nobody did within 10 s). */
bool virtual_await_hold(struct virtual_slot *slot);

/* What a test changes or asks of a device that other threads may be using. */
void virtual_lock(struct virtual_slot *slot);
void virtual_unlock(struct virtual_slot *slot);

struct host_statistics virtual_statistics(struct virtual_slot *slot);

/* libusb_virtual.c: libusb contexts that are open, of all slots: 0 when the driver has given back all it had. */
size_t virtual_open_ports(void);
