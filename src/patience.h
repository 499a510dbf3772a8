/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * patience.h - how long to wait belongs to the command: command -> class -> silence and total.
 *
 * Silence is the longest time without any sign of life (answer, CCID time extension, S(WTX)); a sign of life renews
 * it. Total is the longest time for the whole command and is never renewed. Pure: the clock comes as an argument.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct patience {
    uint32_t silence_ms, total_ms;
};

enum patience_class {
    PATIENCE_STATUS,
    PATIENCE_POWER,
    PATIENCE_ORDINARY,
    PATIENCE_SIGN,
    PATIENCE_SECRET,
    PATIENCE_RESET,
    PATIENCE_GENERATE,
    PATIENCE_CLASSES,
};

struct patience_table {
    struct patience of[PATIENCE_CLASSES];
};

extern const struct patience_table patience_defaults;

const char *patience_name(enum patience_class class);

/* The class of a command APDU; chaining and secure messaging bits of CLA do not matter. */
enum patience_class patience_classify(const uint8_t *apdu, size_t length);

/*
 * Applies "generate=45m,ordinary=30s/10m": class=silence[/total], times with the unit ms, s, m or h. A total below
 * the silence is raised to it. Returns false, with *table untouched and *mistake at the entry that is wrong, when
 * anything in the text is not understood.
 */
bool patience_parse(const char *text, struct patience_table *table, const char **mistake);

/* One wait, from the first byte of a command to the end of its answer. */
struct vigil {
    enum patience_class class;
    struct patience patience;
    int64_t begun_ms, heard_ms;
    uint64_t protocol_ms; /* what the protocol allows the device or card to take: BWT x multiplier */
    void (*heard)(void *context, const struct vigil *vigil, int64_t now_ms); /* told of signs of life; may be NULL */
    void *context;
};

struct vigil vigil_begin(const struct patience_table *table, enum patience_class class, int64_t now_ms);

/* A part of a wait with a patience of its own: ends with that, or with the whole, which a sign of life prolongs. */
struct vigil vigil_part(const struct vigil *whole, struct patience patience, int64_t now_ms);

/* ... that ends after limit_ms, whatever signs of life there are. */
struct vigil vigil_within(const struct vigil *whole, uint32_t limit_ms, int64_t now_ms);

/* A sign of life was seen. */
void vigil_renew(struct vigil *vigil, int64_t now_ms);

/* The device may take multiplier times the block waiting time from now on (0 counts as 1, CCID 1.1 §6.2.6 and
 * ISO 7816-3 §11.6.2.3). Capped for ordinary commands, so that a lying multiplier cannot freeze a reader. */
void vigil_allow(struct vigil *vigil, uint32_t bwt_ms, unsigned multiplier);

/* The moment at which patience ends. */
int64_t vigil_deadline_ms(const struct vigil *vigil);
