/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusb_transfers.c - libusb-1.0 on virtual slots: transfers, and the events that end them. */
#include "libusb_objects.h"
#include <stdlib.h>
#include <string.h>

#define DEFAULT_WAIT_US INT64_C(60000000) /* libusb's, where the caller gives no limit */

/* Stands before the libusb_transfer that the driver sees. */
struct virtual_transfer {
    struct urb urb;
    struct virtual_transfer *next;
    struct libusb_context *context; /* NULL: somebody waits for this one alone */
    int64_t expires_us;
    bool posted, expired;
    uint8_t *copy; /* of what goes out: the kernel takes it at submission */
    size_t copy_length;
    _Alignas(max_align_t) uint8_t seen[];
};

static struct libusb_transfer *seen(struct virtual_transfer *transfer)
{
    return (struct libusb_transfer *)(void *)transfer->seen;
}

static struct virtual_transfer *hidden(struct libusb_transfer *transfer)
{
    return (struct virtual_transfer *)(void *)((uint8_t *)transfer - offsetof(struct virtual_transfer, seen));
}

/* Wiped, too: tests look for what the driver leaves in memory. */
static void drop_copy(struct virtual_transfer *transfer)
{
    if (transfer->copy)
        explicit_bzero(transfer->copy, transfer->copy_length);
    free(transfer->copy);
    transfer->copy = NULL;
}

static int64_t after_ms(const struct virtual_slot *slot, unsigned ms)
{
    return ms ? slot->now_us + (int64_t)ms * 1000 : VIRTUAL_NEVER;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- ends ---- */

enum libusb_transfer_status libusb_status(enum urb_status status)
{
    switch (status) {
    case URB_OK:
        return LIBUSB_TRANSFER_COMPLETED;
    case URB_STALL:
        return LIBUSB_TRANSFER_STALL;
    case URB_OVERFLOW:
        return LIBUSB_TRANSFER_OVERFLOW;
    case URB_CANCELLED:
        return LIBUSB_TRANSFER_CANCELLED;
    case URB_GONE:
        return LIBUSB_TRANSFER_NO_DEVICE;
    case URB_NO_ANSWER:
    case URB_PENDING:
        break;
    }
    return LIBUSB_TRANSFER_ERROR;
}

int libusb_error(enum urb_status status)
{
    switch (status) {
    case URB_OK:
        return 0;
    case URB_STALL:
        return LIBUSB_ERROR_PIPE;
    case URB_OVERFLOW:
        return LIBUSB_ERROR_OVERFLOW;
    case URB_CANCELLED:
        return LIBUSB_ERROR_TIMEOUT;
    case URB_GONE:
        return LIBUSB_ERROR_NO_DEVICE;
    case URB_NO_ANSWER:
    case URB_PENDING:
        break;
    }
    return LIBUSB_ERROR_IO;
}

static void append(struct virtual_transfer **list, struct virtual_transfer *transfer)
{
    while (*list)
        list = &(*list)->next;
    transfer->next = NULL;
    *list = transfer;
}

static void take_out(struct virtual_transfer **list, const struct virtual_transfer *transfer)
{
    while (*list && *list != transfer)
        list = &(*list)->next;
    if (*list)
        *list = transfer->next;
}

static void tell_end(const struct urb *urb)
{
    if (urb->status == URB_OK)
        libusb_tell(urb->actual == urb->length ? TAP_FULL : TAP_RECEIVED, urb->buffer, urb->actual);
    else if (urb->status == URB_CANCELLED && urb->actual > 0)
        libusb_tell(TAP_TAKEN_BACK, urb->buffer, urb->actual);
}

void virtual_ended(struct urb *urb)
{
    struct virtual_transfer *const transfer = urb->owner;
    transfer->posted = false;
    if (urb->endpoint & LIBUSB_ENDPOINT_IN)
        tell_end(urb);
    if (!transfer->context)
        return;
    take_out(&transfer->context->posted, transfer);
    append(&transfer->context->ended, transfer);
}

static void expire(struct libusb_context *context)
{
    struct virtual_transfer *next;
    for (struct virtual_transfer *t = context->posted; t; t = next) {
        next = t->next;
        if (t->expires_us > context->slot->now_us)
            continue;
        t->expired = true;
        (void)host_cancel(context->slot->host, &t->urb);
    }
    virtual_run(context->slot);
}

static int64_t next_expiry_us(const struct libusb_context *context)
{
    int64_t next = VIRTUAL_NEVER;
    for (const struct virtual_transfer *t = context->posted; t; t = t->next)
        next = earlier(next, t->expires_us);
    return next;
}

/* Calls back what has ended by now; what ends in a callback is for the next time. */
static void report(struct virtual_transfer *ended)
{
    while (ended) {
        struct virtual_transfer *const transfer = ended;
        struct libusb_transfer *const public = seen(transfer);
        ended = transfer->next;
        public->status = transfer->expired ? LIBUSB_TRANSFER_TIMED_OUT : libusb_status(transfer->urb.status);
        public->actual_length = (int)transfer->urb.actual;
        drop_copy(transfer);
        public->callback(public);
    }
}

static void handle_events(struct libusb_context *context, int64_t limit_us, const int *completed)
{
    struct virtual_slot *const slot = context->slot;
    atomic_store(&context->handled, virtual_comings_and_goings());
    if (!slot)
        return;
    libusb_within(true);
    virtual_lock(slot);
    const int64_t end_us = limit_us > VIRTUAL_NEVER - slot->now_us ? VIRTUAL_NEVER : slot->now_us + limit_us;
    virtual_run(slot);
    expire(context);
    while (!context->ended && !context->interrupted && !(completed && *completed) && slot->now_us < end_us) {
        virtual_jump(slot, earlier(end_us, next_expiry_us(context)));
        virtual_run(slot);
        expire(context);
    }
    context->interrupted = false;
    struct virtual_transfer *const ended = context->ended;
    context->ended = NULL;
    virtual_unlock(slot);
    libusb_within(false);
    report(ended);
}

int LIBUSB_CALL libusb_handle_events_timeout_completed(libusb_context *context, struct timeval *limit, int *completed)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    handle_events(context, (int64_t)limit->tv_sec * 1000000 + limit->tv_usec, completed);
    return 0;
}

