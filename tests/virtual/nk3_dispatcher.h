/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nk3_dispatcher.h - what stands in a Nitrokey 3 between its CCID class and the applications: a place for one request
 * and its answer (interchange), and the task that brings them to the application and back (apdu-dispatch).
 *
 *   FREE --begin--> WRITING --send--> WORKING --the application ends--> ANSWERED
 *
 * Clearing brings WRITING and ANSWERED back to FREE. What is WORKING becomes DISOWNED: the application cannot be
 * stopped, and when it ends, the task has no place for the answer and panics. From then on no request is taken.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "application.h"
#include "icc.h"

#define NK3_DISPATCHER_MAX 3072 /* bytes of a request or an answer (interchanges.rs: SIZE) */

enum nk3_dispatcher_state { NK3_FREE, NK3_WRITING, NK3_WORKING, NK3_ANSWERED, NK3_DISOWNED };

struct nk3_dispatcher {
    struct icc *icc;
    enum nk3_dispatcher_state state;
    uint8_t request[NK3_DISPATCHER_MAX], answer[NK3_DISPATCHER_MAX];
    size_t request_length, answer_length;
    size_t expected;                      /* Ne of the request */
    uint8_t rest[APPLICATION_ANSWER_MAX]; /* what did not fit, for GET RESPONSE */
    size_t rest_length;
    int64_t touch_us; /* when a touch is no longer waited for */
};

/* Power on: nothing is known. */
void nk3_dispatcher_reset(struct nk3_dispatcher *dispatcher);

/* What the class does with it, as its Pipe::reset_interchange(), request_mut() and send_request(). */
void nk3_dispatcher_clear(struct nk3_dispatcher *dispatcher);
/* A request begins. false: one is under way. */
bool nk3_dispatcher_begin(struct nk3_dispatcher *dispatcher);
/* false: there is no room. */
bool nk3_dispatcher_add(struct nk3_dispatcher *dispatcher, const uint8_t *bytes, size_t length);
void nk3_dispatcher_send(struct nk3_dispatcher *dispatcher, int64_t now_us);

/* Lets happen what is due; when something will be. */
void nk3_dispatcher_advance(struct nk3_dispatcher *dispatcher, int64_t now_us);
int64_t nk3_dispatcher_next_us(const struct nk3_dispatcher *dispatcher);

/* Whether an application works, for whomever. */
bool nk3_dispatcher_busy(const struct nk3_dispatcher *dispatcher);
