/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcscd.c - a model of pcscd. */
#include "pcscd.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <ifdhandler.h>
#include "world.h"

#define POLL_POWERED_MS 5000   /* pcscd.h: PCSCLITE_STATUS_EVENT_TIMEOUT_POWERED and ..._IDLE */
#define POLL_IDLE_MS 600000
#define ATTR_SERIAL 0x00010103
#define FEATURE_REQUEST 0x42000d48

enum card { CARD_ABSENT, CARD_MUTE, CARD_POWERED, READER_FAILS };
enum power { UNPOWERED, POWERED, GRACE, IN_USE };

static struct {
    bool runs, reader;      /* it runs; it has the reader */
    RESPONSECODE (*poll)(DWORD, int); /* the driver's, asked for once */
    unsigned plugged;       /* world_plugged() then */
    enum card card, known;  /* as clients see it; as the polling thread knows it */
    enum power power;
    bool has_protocol;
    struct {
        bool open, exclusive, reset, removed;
    } handle[PCSCD_HANDLES];
} pcscd;

/* ---- the driver's entry points, none of them when pcscd was killed meanwhile ---- */

static RESPONSECODE presence(void)
{
    if (world.killed)
        return IFD_COMMUNICATION_ERROR;
    const struct call call = world_call("ICCPresence", 5 * SECOND);
    const RESPONSECODE code = IFDHICCPresence(LUN);
    world_call_ends(&call, code);
    return code;
}

/* Presence is always asked before, ifdwrapper.c: IFDPowerICC(). */
static bool power(DWORD action)
{
    static const char *const NAMES[] = { "power up", "power down", "reset" };
    UCHAR atr[MAX_ATR_SIZE];
    DWORD length = sizeof atr;
    if (presence() != IFD_ICC_PRESENT || world.killed)
        return false;
    const struct call call = world_call(NAMES[action - IFD_POWER_UP], 120 * SECOND);
    const RESPONSECODE code = IFDHPowerICC(LUN, action, atr, &length);
    world_call_ends(&call, code);
    if (action != IFD_POWER_DOWN)
        world_has_power(code == IFD_SUCCESS, pcscd.plugged);
    pcscd.has_protocol = false;
    return code == IFD_SUCCESS && !world.killed;
}

static RESPONSECODE ask_for(const char *name, DWORD tag, void *value, DWORD size)
{
    if (world.killed)
        return IFD_COMMUNICATION_ERROR;
    const struct call call = world_call(name, 5 * SECOND);
    const RESPONSECODE code = IFDHGetCapabilities(LUN, tag, &size, value);
    world_call_ends(&call, code);
    return code;
}

/* prothandler.c: PHSetProtocol(); 607 and 606 would be about another protocol. */
static bool set_protocol(void)
{
    if (pcscd.has_protocol)
        return true;
    if (world.killed)
        return false;
    const struct call call = world_call("SetProtocolParameters", 5 * SECOND);
    const RESPONSECODE code = IFDHSetProtocolParameters(LUN, SCARD_PROTOCOL_T1, 0, 0, 0, 0);
    world_call_ends(&call, code);
    world_has_power(code == IFD_SUCCESS, pcscd.plugged);
    pcscd.has_protocol = code == IFD_SUCCESS || code == IFD_ERROR_NOT_SUPPORTED;
    return pcscd.has_protocol;
}

/* ---- the polling thread: the driver knows it ---- */

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*job)(void);
    bool begun;
} poller = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int turn_most_ms;

static void *run_jobs(void *context)
{
    pthread_mutex_lock(&poller.lock);
    for (;;) {
        while (!poller.job)
            pthread_cond_wait(&poller.changed, &poller.lock);
        poller.job();
        poller.job = NULL;
        pthread_cond_signal(&poller.changed);
    }
    return context;
}

static void in_the_polling_thread(void (*job)(void))
{
    pthread_mutex_lock(&poller.lock);
    if (!poller.begun)
        poller.begun = pthread_create(&poller.thread, NULL, run_jobs, NULL) == 0;
    poller.job = job;
    pthread_cond_broadcast(&poller.changed);
    while (poller.job)
        pthread_cond_wait(&poller.changed, &poller.lock);
    pthread_mutex_unlock(&poller.lock);
}

