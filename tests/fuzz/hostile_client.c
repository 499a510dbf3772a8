/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostile_client.c - what pcscd and a client do with a hostile device. */
#include "hostile_client.h"
#include <stdio.h>
#include <string.h>
#include "honest_card.h"
#include "hostile_device.h"
#include "libusb_virtual.h"
#include "oracle.h"

#define LUN 0
#define NODE "/dev/bus/usb/001/002"
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define SLACK (30 * SECOND) /* for what must be brought to an end after patience: the kernel's own limits of requests */
#define ATTEMPTS 120        /* three minutes of an answer that is owed, some seconds a time, and some errors */
#define FEATURE_REQUEST 0x42000d48
#define TLV_PROPERTIES 0x42330012
#define ATTR_SERIAL 0x00010103
#define RX_SIZE 66000

bool hostile_verbose;

struct session {
    const struct ifd *ifd;
    struct hostile *hostile;
    struct virtual_slot *slot;
    bool patient;
    enum oracle_level level;
    RESPONSECODE (*poll)(DWORD, int); /* asked for once after each opening, as pcscd does; NULL: there is none */
    uint8_t count; /* of APDUs: each is another */
    struct outcome outcome;
};

static void wrong(struct session *s, unsigned what, const char *why)
{
    if (hostile_verbose)
        fprintf(stderr, "            wrong: %s\n", why);
    s->outcome.wrong |= what;
    s->outcome.why = why;
}

/* ---- calls, each with its time ---- */

static int64_t now_ms(const struct session *s)
{
    return virtual_now_us(s->slot) / 1000;
}

static void tell(const struct session *s, const char *what, RESPONSECODE code, int64_t begun_ms)
{
    if (hostile_verbose)
        fprintf(stderr, "%9.3f s: %s returned %ld after %.3f s\n", (double)now_ms(s) / 1000, what, (long)code,
                (double)(now_ms(s) - begun_ms) / 1000);
}

static void took(struct session *s, int64_t begun_ms, int64_t may_take_ms, const char *what)
{
    if (now_ms(s) - begun_ms > may_take_ms + SLACK)
        wrong(s, WRONG_TIME, what);
}

static bool open_it(struct session *s)
{
    char name[128];
    const int64_t begun = now_ms(s);
    hostile_name(s->hostile, NODE, name);
    const RESPONSECODE code = s->ifd->create(LUN, name);
    tell(s, "CreateChannel", code, begun);
    took(s, begun, 5 * SECOND, "CreateChannel took too long");
    if (code != IFD_SUCCESS && code != IFD_COMMUNICATION_ERROR && code != IFD_NO_SUCH_DEVICE)
        wrong(s, WRONG_CODE, "CreateChannel");
    DWORD length = sizeof s->poll;
    if (code != IFD_SUCCESS ||
        s->ifd->capabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&s->poll) != IFD_SUCCESS)
        s->poll = NULL;
    s->outcome.opened = s->outcome.opened || code == IFD_SUCCESS;
    return code == IFD_SUCCESS;
}

static RESPONSECODE power(struct session *s, DWORD action)
{
    UCHAR atr[MAX_ATR_SIZE];
    DWORD length = sizeof atr;
    const int64_t begun = now_ms(s);
    const RESPONSECODE code = s->ifd->power(LUN, action, atr, &length);
    tell(s, action == IFD_POWER_UP ? "power up" : action == IFD_RESET ? "reset" : "power down", code, begun);
    took(s, begun, 2 * MINUTE, "PowerICC took too long"); /* a reset is two commands */
    if (code != IFD_SUCCESS && code != IFD_COMMUNICATION_ERROR && code != IFD_ERROR_POWER_ACTION)
        wrong(s, WRONG_CODE, "PowerICC");
    if (length > sizeof atr)
        wrong(s, WRONG_ANSWER, "an ATR longer than it can be");
    return code;
}

/* What pcscd's event thread does, as far as the driver lets it. */
static RESPONSECODE look(struct session *s)
{
    if (s->patient && s->poll)
        (void)s->poll(LUN, 0);
    const int64_t begun = now_ms(s);
    const RESPONSECODE code = s->ifd->presence(LUN);
    tell(s, "ICCPresence", code, begun);
    took(s, begun, 5 * SECOND, "ICCPresence took too long");
    if (code != IFD_ICC_PRESENT && code != IFD_ICC_NOT_PRESENT && code != IFD_COMMUNICATION_ERROR)
        wrong(s, WRONG_CODE, "ICCPresence");
    return code;
}

