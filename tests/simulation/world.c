/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* world.c - the key, its clock, and the computer that it is plugged into. */
#include "world.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "firmwares.h"
#include "libusb_virtual.h"
#include "nk3.h"
#include "pcscd.h"
#include "reader_inner.h"
#include "run_copy.h"
#include "storage.h"
#include "virtual_slot.h"

#define SLACK (30 * SECOND) /* for what must be brought to an end after patience: the kernel's own limits of requests */
#define PATH 128
#define SLICE (100 * MS)    /* of a sleep of the driver's, in which things may happen */
#define FIRST_ADDRESS 2
#define AFTERLIFE (86400 * SECOND) /* whatever a process that was killed is waiting for in a sleep, it is over */
#define LONG_NAK (100 * SECOND)
#define UNREAD_US SECOND    /* firmware before 1.6 does not outlive two seconds of it */
#define RELEASE_1_6 0x0106

struct world world;

static char run[PATH], kept[PATH];
static uint64_t chance;
static unsigned address, plugged;
static bool is_plugged;
static int64_t unread_since_us; /* when pcscd was killed; 0: somebody reads */

/* ---- the clock and chance of the driver ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_poll(struct pollfd *files, nfds_t count, int timeout_ms);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_poll(struct pollfd *files, nfds_t count, int timeout_ms);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);
void log_msg(const int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!world.slot || clock == CLOCK_REALTIME)
        return __real_clock_gettime(clock, now);
    const int64_t us = virtual_now_us(world.slot) + (world.killed ? AFTERLIFE : 0);
    *now = (struct timespec){ .tv_sec = us / SECOND, .tv_nsec = us % SECOND * 1000 };
    return 0;
}

/* The polling function sleeps in it: virtual time passes until something wakes it. */
int __wrap_poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
    const int64_t end_us = virtual_now_us(world.slot) + timeout_ms * MS;
    for (;;) {
        const int ready = __real_poll(files, count, 0);
        const int64_t left_us = end_us - virtual_now_us(world.slot);
        if (ready != 0 || left_us <= 0 || world.killed)
            return ready;
        virtual_pass(world.slot, left_us < SLICE ? left_us : SLICE);
    }
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)chance_next(&chance);
    return (ssize_t)size;
}

/* ---- what is said ---- */

static void tell(const char *format, va_list arguments)
{
    printf("%10.3f ", world.slot ? (double)virtual_now_us(world.slot) / SECOND : 0.0);
    vprintf(format, arguments);
    printf("\n");
}

void world_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (world.verbose)
        tell(format, arguments);
    va_end(arguments);
}

void log_msg(const int priority, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (world.killed)
        return;
    const bool unplug = strstr(line, "Unplug it and plug it in again") || strstr(line, "anew; plug it in again") ||
                        strstr(line, "verified; plug it in again");
    world.told_to_unplug = world.told_to_unplug || unplug;
    world.told_held = world.told_held || strstr(line, "shown without a card for");
    if (priority >= 0)
        world_say("            %s", line);
}

void world_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (world.verbose)
        printf("*** "), vprintf(format, arguments), printf("\n");
    va_end(arguments);
    va_start(arguments, format);
    if (!world_is_wrong())
        vsnprintf(world.tally->wrong, sizeof world.tally->wrong, format, arguments);
    va_end(arguments);
}

bool world_is_wrong(void)
{
    return world.tally->wrong[0] != '\0';
}

static void show_transfer(void *slot, enum libusb_virtual_event event, const uint8_t *bytes, size_t length)
{
    const size_t most = 24;
    printf("%10.3f   %s %3zu:", (double)virtual_now_us(slot) / SECOND, event == TAP_SENT ? "OUT" : "IN ", length);
    for (size_t i = 0; i < length && i < most; i++)
        printf(" %02x", bytes[i]);
    printf("%s\n", length > most ? " ..." : "");
}

/* ---- pcscd's run directory ---- */

static void keep(const char *from, const char *to)
{
    if (!run_copy(from, to))
        world_wrong("%s cannot be copied", from);
}

