/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nk3_pipe.c - the state of the CCID class of a Nitrokey 3. */
#include "nk3_pipe.h"
#include <string.h>

#define HEADER 10
#define PART (NK3_PACKET - HEADER)
#define EXTENSION_US 1000000

enum { POWER_ON = 0x62, POWER_OFF = 0x63, GET_SLOT_STATUS = 0x65, GET_PARAMETERS = 0x6c, XFR_BLOCK = 0x6f };
enum { ABORT = 0x72 };
enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82, REFUSAL = 0x6c };
enum { SUCCEEDED = 0x00, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, ABORTED = 0xff };
enum { CHAIN_WHOLE = 0, CHAIN_BEGINS = 1, CHAIN_ENDS = 2, CHAIN_GOES_ON = 3, CHAIN_MORE = 0x10 };

/* ---- what ends an exchange ---- */

static void panic(struct nk3_pipe *pipe)
{
    pipe->device->faults.frozen = true;
    pipe->state = NK3_IDLE;
}

static void reset_state(struct nk3_pipe *pipe)
{
    pipe->sequence = 0;
    pipe->state = NK3_IDLE;
    pipe->outbox.full = pipe->receiving_long = false;
    pipe->bulk_abort = pipe->control_abort = NK3_NO_ABORT;
    nk3_dispatcher_clear(&pipe->dispatcher);
}

void nk3_pipe_break_off(struct nk3_pipe *pipe)
{
    if (pipe->class < NK3_CCID_0_3)
        panic(pipe);
    else
        reset_state(pipe);
}

/* ---- packets to the host ---- */

void nk3_pipe_fill_endpoint(struct nk3_pipe *pipe)
{
    if (pipe->endpoint.full || !pipe->outbox.full)
        return;
    pipe->endpoint = pipe->outbox;
    pipe->outbox.full = pipe->outbox.length == NK3_PACKET; /* an empty packet follows */
    pipe->outbox.length = 0;
}

static void put_into_outbox(struct nk3_pipe *pipe, uint8_t type, uint8_t status, uint8_t error, uint8_t chain,
                            const uint8_t *data, size_t length)
{
    const uint8_t header[HEADER] = { type, (uint8_t)length, 0, 0, 0, 0, pipe->sequence, status, error, chain };
    memcpy(pipe->outbox.bytes, header, HEADER);
    if (length > 0)
        memcpy(pipe->outbox.bytes + HEADER, data, length);
    const enum answer_fault fault = faults_next_answer(&pipe->device->faults);
    pipe->outbox.length = faults_spoil_answer(fault, pipe->outbox.bytes, HEADER + length);
    pipe->outbox.full = fault != ANSWER_SWALLOWED;
    nk3_pipe_fill_endpoint(pipe);
}

/* What is not an answer of the application is said in any case, in place of what waits. */
static void say(struct nk3_pipe *pipe, uint8_t type, uint8_t status, uint8_t error, uint8_t chain, const uint8_t *data,
                size_t length)
{
    if (pipe->outbox.full)
        pipe->state = NK3_IDLE;
    put_into_outbox(pipe, type, status, error, chain, data, length);
}

/* The next part of the application's answer, which must not meet another packet. */
static void say_part(struct nk3_pipe *pipe, bool first)
{
    const struct nk3_dispatcher *const dispatcher = &pipe->dispatcher;
    if (pipe->outbox.full || dispatcher->state != NK3_ANSWERED) {
        nk3_pipe_break_off(pipe);
        return;
    }
    const size_t left = dispatcher->answer_length - pipe->sent, length = left < PART ? left : PART;
    const bool last = length == left;
    const uint8_t chain = first ? (last ? CHAIN_WHOLE : CHAIN_BEGINS) : last ? CHAIN_ENDS : CHAIN_GOES_ON;
    const uint8_t *const data = dispatcher->answer + pipe->sent;
    pipe->sent += length;
    pipe->state = last ? NK3_IDLE : NK3_SENDING;
    put_into_outbox(pipe, DATA_BLOCK, SUCCEEDED, 0, chain, data, length);
}

/* ---- XfrBlock ---- */