static void ask(struct session *s)
{
    static const DWORD CODES[] = { FEATURE_REQUEST, TLV_PROPERTIES, 0x42000001 };
    static const DWORD TAGS[] = { TAG_IFD_ATR, ATTR_SERIAL, TAG_IFD_SLOTS_NUMBER };
    UCHAR value[264];
    for (size_t i = 0; i < 3; i++) {
        DWORD length = 0;
        const int64_t begun = now_ms(s);
        (void)s->ifd->control(LUN, CODES[i], NULL, 0, value, sizeof value, &length);
        if (length > sizeof value)
            wrong(s, WRONG_ANSWER, "Control returned more than there is room for");
        length = sizeof value;
        (void)s->ifd->capabilities(LUN, TAGS[i], &length, value);
        if (length > sizeof value)
            wrong(s, WRONG_ANSWER, "an attribute longer than there is room for");
        took(s, begun, 5 * SECOND, "Control and GetCapabilities took too long");
    }
}

/* ---- APDUs ---- */

struct apdu {
    uint8_t bytes[400];
    size_t length;
    int64_t total_ms;
};

enum { SELECT_IT, VERIFY_IT, PUT_IT, READ_IT, GENERATE_IT, KINDS };

/* P2 is another in each: so one is known from the other. */
static struct apdu make(enum oracle_level level, unsigned kind, uint8_t number)
{
    static const uint8_t select[] = { 0x00, 0xa4, 0x04, 0, 0x06, 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 };
    static const uint8_t verify[] = { 0x00, 0x20, 0x00, 0, 0x06, '1', '2', '3', '4', '5', '6' };
    static const uint8_t put[] = { 0x00, 0xdb, 0x3f, 0, 0x00, 0x01, 0x2c };
    static const uint8_t read[] = { 0x00, 0xca, 0x7f, 0, 0x00, 0x00, 0x00 };
    static const uint8_t generate[] = { 0x00, 0x47, 0x80, 0, 0x02, 0xb6, 0x00 };
    static const struct {
        const uint8_t *bytes;
        size_t length, whole;
        int64_t total_ms;
    } ALL[KINDS] = {
        { select, sizeof select, sizeof select, 5 * MINUTE }, { verify, sizeof verify, sizeof verify, 10 * MINUTE },
        { put, sizeof put, sizeof put + 300, 10 * MINUTE },   { read, sizeof read, sizeof read, 5 * MINUTE },
        { generate, sizeof generate, sizeof generate, 120 * MINUTE },
    };
    struct apdu apdu = { .length = ALL[kind].whole, .total_ms = ALL[kind].total_ms };
    (void)level;
    memset(apdu.bytes, 0xa5, sizeof apdu.bytes);
    memcpy(apdu.bytes, ALL[kind].bytes, ALL[kind].length);
    apdu.bytes[3] = number;
    return apdu;
}

static bool transmit(struct session *s, unsigned kind, bool must_be_right)
{
    static uint8_t rx[RX_SIZE];
    uint8_t right[HONEST_ANSWER_MAX];
    struct apdu apdu = make(s->level, kind, s->count++);
    SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    DWORD length = sizeof rx;
    const int64_t begun = now_ms(s);
    const char *why;
    oracle_command();
    const RESPONSECODE code = s->ifd->transmit(LUN, pci, apdu.bytes, apdu.length, rx, &length, &pci);
    tell(s, "Transmit", code, begun);
    took(s, begun, apdu.total_ms, "Transmit took longer than its command may");
    if (code != IFD_SUCCESS && code != IFD_COMMUNICATION_ERROR && code != IFD_RESPONSE_TIMEOUT &&
        code != IFD_ERROR_INSUFFICIENT_BUFFER && code != IFD_ERROR_NOT_SUPPORTED)
        wrong(s, WRONG_CODE, "Transmit");
    if (oracle_departures(s->level, apdu.bytes, apdu.length) > 1)
        wrong(s, WRONG_AGAIN, "a command left twice");
    if (code != IFD_SUCCESS)
        return false;
    s->outcome.answers++;
    if (length > sizeof rx || length < 2)
        wrong(s, WRONG_ANSWER, "an answer that is longer than there is room for, or has no status word");
    else if (!oracle_answers(s->level, apdu.bytes, apdu.length, rx, length, &why))
        wrong(s, WRONG_ANSWER, why);
    const size_t right_length = honest_answer(apdu.bytes, apdu.length, right);
    return !must_be_right || (length == right_length && memcmp(rx, right, length) == 0);
}

