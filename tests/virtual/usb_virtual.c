/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usb_virtual.c - slots for virtual keys, each with a virtual clock. */
#include "virtual_slot.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HOLD_PATIENCE_S 10

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct virtual_slot *registry;

/* ---- the bus ---- */

bool virtual_parse_node(const char *node, uint8_t *bus, uint8_t *address)
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
    if (slot->node >= 0)
        close(slot->node);
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

struct virtual_slot *virtual_slot_at(uint8_t bus, uint8_t address)
{
    pthread_mutex_lock(&registry_lock);
    struct virtual_slot *slot = find_slot(bus, address);
    pthread_mutex_unlock(&registry_lock);
    return slot;
}

size_t virtual_slots(struct virtual_slot **slots, size_t most)
{
    size_t count = 0;
    pthread_mutex_lock(&registry_lock);
    for (struct virtual_slot *slot = registry; slot && count < most; slot = slot->next)
        slots[count++] = slot;
    pthread_mutex_unlock(&registry_lock);
    return count;
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
    slot->hold_us = VIRTUAL_NEVER;
    slot->node = -1;
    init_lock(slot);
    slot->host = host_new(device);
    if (!slot->host || !virtual_parse_node(node, &slot->bus, &slot->address) || !enlist(slot)) {
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

static atomic_uint comings_and_goings;

unsigned virtual_comings_and_goings(void)
{
    return atomic_load(&comings_and_goings);
}

void virtual_plug(struct virtual_slot *slot)
{
    atomic_fetch_add(&comings_and_goings, 1);
    virtual_lock(slot);
    if (!host_plugged(slot->host)) {
        host_plug(slot->host, slot->now_us, true);
        slot->plugged++;
        if (slot->node >= 0)
            close(slot->node);
        slot->node = memfd_create("key", MFD_CLOEXEC);
    }
    virtual_unlock(slot);
}

void virtual_unplug(struct virtual_slot *slot)
{
    atomic_fetch_add(&comings_and_goings, 1);
    virtual_lock(slot);
    host_unplug(slot->host, slot->now_us);
    memset(slot->claims, 0, sizeof slot->claims);
    virtual_unlock(slot);
}

bool virtual_move(struct virtual_slot *slot, const char *node)
{
    uint8_t bus, address;
    if (!virtual_parse_node(node, &bus, &address))
        return false;
    pthread_mutex_lock(&registry_lock);
    const bool is_free = !find_slot(bus, address);
    if (is_free) {
        slot->bus = bus;
        slot->address = address;
    }
    pthread_mutex_unlock(&registry_lock);
    return is_free;
}

void virtual_orphan(struct virtual_slot *slot)
{
    virtual_lock(slot);
    host_end_all(slot->host, URB_GONE);
    slot->plugged++;
    memset(slot->claims, 0, sizeof slot->claims);
    virtual_unlock(slot);
}

void virtual_reset_port(struct virtual_slot *slot)
{
    virtual_lock(slot);
    host_reset_port(slot->host, slot->now_us, true);
    virtual_unlock(slot);
}

void virtual_reset_by_another(struct virtual_slot *slot)
{
    virtual_lock(slot);
    host_end_all(slot->host, URB_GONE);
    host_reset_port(slot->host, slot->now_us, true);
    virtual_unlock(slot);
}

void virtual_deny_access(struct virtual_slot *slot, int error)
{
    virtual_lock(slot);
    slot->denied = error;
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
    const bool room = slot->action_count < sizeof slot->actions / sizeof slot->actions[0];
    if (room)
        slot->actions[slot->action_count++] = (struct virtual_action){ at_us, action, context };
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
    slot->hold_us = VIRTUAL_NEVER;
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

static struct virtual_action *next_action(struct virtual_slot *slot)
{
    struct virtual_action *next = NULL;
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
    struct virtual_action *next;
    while ((next = next_action(slot)) != NULL && next->at_us <= slot->now_us) {
        const struct virtual_action action = *next;
        *next = slot->actions[--slot->action_count];
        action.run(action.context);
    }
}

void virtual_run(struct virtual_slot *slot)
{
    struct urb *urb;
    run_actions(slot);
    host_run(slot->host, slot->now_us);
    while ((urb = host_reap(slot->host)) != NULL)
        virtual_ended(urb);
}

void virtual_jump(struct virtual_slot *slot, int64_t limit_us)
{
    const struct virtual_action *action = next_action(slot);
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
    virtual_run(slot);
    while (slot->now_us < end_us) {
        virtual_jump(slot, end_us);
        virtual_run(slot);
    }
    virtual_unlock(slot);
}