int LIBUSB_CALL libusb_handle_events_completed(libusb_context *context, int *completed)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    handle_events(context, DEFAULT_WAIT_US, completed);
    return 0;
}

void LIBUSB_CALL libusb_interrupt_event_handler(libusb_context *context)
{
    struct virtual_slot *const slot = context->slot;
    if (!slot)
        return;
    virtual_lock(slot);
    context->interrupted = true;
    slot->hold_us = VIRTUAL_NEVER;
    pthread_cond_broadcast(&slot->changed);
    virtual_unlock(slot);
}

/* ---- transfers ---- */

struct libusb_transfer *LIBUSB_CALL libusb_alloc_transfer(int iso_packets)
{
    if (libusb_fault(__func__) || iso_packets != 0)
        return NULL;
    struct virtual_transfer *const transfer = calloc(1, sizeof *transfer + sizeof(struct libusb_transfer));
    if (!transfer)
        return NULL;
    libusb_count(1);
    return seen(transfer);
}

void LIBUSB_CALL libusb_free_transfer(struct libusb_transfer *transfer)
{
    if (!transfer)
        return;
    libusb_count(-1);
    drop_copy(hidden(transfer));
    free(hidden(transfer));
}

/* The number of the interface that has the endpoint; -1: none. */
static int interface_of(const struct virtual_slot *slot, uint8_t endpoint)
{
    const struct identity *const identity = slot->device->identity;
    const uint8_t *const d = identity->configuration;
    int interface = -1;
    for (size_t at = 0; at + 7 <= identity->configuration_len && d[at] >= 2; at += d[at]) {
        if (d[at + 1] == LIBUSB_DT_INTERFACE)
            interface = d[at + 2];
        else if (d[at + 1] == LIBUSB_DT_ENDPOINT && d[at + 2] == endpoint)
            return interface;
    }
    return -1;
}

/* Hands the urb to the host controller. The kernel refuses where there is no such endpoint, or where somebody else has
 * the interface; one that nobody has it claims by itself. */
static int start(struct libusb_device_handle *handle, struct virtual_transfer *transfer)
{
    struct virtual_slot *const slot = handle->device->slot;
    const int interface = interface_of(slot, transfer->urb.endpoint);
    if (interface < 0 || slot->occupied[interface] || (slot->claims[interface] && slot->claims[interface] != handle))
        return LIBUSB_ERROR_IO;
    slot->claims[interface] = handle;
    transfer->posted = true;
    transfer->expired = false;
    if (transfer->context)
        append(&transfer->context->posted, transfer);
    if (!(transfer->urb.endpoint & LIBUSB_ENDPOINT_IN))
        libusb_tell(TAP_SENT, transfer->urb.buffer, transfer->urb.length);
    host_submit(slot->host, &transfer->urb);
    virtual_run(slot); /* a host controller does not wait until somebody waits for it */
    return 0;
}

