/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * t1.c - the interface device's side of T=1 (ISO 7816-3:2006 §11) as a state machine without I/O.
 *
 * Theory of operation
 *
 *            transmit                      I, more to come: R
 *   IDLE ------------> SENDING ---------------------------------> RECEIVING --+
 *    ^  ^               |  ^ | R: next or same I-block                ^ |  ^   | I, more: R
 *    |  |  I, last      +--+ |                                        | |  +---+
 *    |  +--------------------+                                        | |
 *    |  +---------------------------------- I, last ------------------|-+
 *    |                                                                |
 *    +-- NEGOTIATING  S(IFS response): IDLE                           |
 *    |                                                                |
 *    |   any state, an invalid block or silence: R-block, three times in a row at most, then
 *    +-- RESYNCHRONISING  S(RESYNCH response): IDLE, the exchange has failed. After three requests: dead.
 *    |
 *    +-- ABORTING  the card gave up a chain; whatever it says next, RESYNCHRONISING
 *
 * Annex A of the standard goes on with the exchange after a resynchronisation. Here it ends: a command whose fate is
 * not known must not be sent again, a repeated VERIFY costs a PIN try. For the same reason an I-block is sent again
 * only when the card asks for that very block by an R-block, which says that it has not been taken.
 *
 * The card may be out of step: somebody else has sent it I-blocks, and it expects the other N(S) than ours. Then its
 * first word to our block is an R-block with the number that it expects, and asking it for the block that is due
 * would bring what it said to the other. So such a first word is believed, and leads to RESYNCHRONISING.
 *
 * An abandoned exchange goes through the same states, but hands out nothing: where it would have to send a part of
 * the command, it resynchronises.
 */
#include "t1.h"
#include <string.h>

#define TRIES 3 /* §11.6.3.2 rules 7.1 to 7.4 and 6.4 */
#define ANSWER_MAX (65536 + 2) /* ISO 7816-4 §5.1: Ne and the status word */

enum {
    PCB_R = 0x80,
    PCB_MORE = 0x20,
    PCB_RESYNCH = 0xc0,
    PCB_IFS = 0xc1,
    PCB_ABORT = 0xc2,
    PCB_WTX = 0xc3,
    PCB_RESPONSE = 0x20, /* of an S-block */
};

enum r_error { R_NONE = 0, R_EDC = 1, R_OTHER = 2 };

/* ---- blocks ---- */

/* ISO/IEC 13239 CRC as ISO 7816-3 §11.3.4 takes it: x^16 + x^12 + x^5 + 1, reflected, preset to ones, inverted. */
static uint16_t crc16(const uint8_t *bytes, size_t length)
{
    uint16_t crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc = (uint16_t)(crc ^ bytes[i]);
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0x8408 : crc >> 1);
    }
    return (uint16_t)~crc;
}

static size_t edc_length(const struct t1 *t1)
{
    return t1->crc ? 2 : 1;
}

static void compute_edc(const struct t1 *t1, const uint8_t *bytes, size_t length, uint8_t edc[2])
{
    edc[0] = edc[1] = 0;
    if (t1->crc) {
        const uint16_t crc = crc16(bytes, length);
        edc[0] = (uint8_t)crc;
        edc[1] = (uint8_t)(crc >> 8);
    } else {
        for (size_t i = 0; i < length; i++)
            edc[0] ^= bytes[i];
    }
}

/* Frames INF, which may be empty, as a step that sends. */
static struct t1_step send(struct t1 *t1, unsigned pcb, const uint8_t *inf, size_t length)
{
    t1->block[0] = 0; /* NAD: one firmware takes any other for T=0 */
    t1->block[1] = (uint8_t)pcb;
    t1->block[2] = (uint8_t)length;
    if (length)
        memcpy(t1->block + 3, inf, length);
    compute_edc(t1, t1->block, 3 + length, t1->block + 3 + length);
    const size_t whole = 3 + length + edc_length(t1);
    return (struct t1_step){ .action = T1_SEND, .block = t1->block, .length = whole, .multiplier = 1 };
}

static struct t1_step send_r(struct t1 *t1, enum r_error error)
{
    return send(t1, PCB_R | (unsigned)t1->nr << 4 | error, NULL, 0);
}

static struct t1_step send_i(struct t1 *t1)
{
    const bool more = t1->acknowledged + t1->in_flight < t1->command_length;
    return send(t1, (unsigned)t1->ns << 6 | (more ? PCB_MORE : 0), t1->command + t1->acknowledged, t1->in_flight);
}

/* The longest INF that both the card and the reader take now. */
static size_t longest_inf(const struct t1 *t1)
{
    return t1->ifsc < t1->inf_max ? t1->ifsc : t1->inf_max;
}

static struct t1_step send_next_i(struct t1 *t1)
{
    const size_t left = t1->command_length - t1->acknowledged, most = longest_inf(t1);
    t1->in_flight = left < most ? left : most;
    t1->first_word = true;
    return send_i(t1);
}

/* ---- ends ---- */

