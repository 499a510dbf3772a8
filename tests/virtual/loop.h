/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* loop.h - a poll loop on the real clock: file descriptors, and one hook before each sleep. One thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef void loop_handler(void *context, short revents);

/* Called before each sleep: does what is due and says when it wants to be called again (INT64_MAX: only after
 * something has happened on a file descriptor). Times are microseconds of loop_now_us(). */
typedef int64_t loop_settle(void *context, int64_t now_us);

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* closes nothing. NULL is allowed. */

/* Microseconds of CLOCK_MONOTONIC. */
int64_t loop_now_us(void);

void loop_on_settle(struct loop *loop, loop_settle *settle, void *context);

/* Calls handler whenever the descriptor is readable, hung up or broken. false: too many, or one is watched already. */
bool loop_watch(struct loop *loop, int fd, loop_handler *handler, void *context);
void loop_want_write(struct loop *loop, int fd, bool wanted); /* and also when it is writable */
void loop_forget(struct loop *loop, int fd);                  /* allowed within any handler */

/* Runs until loop_stop(), which a handler calls. false: poll failed. */
bool loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
