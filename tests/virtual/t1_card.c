/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * t1_card.c - the card's side of T=1 (ISO 7816-3:2006 §11), block by block, without clock and line.
 *
 * Theory of operation
 *
 *   LISTENING --last block of an APDU--> WORKING --answer--> ANSWERING --I-block of the host--> LISTENING / WORKING
 *                                         |   ^
 *                          S(WTX request) v   | S(WTX response)
 *                                        ASKING
 *
 * An S(IFS request) before the answer and an S(ABORT request) in it make the card ASKING as well; the response to the
 * first leads to ANSWERING, to the second to LISTENING.
 *
 * The card never speaks on its own: each block heard gives it the right to one block. An I-block whose N(S) is not the
 * expected one is never executed; the R-block that answers it says which one is.
 */
#include "t1_card.h"
#include <string.h>
#include <openssl/crypto.h>

#define NAD 0
#define IFSC 254
#define IFSD 32
#define PCB_I_NS 0x40
#define PCB_I_MORE 0x20
#define PCB_I_RESERVED 0x1f
#define PCB_R 0x80
#define PCB_R_NR 0x10
#define PCB_R_RESERVED 0x2c
#define PCB_S 0xc0
#define PCB_S_RESPONSE 0x20
#define S_RESYNCH 0xc0
#define S_IFS 0xc1
#define S_ABORT 0xc2
#define S_WTX 0xc3
#define R_NO_ERROR 0
#define R_EDC_ERROR 1
#define R_OTHER_ERROR 2

static const uint8_t WRONG_LENGTH[] = { 0x67, 0x00 };

static uint8_t lrc(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum ^= bytes[i];
    return sum;
}

static enum t1_card_event say(struct t1_card *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    t1->out[0] = NAD;
    t1->out[1] = pcb;
    t1->out[2] = (uint8_t)length;
    if (length > 0)
        memcpy(t1->out + 3, inf, length);
    t1->out[3 + length] = lrc(t1->out, 3 + length);
    t1->out_len = 4 + length;
    return T1_CARD_SPEAK;
}

static enum t1_card_event say_r(struct t1_card *t1, uint8_t error)
{
    return say(t1, (uint8_t)(PCB_R | (t1->nr ? PCB_R_NR : 0) | error), NULL, 0);
}

static enum t1_card_event ask(struct t1_card *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    t1->state = T1_CARD_ASKING;
    t1->asked = pcb;
    t1->asked_inf = length > 0 ? inf[0] : 0;
    return say(t1, pcb, inf, length);
}

static enum t1_card_event repeat(struct t1_card *t1)
{
    return t1->out_len > 0 ? T1_CARD_SPEAK : say_r(t1, R_OTHER_ERROR);
}

void t1_card_reset(struct t1_card *t1)
{
    const uint8_t ask_ifs = t1->ask_ifs;
    const bool ask_abort = t1->ask_abort;
    OPENSSL_cleanse(t1, sizeof *t1);
    t1->ask_ifs = ask_ifs;
    t1->ask_abort = ask_abort;
    t1->ifsc = IFSC;
    t1->ifsd = IFSD;
}

/* ---- the answer ---- */

static enum t1_card_event say_part_of_answer(struct t1_card *t1)
{
    const size_t left = t1->answer_len - t1->answered;
    const bool more = left > t1->ifsd;
    t1->state = T1_CARD_ANSWERING;
    if (t1->ask_abort && t1->answered > 0) {
        t1->ask_abort = false;
        return ask(t1, S_ABORT, NULL, 0);
    }
    t1->in_flight = more ? t1->ifsd : left;
    const uint8_t pcb = (uint8_t)((t1->ns ? PCB_I_NS : 0) | (more ? PCB_I_MORE : 0));
    return say(t1, pcb, t1->answer + t1->answered, t1->in_flight);
}

static enum t1_card_event begin_answer(struct t1_card *t1)
{
    return t1->ask_ifs > 0 ? ask(t1, S_IFS, &t1->ask_ifs, 1) : say_part_of_answer(t1);
}

static void forget_command(struct t1_card *t1)
{
    OPENSSL_cleanse(t1->command, t1->command_len);
    t1->command_len = 0;
    t1->overflow = false;
}

bool t1_card_answer(struct t1_card *t1, const uint8_t *answer, size_t length)
{
    memcpy(t1->answer, answer, length);
    t1->answer_len = length;
    t1->answered = 0;
    forget_command(t1);
    if (t1->state == T1_CARD_ASKING)
        return false;
    begin_answer(t1);
    return true;
}

void t1_card_ask_wtx(struct t1_card *t1, uint8_t multiplier)
{
    ask(t1, S_WTX, &multiplier, 1);
}

static bool last_is_in_flight(const struct t1_card *t1)
{
    return t1->answered + t1->in_flight == t1->answer_len;
}

/* The host has the block of the answer that is in flight. */
static void acknowledge(struct t1_card *t1)
{
    t1->ns ^= 1;
    t1->answered += t1->in_flight;
    t1->in_flight = 0;
}