static void tell_handles(bool removed)
{
    for (unsigned i = 0; i < PCSCD_HANDLES; i++) {
        pcscd.handle[i].reset = pcscd.handle[i].reset || !removed;
        pcscd.handle[i].removed = pcscd.handle[i].removed || removed;
    }
}

/* eventhandler.c: a card is there that was not. */
static void card_comes(void)
{
    const bool powered = power(IFD_POWER_UP);
    pcscd.card = powered ? CARD_POWERED : CARD_MUTE;
    pcscd.power = powered ? POWERED : UNPOWERED;
    pcscd.known = CARD_POWERED;
}

static void card_goes(void)
{
    if (pcscd.known != CARD_ABSENT)
        tell_handles(true);
    pcscd.card = pcscd.known = CARD_ABSENT;
    pcscd.power = UNPOWERED;
    pcscd.has_protocol = false;
}

static void look(void)
{
    const RESPONSECODE code = presence();
    if (world.killed)
        return;
    if (code == IFD_ICC_NOT_PRESENT)
        card_goes();
    else if (code != IFD_ICC_PRESENT)
        pcscd.card = pcscd.known = READER_FAILS;
    else if (pcscd.known != CARD_POWERED)
        card_comes();
    if (world.killed)
        return;
    if (pcscd.power == GRACE)
        pcscd.power = POWERED; /* and will be without power after the next turn */
}

static void begin_thread(void)
{
    pcscd.known = CARD_ABSENT;
    (void)presence();
    look();
}

static void turn(void)
{
    const bool may_power_off = pcscd.power == POWERED;
    const int own_ms = may_power_off ? POLL_POWERED_MS : POLL_IDLE_MS;
    const int64_t begun_us = virtual_now_us(world.slot);
    const int timeout_ms = turn_most_ms < own_ms ? turn_most_ms : own_ms;
    const struct call call = world_call("the polling function", (timeout_ms + 2500) * MS);
    const RESPONSECODE code = pcscd.poll(LUN, timeout_ms);
    world_call_ends(&call, code);
    if (world.killed)
        return;
    if (code != IFD_SUCCESS)
        virtual_pass(world.slot, 400 * MS);
    const bool is_over = virtual_now_us(world.slot) - begun_us >= own_ms * MS;
    look();
    if (!world.killed && may_power_off && is_over && pcscd.power == POWERED) {
        (void)power(IFD_POWER_DOWN);
        pcscd.power = UNPOWERED;
        pcscd.card = pcscd.card == CARD_POWERED ? CARD_MUTE : pcscd.card;
    }
}

void pcscd_poll(int most_ms)
{
    turn_most_ms = most_ms;
    if (pcscd.reader && !world.killed)
        in_the_polling_thread(turn);
}

void pcscd_stop_poll(void)
{
    RESPONSECODE (*stop)(DWORD) = NULL;
    DWORD length = sizeof stop;
    if (pcscd.reader && !world.killed &&
        IFDHGetCapabilities(LUN, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&stop) == IFD_SUCCESS)
        (void)stop(LUN);
}

/* ---- readers ---- */

/* readerfactory.c: RFAddReader(). */
static void add_reader(void)
{
    char name[128];
    UCHAR slots = 0;
    const int64_t begun_us = virtual_now_us(world.slot);
    world_device_name(name, sizeof name);
    pcscd.plugged = world_plugged();
    world_opens();
    const struct call call = world_call("CreateChannelByName", 5 * SECOND);
    const RESPONSECODE code = IFDHCreateChannelByName(LUN, name);
    world_call_ends(&call, code);
    if (code != IFD_SUCCESS)
        return; /* libccid gets it, where that is installed */
    pcscd.reader = true;
    (void)ask_for("GetCapabilities(poll)", TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &pcscd.poll, sizeof pcscd.poll);
    (void)presence();
    (void)ask_for("GetCapabilities(slots)", TAG_IFD_SLOTS_NUMBER, &slots, 1);
    if (!world.killed)
        in_the_polling_thread(begin_thread);
    world_opened(virtual_now_us(world.slot) - begun_us);
}

