/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusb_faults.c - calls of the virtual libusb that shall fail, and the count of what it has given out. */
#include "libusb_objects.h"
#include <stdatomic.h>

static _Thread_local struct {
    size_t calls, at;
    int error;
    bool all_after;
    const char *failed;
} plan;
static _Thread_local unsigned depth;
static atomic_long held;
static libusb_virtual_tap listener;
static void *listener_context;

void libusb_virtual_fail(size_t n, int error, bool all_after)
{
    plan.calls = 0;
    plan.at = n;
    plan.error = error;
    plan.all_after = all_after;
    plan.failed = NULL;
}

size_t libusb_virtual_calls(void)
{
    return plan.calls;
}

const char *libusb_virtual_failed(void)
{
    return plan.failed;
}

int libusb_fault(const char *function)
{
    plan.calls++;
    if (plan.at == 0 || plan.calls < plan.at || (plan.calls > plan.at && !plan.all_after))
        return 0;
    if (!plan.failed)
        plan.failed = function;
    return plan.error;
}

void libusb_count(int change)
{
    atomic_fetch_add(&held, change);
}

size_t libusb_virtual_held(void)
{
    return (size_t)atomic_load(&held);
}

bool libusb_virtual_fails(const char *function)
{
    return depth == 0 && libusb_fault(function) != 0;
}

void libusb_within(bool within)
{
    if (within)
        depth++;
    else
        depth--;
}

bool libusb_enter(struct libusb_device_handle *handle)
{
    struct virtual_slot *const slot = handle->device->slot;
    libusb_within(true);
    virtual_lock(slot);
    return host_plugged(slot->host) && handle->plugged == slot->plugged;
}

void libusb_leave(struct libusb_device_handle *handle)
{
    virtual_unlock(handle->device->slot);
    libusb_within(false);
}

void libusb_virtual_listen(libusb_virtual_tap tap, void *context)
{
    listener = tap;
    listener_context = context;
}

void libusb_tell(enum libusb_virtual_event event, const uint8_t *bytes, size_t length)
{
    if (listener)
        listener(listener_context, event, bytes, length);
}
