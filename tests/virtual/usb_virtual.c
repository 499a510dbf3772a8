/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usb_virtual.c - the driver's usb.h on virtual keys with a virtual clock. */
#include "usb_virtual.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ACTIONS_MAX 16
#define CONTROL_TIMEOUT_US INT64_C(1000000)
#define HOLD_PATIENCE_S 10
#define NEVER INT64_MAX

struct action {
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
    unsigned plugged;     /* how often the device has been plugged in: a port outlives only one */
    bool denied;
    bool occupied[256];
    const struct usb_port *claims[256]; /* by interface number */
    struct action actions[ACTIONS_MAX];
    size_t action_count;
};

struct transfer {
    struct urb urb;
    bool posted, used;  /* used: posted at least once since it was taken back */
    bool reported;      /* its end has been told */
};

struct usb_port {
    struct virtual_slot *slot;
    unsigned plugged;
    struct usb_identity identity;
    struct transfer in, out, control;
    bool cancelled;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct virtual_slot *registry;
static atomic_size_t open_ports;

/* ---- the bus ---- */

static bool parse_node(const char *node, uint8_t *bus, uint8_t *address)
{
    unsigned b, a;
    char rest;
    if (sscanf(node, "/dev/bus/usb/%3u/%3u%c", &b, &a, &rest) != 2 || b > 255 || a > 255)
        return false;
    *bus = (uint8_t)b;
    *address = (uint8_t)a;
    return true;
}

static void init_lock(struct virtual_slot *slot)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&slot->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_cond_init(&slot->changed, NULL);
}

static void free_slot(struct virtual_slot *slot)
{
    host_free(slot->host);
    pthread_mutex_destroy(&slot->lock);
    pthread_cond_destroy(&slot->changed);
    free(slot);
}

static struct virtual_slot *find_slot(uint8_t bus, uint8_t address)
{
    struct virtual_slot *slot = registry;
    while (slot && (slot->bus != bus || slot->address != address))
        slot = slot->next;
    return slot;
}

/* false: the name is taken */
static bool enlist(struct virtual_slot *slot)
{
    pthread_mutex_lock(&registry_lock);
    const bool is_free = !find_slot(slot->bus, slot->address);
    if (is_free) {
        slot->next = registry;
        registry = slot;
    }
    pthread_mutex_unlock(&registry_lock);
    return is_free;
}

struct virtual_slot *virtual_insert(const char *node, struct device *device)
{
    struct virtual_slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->device = device;
    slot->hold_us = NEVER;
    init_lock(slot);
    slot->host = host_new(device);
    if (!slot->host || !parse_node(node, &slot->bus, &slot->address) || !enlist(slot)) {
        free_slot(slot);
        return NULL;
    }
    virtual_plug(slot);
    return slot;
}

void virtual_remove(struct virtual_slot *slot)
{
    struct virtual_slot **at = &registry;
    pthread_mutex_lock(&registry_lock);
    while (*at != slot)
        at = &(*at)->next;
    *at = slot->next;
    pthread_mutex_unlock(&registry_lock);
    host_unplug(slot->host, slot->now_us);
    free_slot(slot);
}

void virtual_lock(struct virtual_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
}

void virtual_unlock(struct virtual_slot *slot)
{
    pthread_mutex_unlock(&slot->lock);
}

void virtual_plug(struct virtual_slot *slot)
{
    virtual_lock(slot);
    if (!host_plugged(slot->host)) {
        host_plug(slot->host, slot->now_us, true);
        slot->plugged++;
    }
    virtual_unlock(slot);
}

void virtual_unplug(struct virtual_slot *slot)
{
    virtual_lock(slot);
    host_unplug(slot->host, slot->now_us);
    memset(slot->claims, 0, sizeof slot->claims);
    virtual_unlock(slot);
}

void virtual_deny_access(struct virtual_slot *slot, bool deny)
{
    virtual_lock(slot);
    slot->denied = deny;
    virtual_unlock(slot);
}

void virtual_occupy(struct virtual_slot *slot, uint8_t interface_number, bool occupied)
{
    virtual_lock(slot);
    slot->occupied[interface_number] = occupied;
    virtual_unlock(slot);
}

