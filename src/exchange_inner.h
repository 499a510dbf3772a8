/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exchange_inner.h - what exchange.c, await.c and recover.c have of each other; nobody else includes it. */
#pragma once
#include "exchange.h"

#define FIRST_SIGN_MS 5000 /* a living key of which it is known gives a sign of life in less than a third of this */

/* Sends a message and waits for its answer, whatever is pending. */
enum err exchange_send(struct exchange *exchange, const struct ccid_command *command, struct vigil *vigil,
                       struct ccid_answer *answer);

/* Waits for the answer that is expected; all else is dropped. ERR_DEAD: the device should have been heard by now. */
enum err exchange_await(struct exchange *exchange, const struct ccid_expectation *expected, struct vigil *vigil,
                        struct ccid_answer *answer);

/* Posts the IN transfer for what comes next. */
enum err exchange_post_in(struct exchange *exchange);

/* Ends the IN transfer. How much it had brought is not always told, so that is lost. */
void exchange_take_back_in(struct exchange *exchange);

/* Patience has ended: whether the whole answer has come all the same, without the end of its transfer. */
bool exchange_has_come(struct exchange *exchange, const struct ccid_expectation *expected, struct ccid_answer *answer);

/* A vigil that begins now and is of no command's patience. */
struct vigil exchange_own_vigil(const struct exchange *exchange, struct patience patience);

/* Sends bytes that are no message, and reads for so long what comes. false: they have not left, nothing has come. */
bool exchange_fill(struct exchange *exchange, size_t length, uint32_t read_ms);

/* Sends so many GetSlotStatus, and nobody reads: the answer to the last has no room. false: they have not left. */
bool exchange_crowd(struct exchange *exchange, unsigned messages);

/* After a restart, at once, since another process may be the next to ask; a device that does not answer is not waited
 * for. Returns err. */
enum err exchange_after_restart(struct exchange *exchange, enum err err);

/*
 * Finds out or ends what is pending, so that a command may leave. block: an XfrBlock is to leave; others are harmless to
 * more keys. ERR_TIMEOUT: not within the vigil. ERR_HELD: see exchange_held_ms(). ERR_DEAD.
 */
enum err exchange_settle(struct exchange *exchange, bool block, struct vigil *vigil);

/* How long a device that is at work may be silent; for one that gives no sign of life, how long an answer that is on its
 * way may take. */
uint32_t exchange_silence_ms(const struct exchange *exchange);

/* It takes messages while it is at work: whether it is cannot be asked, only heard. */
bool exchange_hears_at_work(const struct exchange *exchange);

/* Whether this firmware's silence after a command was seen to mean that it is dead. */
bool exchange_tells_death(const struct exchange *exchange);
