/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * world.h - what a simulation is about: one virtual key, its clock, and the computer that it is plugged into; what goes
 * wrong there; and what is wrong with the driver, which ends the simulation.
 *
 * There is one of it in a process, and a process for each sequence.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <winscard.h>
#include <ifdhandler.h>
#include "icc.h"
#include "sequence.h"
#include "usb_virtual.h"

#define LUN 0
#define MS INT64_C(1000)
#define SECOND (1000 * MS)

#define WORLD_WRONG_MAX 1024
#define WORLD_STATES 65536

/* What the processes of all sequences add to; in shared memory. */
struct tally {
    size_t steps, struck[STEP_KINDS];
    size_t unplugged, held; /* sequences in which the user was told to unplug the key; in which it was held back */
    uint8_t states[WORLD_STATES / 8];
    char wrong[WORLD_WRONG_MAX]; /* of the sequence that was played last; empty: nothing */
    size_t step;                 /* where it is */
};

extern struct world {
    struct icc *icc;
    struct device *device;
    struct virtual_slot *slot;
    const struct identity *identity;
    struct tally *tally;
    bool killed;          /* pcscd, and it has not been forgotten yet */
    bool verbose;
    bool told_to_unplug;  /* by the log, and it has not been done */
    bool told_held;
    bool unread;          /* nobody has read what the key sends for a while */
    bool muted;           /* what it sends could not be heard, though somebody reads */
    bool port_was_reset;
    bool torn;            /* of a message perhaps a part has arrived */
    bool unreported;      /* nobody was told how much of a message has left, or whether it was at rest */
    bool calm;            /* nothing goes wrong any more */
    bool in_trouble;      /* something has gone wrong since the beginning */
} world;

/* A key of this model, in its port; pcscd's run directory is DIRECTORY/run. */
void world_begin(const struct sequence *sequence, struct tally *tally, const char *directory, bool verbose);
/* What must hold at the end; gives back all there is. */
void world_end(void);

/* Something is wrong: the first thing counts. */
void world_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool world_is_wrong(void);
void world_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A step that is neither a client's nor pcscd's. */
void world_step(const struct step *step);

/* Nothing goes wrong from now on, and the key is in its port. */
void world_calms_down(void);

/* How often the key has been plugged in; 0: it is not. */
unsigned world_plugged(void);
void world_replug(bool elsewhere);
void world_device_name(char *name, size_t size);

/* The key has nothing to do. */
bool world_key_is_free(void);
/* Its firmware has stopped, or will when its command has ended. */
bool world_key_is_dead(void);
/* ... and no driver could have avoided it. */
bool world_key_may_be_dead(void);
/* Nothing but an unplug makes its firmware forget half a message. */
bool world_key_may_need_a_replug(void);
/* It may be held back, or has to be read while it works. */
bool world_key_is_mortal(void);

/* If pcscd was killed, all that it knew is gone but for what was in its run directory then. true: it was. */
bool world_bury_pcscd(void);

/* The directories that world_begin() needs, empty; and no more. */
bool world_make_directories(const char *directory);
void world_remove_directories(const char *directory);

/* Notes the state in which the driver, pcscd and the key are. */
void world_note_state(void);

/* ---- calls of the driver ---- */

struct call {
    const char *name;
    int64_t begun_us, limit_us;
};

/* Each call of an entry point stands between these two. */
struct call world_call(const char *name, int64_t limit_us);
void world_call_ends(const struct call *call, RESPONSECODE code);

/* The longest that a command may take, by README's table. */
int64_t world_patience(const uint8_t *apdu, size_t length);

void world_opens(void);
/* The opening has taken so long, to the end of the first power on. */
void world_opened(int64_t took_us);
/* The driver has said so, of the key that was plugged in as this one. */
void world_has_power(bool said, unsigned plugged);