static void forget(struct t1 *t1)
{
    explicit_bzero(t1->block, sizeof t1->block);
    t1->command = NULL;
    t1->answer = NULL;
    t1->state = T1_IDLE;
}

static struct t1_step failed(struct t1 *t1, enum t1_failure failure)
{
    forget(t1);
    return (struct t1_step){ .action = T1_FAILED, .failure = failure };
}

static struct t1_step done(struct t1 *t1)
{
    const size_t length = t1->abandoned ? 0 : t1->answer_length;
    if (length > t1->answer_size)
        return failed(t1, T1_TOO_LONG);
    forget(t1);
    return (struct t1_step){ .action = T1_DONE, .answer_length = length };
}

/* ---- errors ---- */

static struct t1_step resynchronise(struct t1 *t1)
{
    if (t1->resynchs++ >= TRIES)
        return failed(t1, T1_DEAD);
    t1->state = T1_RESYNCHRONISING;
    return send(t1, PCB_RESYNCH, NULL, 0);
}

static struct t1_step ask_again(struct t1 *t1, enum r_error error)
{
    if (t1->state == T1_NEGOTIATING) /* rule 7.3: a request of ours is repeated */
        return send(t1, PCB_IFS, &t1->ifsd_asked, 1);
    return send_r(t1, error); /* rules 7.1, 7.2 and 7.4 */
}

static struct t1_step wrong(struct t1 *t1, enum r_error error)
{
    if (t1->state == T1_IDLE)
        return failed(t1, T1_DEAD); /* the caller's mistake: nothing is due */
    if (t1->state == T1_RESYNCHRONISING || t1->state == T1_ABORTING || t1->errors++ >= TRIES)
        return resynchronise(t1);
    return ask_again(t1, error);
}

/* ---- I-blocks ---- */

static void take(struct t1 *t1, const uint8_t *inf, size_t length)
{
    if (!t1->abandoned && t1->answer_length + length <= t1->answer_size && length)
        memcpy(t1->answer + t1->answer_length, inf, length);
    t1->answer_length += length;
}

static struct t1_step received_i(struct t1 *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    const bool all_sent = t1->acknowledged + t1->in_flight == t1->command_length;
    const bool due = t1->state == T1_RECEIVING || (t1->state == T1_SENDING && all_sent);
    if (!due || (pcb >> 6 & 1) != t1->nr)
        return wrong(t1, R_OTHER);
    if (t1->state == T1_SENDING) { /* rule 2.2: it acknowledges our last block */
        t1->acknowledged = t1->command_length;
        t1->in_flight = 0;
        t1->ns ^= 1;
        t1->state = T1_RECEIVING;
    }
    t1->errors = 0;
    t1->nr ^= 1;
    take(t1, inf, length);
    struct t1_step step;
    if (t1->answer_length > ANSWER_MAX)
        step = resynchronise(t1); /* it would go on for ever */
    else
        step = pcb & PCB_MORE ? send_r(t1, R_NONE) : done(t1);
    step.heard = true;
    return step;
}

/* ---- R-blocks ---- */

/* Rule 5: the card has the block and wants the next of the chain. */
static struct t1_step acknowledged(struct t1 *t1)
{
    t1->acknowledged += t1->in_flight;
    t1->in_flight = 0;
    t1->ns ^= 1;
    t1->errors = t1->repeats = 0;
    return t1->abandoned ? resynchronise(t1) : send_next_i(t1);
}

/* The card has not taken the block and asks for it. Meanwhile it may take less at once (S(IFS request)). */
static struct t1_step asked_to_repeat(struct t1 *t1)
{
    const size_t most = longest_inf(t1);
    if (t1->abandoned || t1->repeats++ >= TRIES)
        return resynchronise(t1);
    if (t1->in_flight > most)
        t1->in_flight = most;
    return send_i(t1);
}

/* Somebody else has spoken to the card: it expects another block than ours, which it has not taken. */
static struct t1_step out_of_step(struct t1 *t1)
{
    t1->not_taken = true;
    struct t1_step step = resynchronise(t1);
    step.heard = true;
    return step;
}

/* A block with more to come is acknowledged by an R-block without an error (rule 5), the last of a command by an
 * I-block (rule 2.2). Any other R-block with the number after ours acknowledges nothing. */
static struct t1_step received_r(struct t1 *t1, uint8_t pcb, size_t length, bool first_word)
{
    if ((pcb & 0x2c) || length != 0 || t1->state != T1_SENDING)
        return wrong(t1, R_OTHER);
    const bool same = (pcb >> 4 & 1) == t1->ns;
    const bool chaining = t1->acknowledged + t1->in_flight < t1->command_length;
    if (!same && first_word && (!chaining || (pcb & 0x0f) != R_NONE))
        return out_of_step(t1);
    if (!same && !chaining)
        return wrong(t1, R_OTHER);
    struct t1_step step = same ? asked_to_repeat(t1) : acknowledged(t1);
    step.heard = true;
    return step;
}

/* ---- S-blocks ---- */

