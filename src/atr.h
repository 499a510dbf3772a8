/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* atr.h - what an answer-to-reset says (ISO 7816-3:2006 §8 and §11.4). Pure: no I/O, no allocation. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

#define ATR_MAX 33

struct atr {
    uint8_t bytes[ATR_MAX];
    size_t length;
    size_t end;        /* where it ends by its own word, with its TCK */
    bool t0, t1;       /* the protocols it offers */
    uint16_t f, d;     /* clock rate conversion and baud rate adjustment, from TA1 (372 and 1 without) */
    uint8_t ifsc;      /* largest INF the card takes, 1 ... 254 */
    uint8_t bwi, cwi;  /* block and character waiting time integers */
    bool crc;          /* EDC is a CRC (two bytes), else an LRC */
};

/* ERR_PROTOCOL when the bytes are no ATR. A wrong TCK is no error: there are readers that change TA1 and leave TCK
 * as it was. */
enum err atr_parse(const uint8_t *bytes, size_t length, struct atr *atr);

/* The block waiting time at the card clock given: 11 etu + 2^BWI * 960 * 372 / f (ISO 7816-3 §11.4.3). */
uint32_t atr_bwt_ms(const struct atr *atr, uint32_t clock_khz);
