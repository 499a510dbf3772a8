/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nk3_dispatcher.c - between the CCID class of a Nitrokey 3 and its applications.
 *
 * What was read: trussed-dev/apdu-dispatch 0.3.1 (dispatch.rs: check_for_request, handle_reply), trussed-dev/iso7816
 * (command.rs: the lengths of the cases). SELECT and command chaining are the virtual applications' own.
 */
#include "nk3_dispatcher.h"
#include <string.h>

#define TOUCH_LIMIT_US 15000000
#define DATA_MAX (NK3_DISPATCHER_MAX - 2) /* of an answer: dispatch.rs, MAX_INTERCHANGE_DATA */
#define INS_GET_RESPONSE 0xc0

void nk3_dispatcher_reset(struct nk3_dispatcher *dispatcher)
{
    struct icc *const icc = dispatcher->icc;
    explicit_bzero(dispatcher, sizeof *dispatcher);
    dispatcher->icc = icc;
}

/* ---- the place for a request and its answer ---- */

void nk3_dispatcher_clear(struct nk3_dispatcher *dispatcher)
{
    if (dispatcher->state == NK3_WORKING)
        dispatcher->state = NK3_DISOWNED;
    else if (dispatcher->state != NK3_DISOWNED)
        dispatcher->state = NK3_FREE;
}

bool nk3_dispatcher_begin(struct nk3_dispatcher *dispatcher)
{
    if (dispatcher->state != NK3_FREE)
        return false;
    dispatcher->state = NK3_WRITING;
    dispatcher->request_length = 0;
    return true;
}

bool nk3_dispatcher_add(struct nk3_dispatcher *dispatcher, const uint8_t *bytes, size_t length)
{
    if (length > sizeof dispatcher->request - dispatcher->request_length)
        return false;
    memcpy(dispatcher->request + dispatcher->request_length, bytes, length);
    dispatcher->request_length += length;
    return true;
}

/* ---- what an APDU says ---- */

static size_t be16(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static size_t or_most(size_t expected, size_t most)
{
    return expected ? expected : most;
}

/* Ne of an extended APDU, by what follows its header; extended Lc 0 is allowed. false: the lengths contradict. */
static bool read_extended(const uint8_t *body, size_t length, size_t *expected)
{
    if (body[0] != 0 || length < 3)
        return false;
    const size_t lc = be16(body + 1), rest = length - 3;
    if (rest == 0)
        *expected = or_most(lc, 65536);
    else if (rest == lc + 2)
        *expected = or_most(be16(body + length - 2), 65536);
    return rest == 0 || rest == lc || rest == lc + 2;
}

/* false: no APDU. */
static bool read_expected(const uint8_t *apdu, size_t length, size_t *expected)
{
    *expected = 0;
    if (length < 4 || apdu[0] == 0xff)
        return false;
    const uint8_t *const body = apdu + 4;
    const size_t left = length - 4;
    if (left == 0)
        return true;
    const size_t lc = body[0];
    if (left == 1 || (lc != 0 && left == lc + 2))
        *expected = or_most(body[left - 1], 256);
    else if (lc == 0 || left != lc + 1)
        return read_extended(body, left, expected);
    return true;
}

/* ---- the task ---- */

static void answer(struct nk3_dispatcher *dispatcher, const uint8_t *data, size_t length, uint16_t status)
{
    if (dispatcher->state != NK3_WORKING)
        return; /* a panic: what is disowned stays so, and no request will be taken */
    if (length > 0)
        memcpy(dispatcher->answer, data, length);
    dispatcher->answer[length] = (uint8_t)(status >> 8);
    dispatcher->answer[length + 1] = (uint8_t)status;
    dispatcher->answer_length = length + 2;
    dispatcher->state = NK3_ANSWERED;
}

/* As much of the rest as is wanted; what is left of it stays. */
static void answer_from_rest(struct nk3_dispatcher *dispatcher, uint16_t status)
{
    const size_t wanted = dispatcher->expected < DATA_MAX ? dispatcher->expected : DATA_MAX;
    const size_t length = dispatcher->rest_length < wanted ? dispatcher->rest_length : wanted;
    const size_t left = dispatcher->rest_length - length;
    answer(dispatcher, dispatcher->rest, length, left == 0 ? status : (uint16_t)(0x6100 | (left > 255 ? 0 : left)));
    memmove(dispatcher->rest, dispatcher->rest + length, left);
    explicit_bzero(dispatcher->rest + left, length);
    dispatcher->rest_length = left;
}

/* A request that cannot be read, and one for more of an answer, are the task's own; all else is the application's. */
void nk3_dispatcher_send(struct nk3_dispatcher *dispatcher, int64_t now_us)
{
    const uint8_t *const apdu = dispatcher->request;
    const size_t length = dispatcher->request_length;
    dispatcher->state = NK3_WORKING;
    if (!read_expected(apdu, length, &dispatcher->expected)) {
        answer(dispatcher, NULL, 0, 0x6f00);
    } else if (apdu[1] == INS_GET_RESPONSE && dispatcher->rest_length > 0) {
        answer_from_rest(dispatcher, 0x9000);
    } else {
        dispatcher->rest_length = 0;
        icc_execute(dispatcher->icc, now_us, apdu, length);
        dispatcher->touch_us = now_us + TOUCH_LIMIT_US;
    }
    explicit_bzero(dispatcher->request, length);
}

void nk3_dispatcher_advance(struct nk3_dispatcher *dispatcher, int64_t now_us)
{
    struct icc *const icc = dispatcher->icc;
    if (icc_waits_for_touch(icc) && now_us >= dispatcher->touch_us)
        icc_touch_timeout(icc, now_us);
    const size_t length = icc_take_answer(icc, now_us, dispatcher->rest, sizeof dispatcher->rest);
    if (length == 0)
        return;
    dispatcher->rest_length = length - 2;
    answer_from_rest(dispatcher, (uint16_t)be16(dispatcher->rest + length - 2));
}

int64_t nk3_dispatcher_next_us(const struct nk3_dispatcher *dispatcher)
{
    return icc_waits_for_touch(dispatcher->icc) ? dispatcher->touch_us : icc_answer_at(dispatcher->icc);
}

bool nk3_dispatcher_busy(const struct nk3_dispatcher *dispatcher)
{
    return icc_answer_at(dispatcher->icc) != ICC_NEVER || icc_waits_for_touch(dispatcher->icc);
}