static struct t1_step resynchronised(struct t1 *t1)
{
    t1->ns = t1->nr = 0;
    t1->ifsc = t1->ifsc_initial;
    return failed(t1, t1->not_taken ? T1_NOT_TAKEN : T1_RESYNCHRONISED);
}

static struct t1_step extend(struct t1 *t1, const uint8_t *multiplier)
{
    struct t1_step step = send(t1, PCB_WTX | PCB_RESPONSE, multiplier, 1);
    step.multiplier = *multiplier;
    return step;
}

static struct t1_step answer_ifs(struct t1 *t1, const uint8_t *ifsc)
{
    t1->ifsc = *ifsc;
    return send(t1, PCB_IFS | PCB_RESPONSE, ifsc, 1);
}

static struct t1_step answer_abort(struct t1 *t1)
{
    t1->state = T1_ABORTING;
    return send(t1, PCB_ABORT | PCB_RESPONSE, NULL, 0);
}

static struct t1_step received_s(struct t1 *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    struct t1_step step;
    const bool exchanging = t1->state == T1_SENDING || t1->state == T1_RECEIVING;
    const bool listening = exchanging || t1->state == T1_NEGOTIATING;
    if (pcb == PCB_WTX && length == 1 && listening)
        step = extend(t1, inf);
    else if (pcb == PCB_IFS && length == 1 && *inf >= 1 && *inf <= 254 && listening)
        step = answer_ifs(t1, inf);
    else if (pcb == PCB_ABORT && length == 0 && exchanging)
        step = answer_abort(t1);
    else if (pcb == (PCB_IFS | PCB_RESPONSE) && length == 1 && t1->state == T1_NEGOTIATING)
        step = done(t1); /* whatever it agreed to: one firmware answers 32 itself and never tells the card */
    else if (pcb == (PCB_RESYNCH | PCB_RESPONSE) && length == 0 && t1->state == T1_RESYNCHRONISING)
        step = resynchronised(t1);
    else
        return wrong(t1, R_OTHER);
    t1->errors = 0;
    step.heard = true;
    return step;
}

/* ---- public ---- */

void t1_reset(struct t1 *t1, uint8_t ifsc, bool crc)
{
    explicit_bzero(t1->block, sizeof t1->block);
    *t1 = (struct t1){ .ifsc = ifsc, .ifsc_initial = ifsc, .inf_max = T1_INF_MAX, .crc = crc };
}

void t1_limit_inf(struct t1 *t1, uint8_t inf_max)
{
    t1->inf_max = inf_max;
}

static void begin(struct t1 *t1, enum t1_state state)
{
    t1->state = state;
    t1->abandoned = t1->first_word = t1->not_taken = false;
    t1->acknowledged = t1->in_flight = t1->answer_length = 0;
    t1->errors = t1->repeats = t1->resynchs = 0;
}

struct t1_step t1_negotiate_ifsd(struct t1 *t1, uint8_t ifsd)
{
    begin(t1, T1_NEGOTIATING);
    t1->ifsd_asked = ifsd;
    t1->answer_size = 0;
    return send(t1, PCB_IFS, &ifsd, 1);
}

struct t1_step t1_transmit(struct t1 *t1, const uint8_t *command, size_t length, uint8_t *answer, size_t size)
{
    begin(t1, T1_SENDING);
    t1->command = command;
    t1->command_length = length;
    t1->answer = answer;
    t1->answer_size = size;
    return send_next_i(t1);
}

struct t1_step t1_received(struct t1 *t1, const uint8_t *bytes, size_t length)
{
    const size_t edc_len = edc_length(t1);
    const bool first_word = t1->first_word;
    t1->first_word = false;
    if (length < 3 + edc_len || length > T1_BLOCK_MAX)
        return wrong(t1, R_OTHER);
    uint8_t edc[2];
    compute_edc(t1, bytes, length - edc_len, edc);
    if (memcmp(edc, bytes + length - edc_len, edc_len) != 0)
        return wrong(t1, R_EDC);
    const uint8_t pcb = bytes[1];
    const size_t inf_length = length - 3 - edc_len;
    if (bytes[0] != 0 || bytes[2] != inf_length)
        return wrong(t1, R_OTHER);
    if ((pcb & 0x80) == 0)
        return received_i(t1, pcb, bytes + 3, inf_length);
    if ((pcb & 0xc0) == PCB_R)
        return received_r(t1, pcb, inf_length, first_word);
    return received_s(t1, pcb, bytes + 3, inf_length);
}

struct t1_step t1_silence(struct t1 *t1)
{
    t1->first_word = false;
    return wrong(t1, R_OTHER);
}

struct t1_step t1_listen(struct t1 *t1)
{
    t1->first_word = false;
    if (t1->state != T1_SENDING && t1->state != T1_RECEIVING)
        return wrong(t1, R_OTHER);
    return send_r(t1, R_NONE);
}

bool t1_pending(const struct t1 *t1)
{
    return t1->state != T1_IDLE;
}

void t1_abandon(struct t1 *t1)
{
    explicit_bzero(t1->block, sizeof t1->block);
    t1->abandoned = true;
    t1->command = t1->answer = NULL;
    t1->answer_size = 0;
}
