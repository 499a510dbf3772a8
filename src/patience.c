/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* patience.c - how long to wait belongs to the command: command -> class -> silence and total. */
#include "patience.h"
#include <string.h>

#define SECONDS UINT64_C(1000)
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define LONGEST (24 * HOURS)
#define PROTOCOL_CAP (60 * SECONDS)

const struct patience_table patience_defaults = { {
    [PATIENCE_STATUS] = { 2 * SECONDS, 5 * SECONDS },
    [PATIENCE_POWER] = { 10 * SECONDS, 60 * SECONDS },
    [PATIENCE_ORDINARY] = { 30 * SECONDS, 5 * MINUTES },
    [PATIENCE_SIGN] = { 60 * SECONDS, 10 * MINUTES },
    [PATIENCE_SECRET] = { 60 * SECONDS, 10 * MINUTES },
    [PATIENCE_RESET] = { 3 * MINUTES, 30 * MINUTES },
    [PATIENCE_GENERATE] = { 20 * MINUTES, 2 * HOURS },
} };

static const char *const NAMES[PATIENCE_CLASSES] = {
    "status", "power", "ordinary", "sign", "secret", "reset", "generate",
};

const char *patience_name(enum patience_class class)
{
    return NAMES[class];
}

/* Which instructions are slow, and why they may be. A match is permission to wait, not a forecast. */
static const struct {
    bool proprietary; /* CLA 8X: SmartCard-HSM; otherwise ISO 7816-4/-8/-9 and OpenPGP, whatever the class */
    uint8_t ins;
    enum patience_class class;
} SLOW[] = {
    { false, 0x2a, PATIENCE_SIGN },     /* PERFORM SECURITY OPERATION */
    { false, 0x87, PATIENCE_SIGN },     /* GENERAL AUTHENTICATE */
    { false, 0x88, PATIENCE_SIGN },     /* INTERNAL AUTHENTICATE */
    { true, 0x62, PATIENCE_SIGN },      /* SmartCard-HSM DECIPHER */
    { true, 0x68, PATIENCE_SIGN },      /* SmartCard-HSM SIGN */
    { true, 0x72, PATIENCE_SIGN },      /* SmartCard-HSM WRAP KEY */
    { true, 0x74, PATIENCE_SIGN },      /* SmartCard-HSM UNWRAP KEY */
    { false, 0x20, PATIENCE_SECRET },   /* VERIFY */
    { false, 0x24, PATIENCE_SECRET },   /* CHANGE REFERENCE DATA */
    { false, 0x2c, PATIENCE_SECRET },   /* RESET RETRY COUNTER */
    { false, 0xdb, PATIENCE_SECRET },   /* PUT DATA, odd: key import */
    { false, 0xda, PATIENCE_SECRET },   /* PUT DATA: algorithm attributes erase keys */
    { false, 0xe6, PATIENCE_RESET },    /* TERMINATE DF */
    { false, 0x44, PATIENCE_RESET },    /* ACTIVATE FILE */
    { true, 0x50, PATIENCE_RESET },     /* SmartCard-HSM INITIALIZE DEVICE */
    { true, 0x52, PATIENCE_RESET },     /* SmartCard-HSM IMPORT DKEK SHARE */
    { false, 0x46, PATIENCE_GENERATE }, /* GENERATE ASYMMETRIC KEY PAIR */
    { false, 0x47, PATIENCE_GENERATE }, /* GENERATE ASYMMETRIC KEY PAIR, odd */
};

enum patience_class patience_classify(const uint8_t *apdu, size_t length)
{
    if (length < 4)
        return PATIENCE_ORDINARY;
    const uint8_t cla = apdu[0], ins = apdu[1], p1 = apdu[2];
    if (ins == 0x47 && p1 == 0x81) /* reads the public key of a key that exists */
        return PATIENCE_ORDINARY;
    for (size_t i = 0; i < sizeof SLOW / sizeof SLOW[0]; i++)
        if (SLOW[i].ins == ins && (!SLOW[i].proprietary || cla & 0x80))
            return SLOW[i].class;
    return PATIENCE_ORDINARY;
}

/* ---- the environment's text ---- */