static size_t said_length(const struct nk3_pipe *pipe)
{
    const uint8_t *const bytes = pipe->message + 1;
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

/* Adds the data of the message to the request. false: there is no more to be done. */
static bool take_data(struct nk3_pipe *pipe)
{
    const size_t said = said_length(pipe), most = NK3_MESSAGE_MAX - HEADER, length = said < most ? said : most;
    if (length > pipe->received - HEADER) {
        panic(pipe); /* a slice of what is not there, in all versions */
        return false;
    }
    if (nk3_dispatcher_add(&pipe->dispatcher, pipe->message + HEADER, length))
        return true;
    nk3_pipe_break_off(pipe);
    return false;
}

static void call_application(struct nk3_pipe *pipe)
{
    nk3_dispatcher_send(&pipe->dispatcher, pipe->device->now_us);
    pipe->state = NK3_PROCESSING;
    if (pipe->extension_us == DEVICE_NEVER) /* it runs on from the command before: spawn_after() fails */
        pipe->extension_us = pipe->device->now_us + EXTENSION_US;
}

static void take_first_part(struct nk3_pipe *pipe, bool whole)
{
    nk3_dispatcher_clear(&pipe->dispatcher);
    if (!nk3_dispatcher_begin(&pipe->dispatcher))
        nk3_pipe_break_off(pipe);
    else if (take_data(pipe) && whole)
        call_application(pipe);
    else if (!whole && pipe->dispatcher.state == NK3_WRITING) {
        pipe->state = NK3_RECEIVING;
        say(pipe, DATA_BLOCK, SUCCEEDED, 0, CHAIN_MORE, NULL, 0);
    }
}

static void take_next_part(struct nk3_pipe *pipe, bool last)
{
    if (!take_data(pipe))
        return;
    if (last)
        call_application(pipe);
    else
        say(pipe, DATA_BLOCK, SUCCEEDED, 0, CHAIN_MORE, NULL, 0);
}

static void transfer(struct nk3_pipe *pipe)
{
    const unsigned chain = pipe->message[8] | (unsigned)pipe->message[9] << 8;
    if (pipe->state == NK3_IDLE && (chain == CHAIN_WHOLE || chain == CHAIN_BEGINS))
        take_first_part(pipe, chain == CHAIN_WHOLE);
    else if (pipe->state == NK3_RECEIVING && (chain == CHAIN_GOES_ON || chain == CHAIN_ENDS))
        take_next_part(pipe, chain == CHAIN_ENDS);
    else if (pipe->state == NK3_SENDING && chain == CHAIN_MORE)
        say_part(pipe, false);
    else
        nk3_pipe_break_off(pipe);
}

/* ---- the pair of a control and a bulk ABORT with the same sequence number, CCID 1.1 §5.3.1 ---- */

/* The request of the application is not disowned: the application works on, and its answer is left where it is. */
static void abort_exchange(struct nk3_pipe *pipe)
{
    pipe->bulk_abort = pipe->control_abort = NK3_NO_ABORT;
    pipe->state = NK3_IDLE;
    pipe->outbox.full = pipe->receiving_long = false;
    say(pipe, SLOT_STATUS, SUCCEEDED, 0, 0, NULL, 0);
}

void nk3_pipe_expect_abort(struct nk3_pipe *pipe, uint8_t slot, uint8_t sequence)
{
    if (pipe->class < NK3_CCID_0_2)
        panic(pipe);
    else if (slot == 0 && pipe->bulk_abort == sequence)
        abort_exchange(pipe);
    else if (slot == 0)
        pipe->control_abort = sequence;
}

static void bulk_abort(struct nk3_pipe *pipe)
{
    if (pipe->class < NK3_CCID_0_2)
        panic(pipe);
    else
        pipe->bulk_abort = pipe->sequence;
}

/* ---- messages ---- */

static bool is_known(uint8_t type)
{
    static const uint8_t KNOWN[] = { POWER_ON, POWER_OFF, GET_SLOT_STATUS, GET_PARAMETERS, XFR_BLOCK, ABORT };
    return memchr(KNOWN, type, sizeof KNOWN) != NULL;
}

static void obey(struct nk3_pipe *pipe, uint8_t type)
{
    static const uint8_t PARAMETER_BYTES[] = { 0x11, 0x10, 0x00, 0x15, 0x00, 0xfe, 0x00 };
    const struct identity *const identity = pipe->device->identity;
    pipe->bulk_abort = NK3_NO_ABORT;
    if (type == ABORT)
        bulk_abort(pipe);
    else if (type == POWER_ON)
        say(pipe, DATA_BLOCK, SUCCEEDED, 0, 0, identity->atr, identity->atr_len);
    else if (type == POWER_OFF || type == GET_SLOT_STATUS)
        say(pipe, SLOT_STATUS, SUCCEEDED, 0, 0, NULL, 0);
    else if (type == GET_PARAMETERS)
        say(pipe, PARAMETERS, SUCCEEDED, 0, 1, PARAMETER_BYTES, sizeof PARAMETER_BYTES);
    else
        transfer(pipe);
}

/* What it does not know is refused as such, and means nothing to an Abort pair. */
static void dispatch(struct nk3_pipe *pipe)
{
    const uint8_t type = pipe->message[0];
    pipe->sequence = pipe->message[6];
    if (!is_known(type))
        say(pipe, REFUSAL, FAILED, UNSUPPORTED, 0, NULL, 0);
    else if (pipe->control_abort == NK3_NO_ABORT)
        obey(pipe, type);
    else if (type == ABORT && pipe->control_abort == pipe->sequence)
        abort_exchange(pipe);
    else
        say(pipe, REFUSAL, FAILED, ABORTED, 0, NULL, 0);
}

/* ---- packets from the host ---- */

/* The first packet counts as 54 bytes of data, however many it brings. false: more packets are to come. */
static bool hear_first(struct nk3_pipe *pipe, const uint8_t *packet, size_t length)
{
    memcpy(pipe->message, packet, length);
    pipe->received = length;
    const size_t said = said_length(pipe);
    pipe->receiving_long = said > PART;
    pipe->missing = pipe->receiving_long ? said - PART : 0;
    return !pipe->receiving_long;
}

/* false: more packets are to come, or the message was given up. */
static bool hear_next(struct nk3_pipe *pipe, const uint8_t *packet, size_t length)
{
    const bool fits = length <= sizeof pipe->message - pipe->received;
    const bool careless = pipe->class < NK3_CCID_0_3; /* what does not fit is left out, what is too much is a panic */
    if ((!fits && !careless) || (length > pipe->missing && careless)) {
        nk3_pipe_break_off(pipe);
        return false;
    }
    if (fits && length > 0) {
        memcpy(pipe->message + pipe->received, packet, length);
        pipe->received += length;
    }
    pipe->missing -= length < pipe->missing ? length : pipe->missing;
    pipe->receiving_long = pipe->missing > 0;
    return !pipe->receiving_long;
}

void nk3_pipe_hear(struct nk3_pipe *pipe, const uint8_t *packet, size_t length)
{
    if (!pipe->receiving_long && length < HEADER) {
        nk3_pipe_break_off(pipe);
        return;
    }
    const bool first = !pipe->receiving_long;
    if (!(first ? hear_first(pipe, packet, length) : hear_next(pipe, packet, length)))
        return;
    dispatch(pipe);
    explicit_bzero(pipe->message, sizeof pipe->message);
}

/* ---- time ---- */

static void answer_if_there_is_one(struct nk3_pipe *pipe)
{
    if (pipe->state != NK3_PROCESSING || pipe->dispatcher.state != NK3_ANSWERED)
        return;
    pipe->sent = 0;
    say_part(pipe, true);
}

/* The timer ends with the second in which nothing is processed. */
static void extend_if_due(struct nk3_pipe *pipe)
{
    if (pipe->device->now_us < pipe->extension_us)
        return;
    const bool processing = pipe->state == NK3_PROCESSING;
    pipe->extension_us = processing ? pipe->extension_us + EXTENSION_US : DEVICE_NEVER;
    if (processing)
        say(pipe, DATA_BLOCK, EXTENSION, 1, 0, NULL, 0);
}

void nk3_pipe_advance(struct nk3_pipe *pipe)
{
    extend_if_due(pipe);
    nk3_dispatcher_advance(&pipe->dispatcher, pipe->device->now_us);
    answer_if_there_is_one(pipe);
}

int64_t nk3_pipe_next_us(const struct nk3_pipe *pipe)
{
    const int64_t answer_us = nk3_dispatcher_next_us(&pipe->dispatcher);
    return answer_us < pipe->extension_us ? answer_us : pipe->extension_us;
}

void nk3_pipe_reset(struct nk3_pipe *pipe)
{
    reset_state(pipe);
    pipe->extension_us = DEVICE_NEVER;
    pipe->endpoint.full = false;
    nk3_dispatcher_reset(&pipe->dispatcher);
}