struct host_statistics virtual_statistics(struct virtual_slot *slot)
{
    virtual_lock(slot);
    const struct host_statistics statistics = host_statistics(slot->host);
    virtual_unlock(slot);
    return statistics;
}

size_t virtual_open_ports(void)
{
    return atomic_load(&open_ports);
}

/* ---- the clock ---- */

int64_t virtual_now_us(struct virtual_slot *slot)
{
    virtual_lock(slot);
    const int64_t now_us = slot->now_us;
    virtual_unlock(slot);
    return now_us;
}

bool virtual_at(struct virtual_slot *slot, int64_t at_us, void (*action)(void *context), void *context)
{
    virtual_lock(slot);
    const bool room = slot->action_count < ACTIONS_MAX;
    if (room)
        slot->actions[slot->action_count++] = (struct action){ at_us, action, context };
    virtual_unlock(slot);
    return room;
}

void virtual_hold_at(struct virtual_slot *slot, int64_t at_us)
{
    virtual_lock(slot);
    slot->hold_us = at_us;
    virtual_unlock(slot);
}

void virtual_release(struct virtual_slot *slot)
{
    virtual_lock(slot);
    slot->hold_us = NEVER;
    pthread_cond_broadcast(&slot->changed);
    virtual_unlock(slot);
}

bool virtual_await_hold(struct virtual_slot *slot)
{
    struct timespec end;
    int rc = 0;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += HOLD_PATIENCE_S;
    virtual_lock(slot);
    while (!slot->held && rc == 0)
        rc = pthread_cond_timedwait(&slot->changed, &slot->lock, &end);
    const bool held = slot->held;
    virtual_unlock(slot);
    return held;
}

