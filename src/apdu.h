/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apdu.h - what a command APDU says (ISO 7816-4:2013 §5.1), and its short parts. Pure: no I/O, no allocation. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APDU_SHORT_MAX (4 + 1 + 255 + 1)
#define APDU_CLA_CHAIN 0x10 /* not the last part of a chain, §5.3.3 */

struct apdu {
    uint8_t header[4];   /* CLA INS P1 P2 */
    const uint8_t *data; /* in the APDU it was read from; NULL when there is none */
    size_t length;       /* Nc */
    size_t expected;     /* Ne: 0 ... 65536 */
    bool extended;       /* written with extended length fields */
};

/* false: its length fields contradict its length. */
bool apdu_parse(const uint8_t *bytes, size_t length, struct apdu *apdu);

/* Whether the command is protected by secure messaging: what a MAC covers must not be cut into parts. */
bool apdu_is_secure(const struct apdu *apdu);

/* Writes a short APDU with at most 255 bytes of data and Ne at most 256 into part; returns its length. */
size_t apdu_write_short(uint8_t part[APDU_SHORT_MAX], const uint8_t header[4], const uint8_t *data, size_t length,
                        size_t expected);