/* readerfactory.c: RFRemoveReader(). */
static void remove_reader(void)
{
    tell_handles(true);
    pcscd_stop_poll();
    const struct call call = world_call("CloseChannel", 5 * SECOND);
    const RESPONSECODE code = IFDHCloseChannel(LUN);
    world_call_ends(&call, code);
    for (unsigned i = 0; i < PCSCD_HANDLES; i++)
        pcscd.handle[i].open = false;
    pcscd.reader = false;
    pcscd.card = pcscd.known = CARD_ABSENT;
    pcscd.power = UNPOWERED;
}

void pcscd_hear_udev(void)
{
    if (!pcscd.runs || world.killed)
        return;
    if (pcscd.reader && world_plugged() != pcscd.plugged)
        remove_reader();
    if (!pcscd.reader && world_plugged() != 0 && world_plugged() != pcscd.plugged)
        add_reader();
}

bool pcscd_runs(void)
{
    return pcscd.runs;
}

bool pcscd_has_reader(void)
{
    return pcscd.reader;
}

void pcscd_is_another_process(void)
{
    pthread_mutex_init(&poller.lock, NULL);
    pthread_cond_init(&poller.changed, NULL);
    poller.begun = false;
}

void pcscd_start(void)
{
    if (pcscd.runs)
        return;
    pcscd.runs = true;
    pcscd_hear_udev();
}

void pcscd_forget(void)
{
    (void)IFDHCloseChannel(LUN); /* of a process that is gone: it reaches neither the key nor a file */
    memset(&pcscd, 0, sizeof pcscd);
}

/* ---- clients, winscard.c ---- */

static unsigned connected(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PCSCD_HANDLES; i++)
        count += pcscd.handle[i].open;
    return count;
}

static bool is_exclusive(void)
{
    bool exclusive = false;
    for (unsigned i = 0; i < PCSCD_HANDLES; i++)
        exclusive = exclusive || (pcscd.handle[i].open && pcscd.handle[i].exclusive);
    return exclusive;
}

static LONG reader_is_there(void)
{
    if (world.killed || !pcscd.runs)
        return SCARD_F_COMM_ERROR;
    if (!pcscd.reader || pcscd.card == READER_FAILS)
        return SCARD_E_READER_UNAVAILABLE;
    return SCARD_S_SUCCESS;
}

static LONG card_is_usable(void)
{
    if (pcscd.card == CARD_ABSENT)
        return SCARD_E_NO_SMARTCARD;
    return pcscd.card == CARD_POWERED ? SCARD_S_SUCCESS : SCARD_W_UNRESPONSIVE_CARD;
}

static LONG negotiate(void)
{
    const bool set = set_protocol();
    return world.killed ? SCARD_F_COMM_ERROR : set ? SCARD_S_SUCCESS : SCARD_W_UNRESPONSIVE_CARD;
}

LONG pcscd_connect(unsigned handle, bool exclusive)
{
    const LONG there = reader_is_there();
    if (there != SCARD_S_SUCCESS)
        return there;
    if (is_exclusive() || (exclusive && connected() > 0))
        return SCARD_E_SHARING_VIOLATION;
    if (pcscd.card == CARD_ABSENT)
        return SCARD_E_NO_SMARTCARD;
    if (pcscd.power == UNPOWERED) {
        const bool powered = power(IFD_POWER_UP);
        pcscd.card = powered ? CARD_POWERED : CARD_MUTE;
        pcscd.power = powered ? POWERED : UNPOWERED;
    }
    const LONG usable = world.killed ? SCARD_F_COMM_ERROR : card_is_usable();
    const LONG negotiated = usable == SCARD_S_SUCCESS ? negotiate() : usable;
    if (negotiated != SCARD_S_SUCCESS)
        return negotiated;
    pcscd.power = IN_USE;
    pcscd.handle[handle].open = true;
    pcscd.handle[handle].exclusive = exclusive;
    pcscd.handle[handle].reset = pcscd.handle[handle].removed = false;
    return SCARD_S_SUCCESS;
}

/* Everybody else learns of it. */
static void reset_card(unsigned handle, DWORD how)
{
    tell_handles(false);
    pcscd.handle[handle].reset = false;
    if (how == SCARD_UNPOWER_CARD)
        (void)power(IFD_POWER_DOWN);
    pcscd.card = power(how == SCARD_UNPOWER_CARD ? IFD_POWER_UP : IFD_RESET) ? CARD_POWERED : CARD_MUTE;
}