static void name_directories(const char *directory)
{
    snprintf(run, sizeof run, "%s/run", directory);
    snprintf(kept, sizeof kept, "%s/kept", directory);
}

bool world_make_directories(const char *directory)
{
    name_directories(directory);
    run_empty(run);
    run_empty(kept);
    return (mkdir(run, 0700) == 0 || errno == EEXIST) && (mkdir(kept, 0700) == 0 || errno == EEXIST);
}

void world_remove_directories(const char *directory)
{
    (void)world_make_directories(directory);
    (void)rmdir(run);
    (void)rmdir(kept);
    (void)rmdir(directory);
}

/* ---- the key ---- */

static void node_name(char *name, size_t size)
{
    snprintf(name, size, "/dev/bus/usb/001/%03u", address);
}

void world_begin(const struct sequence *sequence, struct tally *tally, const char *directory, bool verbose)
{
    char node[32];
    world = (struct world){ .tally = tally, .verbose = verbose, .identity = identity_find(sequence->model) };
    name_directories(directory);
    setenv("IFD_NITROKEY_RUN", run, 1);
    chance = sequence->chance;
    address = FIRST_ADDRESS;
    is_plugged = true;
    plugged = 1;
    const char *const own = world.identity->application;
    const bool in_firmware = strcmp(own, "gnuk") == 0 || strncmp(own, "opcard", 6) == 0;
    const struct icc_options card = { /* an OpenPGP card is in all others, so that the clients may be the same */
        .atr = world.identity->atr, .atr_len = world.identity->atr_len, .application = in_firmware ? own : NULL,
        .sign = { .work_us = 300 * MS }, .other = { .work_us = 10 * MS },
    };
    world.icc = icc_new(&card);
    world.device = world.icc ? firmware_new(world.identity, world.icc, &(struct firmware_options){ 0 }) : NULL;
    node_name(node, sizeof node);
    world.slot = world.device ? virtual_insert(node, world.device) : NULL;
    if (!world.slot)
        abort();
    if (verbose)
        libusb_virtual_listen(show_transfer, world.slot);
}

void world_end(void)
{
    struct virtual_slot *const slot = world.slot;
    if (virtual_open_ports() != 0)
        world_wrong("the driver has not given back all it had");
    if (strncmp(world.identity->firmware, "storage", 7) == 0) {
        const struct storage_disturbances seen = storage_disturbances(world.device);
        if (seen.configurations != seen.bus_resets)
            world_wrong("the disk of a Storage was disturbed");
    }
    libusb_virtual_listen(NULL, NULL);
    world.slot = NULL;
    virtual_remove(slot);
    device_free(world.device);
    icc_free(world.icc);
}

unsigned world_plugged(void)
{
    return is_plugged ? plugged : 0;
}

void world_device_name(char *name, size_t size)
{
    const uint8_t *const d = world.identity->device;
    char node[32];
    node_name(node, sizeof node);
    snprintf(name, size, "usb:%02x%02x/%02x%02x:libudev:%u:%s", d[9], d[8], d[11], d[10],
             world.identity->ccid_interface, node);
}

static void unplug(void *context)
{
    (void)context;
    if (world.calm || !is_plugged)
        return;
    world_say("the key is unplugged");
    is_plugged = false;
    virtual_unplug(world.slot);
}

void world_replug(bool elsewhere)
{
    char node[32];
    virtual_unplug(world.slot);
    address += elsewhere;
    node_name(node, sizeof node);
    (void)virtual_move(world.slot, node);
    virtual_plug(world.slot);
    is_plugged = true;
    plugged++;
    world.port_was_reset = world.told_to_unplug = world.unread = world.muted = world.torn = world.unreported = false;
    unread_since_us = 0;
}

static bool is_nk3(void)
{
    return strcmp(world.identity->firmware, "nk3") == 0;
}

static unsigned release(void)
{
    return (unsigned)(world.identity->device[12] | world.identity->device[13] << 8);
}

bool world_key_is_free(void)
{
    return !device_busy(world.device);
}

