/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* atr.c - what an answer-to-reset says (ISO 7816-3:2006 §8 and §11.4). */
#include "atr.h"
#include <string.h>

/* ISO 7816-3 tables 7 and 8; 0 = reserved for future use. */
static const uint16_t F_TABLE[16] = { 372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0 };
static const uint16_t D_TABLE[16] = { 0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0 };

/* The interface bytes TAi, TBi, TCi of one group, -1 = absent. */
struct group {
    int ta, tb, tc, td;
};

struct cursor {
    const uint8_t *bytes;
    size_t length, at;
    bool overrun;
};

static int next(struct cursor *cursor, bool present)
{
    if (!present)
        return -1;
    if (cursor->at >= cursor->length) {
        cursor->overrun = true;
        return -1;
    }
    return cursor->bytes[cursor->at++];
}

/* presence: the upper half of T0 or of the TD before */
static struct group next_group(struct cursor *cursor, unsigned presence)
{
    struct group group;
    group.ta = next(cursor, presence & 0x10);
    group.tb = next(cursor, presence & 0x20);
    group.tc = next(cursor, presence & 0x40);
    group.td = next(cursor, presence & 0x80);
    return group;
}

static void apply_ta1(struct atr *atr, int ta1)
{
    if (ta1 < 0)
        return;
    if (F_TABLE[ta1 >> 4])
        atr->f = F_TABLE[ta1 >> 4];
    if (D_TABLE[ta1 & 15])
        atr->d = D_TABLE[ta1 & 15];
}

/* The first group for T=1, i > 2: IFSC, waiting times, EDC (ISO 7816-3 §11.4). */
static void apply_t1(struct atr *atr, const struct group *group)
{
    if (group->ta >= 1 && group->ta <= 254)
        atr->ifsc = (uint8_t)group->ta;
    if (group->tb >= 0 && group->tb >> 4 <= 9) {
        atr->bwi = (uint8_t)(group->tb >> 4);
        atr->cwi = (uint8_t)(group->tb & 15);
    }
    if (group->tc >= 0)
        atr->crc = group->tc & 1;
}

static void offer(struct atr *atr, unsigned protocol)
{
    atr->t0 |= protocol == 0;
    atr->t1 |= protocol == 1;
}

enum err atr_parse(const uint8_t *bytes, size_t length, struct atr *atr)
{
    if (length < 2 || length > ATR_MAX || (bytes[0] != 0x3b && bytes[0] != 0x3f))
        return ERR_PROTOCOL;
    *atr = (struct atr){ .length = length, .f = 372, .d = 1, .ifsc = 32, .bwi = 4, .cwi = 13 };
    memcpy(atr->bytes, bytes, length);

    struct cursor cursor = { .bytes = bytes, .length = length, .at = 2 };
    struct group group = next_group(&cursor, bytes[1]);
    apply_ta1(atr, group.ta);
    if (group.td < 0)
        atr->t0 = true; /* no TD1: T=0 only */
    bool t1_seen = false, tck = false; /* TCK: unless there is T=0 only, ISO 7816-3 §8.2.5 */
    for (unsigned i = 2; group.td >= 0; i++) {
        const unsigned protocol = (unsigned)group.td & 15;
        offer(atr, protocol);
        tck = tck || protocol != 0;
        group = next_group(&cursor, (unsigned)group.td);
        if (i > 2 && protocol == 1 && !t1_seen) {
            apply_t1(atr, &group);
            t1_seen = true;
        }
    }
    const size_t historical = bytes[1] & 15;
    if (cursor.overrun || historical > length - cursor.at)
        return ERR_PROTOCOL;
    atr->end = cursor.at + historical + tck;
    return ERR_NONE;
}

uint32_t atr_bwt_ms(const struct atr *atr, uint32_t clock_khz)
{
    /* A clock that no card runs at would make nonsense of the times: 1 to 20 MHz is what ISO 7816-3 knows. */
    const uint64_t khz = clock_khz >= 1000 && clock_khz <= 20000 ? clock_khz : 3580;
    const uint64_t etu_11 = 11u * (uint64_t)atr->f / atr->d / khz;
    return (uint32_t)(etu_11 + ((uint64_t)960 * 372 << atr->bwi) / khz + 1);
}