/* Who connects next powers it on. */
static void unpower_card(unsigned handle)
{
    tell_handles(false);
    pcscd.handle[handle].reset = false;
    (void)power(IFD_POWER_DOWN);
    pcscd.card = CARD_MUTE;
    pcscd.power = UNPOWERED;
}

LONG pcscd_reconnect(unsigned handle, DWORD initialization)
{
    const LONG there = reader_is_there();
    if (there != SCARD_S_SUCCESS)
        return there;
    if (!pcscd.handle[handle].open)
        return SCARD_E_INVALID_HANDLE;
    if (pcscd.card == CARD_ABSENT)
        return SCARD_E_NO_SMARTCARD;
    if (initialization != SCARD_LEAVE_CARD)
        reset_card(handle, initialization);
    const LONG negotiated = world.killed ? SCARD_F_COMM_ERROR : negotiate();
    if (negotiated != SCARD_S_SUCCESS)
        return negotiated;
    pcscd.power = IN_USE; /* whether or not it has power */
    pcscd.handle[handle].reset = pcscd.handle[handle].removed = false;
    return SCARD_S_SUCCESS;
}

LONG pcscd_disconnect(unsigned handle, DWORD disposition)
{
    if (!pcscd.handle[handle].open)
        return SCARD_E_INVALID_HANDLE;
    const bool there = reader_is_there() == SCARD_S_SUCCESS && pcscd.card != CARD_ABSENT;
    if (there && disposition == SCARD_RESET_CARD)
        reset_card(handle, disposition);
    else if (there && disposition == SCARD_UNPOWER_CARD)
        unpower_card(handle);
    if (world.killed)
        return SCARD_F_COMM_ERROR;
    pcscd.handle[handle].open = false;
    if (connected() == 0) {
        pcscd.power = pcscd.power == UNPOWERED ? UNPOWERED : GRACE;
        pcscd_stop_poll();
    }
    return SCARD_S_SUCCESS;
}

bool pcscd_is_connected(unsigned handle)
{
    return pcscd.handle[handle].open;
}

LONG pcscd_transmit(unsigned handle, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                    size_t *length, bool *sent)
{
    SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    const LONG there = reader_is_there();
    *sent = false;
    *length = 0;
    if (there != SCARD_S_SUCCESS)
        return there;
    if (!pcscd.handle[handle].open)
        return SCARD_E_INVALID_HANDLE;
    if (pcscd.handle[handle].removed)
        return SCARD_W_REMOVED_CARD;
    if (pcscd.handle[handle].reset)
        return SCARD_W_RESET_CARD;
    const LONG usable = card_is_usable();
    if (usable != SCARD_S_SUCCESS)
        return usable;
    DWORD received = size;
    *sent = true;
    const struct call call = world_call("Transmit", world_patience(apdu, apdu_length));
    const RESPONSECODE code = IFDHTransmitToICC(LUN, pci, (PUCHAR)(uintptr_t)apdu, apdu_length, answer, &received, &pci);
    world_call_ends(&call, code);
    *length = received;
    if (world.killed)
        return SCARD_F_COMM_ERROR;
    return code == IFD_SUCCESS ? SCARD_S_SUCCESS : SCARD_E_NOT_TRANSACTED;
}

void pcscd_ask_reader(unsigned handle)
{
    UCHAR value[264];
    DWORD length = 0;
    if (reader_is_there() != SCARD_S_SUCCESS || !pcscd.handle[handle].open)
        return;
    (void)ask_for("GetCapabilities(serial)", ATTR_SERIAL, value, sizeof value);
    if (world.killed)
        return;
    const struct call call = world_call("Control", 5 * SECOND);
    const RESPONSECODE code = IFDHControl(LUN, FEATURE_REQUEST, NULL, 0, value, sizeof value, &length);
    world_call_ends(&call, code);
}

unsigned pcscd_state(void)
{
    return !pcscd.runs ? 0 : !pcscd.reader ? 1 : 2 + (unsigned)pcscd.card + 4 * (unsigned)pcscd.power + 16 * connected();
}