bool world_key_is_dead(void)
{
    return is_nk3() && nk3_is_dead(world.device);
}

bool world_key_may_need_a_replug(void)
{
    return is_nk3() && release() < RELEASE_1_6;
}

bool world_key_is_mortal(void)
{
    return is_nk3();
}

/* ---- what goes wrong ---- */

static void struck(enum step_kind kind)
{
    world.tally->struck[kind]++;
    world.in_trouble = true;
    world_say("    %s", step_kind_name(kind));
}

/* What it does from now on reaches neither the key nor the directory. */
static void kill_pcscd(void *context)
{
    const enum step_kind kind = (enum step_kind)(intptr_t)context;
    const bool stands_still = kind == STEP_KILL && (world.device->faults.paused ||
                                                    world.device->faults.naked_until_us > world.device->now_us);
    world.device->faults.paused = false;
    if (world.calm || world.killed || !pcscd_runs())
        return;
    struck(kind);
    virtual_orphan(world.slot);
    keep(run, kept);
    world.killed = true;
    unread_since_us = world.device->now_us;
    world.torn = world.torn || kind == STEP_KILL_OUT || stands_still;
}

bool world_bury_pcscd(void)
{
    if (!world.killed)
        return false;
    world_say("pcscd is gone");
    pcscd_forget();
    keep(kept, run);
    world.killed = false;
    return true;
}

static void thaw(void *context)
{
    (void)context;
    world.device->faults.paused = false;
}

static void freeze(void *context)
{
    const int64_t for_us = (int64_t)(intptr_t)context * MS;
    if (world.calm || !virtual_at(world.slot, world.device->now_us + for_us, thaw, NULL))
        return;
    struck(STEP_FREEZE);
    world.muted = world.muted || for_us > UNREAD_US;
    world.device->faults.paused = true;
}

static void touch(void *context)
{
    (void)context;
    world.tally->struck[STEP_TOUCH] += icc_waits_for_touch(world.icc);
    icc_touch(world.icc, world.device->now_us);
}

static void let_go(void *context)
{
    (void)context;
    virtual_occupy(world.slot, world.identity->ccid_interface, false);
}

/* Only what nobody has claimed. */
static void occupy(int64_t for_us)
{
    if (world.slot->claims[world.identity->ccid_interface] ||
        !virtual_at(world.slot, virtual_now_us(world.slot) + for_us, let_go, NULL))
        return;
    struck(STEP_OCCUPY);
    world.unread = true;
    virtual_occupy(world.slot, world.identity->ccid_interface, true);
}

static void reset_port(void *context)
{
    (void)context;
    if (world.calm || !is_plugged)
        return;
    struck(STEP_RESET_PORT);
    world.port_was_reset = true;
    virtual_reset_port(world.slot);
}

static const struct {
    enum packet_fault_kind kind;
    enum { TO_KEY, FROM_KEY, CONTROL } where;
    bool unreported, kills;
} PACKETS[STEP_KINDS] = {
    [STEP_KILL_OUT] = { .kind = PACKET_PAUSED, .kills = true },
    [STEP_KILL_IN] = { .kind = PACKET_PAUSED, .where = FROM_KEY, .kills = true },
    [STEP_LOST_OUT] = { .kind = PACKET_LOST },
    [STEP_LOST_IN] = { .kind = PACKET_LOST, .where = FROM_KEY },
    [STEP_TAKEN_OUT] = { .kind = PACKET_UNACKNOWLEDGED },
    [STEP_GIVEN_IN] = { .kind = PACKET_UNACKNOWLEDGED, .where = FROM_KEY },
    [STEP_BABBLE_IN] = { .kind = PACKET_BABBLE, .where = FROM_KEY },
    [STEP_HALT_OUT] = { .kind = PACKET_HALTED },
    [STEP_HALT_IN] = { .kind = PACKET_HALTED, .where = FROM_KEY },
    [STEP_NO_ZLP] = { .kind = PACKET_NO_ZLP, .where = FROM_KEY },
    [STEP_NAK_OUT] = { .kind = PACKET_NAKED },
    [STEP_NAK_IN] = { .kind = PACKET_NAKED, .where = FROM_KEY },
    [STEP_CANCEL_OUT] = { .kind = PACKET_NAKED, .unreported = true },
    [STEP_CANCEL_IN] = { .kind = PACKET_NAKED, .where = FROM_KEY, .unreported = true },
    [STEP_LOST_CONTROL] = { .kind = PACKET_LOST, .where = CONTROL },
    [STEP_HALT_CONTROL] = { .kind = PACKET_HALTED, .where = CONTROL },
};