static void end_answer(struct t1_card *t1)
{
    OPENSSL_cleanse(t1->answer, t1->answer_len);
    OPENSSL_cleanse(t1->out, t1->out_len);
    t1->answer_len = t1->answered = t1->in_flight = t1->out_len = 0;
    t1->state = T1_CARD_LISTENING;
}

/* ---- what the host says ---- */

static void add_to_command(struct t1_card *t1, const uint8_t *inf, size_t length)
{
    if (length > sizeof t1->command - t1->command_len) {
        t1->overflow = true;
        return;
    }
    memcpy(t1->command + t1->command_len, inf, length);
    t1->command_len += length;
}

static enum t1_card_event hear_i(struct t1_card *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    const bool expected = (pcb & PCB_I_NS ? 1 : 0) == t1->nr && (pcb & PCB_I_RESERVED) == 0;
    if (!expected || (t1->state == T1_CARD_ANSWERING && !last_is_in_flight(t1)))
        return say_r(t1, R_OTHER_ERROR);
    if (t1->state == T1_CARD_ANSWERING) { /* whoever sends a new command has the answer to the one before */
        acknowledge(t1);
        end_answer(t1);
    }
    t1->nr ^= 1;
    add_to_command(t1, inf, length);
    if (pcb & PCB_I_MORE)
        return say_r(t1, R_NO_ERROR);
    if (t1->overflow) {
        t1_card_answer(t1, WRONG_LENGTH, sizeof WRONG_LENGTH);
        return T1_CARD_SPEAK;
    }
    t1->state = T1_CARD_WORKING;
    return T1_CARD_EXECUTE;
}

static enum t1_card_event hear_r(struct t1_card *t1, uint8_t pcb, size_t length)
{
    if ((pcb & PCB_R_RESERVED) != 0 || length > 0)
        return say_r(t1, R_OTHER_ERROR);
    if (t1->state != T1_CARD_ANSWERING)
        return repeat(t1);
    if ((pcb & PCB_R_NR ? 1 : 0) == t1->ns)
        return say_part_of_answer(t1); /* the same once more */
    if (last_is_in_flight(t1)) /* there is no block after the last */
        return say_r(t1, R_OTHER_ERROR);
    acknowledge(t1);
    return say_part_of_answer(t1);
}

static enum t1_card_event hear_response(struct t1_card *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    const bool right = t1->state == T1_CARD_ASKING && pcb == (t1->asked | PCB_S_RESPONSE) &&
                       (length == 0 ? t1->asked == S_ABORT : length == 1 && inf[0] == t1->asked_inf);
    if (!right)
        return t1->state == T1_CARD_ASKING ? repeat(t1) : say_r(t1, R_OTHER_ERROR);
    if (t1->asked == S_WTX) {
        t1->state = T1_CARD_WORKING;
        return t1->answer_len > 0 ? begin_answer(t1) : T1_CARD_RESUME;
    }
    if (t1->asked == S_IFS) {
        t1->ifsc = t1->asked_inf;
        t1->ask_ifs = 0;
        return say_part_of_answer(t1);
    }
    end_answer(t1); /* aborted: the right to send goes back to the host */
    return say_r(t1, R_NO_ERROR);
}

static enum t1_card_event hear_request(struct t1_card *t1, uint8_t pcb, const uint8_t *inf, size_t length)
{
    if (pcb == S_RESYNCH && length == 0) {
        t1_card_reset(t1);
        return say(t1, S_RESYNCH | PCB_S_RESPONSE, NULL, 0);
    }
    if (t1->state == T1_CARD_ASKING)
        return repeat(t1);
    if (pcb == S_IFS && length == 1 && inf[0] >= 1 && inf[0] <= 254) {
        t1->ifsd = inf[0];
        return say(t1, S_IFS | PCB_S_RESPONSE, inf, 1);
    }
    if (pcb == S_ABORT && length == 0) {
        forget_command(t1);
        if (t1->state == T1_CARD_ANSWERING && !last_is_in_flight(t1)) { /* the host has had enough of the answer */
            acknowledge(t1);
            end_answer(t1);
        }
        return say(t1, S_ABORT | PCB_S_RESPONSE, NULL, 0);
    }
    return say_r(t1, R_OTHER_ERROR);
}

enum t1_card_event t1_card_hear(struct t1_card *t1, const uint8_t *bytes, size_t length)
{
    const bool whole = length >= 4 && bytes[0] == NAD && bytes[2] <= t1->ifsc && length == 4u + bytes[2];
    if (!whole || lrc(bytes, length) != 0) {
        if (t1->state == T1_CARD_ASKING)
            return repeat(t1);
        return say_r(t1, whole ? R_EDC_ERROR : R_OTHER_ERROR);
    }
    const uint8_t pcb = bytes[1];
    const uint8_t *const inf = bytes + 3;
    if ((pcb & PCB_S) == PCB_S)
        return pcb & PCB_S_RESPONSE ? hear_response(t1, pcb, inf, bytes[2]) : hear_request(t1, pcb, inf, bytes[2]);
    if (t1->state == T1_CARD_ASKING)
        return repeat(t1);
    return pcb & PCB_R ? hear_r(t1, pcb, bytes[2]) : hear_i(t1, pcb, inf, bytes[2]);
}