static struct action *next_action(struct virtual_slot *slot)
{
    struct action *next = NULL;
    for (size_t i = 0; i < slot->action_count; i++)
        if (!next || slot->actions[i].at_us < next->at_us)
            next = &slot->actions[i];
    return next;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void run_actions(struct virtual_slot *slot)
{
    struct action *next;
    while ((next = next_action(slot)) != NULL && next->at_us <= slot->now_us) {
        const struct action action = *next;
        *next = slot->actions[--slot->action_count];
        action.run(action.context);
    }
}

/* Takes back what has ended. */
static void reap(struct virtual_slot *slot)
{
    struct urb *urb;
    while ((urb = host_reap(slot->host)) != NULL)
        ((struct transfer *)urb->owner)->posted = false;
}

static void run(struct virtual_slot *slot)
{
    run_actions(slot);
    host_run(slot->host, slot->now_us);
    reap(slot);
}

/* Lets the clock jump to what happens next, at most to limit_us; waits first where it is stopped. The lock is held,
 * but not while it waits, so what the caller knew may have changed. */
static void jump(struct virtual_slot *slot, int64_t limit_us)
{
    const struct action *action = next_action(slot);
    int64_t next_us = earlier(limit_us, host_next_us(slot->host));
    if (action)
        next_us = earlier(next_us, action->at_us);
    if (slot->hold_us <= slot->now_us) {
        slot->held = true;
        pthread_cond_broadcast(&slot->changed);
        pthread_cond_wait(&slot->changed, &slot->lock);
        slot->held = false;
        return;
    }
    next_us = earlier(next_us, slot->hold_us);
    if (next_us > slot->now_us)
        slot->now_us = next_us;
}

void virtual_pass(struct virtual_slot *slot, int64_t us)
{
    virtual_lock(slot);
    const int64_t end_us = slot->now_us + us;
    run(slot);
    while (slot->now_us < end_us) {
        jump(slot, end_us);
        run(slot);
    }
    virtual_unlock(slot);
}

/* ---- descriptors: what the kernel has read when the device was plugged in ---- */

struct interface_walk {
    struct usb_identity *identity;
    bool inside, found;
};

static void walk_descriptor(struct interface_walk *walk, const uint8_t *d)
{
    struct usb_identity *identity = walk->identity;
    if (d[1] == 4 && d[0] >= 9) {
        walk->inside = d[2] == identity->interface_number && d[3] == 0;
        if (walk->inside) {
            walk->found = true;
            identity->interface_class = d[5];
        }
    } else if (walk->inside && d[1] == 0x21) {
        const size_t room = sizeof identity->class_descriptor;
        memcpy(identity->class_descriptor, d, d[0] < room ? d[0] : room);
        identity->class_descriptor_len = d[0];
    } else if (walk->inside && d[1] == 5 && d[0] >= 7 && (d[3] & 3) == 2) {
        if (d[2] & 0x80) {
            identity->bulk_in = d[2];
            identity->packet_size = (uint16_t)(d[4] | (d[5] & 0x07) << 8);
        } else {
            identity->bulk_out = d[2];
        }
    }
}

static enum err read_descriptors(const struct virtual_slot *slot, const struct usb_place *place,
                                 struct usb_identity *identity)
{
    uint8_t bytes[DEVICE_CONFIGURATION_MAX];
    const uint8_t *d = slot->device->identity->device;
    const size_t length = device_configuration(slot->device, bytes);
    *identity = (struct usb_identity){
        .vendor_id = (uint16_t)(d[8] | d[9] << 8), .product_id = (uint16_t)(d[10] | d[11] << 8),
        .bcd_device = (uint16_t)(d[12] | d[13] << 8), .bus = slot->bus, .address = slot->address,
        .interface_number = place->interface_number,
    };
    if (identity->vendor_id != place->vendor_id || identity->product_id != place->product_id)
        return ERR_NOT_CCID;
    struct interface_walk walk = { .identity = identity };
    for (size_t at = 0; at + 2 <= length && bytes[at] >= 2 && at + bytes[at] <= length; at += bytes[at])
        walk_descriptor(&walk, bytes + at);
    return walk.found ? ERR_NONE : ERR_NOT_CCID;
}

/* ---- usb.h ---- */

static bool gone(const struct usb_port *port)
{
    return !host_plugged(port->slot->host) || port->plugged != port->slot->plugged;
}

static struct virtual_slot *slot_at(const struct usb_place *place)
{
    uint8_t bus = place->bus, address = place->address;
    if (place->node[0] && !parse_node(place->node, &bus, &address))
        return NULL;
    pthread_mutex_lock(&registry_lock);
    struct virtual_slot *slot = find_slot(bus, address);
    pthread_mutex_unlock(&registry_lock);
    return slot;
}

static enum err open_slot(struct virtual_slot *slot, const struct usb_place *place, struct usb_identity *identity,
                          struct usb_port **port)
{
    if (!host_plugged(slot->host))
        return ERR_NO_DEVICE;
    if (slot->denied)
        return ERR_ACCESS;
    const enum err err = read_descriptors(slot, place, identity);
    if (err != ERR_NONE)
        return err;
    *port = calloc(1, sizeof **port);
    if (!*port)
        return ERR_NO_MEMORY;
    (*port)->slot = slot;
    (*port)->plugged = slot->plugged;
    (*port)->identity = *identity;
    atomic_fetch_add(&open_ports, 1);
    return ERR_NONE;
}

enum err usb_open(struct usb_port **port, const struct usb_place *place, struct usb_identity *identity)
{
    struct virtual_slot *slot = slot_at(place);
    *port = NULL;
    if (!slot)
        return ERR_NO_DEVICE;
    virtual_lock(slot);
    const enum err err = open_slot(slot, place, identity, port);
    virtual_unlock(slot);
    return err;
}

enum err usb_claim(struct usb_port *port)
{
    struct virtual_slot *slot = port->slot;
    const uint8_t number = port->identity.interface_number;
    enum err err = ERR_NONE;
    virtual_lock(slot);
    if (gone(port))
        err = ERR_GONE;
    else if (slot->occupied[number] || (slot->claims[number] && slot->claims[number] != port))
        err = ERR_BUSY;
    else
        slot->claims[number] = port;
    virtual_unlock(slot);
    return err;
}

static void take_back(struct usb_port *port, struct transfer *transfer)
{
    if (transfer->posted)
        (void)host_cancel(port->slot->host, &transfer->urb);
    reap(port->slot);
}

void usb_close(struct usb_port *port)
{
    if (!port)
        return;
    struct virtual_slot *slot = port->slot;
    virtual_lock(slot);
    take_back(port, &port->in);
    take_back(port, &port->out);
    if (slot->claims[port->identity.interface_number] == port)
        slot->claims[port->identity.interface_number] = NULL;
    virtual_unlock(slot);
    atomic_fetch_sub(&open_ports, 1);
    free(port);
}

int64_t usb_now_ms(const struct usb_port *port)
{
    return virtual_now_us(port->slot) / 1000;
}

static bool ended(const struct transfer *transfer)
{
    return transfer->used && !transfer->posted;
}

static enum err post(struct usb_port *port, struct transfer *transfer, uint8_t endpoint, uint8_t *buffer, size_t length)
{
    if (gone(port))
        return ERR_GONE;
    if (endpoint == 0 || port->slot->claims[port->identity.interface_number] != port)
        return ERR_IO;
    *transfer = (struct transfer){ .posted = true, .used = true };
    transfer->urb = (struct urb){ .endpoint = endpoint, .buffer = buffer, .length = length, .owner = transfer };
    host_submit(port->slot->host, &transfer->urb);
    run(port->slot); /* a host controller does not wait until somebody waits for it */
    return ERR_NONE;
}

enum err usb_post_in(struct usb_port *port, uint8_t *buffer, size_t size)
{
    const size_t packet_size = port->identity.packet_size;
    enum err err = ERR_NONE;
    virtual_lock(port->slot);
    if (size == 0 || packet_size == 0 || size % packet_size != 0) /* the caller's mistake: a packet might not fit */
        err = ERR_IO;
    else if (!port->in.used || port->in.reported) /* one that nobody has been told about is still posted */
        err = post(port, &port->in, port->identity.bulk_in, buffer, size);
    virtual_unlock(port->slot);
    return err;
}

enum err usb_post_out(struct usb_port *port, const uint8_t *data, size_t length)
{
    enum err err = ERR_IO; /* the caller's mistake: two at a time */
    virtual_lock(port->slot);
    if (!port->out.posted) /* an urb's buffer serves both directions; nobody writes to that of an OUT transfer */
        err = post(port, &port->out, port->identity.bulk_out, (uint8_t *)(uintptr_t)data, length);
    virtual_unlock(port->slot);
    return err;
}

static enum usb_event in_event(enum urb_status status)
{
    switch (status) {
    case URB_OK:
        return USB_RECEIVED;
    case URB_STALL:
        return USB_STALLED_IN;
    case URB_OVERFLOW:
        return USB_OVERRUN;
    case URB_GONE:
        return USB_GONE;
    case URB_PENDING:
    case URB_NO_ANSWER:
    case URB_CANCELLED:
        break;
    }
    return USB_FAILED;
}

/* What there is to report now; false: nothing yet. */
static bool look(struct usb_port *port, int64_t deadline_us, struct usb_news *news)
{
    struct transfer *in = &port->in, *out = &port->out;
    if (port->cancelled) {
        news->event = USB_CANCELLED;
    } else if (ended(in) && !in->reported) {
        news->event = in_event(in->urb.status);
        news->length = in->urb.actual;
        in->reported = true;
    } else if (gone(port)) {
        news->event = USB_GONE;
    } else if (ended(out) && out->urb.status != URB_OK && !out->reported) {
        news->event = out->urb.status == URB_STALL ? USB_STALLED_OUT : USB_FAILED;
        out->reported = true;
    } else if (port->slot->now_us >= deadline_us || (!in->posted && !out->posted)) {
        news->event = USB_TIMEOUT;
    } else {
        return false;
    }
    return true;
}

static int64_t to_us(int64_t ms)
{
    return ms > NEVER / 1000 ? NEVER : ms * 1000;
}

struct usb_news usb_wait(struct usb_port *port, int64_t deadline_ms)
{
    struct usb_news news = { 0 };
    const int64_t deadline_us = to_us(deadline_ms);
    virtual_lock(port->slot);
    run(port->slot);
    while (!look(port, deadline_us, &news)) {
        jump(port->slot, deadline_us);
        run(port->slot);
    }
    virtual_unlock(port->slot);
    return news;
}

static enum usb_out_fate out_fate(const struct transfer *out)
{
    if (out->used && out->urb.status == URB_OK)
        return USB_OUT_SENT;
    return out->used && out->urb.actual > 0 ? USB_OUT_STUCK : USB_OUT_UNSENT;
}

enum usb_out_fate usb_take_back_out(struct usb_port *port, int64_t deadline_ms)
{
    struct virtual_slot *slot = port->slot;
    const int64_t deadline_us = to_us(deadline_ms);
    virtual_lock(slot);
    run(slot);
    while (port->out.posted && port->out.urb.actual > 0 && slot->now_us < deadline_us) {
        jump(slot, deadline_us);
        run(slot);
    }
    take_back(port, &port->out);
    const enum usb_out_fate fate = out_fate(&port->out);
    port->out.reported = true;
    virtual_unlock(slot);
    return fate;
}

void usb_take_back_in(struct usb_port *port)
{
    virtual_lock(port->slot);
    take_back(port, &port->in);
    port->in.reported = true;
    virtual_unlock(port->slot);
}

void usb_cancel(struct usb_port *port)
{
    virtual_lock(port->slot);
    port->cancelled = true;
    port->slot->hold_us = NEVER;
    pthread_cond_broadcast(&port->slot->changed);
    virtual_unlock(port->slot);
}

/* A control transfer, whole; it takes what it takes, at most a second. Returns its bytes or -1. */
static int control(struct usb_port *port, const struct setup *setup, uint8_t *data, enum err *err)
{
    struct virtual_slot *slot = port->slot;
    struct urb *urb = &port->control.urb;
    virtual_lock(slot);
    const int64_t end_us = slot->now_us + CONTROL_TIMEOUT_US;
    port->control = (struct transfer){ .posted = true };
    *urb = (struct urb){ .setup = *setup, .buffer = data, .length = setup->length, .owner = &port->control };
    if (gone(port)) {
        port->control.posted = false;
        urb->status = URB_GONE;
    } else {
        host_submit(slot->host, urb);
        run(slot);
    }
    while (port->control.posted && slot->now_us < end_us) {
        jump(slot, end_us);
        run(slot);
    }
    take_back(port, &port->control);
    *err = urb->status == URB_OK ? ERR_NONE : urb->status == URB_GONE ? ERR_GONE : ERR_IO;
    virtual_unlock(slot);
    return *err == ERR_NONE ? (int)urb->actual : -1;
}

enum err usb_clear_halt(struct usb_port *port, uint8_t endpoint)
{
    const struct setup clear = { .request_type = 0x02, .request = 1, .index = endpoint };
    enum err err;
    (void)control(port, &clear, NULL, &err);
    return err;
}

enum err usb_abort(struct usb_port *port, uint8_t slot, uint8_t sequence)
{
    const struct setup abort = { .request_type = 0x21, .request = 1, .value = (uint16_t)(sequence << 8 | slot),
                                 .index = port->identity.interface_number };
    enum err err;
    (void)control(port, &abort, NULL, &err);
    return err;
}

enum err usb_set_configuration(struct usb_port *port)
{
    const struct setup set = { .request = 9, .value = 1 };
    enum err err;
    usb_take_back_in(port);
    (void)usb_take_back_out(port, usb_now_ms(port));
    (void)control(port, &set, NULL, &err);
    return err;
}

size_t usb_string(struct usb_port *port, enum usb_string which, char *text, size_t size)
{
    uint8_t bytes[255] = { 0 };
    enum err err;
    const uint8_t index = port->slot->device->identity->device[14 + (int)which]; /* iManufacturer and on */
    const struct setup get = { .request_type = 0x80, .request = 6, .value = (uint16_t)(0x0300 | index),
                               .index = 0x0409, .length = sizeof bytes };
    const int received = index ? control(port, &get, bytes, &err) : 0;
    size_t length = 0;
    if (size == 0)
        return 0;
    for (int at = 2; at + 1 < received && length < size - 1 && (bytes[at] || bytes[at + 1]); at += 2)
        text[length++] = bytes[at + 1] == 0 && bytes[at] >= 0x20 && bytes[at] < 0x7f ? (char)bytes[at] : '?';
    text[length] = 0;
    return length;
}