static void packet_struck(void *context)
{
    const enum step_kind kind = (enum step_kind)(intptr_t)context;
    if (PACKETS[kind].kills) {
        kill_pcscd(context);
        return;
    }
    struck(kind);
    world.muted = world.muted || PACKETS[kind].kind == PACKET_NAKED;
    world.torn = world.torn || PACKETS[kind].where == TO_KEY;
    world.unreported = world.unreported || PACKETS[kind].unreported || (world.torn && PACKETS[kind].where == FROM_KEY);
}

static void arm(const struct step *step)
{
    const struct identity *const identity = world.identity;
    const uint8_t endpoints[] = { identity->bulk_out, identity->bulk_in, 0 };
    world.device->faults.packet = (struct packet_fault){
        .kind = PACKETS[step->kind].kind, .endpoint = endpoints[PACKETS[step->kind].where], .nth = (unsigned)step->a,
        .naked_us = PACKETS[step->kind].unreported ? LONG_NAK : step->b * MS,
        .struck = packet_struck, .context = (void *)(intptr_t)step->kind,
    };
    world.device->faults.cancels_unreported = PACKETS[step->kind].unreported;
}

static void plan(int64_t after_ms, void (*action)(void *), intptr_t context)
{
    (void)virtual_at(world.slot, virtual_now_us(world.slot) + after_ms * MS, action, (void *)context);
}

static void step_that_is_no_packet(const struct step *step)
{
    if (step->kind == STEP_KILL)
        plan(step->a, kill_pcscd, STEP_KILL);
    else if (step->kind == STEP_UNPLUG)
        plan(step->a, unplug, 0);
    else if (step->kind == STEP_PLUG)
        world_replug(step->a);
    else if (step->kind == STEP_FREEZE)
        plan(step->a, freeze, step->b);
    else if (step->kind == STEP_TOUCH)
        plan(step->a, touch, 0);
    else if (step->kind == STEP_RESET_PORT)
        plan(step->a, reset_port, 0);
    else if (step->kind == STEP_OCCUPY)
        occupy(step->a * MS);
    else if (step->kind == STEP_MISHEAR)
        icc_mishear(world.icc, (unsigned)step->a);
    else if (step->kind == STEP_BAD_BLOCK)
        icc_corrupt(world.icc, (enum icc_corruption)step->a, 1);
}

void world_step(const struct step *step)
{
    if (step->kind == STEP_MISHEAR || step->kind == STEP_BAD_BLOCK || step->kind == STEP_UNPLUG)
        struck(step->kind);
    virtual_lock(world.slot);
    if (PACKETS[step->kind].kind != PACKET_RIGHT)
        arm(step);
    else
        step_that_is_no_packet(step);
    virtual_unlock(world.slot);
}

void world_calms_down(void)
{
    struct faults *const faults = &world.device->faults;
    virtual_lock(world.slot);
    world.calm = true;
    faults->packet.kind = PACKET_RIGHT;
    faults->naked_until_us = 0;
    faults->paused = faults->cancels_unreported = false;
    icc_mishear(world.icc, 0);
    icc_corrupt(world.icc, ICC_BAD_EDC, 0);
    virtual_occupy(world.slot, world.identity->ccid_interface, false);
    virtual_unlock(world.slot);
    if (!is_plugged)
        world_replug(false);
}

/* ---- calls of the driver ---- */

struct call world_call(const char *name, int64_t limit_us)
{
    return (struct call){ name, virtual_now_us(world.slot), limit_us };
}

