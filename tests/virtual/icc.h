/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * icc.h - the smart card inside a virtual key: a T=1 chip (ISO 7816-3) that runs an application.
 *
 * It is driven byte by byte over its I/O line by the virtual firmware and by an explicit clock; it never
 * looks at a real clock, so it runs on a virtual one as well. Times are microseconds of the caller's clock.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICC_NEVER INT64_MAX

struct icc;

/* How one command of the card passes its time. */
struct icc_timing {
    int64_t work_us;        /* from the complete command to the answer */
    int64_t silent_us;      /* no S(WTX) before this much of the work has passed */
    int64_t wtx_every_us;   /* an S(WTX) request each time this much of the work has passed; 0 = never */
    uint8_t wtx_multiplier; /* its INF */
    unsigned wtx_count;     /* so many and no more; 0: no limit */
};

struct icc_options {
    const uint8_t *atr;              /* as in readers/; copied */
    size_t atr_len;
    struct icc_timing generate[8];   /* the n-th on-card generation; the last one serves all later ones */
    size_t generate_count;
    struct icc_timing sign;          /* all that uses a private key */
    struct icc_timing reset;         /* what erases all; work_us 0: as the application has it */
    struct icc_timing other;         /* everything else */
    const char *state_path;          /* persistent objects and keys are kept there; NULL = in memory */
    const char *application;         /* by its name in readers/; NULL: openpgp-card-3.4 */
    const char *log_path;            /* see icc_log_...(); NULL = in memory only */
    bool real_time;                  /* the clock is the real one: never block it for a computation; an answer whose
                                        real computation is not done at its scripted time comes when it is done.
                                        false: block until the computation is done, so the answer is exact. */
};

/* Makes a card as it leaves the factory (or as state_path says). NULL with a message on stderr on failure. */
struct icc *icc_new(const struct icc_options *options);
void icc_free(struct icc *icc);

/* Cold reset: PIN state, application and T=1 state are lost, a running command is abandoned. Returns the ATR
 * (owned by the card) and its length; length 0: the card is mute. */
const uint8_t *icc_reset(struct icc *icc, int64_t now_us, size_t *atr_len);
void icc_power_off(struct icc *icc);

/* An application that is a task in the key's own processor begins, or is killed in its command: what PINs are verified
 * stays. icc_power_off() is its own end. */
void icc_start(struct icc *icc, int64_t now_us);
void icc_cancel(struct icc *icc, int64_t now_us);
bool icc_is_powered(const struct icc *icc);
bool icc_is_terminated(const struct icc *icc); /* the card waits for ACTIVATE FILE */

/* The reader sends bytes: one T=1 block. A card that is computing does not hear them. */
void icc_hear(struct icc *icc, int64_t now_us, const uint8_t *bytes, size_t length);

/* When the card will speak next (its first byte), ICC_NEVER if it has nothing to say. */
int64_t icc_speaks_at(const struct icc *icc);

/* Takes the block that the card puts on the line at or before now_us; 0 = none. If nobody takes it, the block
 * stays until the reader sends something (icc_hear drops it: the bytes went by unheard; the card can still
 * repeat them when an R-block asks). capacity at least 260. */
size_t icc_speak(struct icc *icc, int64_t now_us, uint8_t *bytes, size_t capacity);

/* ---- the same chip in a key whose firmware is the application: whole APDUs, without T=1 ---- */

/* Begins to execute an APDU of 4 ... APPLICATION_COMMAND_MAX bytes; not while another one runs. */
void icc_execute(struct icc *icc, int64_t now_us, const uint8_t *apdu, size_t length);
/* When its answer is due, or in real time when to look again; ICC_NEVER: none runs. */
int64_t icc_answer_at(const struct icc *icc);
/* Takes the answer, data and status word, if it is due; 0: not yet, or none runs. */
size_t icc_take_answer(struct icc *icc, int64_t now_us, uint8_t *answer, size_t capacity);

/* Whether the command waits for somebody to touch the key: its work has not begun yet. icc_touch() begins it, after
 * icc_touch_timeout() its answer is there; nothing happens if it does not wait. How long it may is the firmware's
 * business. */
bool icc_waits_for_touch(const struct icc *icc);
void icc_touch(struct icc *icc, int64_t now_us);
void icc_touch_timeout(struct icc *icc, int64_t now_us);

/* ---- faults on request ---- */
void icc_set_generate(struct icc *icc, const struct icc_timing *timing, size_t count); /* for the generations to come */
void icc_set_reset(struct icc *icc, const struct icc_timing *timing);
void icc_set_mute(struct icc *icc, bool mute);            /* hears and answers nothing until switched off; reset: no ATR */
enum icc_corruption { ICC_BAD_EDC, ICC_BAD_LENGTH, ICC_BAD_SEQUENCE, ICC_TRUNCATED, ICC_NOISE };
void icc_corrupt(struct icc *icc, enum icc_corruption how, unsigned times); /* the next blocks the card speaks */
void icc_mishear(struct icc *icc, unsigned times);        /* the next blocks it hears arrive with a bad EDC */
void icc_ask_ifs(struct icc *icc, uint8_t ifsc);          /* it sends S(IFS request) before its next answer */
void icc_ask_abort(struct icc *icc);                      /* it sends S(ABORT request) instead of its next chained block */
void icc_lie_about_wtx(struct icc *icc, uint8_t multiplier); /* multiplier of every later S(WTX) */

/* ---- the log of every APDU executed or begun, as the card has put it together, and the counters ---- */
struct icc_apdu {
    int64_t begin_us, end_us;
    const uint8_t *command; /* whole, as reassembled by T=1 */
    size_t command_len;
    uint16_t status_word;
    size_t answer_len; /* without the status word */
    size_t resets;     /* cold resets before it */
    bool abandoned;    /* a reset cut it off: there is no answer */
};
size_t icc_log_count(const struct icc *icc);
struct icc_apdu icc_log_get(const struct icc *icc, size_t index);
/* log_path gets one line an APDU, written when it has been executed (flushed at once):
 *   <begin_ms> <end_ms> <command in upper-case hex> <status word, 4 hex digits> <answer_len>
 * and a line "<ms> reset" at each cold reset, "<ms> abandoned <command in hex>" when a reset cut a command off. */

struct icc_counters { /* tries left: user PIN, resetting code, admin PIN; of a PIV card, if there is one, PIN and PUK */
    unsigned pw1, rc, pw3;
    bool has_piv;
    unsigned pin, puk;
};
struct icc_counters icc_counters(const struct icc *icc);
size_t icc_resets(const struct icc *icc);                 /* cold resets so far */
size_t icc_blocks(const struct icc *icc);                 /* T=1 blocks heard so far */
