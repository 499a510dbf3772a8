/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sequence.h - what happens in a simulation, decided beforehand: a model and a list of steps.
 *
 * A step means the same wherever it stands, so a sequence without some of its steps is a sequence. Its text is what
 * --replay takes and a failure prints: "MODEL NUMBER: STEP...", where NUMBER is what else is up to chance, and a STEP is
 * [CLIENT.]NAME[:A[:B]], such as "A.put:300" or "lost-out:2".
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEQUENCE_STEPS_MAX 80
#define SEQUENCE_TEXT_MAX 4096
#define SEQUENCE_CLIENTS 3

enum step_kind {
    /* a client */
    STEP_CONNECT, STEP_EXCLUSIVE, STEP_RECONNECT, STEP_DISCONNECT,
    STEP_AID, STEP_TRIES, STEP_READ, STEP_READ_LOGIN, STEP_WRITE, STEP_WRITE_LOGIN, STEP_CHAIN,
    STEP_PIN, STEP_ADMIN, STEP_WRONG_PIN, STEP_SIGN, STEP_GENERATE, STEP_PIV, STEP_ATTRIBUTE,
    /* pcscd, its polling thread, and time */
    STEP_POLL, STEP_WAIT, STEP_START, STEP_KILL, STEP_KILL_OUT, STEP_KILL_IN,
    /* the key, and whoever has it in hand */
    STEP_UNPLUG, STEP_PLUG, STEP_FREEZE, STEP_TOUCH, STEP_WANT_TOUCH, STEP_OCCUPY, STEP_RESET_PORT,
    STEP_MISHEAR, STEP_BAD_BLOCK,
    /* a packet */
    STEP_LOST_OUT, STEP_LOST_IN, STEP_TAKEN_OUT, STEP_GIVEN_IN, STEP_BABBLE_IN, STEP_HALT_OUT, STEP_HALT_IN, STEP_NO_ZLP,
    STEP_NAK_OUT, STEP_NAK_IN, STEP_CANCEL_OUT, STEP_CANCEL_IN, STEP_LOST_CONTROL, STEP_HALT_CONTROL,
    STEP_KINDS
};

struct step {
    enum step_kind kind;
    unsigned client; /* 0 ... SEQUENCE_CLIENTS - 1, of those that are a client's */
    long a, b;
};

struct sequence {
    char model[32];
    uint64_t chance;
    struct step step[SEQUENCE_STEPS_MAX];
    size_t count;
};

/* A number from a stream of them (splitmix64). */
uint64_t chance_next(uint64_t *state);

/* The sequence of a seed; model: NULL, or whatever the seed says. The steps are the same then. */
struct sequence sequence_of(uint64_t seed, const char *model);

/* false: not understood. */
bool sequence_parse(const char *text, struct sequence *sequence);
void sequence_print(const struct sequence *sequence, char text[SEQUENCE_TEXT_MAX]);

bool step_is_of_a_client(const struct step *step);
void step_name(const struct step *step, char *text, size_t size);
/* "A writes a certificate of 300 bytes" */
void step_tell(const struct step *step, char *text, size_t size);
const char *step_kind_name(enum step_kind kind);