/* Reads a time with its unit; false when there is none, or it is zero or beyond a day. */
static bool read_time(const char **at, uint32_t *ms)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } UNITS[] = { { "ms", 1 }, { "s", SECONDS }, { "m", MINUTES }, { "h", HOURS } };
    uint64_t value = 0;
    const char *p = *at;
    while (*p >= '0' && *p <= '9' && value <= LONGEST)
        value = value * 10 + (uint64_t)(*p++ - '0');
    for (size_t i = 0; p != *at && i < sizeof UNITS / sizeof UNITS[0]; i++) {
        const size_t length = strlen(UNITS[i].unit);
        if (strncmp(p, UNITS[i].unit, length) != 0)
            continue;
        value *= UNITS[i].ms;
        *ms = (uint32_t)value;
        *at = p + length;
        return value > 0 && value <= LONGEST;
    }
    return false;
}

static bool read_class(const char **at, enum patience_class *class)
{
    for (unsigned i = 0; i < PATIENCE_CLASSES; i++) {
        const size_t length = strlen(NAMES[i]);
        if (strncmp(*at, NAMES[i], length) == 0 && (*at)[length] == '=') {
            *class = (enum patience_class)i;
            *at += length + 1;
            return true;
        }
    }
    return false;
}

static bool read_entry(const char **at, struct patience_table *table)
{
    enum patience_class class;
    uint32_t silence, total;
    if (!read_class(at, &class) || !read_time(at, &silence))
        return false;
    total = table->of[class].total_ms;
    if (**at == '/') {
        (*at)++;
        if (!read_time(at, &total))
            return false;
    }
    table->of[class] = (struct patience){ silence, total < silence ? silence : total };
    return **at == ',' || **at == '\0';
}

bool patience_parse(const char *text, struct patience_table *table, const char **mistake)
{
    struct patience_table result = *table;
    const char *at = text;
    for (;;) {
        *mistake = at;
        if (!read_entry(&at, &result))
            return false;
        if (*at == '\0')
            break;
        at++;
    }
    *table = result;
    return true;
}

/* ---- one wait ---- */

struct vigil vigil_begin(const struct patience_table *table, enum patience_class class, int64_t now_ms)
{
    return (struct vigil){ .class = class, .patience = table->of[class], .begun_ms = now_ms, .heard_ms = now_ms };
}

static uint32_t at_most(uint32_t wanted_ms, int64_t left_ms)
{
    return left_ms <= 0 ? 0 : left_ms < wanted_ms ? (uint32_t)left_ms : wanted_ms;
}

struct vigil vigil_part(const struct vigil *whole, struct patience patience, int64_t now_ms)
{
    patience.silence_ms = at_most(patience.silence_ms, vigil_deadline_ms(whole) - now_ms);
    patience.total_ms = at_most(patience.total_ms, whole->begun_ms + (int64_t)whole->patience.total_ms - now_ms);
    return (struct vigil){ .class = PATIENCE_STATUS, .patience = patience, .begun_ms = now_ms, .heard_ms = now_ms };
}

struct vigil vigil_within(const struct vigil *whole, uint32_t limit_ms, int64_t now_ms)
{
    return vigil_part(whole, (struct patience){ limit_ms, limit_ms }, now_ms);
}

void vigil_renew(struct vigil *vigil, int64_t now_ms)
{
    vigil->heard_ms = now_ms;
    if (vigil->heard)
        vigil->heard(vigil->context, vigil, now_ms);
}

void vigil_allow(struct vigil *vigil, uint32_t bwt_ms, unsigned multiplier)
{
    const uint64_t allowed = (uint64_t)bwt_ms * (multiplier ? multiplier : 1);
    const bool capped = vigil->class <= PATIENCE_ORDINARY;
    vigil->protocol_ms = capped && allowed > PROTOCOL_CAP ? PROTOCOL_CAP : allowed;
}

int64_t vigil_deadline_ms(const struct vigil *vigil)
{
    const uint64_t class_ms = vigil->patience.silence_ms;
    const uint64_t silence = vigil->protocol_ms > class_ms ? vigil->protocol_ms : class_ms;
    const int64_t silent = vigil->heard_ms + (int64_t)silence;
    const int64_t total = vigil->begun_ms + (int64_t)vigil->patience.total_ms;
    return silent < total ? silent : total;
}