static uint8_t *copy_of(struct virtual_transfer *transfer, const struct libusb_transfer *public)
{
    drop_copy(transfer);
    transfer->copy_length = (size_t)public->length;
    transfer->copy = malloc(transfer->copy_length + 1);
    if (!transfer->copy)
        abort();
    memcpy(transfer->copy, public->buffer, (size_t)public->length);
    return transfer->copy;
}

int LIBUSB_CALL libusb_submit_transfer(struct libusb_transfer *public)
{
    struct virtual_transfer *const transfer = hidden(public);
    int error = libusb_fault(__func__);
    if (error)
        return error;
    if (!libusb_enter(public->dev_handle)) {
        error = LIBUSB_ERROR_NO_DEVICE;
    } else if (transfer->posted) {
        error = LIBUSB_ERROR_BUSY;
    } else {
        transfer->urb = (struct urb){
            .endpoint = public->endpoint, .buffer = public->buffer, .length = (size_t)public->length, .owner = transfer,
        };
        if (!(public->endpoint & LIBUSB_ENDPOINT_IN))
            transfer->urb.buffer = copy_of(transfer, public);
        transfer->context = public->dev_handle->device->context;
        transfer->expires_us = after_ms(public->dev_handle->device->slot, public->timeout);
        error = start(public->dev_handle, transfer);
    }
    libusb_leave(public->dev_handle);
    return error;
}

int LIBUSB_CALL libusb_cancel_transfer(struct libusb_transfer *public)
{
    struct virtual_transfer *const transfer = hidden(public);
    struct virtual_slot *const slot = public->dev_handle->device->slot;
    int error = libusb_fault(__func__);
    if (error)
        return error;
    (void)libusb_enter(public->dev_handle);
    if (!transfer->posted || !host_cancel(slot->host, &transfer->urb))
        error = LIBUSB_ERROR_NOT_FOUND;
    libusb_leave(public->dev_handle);
    return error;
}

void libusb_drop(struct libusb_context *context)
{
    struct virtual_transfer *next;
    for (struct virtual_transfer *t = context->posted; t; t = next) {
        next = t->next;
        (void)host_cancel(context->slot->host, &t->urb);
    }
    virtual_run(context->slot);
    context->ended = NULL;
}

/* ---- one transfer, waited for ---- */

static void wait_for(struct virtual_slot *slot, struct virtual_transfer *transfer, int64_t end_us)
{
    while (transfer->posted && slot->now_us < end_us) {
        virtual_jump(slot, end_us);
        virtual_run(slot);
    }
    if (transfer->posted)
        (void)host_cancel(slot->host, &transfer->urb);
    virtual_run(slot);
}

int libusb_control(struct virtual_slot *slot, const struct setup *setup, uint8_t *data, unsigned timeout_ms)
{
    struct virtual_transfer transfer = { .posted = true };
    transfer.urb = (struct urb){ .setup = *setup, .buffer = data, .length = setup->length, .owner = &transfer };
    host_submit(slot->host, &transfer.urb);
    virtual_run(slot);
    wait_for(slot, &transfer, after_ms(slot, timeout_ms));
    return transfer.urb.status == URB_OK ? (int)transfer.urb.actual : libusb_error(transfer.urb.status);
}

static int bulk(libusb_device_handle *handle, unsigned char endpoint, unsigned char *data, int length, int *moved,
                unsigned timeout_ms)
{
    struct virtual_slot *const slot = handle->device->slot;
    struct virtual_transfer transfer = { .posted = false };
    transfer.urb = (struct urb){ .endpoint = endpoint, .buffer = data, .length = (size_t)length, .owner = &transfer };
    const int error = start(handle, &transfer);
    if (error)
        return error;
    wait_for(slot, &transfer, after_ms(slot, timeout_ms));
    *moved = (int)transfer.urb.actual;
    return libusb_error(transfer.urb.status);
}

int LIBUSB_CALL libusb_bulk_transfer(libusb_device_handle *handle, unsigned char endpoint, unsigned char *data,
                                     int length, int *moved, unsigned timeout)
{
    int error = libusb_fault(__func__);
    if (error)
        return error;
    *moved = 0;
    error = libusb_enter(handle) ? bulk(handle, endpoint, data, length, moved, timeout) : LIBUSB_ERROR_NO_DEVICE;
    libusb_leave(handle);
    return error;
}