/* ---- the play ---- */

static bool has_level(const uint8_t *d, size_t length, enum oracle_level *level)
{
    for (size_t at = 0; at + 54 <= length && d[at] >= 2; at += d[at])
        if (d[at] == 54 && d[at + 1] == 0x21) {
            *level = d[at + 42] & 4 ? ORACLE_EXTENDED : d[at + 42] & 2 ? ORACLE_SHORT : ORACLE_TPDU;
            return true;
        }
    return false;
}

static void listen(struct session *s)
{
    const struct identity *const identity = hostile_device(s->hostile)->identity;
    s->level = ORACLE_TPDU;
    (void)has_level(identity->configuration, identity->configuration_len, &s->level);
    oracle_begin(device_packet_size(hostile_device(s->hostile), identity->bulk_in));
}

static void be_attacked(struct session *s)
{
    static const unsigned KIND[] = { SELECT_IT, VERIFY_IT, PUT_IT, READ_IT, GENERATE_IT };
    (void)look(s);
    (void)power(s, IFD_POWER_UP);
    for (size_t i = 0; i < sizeof KIND / sizeof KIND[0]; i++)
        if (!transmit(s, KIND[i], false) && look(s) == IFD_ICC_PRESENT)
            (void)power(s, IFD_POWER_UP);
    ask(s);
    (void)power(s, IFD_RESET);
    (void)transmit(s, SELECT_IT, false);
    (void)transmit(s, READ_IT, false);
    (void)power(s, IFD_POWER_DOWN);
    (void)look(s);
}

static bool serves(struct session *s, unsigned attempts)
{
    for (; attempts > 0 && hostile_device(s->hostile)->powered; attempts--) {
        if (look(s) == IFD_ICC_PRESENT)
            (void)power(s, IFD_POWER_UP);
        if (transmit(s, SELECT_IT, true) && transmit(s, READ_IT, true) && transmit(s, PUT_IT, true))
            return true;
    }
    return false;
}

/* The rest of the script is what the device does here; it comes to its end, since each message takes an action. */
static void outlive(struct session *s)
{
    for (unsigned i = 0; i < ATTEMPTS && !hostile_over(s->hostile) && hostile_device(s->hostile)->powered; i++) {
        if (look(s) == IFD_ICC_PRESENT)
            (void)power(s, IFD_POWER_UP);
        (void)transmit(s, i % 2 ? SELECT_IT : READ_IT, false);
    }
    if (hostile_has_right_descriptors(s->hostile) && hostile_over(s->hostile) && !serves(s, ATTEMPTS) &&
        hostile_device(s->hostile)->powered) /* nor was it unplugged meanwhile */
        wrong(s, WRONG_DEAD, "it is honest now, and not served");
}

static void close_it(struct session *s)
{
    (void)s->ifd->close(LUN);
    if (s->patient && libusb_virtual_held() > 0)
        wrong(s, WRONG_LEFT, "closed, and not all was given back");
}

static void be_honest(struct session *s)
{
    virtual_unplug(s->slot);
    hostile_reform(s->hostile);
    virtual_plug(s->slot);
    listen(s);
    if (!open_it(s) || !serves(s, 3))
        wrong(s, WRONG_NEXT, "an honest device is not served afterwards");
    close_it(s);
}

static void play(struct session *s)
{
    listen(s);
    if (open_it(s)) {
        be_attacked(s);
        if (s->patient)
            outlive(s);
        close_it(s);
    } else if (s->patient && libusb_virtual_held() > 0) {
        wrong(s, WRONG_LEFT, "not opened, and not all was given back");
    }
    if (s->patient)
        be_honest(s);
    oracle_end();
}

struct outcome hostile_run(const struct ifd *ifd, const uint8_t *script, size_t length, bool patient)
{
    struct session s = { .ifd = ifd, .hostile = hostile_new(script, length), .patient = patient };
    if (!s.hostile)
        return s.outcome;
    s.slot = virtual_insert(NODE, hostile_device(s.hostile));
    if (s.slot) {
        hostile_place(s.hostile, s.slot);
        play(&s);
        virtual_remove(s.slot);
    }
    hostile_free(s.hostile);
    return s.outcome;
}
