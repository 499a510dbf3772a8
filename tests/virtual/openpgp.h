/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openpgp.h - the application on the card: an OpenPGP card with real keys. It takes whole APDUs and gives whole
 * answers; blocks, clocks and waiting are its caller's business.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "application.h"

#define OPENPGP_ANSWER_MAX APPLICATION_ANSWER_MAX
#define OPENPGP_COMMAND_MAX APPLICATION_COMMAND_MAX

extern const struct application_class openpgp_application;

struct openpgp;
struct openpgp_profile; /* openpgp_profile.h */

/* Makes a card as it leaves the factory, or as state_path says (NULL = in memory only; the file need not exist
 * yet). NULL with a message on stderr on failure, also for a state file that is nonsense. */
struct openpgp *openpgp_new_profile(const char *state_path, const struct openpgp_profile *profile);
/* The same, an OpenPGP card 3.4. */
struct openpgp *openpgp_new(const char *state_path);
void openpgp_free(struct openpgp *card);

/* The power was cut: PIN state, selected application and an unfinished command are lost. */
void openpgp_reset(struct openpgp *card);
/* Of an application that is a task in the key's own processor: it begins, and nothing is selected; it is killed in its
 * command. Either way PINs that are verified stay so. From the first start on it is given whole commands, and gives whole
 * answers whatever Le says: who talks to the host joins and cuts. */
void openpgp_start(struct openpgp *card);
void openpgp_cancel(struct openpgp *card);
bool openpgp_is_terminated(const struct openpgp *card); /* waits for ACTIVATE FILE */

/* What a command costs the chip; it decides the scripted time. */
enum openpgp_effort { OPENPGP_QUICK, OPENPGP_PRIVATE_KEY, OPENPGP_GENERATE };

/* Begins to execute one command APDU, which is copied. A command that will be refused is quick, whatever its name.
 * The computation of a slow one runs in a thread. One command at a time. */
enum openpgp_effort openpgp_begin(struct openpgp *card, const uint8_t *command, size_t length);

/* Whether the command under way waits for somebody to touch the key; it does not compute meanwhile, and is not done.
 * How long it may wait is the caller's business. */
bool openpgp_waits_for_touch(const struct openpgp *card);
void openpgp_touch(struct openpgp *card);         /* it goes on; nothing happens if it does not wait */
void openpgp_touch_timeout(struct openpgp *card); /* it is refused; nothing happens if it does not wait */

/* Whether the answer is there. */
bool openpgp_done(struct openpgp *card);

/* Waits for the answer and takes it: data and status word, at least 2 bytes. capacity at least OPENPGP_ANSWER_MAX.
 * A touch that did not come until now comes too late. */
size_t openpgp_finish(struct openpgp *card, uint8_t *answer, size_t capacity);

/* Tries left: user PIN, resetting code, admin PIN. */
struct openpgp_tries { unsigned pw1, rc, pw3; };
struct openpgp_tries openpgp_tries(const struct openpgp *card);
