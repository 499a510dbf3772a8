/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * judge.h - whether what a key has executed is what its clients have sent: their commands, whole, each at most once and
 * in that order, and nothing else; and whether their answers are those of these commands.
 *
 * A driver may make parts of a command that is too long for the firmware (ISO 7816-4 §5.3.3), where the firmware takes
 * short APDUs only, and ask for the rest of its answer (§5.3.4). These count as the client's command, if they are all of
 * it. Of its own a driver may send such a key a GET RESPONSE that the key answers without effect, and nothing more.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum judge_outcome {
    OUTCOME_UNKNOWN,
    OUTCOME_FAILED,   /* the client got an error: it may have been executed, or not */
    OUTCOME_ANSWERED, /* the client got this status word */
};

struct judge_sent {
    const uint8_t *bytes;
    size_t length;
    enum judge_outcome outcome;
    uint16_t status_word;
};

struct judge_executed {
    const uint8_t *bytes;
    size_t length;
    uint16_t status_word;
    size_t answer_length; /* without the status word */
    size_t resets;        /* of the card, before it */
    bool abandoned;       /* it had begun when the card lost its power */
};

struct judge_case {
    const char *firmware; /* as readers/ name it */
    bool any_order;       /* several clients send at once */
    const struct judge_sent *sent;
    size_t sent_count;
    const struct judge_executed *executed;
    size_t executed_count;
    const uint8_t *of_others; /* NULL, or the command that others than these clients send at any time */
    size_t of_others_length;
};

/* NULL: all is well. Else what is not, which the caller frees; does not return without memory. */
char *judge(const struct judge_case *facts);
