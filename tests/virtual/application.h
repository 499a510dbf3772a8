/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * application.h - what runs on the chip: it takes whole APDUs and gives whole answers; blocks, clocks and waiting are
 * its caller's business.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest answer of any of them, status word included; the longest command. 7609 (1DB9) bytes are what the
 * Nitrokey 3 says it can do. */
#define APPLICATION_ANSWER_MAX 7611
#define APPLICATION_COMMAND_MAX 7680

/* What a command costs the chip; it decides the scripted time. */
enum application_effort { EFFORT_QUICK, EFFORT_PRIVATE_KEY, EFFORT_GENERATE, EFFORT_RESET };

/* Tries left: user PIN, resetting code (0: there is none), admin PIN; of a PIV card, if there is one, PIN and PUK. */
struct application_tries {
    unsigned pw1, rc, pw3;
    bool has_piv;
    unsigned pin, puk;
};

/* card is what the application itself has made. */
struct application_class {
    int64_t reset_us; /* how long it takes to erase all, without a sign of life; 0: no time to speak of */
    void (*free)(void *card); /* NULL is allowed */
    void (*reset)(void *card); /* the power was cut */
    /* Of an application that is a task in the key's own processor; NULL: nothing more happens. The task begins, and
     * does not know whether there was one before; the task is killed in its command. */
    void (*start)(void *card), (*cancel)(void *card);
    bool (*is_terminated)(const void *card); /* NULL: it cannot be */
    /* Begins to execute one command APDU, which is copied. One that will be refused is quick, whatever its name. The
     * computation of a slow one runs in a thread. One command at a time. */
    enum application_effort (*begin)(void *card, const uint8_t *command, size_t length);
    /* Whether the command under way waits for somebody to touch the key; what happens if somebody does, or nobody in
     * time. Nothing happens if it does not wait. */
    bool (*waits_for_touch)(const void *card);
    void (*touch)(void *card), (*touch_timeout)(void *card);
    bool (*done)(void *card); /* the answer is there */
    /* Waits for the answer and takes it: data and status word. capacity at least APPLICATION_ANSWER_MAX. */
    size_t (*finish)(void *card, uint8_t *answer, size_t capacity);
    struct application_tries (*tries)(const void *card);
};

struct application {
    const struct application_class *class;
    void *card;
};

/* Whether there is one of this name in readers/. */
bool application_exists(const char *name);

/* Makes the card as it leaves the factory, or as state_path says (NULL = in memory only; the file need not exist yet).
 * card NULL with a message on stderr on failure, also for a state file that is nonsense. */
struct application application_new(const char *name, const char *state_path);