void world_call_ends(const struct call *call, RESPONSECODE code)
{
    const int64_t took_us = virtual_now_us(world.slot) - call->begun_us;
    world_say("  %s: %ld after %.3f s", call->name, (long)code, (double)took_us / SECOND);
    if (took_us > call->limit_us + SLACK)
        world_wrong("%s took %.1f s, and may take %.1f s", call->name, (double)took_us / SECOND,
                    (double)call->limit_us / SECOND);
}

int64_t world_patience(const uint8_t *apdu, size_t length)
{
    const uint8_t ins = length > 3 ? apdu[1] : 0;
    if ((ins == 0x46 || ins == 0x47) && !(ins == 0x47 && apdu[2] == 0x81))
        return 7200 * SECOND;
    return memchr("\x2a\x88\x87\x20\x24\x2c\xdb\xda", ins, 8) ? 600 * SECOND : 300 * SECOND;
}

static bool is_unread(void)
{
    return unread_since_us > 0 && virtual_now_us(world.slot) - unread_since_us > UNREAD_US;
}

bool world_key_may_be_dead(void)
{
    return world.muted || (world_key_may_need_a_replug() && (world.unread || world.torn || is_unread()));
}

void world_opens(void)
{
    world.unread = world.unread || is_unread();
    unread_since_us = 0;
}

void world_opened(int64_t took_us)
{
    if (took_us > 5 * SECOND + (world.in_trouble ? SLACK : 0))
        world_wrong("it took %.1f s to open the reader", (double)took_us / SECOND);
}

void world_has_power(bool said, unsigned as_plugged)
{
    virtual_lock(world.slot);
    const bool knows = is_plugged && as_plugged == plugged && !world.port_was_reset && !world.killed;
    if (said && knows && !icc_is_powered(world.icc))
        world_wrong("the driver says success, and the card has no power");
    virtual_unlock(world.slot);
}

/* ---- states ---- */

static void mix(uint64_t *hash, unsigned value)
{
    *hash = (*hash ^ value) * 0x100000001b3;
}

static void mix_driver(uint64_t *hash)
{
    struct reader *const reader = reader_acquire(LUN);
    mix(hash, reader != NULL);
    if (!reader)
        return;
    const struct exchange *const exchange = &reader->exchange;
    mix(hash, reader->state);
    mix(hash, exchange->pending->phase + 8u * (exchange->pending->chain != 0) + 16u * (exchange->pending->rest != 0));
    mix(hash, exchange->pending->phase == PENDING_MESSAGE ? exchange->pending->class : 99);
    mix(hash, (unsigned)exchange->synchronised + 2u * exchange->inherited + 4u * exchange->dead +
                  8u * exchange->half_aborted + 16u * exchange->restart);
    mix(hash, (unsigned)reader->card.powered + 2u * reader->usable + 4u * reader->presence.away +
                  8u * reader->presence.claimed + 16u * reader->presence.gone + 32u * reader->presence.notice);
    reader_release(reader);
}

static void mix_key(uint64_t *hash)
{
    const struct faults *const faults = &world.device->faults;
    for (const char *at = world.identity->firmware; *at; at++)
        mix(hash, (unsigned char)*at);
    mix(hash, (unsigned)is_plugged + 2u * device_busy(world.device) + 4u * icc_waits_for_touch(world.icc) +
                  8u * icc_is_powered(world.icc) + 16u * (icc_answer_at(world.icc) != ICC_NEVER) + 32u * faults->paused);
    mix(hash, world.device->halted);
    mix(hash, faults->packet.kind);
}

void world_note_state(void)
{
    uint64_t hash = 0xcbf29ce484222325;
    virtual_lock(world.slot);
    mix_driver(&hash);
    mix_key(&hash);
    mix(&hash, pcscd_state());
    virtual_unlock(world.slot);
    hash ^= hash >> 32;
    hash ^= hash >> 16;
    world.tally->states[hash % WORLD_STATES / 8] |= (uint8_t)(1u << hash % 8);
}
