/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_icc.c - the card in the virtual key, block by block on a virtual clock, with an application that obeys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fake_openpgp.h"
#include "icc.h"

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define BEGIN_US (5 * SECOND)

/* PCBs of ISO 7816-3 §11.3.2.2. */
enum {
    I0 = 0x00, I1 = 0x40, MORE = 0x20,
    R0 = 0x80, R1 = 0x90, WRONG_EDC = 1, WRONG = 2,
    RESYNCH = 0xc0, IFS = 0xc1, ABORT = 0xc2, WTX = 0xc3, RESPONSE = 0x20,
};

static const uint8_t ATR[] = { 0x3b, 0xda, 0x18, 0xff, 0x81, 0xb1, 0xfe, 0x75, 0x1f, 0x03, 0x00,
                               0x31, 0xf5, 0x73, 0xc0, 0x01, 0x60, 0x00, 0x90, 0x00, 0x1c };

struct bench {
    struct icc *icc;
    int64_t now_us;
    size_t length; /* of the block that the card said last */
    uint8_t block[300];
};

static const struct icc_options DEFAULTS = {
    .atr = ATR, .atr_len = sizeof ATR, .sign = { .work_us = 300 * MS }, .other = { .work_us = 10 * MS },
    .generate = { { .work_us = 25 * SECOND, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 100 } }, .generate_count = 1,
};

static struct bench *insert(const struct icc_options *options)
{
    static struct bench bench;
    size_t length;
    bench = (struct bench){ .icc = icc_new(options), .now_us = BEGIN_US };
    assert_non_null(bench.icc);
    assert_ptr_not_equal(icc_reset(bench.icc, bench.now_us, &length), ATR);
    fake_openpgp.resets = 0;
    return &bench;
}

static int set_up(void **state)
{
    *state = insert(&DEFAULTS);
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    icc_free(b->icc);
    return 0;
}

/* Puts another card in the place of the one that set_up() made. */
static struct bench *insert_instead(void **state, const struct icc_options *options)
{
    (void)tear_down(state);
    *state = insert(options);
    return *state;
}

/* ---- the host ---- */

static uint8_t lrc(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;
    while (length > 0)
        sum ^= bytes[--length];
    return sum;
}

static void tell(struct bench *b, int pcb, const uint8_t *inf, size_t length)
{
    uint8_t block[260] = { 0x00, (uint8_t)pcb, (uint8_t)length };
    assert_true(length <= 255);
    if (length > 0)
        memcpy(block + 3, inf, length);
    block[3 + length] = lrc(block, 3 + length);
    icc_hear(b->icc, b->now_us, block, length + 4);
}

#define TELL(b, pcb, ...)                               \
    do {                                                \
        const uint8_t inf_[] = { __VA_ARGS__ };         \
        tell(b, pcb, inf_, sizeof inf_);                \
    } while (0)

#define TELL_RAW(b, ...)                                              \
    do {                                                              \
        const uint8_t raw_[] = { __VA_ARGS__ };                       \
        icc_hear((b)->icc, (b)->now_us, raw_, sizeof raw_);           \
    } while (0)

/* A command that is answered with n bytes and 9000. */
#define COMMAND(ins, n) 0x00, ins, (n) >> 8, (n) & 0xff
enum { QUICK = 0x01, SIGN = 0x2a, ACTIVATE = 0x44, GENERATE = 0x47, INITIALIZE = 0x50, TERMINATE = 0xe6 };

static void pass(struct bench *b, int64_t us)
{
    b->now_us += us;
}

static bool silent(const struct bench *b)
{
    return icc_speaks_at(b->icc) == ICC_NEVER;
}

/* Waits for what the card says next, and takes it. */
static void take(struct bench *b)
{
    const int64_t at = icc_speaks_at(b->icc);
    assert_true(at != ICC_NEVER);
    assert_true(at >= b->now_us);
    b->now_us = at;
    b->length = icc_speak(b->icc, b->now_us, b->block, sizeof b->block);
    assert_true(b->length > 0);
    assert_true(silent(b));
}

static void says(struct bench *b, int pcb, const uint8_t *inf, size_t length)
{
    take(b);
    assert_int_equal(b->length, length + 4);
    assert_int_equal(b->block[0], 0);
    assert_int_equal(b->block[1], pcb);
    assert_int_equal(b->block[2], length);
    if (length > 0)
        assert_memory_equal(b->block + 3, inf, length);
    assert_int_equal(lrc(b->block, b->length), 0);
}

#define SAYS(b, pcb, ...)                               \
    do {                                                \
        const uint8_t expected_[] = { __VA_ARGS__ };    \
        says(b, pcb, expected_, sizeof expected_);      \
    } while (0)
#define TELL_EMPTY(b, pcb) tell(b, pcb, NULL, 0)
#define SAYS_EMPTY(b, pcb) says(b, pcb, NULL, 0)

/* The bytes from ... to of the answer to a command that is answered with n bytes; 9000 follows byte n - 1. */
static void says_part(struct bench *b, int pcb, size_t from, size_t to, size_t n)
{
    uint8_t inf[256];
    for (size_t i = from; i < to; i++)
        inf[i - from] = i < n ? (uint8_t)i : i == n ? 0x90 : 0x00;
    says(b, pcb, inf, to - from);
}

static size_t executed(const struct bench *b)
{
    assert_int_equal(icc_log_count(b->icc), fake_openpgp.begun);
    return icc_log_count(b->icc);
}

/* From N(S) = 0 on both sides: a quick command and its answer. */
static void serves(struct bench *b)
{
    const size_t before = executed(b);
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, I0, 0x90, 0x00);
    TELL(b, I1, COMMAND(QUICK, 1));
    SAYS(b, I1, 0x00, 0x90, 0x00);
    assert_int_equal(executed(b), before + 2);
}

/* ---- power ---- */

static void a_cold_reset_gives_the_atr(void **state)
{
    struct bench *b = *state;
    size_t length;
    const uint8_t *atr = icc_reset(b->icc, b->now_us, &length);
    assert_int_equal(length, sizeof ATR);
    assert_memory_equal(atr, ATR, sizeof ATR);
    assert_int_equal(icc_resets(b->icc), 2);
    assert_int_equal(fake_openpgp.resets, 1);
    assert_true(silent(b));
}

static void without_power_nothing_is_heard_or_said(void **state)
{
    struct bench *b = *state;
    icc_power_off(b->icc);
    TELL(b, I0, COMMAND(QUICK, 0));
    assert_true(silent(b));
    assert_int_equal(icc_speak(b->icc, b->now_us + SECOND, b->block, sizeof b->block), 0);
    assert_int_equal(executed(b), 0);
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void a_cold_reset_starts_t1_anew(void **state)
{
    struct bench *b = *state;
    size_t length;
    TELL(b, I0 | MORE, COMMAND(QUICK, 0));
    SAYS_EMPTY(b, R1);
    TELL(b, IFS, 0xfe);
    SAYS(b, IFS | RESPONSE, 0xfe);
    TELL(b, IFS, 0xfe); /* its response is not taken */
    (void)icc_reset(b->icc, b->now_us, &length);
    assert_true(silent(b));
    TELL(b, I0, COMMAND(QUICK, 40));
    says_part(b, I0 | MORE, 0, 32, 40);
    assert_int_equal(fake_openpgp.command_len, 4);
}

/* ---- I- and R-blocks ---- */

static void a_command_and_its_answer_are_one_block_each(void **state)
{
    static const uint8_t answer[] = { 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x93 };
    struct bench *b = *state;
    TELL_RAW(b, 0x00, 0x00, 0x04, 0x00, 0x01, 0x00, 0x01, 0x04);
    assert_int_equal(icc_speaks_at(b->icc), b->now_us + 10 * MS);
    take(b);
    assert_int_equal(b->length, sizeof answer);
    assert_memory_equal(b->block, answer, sizeof answer);
}

static void sequence_numbers_alternate(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 3; i++)
        serves(b);
    assert_int_equal(icc_blocks(b->icc), 6);
}

static void a_block_with_a_wrong_edc_is_asked_for_again(void **state)
{
    struct bench *b = *state;
    TELL_RAW(b, 0x00, 0x00, 0x04, 0x00, 0x01, 0x00, 0x00, 0x06);
    SAYS_EMPTY(b, R0 | WRONG_EDC);
    assert_int_equal(executed(b), 0);
    serves(b);
    TELL_RAW(b, 0x00, 0x00, 0x04, 0x00, 0x01, 0x00, 0x00, 0x06);
    SAYS_EMPTY(b, R0 | WRONG_EDC);
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, I0, 0x90, 0x00);
    TELL_RAW(b, 0x00, 0x40, 0x04, 0x00, 0x01, 0x00, 0x00, 0x46);
    SAYS_EMPTY(b, R1 | WRONG_EDC);
}

static void a_block_that_is_no_block_is_asked_for_again(void **state)
{
    struct bench *b = *state;
    uint8_t long_block[300] = { 0x00, 0x00, 0xff };
    TELL_RAW(b, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x02); /* LEN too small */
    SAYS_EMPTY(b, R0 | WRONG);
    TELL_RAW(b, 0x00, 0x00, 0x05, 0x00, 0x01, 0x00, 0x00, 0x04); /* LEN too large */
    SAYS_EMPTY(b, R0 | WRONG);
    TELL_RAW(b, 0x21, 0x00, 0x04, 0x00, 0x01, 0x00, 0x00, 0x24); /* a NAD */
    SAYS_EMPTY(b, R0 | WRONG);
    TELL_RAW(b, 0x00);
    SAYS_EMPTY(b, R0 | WRONG);
    icc_hear(b->icc, b->now_us, long_block, 0);
    SAYS_EMPTY(b, R0 | WRONG);
    long_block[258] = 0xff;
    icc_hear(b->icc, b->now_us, long_block, 259);
    SAYS_EMPTY(b, R0 | WRONG);
    icc_hear(b->icc, b->now_us, long_block, sizeof long_block);
    SAYS_EMPTY(b, R0 | WRONG);
    serves(b);
}

static void reserved_bits_and_unknown_blocks_are_wrong(void **state)
{
    static const uint8_t bits[] = { 0x01, 0x02, 0x04, 0x08, 0x10 };
    static const uint8_t no_block_of_a_host[] = { 0x84, 0x88, 0xa0, RESYNCH | RESPONSE, IFS | RESPONSE,
                                                  ABORT | RESPONSE, WTX | RESPONSE, WTX, 0xc4, 0xff };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof bits; i++) {
        TELL(b, I0 | bits[i], COMMAND(QUICK, 0));
        SAYS_EMPTY(b, R0 | WRONG);
    }
    for (size_t i = 0; i < sizeof no_block_of_a_host; i++) {
        TELL_EMPTY(b, no_block_of_a_host[i]);
        SAYS_EMPTY(b, R0 | WRONG);
    }
    TELL(b, R0, 0x00);
    SAYS_EMPTY(b, R0 | WRONG);
    TELL(b, RESYNCH, 0x00);
    SAYS_EMPTY(b, R0 | WRONG);
    TELL(b, ABORT, 0x00);
    SAYS_EMPTY(b, R0 | WRONG);
    serves(b);
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, I0, 0x90, 0x00);
    TELL_EMPTY(b, R0 | 0x04);
    SAYS_EMPTY(b, R1 | WRONG);
    TELL(b, R0, 0x00);
    SAYS_EMPTY(b, R1 | WRONG);
    TELL_EMPTY(b, R0);
    SAYS(b, I0, 0x90, 0x00);
}

static void a_wrong_sequence_number_is_never_executed(void **state)
{
    struct bench *b = *state;
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS_EMPTY(b, R0 | WRONG);
    assert_int_equal(executed(b), 0);
    serves(b);
}

static void an_r_block_before_everything_else_is_wrong(void **state)
{
    struct bench *b = *state;
    TELL_EMPTY(b, R0);
    SAYS_EMPTY(b, R0 | WRONG);
    serves(b);
}

static void an_answer_is_repeated_as_often_as_it_is_asked_for(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 2));
    SAYS(b, I0, 0x00, 0x01, 0x90, 0x00);
    for (int error = 0; error <= 2; error++) {
        TELL_EMPTY(b, R0 | error);
        SAYS(b, I0, 0x00, 0x01, 0x90, 0x00);
    }
    assert_int_equal(executed(b), 1);
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS(b, I1, 0x90, 0x00);
}

static void a_repeated_command_is_not_executed_again(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 2));
    take(b);
    TELL(b, I0, COMMAND(QUICK, 2));
    SAYS_EMPTY(b, R1 | WRONG);
    assert_int_equal(executed(b), 1);
    TELL_EMPTY(b, R0);
    SAYS(b, I0, 0x00, 0x01, 0x90, 0x00);
    assert_int_equal(executed(b), 1);
}

static void a_lost_r_block_of_the_card_is_said_again(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, I0, 0x90, 0x00);
    TELL_RAW(b, 0x00, 0x40, 0x04, 0x00, 0x01, 0x00, 0x00, 0xff);
    SAYS_EMPTY(b, R1 | WRONG_EDC);
    TELL_EMPTY(b, R1); /* the host's next I-block of the card is 1: it has the answer */
    SAYS_EMPTY(b, R1 | WRONG);
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS(b, I1, 0x90, 0x00);
}

/* ---- chaining ---- */

static uint8_t *long_command(size_t length)
{
    static uint8_t command[APPLICATION_COMMAND_MAX + 254];
    for (size_t i = 0; i < length; i++)
        command[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(command, (const uint8_t[]){ COMMAND(QUICK, 0) }, 4);
    return command;
}

/* Sends a command from N(S) = 0 in full blocks; the last one is not answered yet. */
static void tell_long(struct bench *b, const uint8_t *command, size_t length)
{
    int ns = 0;
    for (; length > 254; length -= 254, command += 254) {
        tell(b, (ns ? I1 : I0) | MORE, command, 254);
        ns ^= 1;
        SAYS_EMPTY(b, ns ? R1 : R0);
    }
    tell(b, ns ? I1 : I0, command, length);
}

static void chained_command(struct bench *b, size_t length)
{
    const uint8_t *command = long_command(length);
    tell_long(b, command, length);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(executed(b), 1);
    assert_int_equal(fake_openpgp.command_len, length);
    assert_memory_equal(fake_openpgp.command, command, length);
    assert_memory_equal(icc_log_get(b->icc, 0).command, command, length);
}

static void a_long_command_is_put_together(void **state)
{
    chained_command(*state, 600);
}

static void the_longest_command_is_put_together(void **state)
{
    chained_command(*state, APPLICATION_COMMAND_MAX);
}

static void a_command_that_is_too_long_is_refused_and_the_next_is_served(void **state)
{
    struct bench *b = *state;
    tell_long(b, long_command(APPLICATION_COMMAND_MAX + 1), APPLICATION_COMMAND_MAX + 1);
    SAYS(b, I0, 0x67, 0x00);
    assert_int_equal(executed(b), 0);
    TELL(b, I1, COMMAND(QUICK, 0)); /* 17 blocks were sent */
    SAYS(b, I1, 0x90, 0x00);
    assert_int_equal(fake_openpgp.command_len, 4);
}

static void an_acknowledgement_that_was_lost_is_said_again(void **state)
{
    struct bench *b = *state;
    TELL(b, I0 | MORE, 0x00, QUICK);
    SAYS_EMPTY(b, R1);
    TELL_EMPTY(b, R0);
    SAYS_EMPTY(b, R1);
    TELL(b, I0 | MORE, 0x00, QUICK); /* or the host sends the part again: it is not taken twice */
    SAYS_EMPTY(b, R1 | WRONG);
    TELL(b, I1, 0x00, 0x00);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(fake_openpgp.command_len, 4);
}

static void a_misheard_part_is_taken_when_it_comes_right(void **state)
{
    struct bench *b = *state;
    TELL(b, I0 | MORE, 0x00, QUICK);
    SAYS_EMPTY(b, R1);
    icc_mishear(b->icc, 1);
    TELL(b, I1, 0x00, 0x00);
    SAYS_EMPTY(b, R1 | WRONG_EDC);
    TELL(b, I1, 0x00, 0x00);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(fake_openpgp.command_len, 4);
}

static void a_long_answer_comes_in_parts_of_32_bytes(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 70));
    says_part(b, I0 | MORE, 0, 32, 70);
    TELL_EMPTY(b, R1);
    says_part(b, I1 | MORE, 32, 64, 70);
    TELL_EMPTY(b, R0);
    says_part(b, I0, 64, 72, 70);
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS(b, I1, 0x90, 0x00);
}

static void an_answer_of_exactly_one_block_is_not_chained(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 30));
    says_part(b, I0, 0, 32, 30);
}

static void the_host_makes_the_blocks_longer(void **state)
{
    struct bench *b = *state;
    TELL(b, IFS, 0xfe);
    SAYS(b, IFS | RESPONSE, 0xfe);
    TELL(b, I0, COMMAND(QUICK, 253));
    says_part(b, I0 | MORE, 0, 254, 253);
    TELL_EMPTY(b, R1);
    says_part(b, I1, 254, 255, 253);
}

static void a_host_may_take_one_byte_at_a_time(void **state)
{
    struct bench *b = *state;
    TELL(b, IFS, 0x01);
    SAYS(b, IFS | RESPONSE, 0x01);
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, I0 | MORE, 0x90);
    TELL_EMPTY(b, R1);
    SAYS(b, I1, 0x00);
}

static void an_ifsd_out_of_range_is_refused(void **state)
{
    struct bench *b = *state;
    TELL(b, IFS, 0x00);
    SAYS_EMPTY(b, R0 | WRONG);
    TELL(b, IFS, 0xff);
    SAYS_EMPTY(b, R0 | WRONG);
    TELL(b, IFS, 0xfe, 0xfe);
    SAYS_EMPTY(b, R0 | WRONG);
    TELL(b, I0, COMMAND(QUICK, 40));
    says_part(b, I0 | MORE, 0, 32, 40);
}

static void a_lost_part_of_an_answer_is_repeated(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 70));
    says_part(b, I0 | MORE, 0, 32, 70);
    TELL_EMPTY(b, R0 | WRONG_EDC);
    says_part(b, I0 | MORE, 0, 32, 70);
    TELL_EMPTY(b, R1);
    says_part(b, I1 | MORE, 32, 64, 70);
    TELL_RAW(b, 0x00, R0, 0x00, 0x81); /* misheard: neither the next nor the same */
    SAYS_EMPTY(b, R1 | WRONG_EDC);
    TELL_EMPTY(b, R1);
    says_part(b, I1 | MORE, 32, 64, 70);
    TELL_EMPTY(b, R0);
    says_part(b, I0, 64, 72, 70);
    assert_int_equal(executed(b), 1);
}

static void a_command_in_the_middle_of_an_answer_is_wrong(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 70));
    says_part(b, I0 | MORE, 0, 32, 70);
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS_EMPTY(b, R1 | WRONG);
    assert_int_equal(executed(b), 1);
    TELL_EMPTY(b, R1);
    says_part(b, I1 | MORE, 32, 64, 70);
}

/* ---- S(ABORT), S(RESYNCH), S(IFS) of the card ---- */

static void the_host_aborts_its_command(void **state)
{
    struct bench *b = *state;
    TELL(b, I0 | MORE, 0xde, 0xad);
    SAYS_EMPTY(b, R1);
    TELL_EMPTY(b, ABORT);
    SAYS_EMPTY(b, ABORT | RESPONSE);
    assert_int_equal(executed(b), 0);
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(fake_openpgp.command_len, 4);
}

static void the_host_aborts_the_answer(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 70));
    says_part(b, I0 | MORE, 0, 32, 70);
    TELL_EMPTY(b, ABORT);
    SAYS_EMPTY(b, ABORT | RESPONSE);
    TELL(b, I1, COMMAND(QUICK, 0));
    SAYS(b, I1, 0x90, 0x00);
    assert_int_equal(executed(b), 2);
}

static void an_abort_after_an_answer_leaves_it_to_be_repeated(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 1));
    SAYS(b, I0, 0x00, 0x90, 0x00);
    TELL_EMPTY(b, ABORT);
    SAYS_EMPTY(b, ABORT | RESPONSE);
    TELL_EMPTY(b, R0);
    SAYS(b, I0, 0x00, 0x90, 0x00);
    assert_int_equal(executed(b), 1);
}

static void the_card_aborts_its_answer(void **state)
{
    struct bench *b = *state;
    icc_ask_abort(b->icc);
    TELL(b, I0, COMMAND(QUICK, 0)); /* not a chain */
    SAYS(b, I0, 0x90, 0x00);
    TELL(b, I1, COMMAND(QUICK, 40));
    says_part(b, I1 | MORE, 0, 32, 40);
    TELL_EMPTY(b, R0);
    SAYS_EMPTY(b, ABORT);
    TELL_EMPTY(b, R0); /* lost */
    SAYS_EMPTY(b, ABORT);
    TELL_EMPTY(b, ABORT | RESPONSE);
    SAYS_EMPTY(b, R0);
    TELL(b, I0, COMMAND(QUICK, 40));
    says_part(b, I0 | MORE, 0, 32, 40);
    TELL_EMPTY(b, R1);
    says_part(b, I1, 32, 42, 40);
}

static void resynch_starts_t1_anew_and_leaves_the_application_alone(void **state)
{
    struct bench *b = *state;
    TELL(b, IFS, 0xfe);
    SAYS(b, IFS | RESPONSE, 0xfe);
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, I0, 0x90, 0x00);
    TELL(b, I1 | MORE, 0xde, 0xad);
    SAYS_EMPTY(b, R0);
    TELL_EMPTY(b, RESYNCH);
    SAYS_EMPTY(b, RESYNCH | RESPONSE);
    TELL(b, I0, COMMAND(QUICK, 40));
    says_part(b, I0 | MORE, 0, 32, 40);
    assert_int_equal(fake_openpgp.command_len, 4);
    TELL_EMPTY(b, RESYNCH); /* in the middle of an answer */
    SAYS_EMPTY(b, RESYNCH | RESPONSE);
    serves(b);
    assert_int_equal(fake_openpgp.resets, 0);
    assert_int_equal(icc_resets(b->icc), 1);
}

static void the_card_asks_for_other_blocks_before_its_answer(void **state)
{
    static const uint8_t command[17] = { COMMAND(QUICK, 0) };
    struct bench *b = *state;
    icc_ask_ifs(b->icc, 16);
    TELL(b, I0, COMMAND(QUICK, 0));
    SAYS(b, IFS, 16);
    TELL(b, IFS | RESPONSE, 17); /* not what was asked */
    SAYS(b, IFS, 16);
    TELL(b, IFS | RESPONSE, 16);
    SAYS(b, I0, 0x90, 0x00);
    tell(b, I1, command, 17);
    SAYS_EMPTY(b, R1 | WRONG);
    tell(b, I1, command, 16);
    SAYS(b, I1, 0x90, 0x00);
    assert_int_equal(executed(b), 2);
}

static void what_the_card_was_told_to_ask_survives_a_reset(void **state)
{
    struct bench *b = *state;
    size_t length;
    icc_ask_ifs(b->icc, 64);
    icc_ask_abort(b->icc);
    (void)icc_reset(b->icc, b->now_us, &length);
    TELL(b, I0, COMMAND(QUICK, 40));
    SAYS(b, IFS, 64);
    TELL_EMPTY(b, RESYNCH);
    SAYS_EMPTY(b, RESYNCH | RESPONSE);
    TELL(b, I0, COMMAND(QUICK, 40));
    SAYS(b, IFS, 64);
    TELL(b, IFS | RESPONSE, 64);
    says_part(b, I0 | MORE, 0, 32, 40);
    TELL_EMPTY(b, R1);
    SAYS_EMPTY(b, ABORT);
}

/* ---- the time of a command ---- */

static void takes(struct bench *b, int pcb, uint8_t ins, int64_t work_us)
{
    const int64_t begin = b->now_us;
    TELL(b, pcb, COMMAND(ins, 0));
    assert_int_equal(icc_speaks_at(b->icc), begin + work_us);
    assert_int_equal(icc_speak(b->icc, begin + work_us - 1, b->block, sizeof b->block), 0);
    SAYS(b, pcb, 0x90, 0x00);
    assert_int_equal(b->now_us, begin + work_us);
    const struct icc_apdu apdu = icc_log_get(b->icc, icc_log_count(b->icc) - 1);
    assert_int_equal(apdu.begin_us, begin);
    assert_int_equal(apdu.end_us, begin + work_us);
}

static void each_kind_of_command_takes_its_own_time(void **state)
{
    struct icc_options options = DEFAULTS;
    options.generate[0] = (struct icc_timing){ .work_us = 20 * SECOND };
    options.generate[1] = (struct icc_timing){ .work_us = 40 * SECOND };
    options.generate_count = 2;
    options.reset = (struct icc_timing){ .work_us = 30 * SECOND };
    struct bench *b = insert_instead(state, &options);
    takes(b, I0, TERMINATE, 30 * SECOND);
    takes(b, I1, ACTIVATE, 30 * SECOND);
    takes(b, I0, INITIALIZE, 10 * MS); /* of another class it is another command */
    TELL(b, I1, 0x80, INITIALIZE, 0, 0);
    assert_int_equal(icc_speaks_at(b->icc), b->now_us + 30 * SECOND);
    SAYS(b, I1, 0x90, 0x00);
    takes(b, I0, QUICK, 10 * MS);
    takes(b, I1, SIGN, 300 * MS);
    takes(b, I0, GENERATE, 20 * SECOND);
    takes(b, I1, GENERATE, 40 * SECOND);
    takes(b, I0, GENERATE, 40 * SECOND);
    icc_set_generate(b->icc, (const struct icc_timing[]){ { .work_us = SECOND }, { .work_us = 2 * SECOND } }, 2);
    takes(b, I1, GENERATE, SECOND);
    takes(b, I0, GENERATE, 2 * SECOND);
    icc_set_generate(b->icc, NULL, 0);
    takes(b, I1, GENERATE, 10 * MS);
}

static void the_eighth_generation_serves_all_later_ones(void **state)
{
    struct bench *b = *state;
    struct icc_timing script[9];
    for (int i = 0; i < 9; i++)
        script[i] = (struct icc_timing){ .work_us = (i + 1) * SECOND };
    icc_set_generate(b->icc, script, 9);
    for (int i = 0; i < 10; i++)
        takes(b, i % 2 ? I1 : I0, GENERATE, (i < 8 ? i + 1 : 8) * SECOND);
}

static void a_computing_card_does_not_hear(void **state)
{
    struct bench *b = *state;
    const int64_t begin = b->now_us;
    TELL(b, I0, COMMAND(SIGN, 0));
    pass(b, 100 * MS);
    TELL_EMPTY(b, RESYNCH);
    TELL(b, I1, COMMAND(QUICK, 0));
    TELL_EMPTY(b, R0);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(b->now_us, begin + 300 * MS);
    assert_int_equal(executed(b), 1);
    assert_int_equal(icc_blocks(b->icc), 1);
}

static void an_answer_that_nobody_took_is_lost_and_an_r_block_brings_it_back(void **state)
{
    struct bench *b = *state;
    const int64_t begin = b->now_us;
    TELL(b, I0, COMMAND(QUICK, 1));
    pass(b, SECOND);
    TELL_EMPTY(b, R0);
    SAYS(b, I0, 0x00, 0x90, 0x00);
    TELL(b, I1, COMMAND(QUICK, 2));
    pass(b, SECOND);
    TELL(b, I1, COMMAND(QUICK, 2));
    SAYS_EMPTY(b, R0 | WRONG);
    TELL_EMPTY(b, R1);
    SAYS(b, I1, 0x00, 0x01, 0x90, 0x00);
    assert_int_equal(executed(b), 2);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, begin + 10 * MS);
}

static void an_answer_waits_for_a_reader_that_looks_late(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 0));
    const int64_t due = icc_speaks_at(b->icc);
    assert_int_equal(icc_speak(b->icc, due + SECOND, b->block, 5), 0); /* no room for it */
    assert_int_equal(icc_speaks_at(b->icc), due);
    assert_int_equal(icc_speak(b->icc, due + SECOND, b->block, 6), 6);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, due);
}

/* ---- S(WTX) ---- */

static struct bench *generates(void **state, int64_t work_us, int64_t silent_us, int64_t every_us)
{
    struct icc_options options = DEFAULTS;
    options.generate[0] = (struct icc_timing){ .work_us = work_us, .silent_us = silent_us, .wtx_every_us = every_us,
                                               .wtx_multiplier = 100 };
    struct bench *b = insert_instead(state, &options);
    TELL(b, I0, COMMAND(GENERATE, 0));
    return b;
}

static void asks_for_time_at(struct bench *b, int64_t since_begin_us)
{
    SAYS(b, WTX, 100);
    assert_int_equal(b->now_us - BEGIN_US, since_begin_us);
}

static void answers_at(struct bench *b, int64_t since_begin_us)
{
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(b->now_us - BEGIN_US, since_begin_us);
    assert_int_equal(executed(b), 1);
}

static void time_is_asked_for_as_the_script_says(void **state)
{
    struct bench *b = generates(state, 25 * SECOND, 0, 10 * SECOND);
    asks_for_time_at(b, 10 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    asks_for_time_at(b, 20 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    answers_at(b, 25 * SECOND);
}

static void time_is_asked_for_in_a_later_command_as_well(void **state)
{
    struct bench *b = *state;
    serves(b);
    TELL(b, I0, COMMAND(GENERATE, 0));
    SAYS(b, WTX, 100);
    TELL(b, WTX | RESPONSE, 100);
    SAYS(b, WTX, 100);
    TELL(b, WTX | RESPONSE, 100);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(icc_log_get(b->icc, 2).end_us - icc_log_get(b->icc, 2).begin_us, 25 * SECOND);
}

static void time_is_not_asked_for_in_the_silence(void **state)
{
    struct bench *b = generates(state, 40 * SECOND, 15 * SECOND, 10 * SECOND);
    asks_for_time_at(b, 20 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    asks_for_time_at(b, 30 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    answers_at(b, 40 * SECOND);
    b = generates(state, 40 * SECOND, 30 * SECOND, 10 * SECOND);
    asks_for_time_at(b, 30 * SECOND);
    b = generates(state, 40 * SECOND, 41 * SECOND, 10 * SECOND);
    answers_at(b, 40 * SECOND);
    b = generates(state, 40 * SECOND, 0, 0);
    answers_at(b, 40 * SECOND);
}

static void the_work_goes_on_while_the_card_waits_for_a_response(void **state)
{
    struct bench *b = generates(state, 45 * SECOND, 0, 10 * SECOND);
    asks_for_time_at(b, 10 * SECOND);
    pass(b, 15 * SECOND);
    assert_true(silent(b));
    TELL(b, WTX | RESPONSE, 100); /* 25 s: the request of 20 s is not made up for */
    asks_for_time_at(b, 30 * SECOND);
    pass(b, 30 * SECOND);
    assert_int_equal(icc_speak(b->icc, b->now_us, b->block, sizeof b->block), 0);
    assert_true(silent(b));
    TELL(b, WTX | RESPONSE, 100);
    answers_at(b, 60 * SECOND);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, BEGIN_US + 45 * SECOND);
}

static void without_the_right_response_the_request_is_repeated(void **state)
{
    struct bench *b = generates(state, 25 * SECOND, 0, 10 * SECOND);
    asks_for_time_at(b, 10 * SECOND);
    TELL(b, WTX | RESPONSE, 99);
    asks_for_time_at(b, 10 * SECOND);
    TELL_EMPTY(b, WTX | RESPONSE);
    asks_for_time_at(b, 10 * SECOND);
    TELL_EMPTY(b, R0);
    asks_for_time_at(b, 10 * SECOND);
    TELL_EMPTY(b, R1 | WRONG_EDC);
    asks_for_time_at(b, 10 * SECOND);
    TELL_RAW(b, 0x00, WTX | RESPONSE, 0x01, 100, 0x00);
    asks_for_time_at(b, 10 * SECOND);
    TELL(b, I1, COMMAND(QUICK, 0));
    asks_for_time_at(b, 10 * SECOND);
    TELL(b, IFS, 0xfe);
    asks_for_time_at(b, 10 * SECOND);
    TELL(b, IFS | RESPONSE, 100);
    asks_for_time_at(b, 10 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    asks_for_time_at(b, 20 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    answers_at(b, 25 * SECOND);
}

static void a_request_that_nobody_took_is_repeated_and_the_answer_waits(void **state)
{
    struct bench *b = generates(state, 25 * SECOND, 0, 10 * SECOND);
    pass(b, 60 * SECOND);
    TELL_EMPTY(b, R0);
    asks_for_time_at(b, 60 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    answers_at(b, 60 * SECOND);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, BEGIN_US + 25 * SECOND);
}

static void an_answer_that_waited_for_a_response_asks_for_its_ifs_first(void **state)
{
    struct bench *b = generates(state, 25 * SECOND, 0, 10 * SECOND);
    icc_ask_ifs(b->icc, 64);
    asks_for_time_at(b, 10 * SECOND);
    pass(b, 20 * SECOND);
    TELL(b, WTX | RESPONSE, 100);
    SAYS(b, IFS, 64);
    TELL(b, IFS | RESPONSE, 64);
    answers_at(b, 30 * SECOND);
}

static void a_card_lies_about_the_time_it_needs(void **state)
{
    struct bench *b = generates(state, 35 * SECOND, 0, 10 * SECOND);
    asks_for_time_at(b, 10 * SECOND);
    icc_lie_about_wtx(b->icc, 1);
    TELL(b, WTX | RESPONSE, 100);
    SAYS(b, WTX, 1);
    TELL(b, WTX | RESPONSE, 1);
    SAYS(b, WTX, 1);
    TELL(b, WTX | RESPONSE, 1);
    answers_at(b, 35 * SECOND);
}

static void resynch_in_a_computation_drops_its_answer(void **state)
{
    struct bench *b = generates(state, 25 * SECOND, 0, 10 * SECOND);
    asks_for_time_at(b, 10 * SECOND);
    TELL_EMPTY(b, RESYNCH);
    SAYS_EMPTY(b, RESYNCH | RESPONSE);
    assert_int_equal(b->now_us - BEGIN_US, 10 * SECOND);
    assert_int_equal(executed(b), 1);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, b->now_us);
    serves(b);
    assert_int_equal(fake_openpgp.resets, 0);
}

static void resynch_after_a_computation_drops_its_answer(void **state)
{
    struct bench *b = generates(state, 25 * SECOND, 0, 10 * SECOND);
    asks_for_time_at(b, 10 * SECOND);
    pass(b, 30 * SECOND);
    TELL_EMPTY(b, RESYNCH);
    SAYS_EMPTY(b, RESYNCH | RESPONSE);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, BEGIN_US + 25 * SECOND);
    serves(b);
}

/* ---- the real clock ---- */

static struct bench *insert_real_time(void **state)
{
    struct icc_options options = DEFAULTS;
    options.real_time = true;
    struct bench *b = insert_instead(state, &options);
    fake_openpgp.computing = true;
    return b;
}

/* Looks when the card says that it may speak, until a time; it does not. */
static void is_quiet_until(struct bench *b, int64_t until_us)
{
    unsigned looks = 0;
    while (b->now_us < until_us) {
        const int64_t next = icc_speaks_at(b->icc);
        assert_true(next >= b->now_us && next <= b->now_us + SECOND);
        b->now_us = next > b->now_us ? next : b->now_us + 1;
        assert_int_equal(icc_speak(b->icc, b->now_us, b->block, sizeof b->block), 0);
        assert_true(++looks < 1000); /* never a busy loop */
    }
    assert_int_equal(fake_openpgp.waited, 0);
}

static void in_real_time_an_answer_comes_when_it_is_computed(void **state)
{
    struct bench *b = insert_real_time(state);
    const int64_t begin = b->now_us;
    TELL(b, I0, COMMAND(SIGN, 0));
    is_quiet_until(b, begin + SECOND);
    assert_int_equal(icc_log_count(b->icc), 0);
    fake_openpgp.computing = false;
    SAYS(b, I0, 0x90, 0x00);
    assert_true(b->now_us <= begin + SECOND + 20 * MS);
    assert_int_equal(fake_openpgp.waited, 0);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, b->now_us);
}

static void in_real_time_an_answer_never_comes_before_its_scripted_time(void **state)
{
    struct bench *b = insert_real_time(state);
    fake_openpgp.computing = false;
    takes(b, I0, SIGN, 300 * MS);
}

static void in_real_time_a_late_computation_goes_on_asking_for_time(void **state)
{
    struct bench *b = insert_real_time(state);
    TELL(b, I0, COMMAND(GENERATE, 0));
    for (int64_t at = 10; at <= 20; at += 10) {
        asks_for_time_at(b, at * SECOND);
        TELL(b, WTX | RESPONSE, 100);
    }
    assert_int_equal(icc_speaks_at(b->icc) - BEGIN_US, 25 * SECOND);
    b->now_us = BEGIN_US + 25 * SECOND;
    is_quiet_until(b, BEGIN_US + 30 * SECOND - 20 * MS);
    while (icc_speak(b->icc, b->now_us, b->block, sizeof b->block) == 0)
        b->now_us = icc_speaks_at(b->icc);
    assert_int_equal(b->block[1], WTX);
    assert_int_equal(b->now_us - BEGIN_US, 30 * SECOND);
    fake_openpgp.computing = false;
    pass(b, SECOND);
    TELL(b, WTX | RESPONSE, 100);
    answers_at(b, 31 * SECOND);
}

static void in_real_time_resynch_does_not_wait_and_the_next_command_does(void **state)
{
    struct bench *b = insert_real_time(state);
    TELL(b, I0, COMMAND(GENERATE, 5));
    asks_for_time_at(b, 10 * SECOND);
    TELL_EMPTY(b, RESYNCH);
    SAYS_EMPTY(b, RESYNCH | RESPONSE);
    assert_int_equal(b->now_us - BEGIN_US, 10 * SECOND);
    TELL(b, I0, COMMAND(QUICK, 0));
    is_quiet_until(b, BEGIN_US + 15 * SECOND);
    assert_int_equal(fake_openpgp.begun, 1);
    fake_openpgp.computing = false;
    b->now_us = icc_speaks_at(b->icc);
    assert_int_equal(icc_speak(b->icc, b->now_us, b->block, sizeof b->block), 0);
    assert_int_equal(fake_openpgp.begun, 2);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(fake_openpgp.waited, 0);
    assert_int_equal(executed(b), 2);
    assert_int_equal(icc_log_get(b->icc, 1).end_us - icc_log_get(b->icc, 1).begin_us, 10 * MS);
}

static void on_a_virtual_clock_an_answer_is_waited_for_and_exact(void **state)
{
    struct bench *b = *state;
    fake_openpgp.computing = true;
    takes(b, I0, SIGN, 300 * MS);
    assert_int_equal(fake_openpgp.waited, 1);
}

/* ---- faults ---- */

static void corrupts(struct bench *b, enum icc_corruption how)
{
    icc_corrupt(b->icc, how, 1);
    TELL(b, I0, COMMAND(QUICK, 0));
    take(b);
}

static void goes_on_after_corruption(struct bench *b)
{
    TELL_EMPTY(b, R0 | WRONG);
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(executed(b), 1);
}

static void a_bad_edc_is_all_that_is_wrong(void **state)
{
    struct bench *b = *state;
    corrupts(b, ICC_BAD_EDC);
    assert_int_equal(b->length, 6);
    assert_memory_equal(b->block, ((const uint8_t[]){ 0x00, 0x00, 0x02, 0x90, 0x00 }), 5);
    assert_int_not_equal(lrc(b->block, 6), 0);
    goes_on_after_corruption(b);
}

static void a_bad_length_is_all_that_is_wrong(void **state)
{
    struct bench *b = *state;
    corrupts(b, ICC_BAD_LENGTH);
    assert_int_equal(b->length, 6);
    assert_memory_equal(b->block, ((const uint8_t[]){ 0x00, 0x00, 0x06, 0x90, 0x00, 0x96 }), 6);
    goes_on_after_corruption(b);
}

static void a_bad_sequence_number_is_all_that_is_wrong(void **state)
{
    struct bench *b = *state;
    corrupts(b, ICC_BAD_SEQUENCE);
    assert_int_equal(b->length, 6);
    assert_memory_equal(b->block, ((const uint8_t[]){ 0x00, 0x40, 0x02, 0x90, 0x00, 0xd2 }), 6);
    goes_on_after_corruption(b);
    icc_corrupt(b->icc, ICC_BAD_SEQUENCE, 1);
    TELL(b, I1 | MORE, 0x00);
    SAYS_EMPTY(b, R1); /* R0 is right */
}

static void a_truncated_block_is_a_part_of_it(void **state)
{
    struct bench *b = *state;
    corrupts(b, ICC_TRUNCATED);
    assert_int_equal(b->length, 3);
    assert_memory_equal(b->block, ((const uint8_t[]){ 0x00, 0x00, 0x02 }), 3);
    goes_on_after_corruption(b);
}

static void noise_is_no_block(void **state)
{
    struct bench *b = *state;
    corrupts(b, ICC_NOISE);
    assert_int_equal(b->length, 6);
    assert_false(b->block[2] == 2 && lrc(b->block, 6) == 0);
    assert_int_not_equal(b->block[3], b->block[4]); /* nor one byte again and again */
    goes_on_after_corruption(b);
}

static void as_many_blocks_are_corrupted_as_were_asked_for(void **state)
{
    struct bench *b = *state;
    icc_corrupt(b->icc, ICC_BAD_EDC, 3);
    TELL(b, I0, COMMAND(QUICK, 0));
    for (int i = 0; i < 3; i++) {
        take(b);
        assert_int_not_equal(lrc(b->block, b->length), 0);
        TELL_EMPTY(b, R0 | WRONG_EDC);
    }
    SAYS(b, I0, 0x90, 0x00);
    assert_int_equal(executed(b), 1);
}

static void as_many_blocks_are_misheard_as_were_asked_for(void **state)
{
    struct bench *b = *state;
    icc_mishear(b->icc, 2);
    for (int i = 0; i < 2; i++) {
        TELL(b, I0, COMMAND(QUICK, 0));
        SAYS_EMPTY(b, R0 | WRONG_EDC);
    }
    assert_int_equal(executed(b), 0);
    serves(b);
}

static void a_mute_card_hears_and_says_nothing_until_it_is_not_mute(void **state)
{
    struct bench *b = *state;
    size_t length;
    icc_set_mute(b->icc, true);
    TELL(b, I0, COMMAND(QUICK, 0));
    assert_true(silent(b));
    pass(b, SECOND);
    assert_int_equal(icc_speak(b->icc, b->now_us, b->block, sizeof b->block), 0);
    (void)icc_reset(b->icc, b->now_us, &length);
    assert_int_equal(length, 0);
    icc_set_mute(b->icc, false);
    assert_true(silent(b));
    assert_int_equal(executed(b), 0);
    assert_int_equal(icc_blocks(b->icc), 0);
    serves(b);
}

static void a_card_that_falls_mute_keeps_what_it_was_about_to_say(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 0));
    icc_set_mute(b->icc, true);
    assert_true(silent(b));
    pass(b, SECOND);
    assert_int_equal(icc_speak(b->icc, b->now_us, b->block, sizeof b->block), 0);
    icc_set_mute(b->icc, false);
    assert_int_equal(icc_speak(b->icc, b->now_us, b->block, sizeof b->block), 6);
    assert_int_equal(executed(b), 1);
}

static void what_is_sent_to_a_mute_card_covers_what_it_was_saying(void **state)
{
    struct bench *b = *state;
    TELL(b, IFS, 0xfe);
    icc_set_mute(b->icc, true);
    TELL_EMPTY(b, R0);
    icc_set_mute(b->icc, false);
    assert_true(silent(b));
    TELL_EMPTY(b, R0);
    SAYS(b, IFS | RESPONSE, 0xfe);
}

/* ---- whole APDUs ---- */

#define EXECUTE(b, ...)                                                 \
    do {                                                                \
        const uint8_t apdu_[] = { __VA_ARGS__ };                        \
        icc_execute((b)->icc, (b)->now_us, apdu_, sizeof apdu_);        \
    } while (0)

static size_t take_answer(struct bench *b)
{
    return icc_take_answer(b->icc, b->now_us, b->block, sizeof b->block);
}

/* Waits for the answer to COMMAND(..., n) and takes it. */
static void gives_answer(struct bench *b, size_t n)
{
    const int64_t at = icc_answer_at(b->icc);
    assert_true(at != ICC_NEVER && at > b->now_us);
    b->now_us = at - 1;
    assert_int_equal(take_answer(b), 0);
    b->now_us = at;
    assert_int_equal(take_answer(b), n + 2);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(b->block[i], (uint8_t)i);
    assert_int_equal(b->block[n], 0x90);
    assert_int_equal(b->block[n + 1], 0x00);
    assert_true(icc_answer_at(b->icc) == ICC_NEVER);
    assert_int_equal(take_answer(b), 0);
}

static void a_whole_apdu_is_answered_when_the_script_says(void **state)
{
    struct bench *b = *state;
    EXECUTE(b, COMMAND(SIGN, 200));
    assert_true(silent(b));
    gives_answer(b, 200);
    assert_int_equal(b->now_us, BEGIN_US + 300 * MS);
    EXECUTE(b, COMMAND(GENERATE, 0));
    gives_answer(b, 0);
    assert_int_equal(b->now_us, BEGIN_US + 300 * MS + 25 * SECOND);
    assert_true(silent(b));
    assert_int_equal(executed(b), 2);
    assert_int_equal(icc_log_get(b->icc, 0).answer_len, 200);
}

static void a_whole_answer_waits_until_there_is_room_for_it(void **state)
{
    struct bench *b = *state;
    EXECUTE(b, COMMAND(QUICK, 100));
    pass(b, SECOND);
    assert_int_equal(icc_take_answer(b->icc, b->now_us, b->block, 101), 0);
    assert_int_equal(icc_take_answer(b->icc, b->now_us, b->block, 102), 102);
}

static void without_power_a_whole_apdu_has_no_answer(void **state)
{
    struct bench *b = *state;
    EXECUTE(b, COMMAND(SIGN, 8));
    pass(b, 100 * MS);
    icc_power_off(b->icc);
    assert_true(icc_answer_at(b->icc) == ICC_NEVER);
    pass(b, SECOND);
    assert_int_equal(take_answer(b), 0);
    assert_int_equal(icc_log_count(b->icc), 1);
    assert_true(icc_log_get(b->icc, 0).abandoned);
}

static void a_command_that_waits_for_a_touch_begins_with_it(void **state)
{
    struct bench *b = *state;
    fake_openpgp.untouched = true;
    EXECUTE(b, COMMAND(SIGN, 8));
    assert_true(icc_waits_for_touch(b->icc));
    assert_true(icc_answer_at(b->icc) == ICC_NEVER);
    pass(b, 100 * SECOND);
    assert_int_equal(take_answer(b), 0);
    icc_touch(b->icc, b->now_us);
    assert_false(icc_waits_for_touch(b->icc));
    gives_answer(b, 8);
    assert_int_equal(b->now_us, BEGIN_US + 100 * SECOND + 300 * MS);
    assert_int_equal(icc_log_get(b->icc, 0).begin_us, BEGIN_US + 100 * SECOND);
}

static void without_a_touch_in_time_the_answer_is_there_at_once(void **state)
{
    struct bench *b = *state;
    fake_openpgp.untouched = true;
    EXECUTE(b, COMMAND(SIGN, 8));
    pass(b, 15 * SECOND);
    icc_touch_timeout(b->icc, b->now_us);
    assert_int_equal(fake_openpgp.untouched_long, 1);
    assert_int_equal(take_answer(b), 10);
    assert_int_equal(icc_log_get(b->icc, 0).end_us, b->now_us);
}

static void a_touch_that_nobody_waits_for_changes_nothing(void **state)
{
    struct bench *b = *state;
    icc_touch(b->icc, b->now_us);
    icc_touch_timeout(b->icc, b->now_us);
    EXECUTE(b, COMMAND(SIGN, 8));
    pass(b, 100 * MS);
    icc_touch(b->icc, b->now_us);
    icc_touch_timeout(b->icc, b->now_us);
    gives_answer(b, 8);
    assert_int_equal(b->now_us, BEGIN_US + 300 * MS);
    assert_int_equal(fake_openpgp.untouched_long, 0);
}

static void a_reset_ends_the_wait_for_a_touch(void **state)
{
    struct bench *b = *state;
    size_t length;
    fake_openpgp.untouched = true;
    EXECUTE(b, COMMAND(SIGN, 8));
    (void)icc_reset(b->icc, b->now_us, &length);
    assert_false(icc_waits_for_touch(b->icc));
    icc_touch(b->icc, b->now_us);
    assert_true(icc_answer_at(b->icc) == ICC_NEVER);
}

/* ---- the log ---- */

static void the_log_in_memory_tells_each_command(void **state)
{
    struct bench *b = *state;
    TELL(b, I0, COMMAND(QUICK, 3));
    take(b);
    const struct icc_apdu apdu = icc_log_get(b->icc, 0);
    assert_int_equal(apdu.begin_us, BEGIN_US);
    assert_int_equal(apdu.end_us, BEGIN_US + 10 * MS);
    assert_int_equal(apdu.command_len, 4);
    assert_memory_equal(apdu.command, ((const uint8_t[]){ COMMAND(QUICK, 3) }), 4);
    assert_int_equal(apdu.status_word, 0x9000);
    assert_int_equal(apdu.answer_len, 3);
}

static void the_log_in_memory_holds_many_commands(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 100; i++)
        serves(b);
    assert_int_equal(executed(b), 200);
    assert_int_equal(icc_log_get(b->icc, 0).begin_us, BEGIN_US);
    assert_int_equal(icc_log_get(b->icc, 199).answer_len, 1);
}

static const char *text_of(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void is_cut_off_by_a_reset(struct bench *b)
{
    size_t length;
    TELL(b, I0, COMMAND(GENERATE, 0));
    pass(b, 7 * SECOND);
    (void)icc_reset(b->icc, b->now_us, &length);
    assert_true(silent(b));
    assert_int_equal(icc_log_count(b->icc), 1);
    assert_true(icc_log_get(b->icc, 0).abandoned);
}

static void is_done_before_a_reset_though_its_answer_was_not_taken(struct bench *b)
{
    size_t length;
    TELL(b, I0, COMMAND(GENERATE, 0x102));
    pass(b, 10 * SECOND);
    take(b);
    pass(b, 20 * SECOND);
    (void)icc_reset(b->icc, b->now_us, &length);
    assert_int_equal(icc_log_count(b->icc), 2);
    assert_false(icc_log_get(b->icc, 1).abandoned);
    assert_int_equal(icc_log_get(b->icc, 1).resets, 2);
    assert_true(silent(b));
}

static void is_cut_off_by_the_end_of_power(struct bench *b)
{
    TELL(b, I1, COMMAND(SIGN, 0));
    pass(b, 100 * MS);
    TELL_EMPTY(b, R0); /* unheard */
    icc_power_off(b->icc);
}

static void the_log_file_is_as_promised(void **state)
{
    char path[] = "/tmp/test_icc.XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct icc_options options = DEFAULTS;
    options.log_path = path;
    struct bench *b = insert_instead(state, &options);
    assert_string_equal(text_of(path), "5000 reset\n");
    is_cut_off_by_a_reset(b);
    is_done_before_a_reset_though_its_answer_was_not_taken(b);
    pass(b, SECOND);
    TELL(b, I0, 0x00, 0xca, 0x00, 0x01, 0xab);
    take(b);
    is_cut_off_by_the_end_of_power(b);
    const char *text = text_of(path); /* while it is open: every line is flushed */
    unlink(path);
    assert_string_equal(text, "5000 reset\n"
                              "12000 abandoned 00470000\n"
                              "12000 reset\n"
                              "12000 37000 00470102 9000 258\n"
                              "42000 reset\n"
                              "43000 43010 00CA0001AB 9000 1\n"
                              "43110 abandoned 002A0000\n");
}

static void a_log_that_cannot_be_written_is_an_error(void **state)
{
    struct icc_options options = DEFAULTS;
    (void)state;
    options.log_path = "/nonexistent/log";
    assert_null(icc_new(&options));
}

static void a_reset_in_a_computation_resets_the_application_too(void **state)
{
    struct bench *b = *state;
    is_cut_off_by_a_reset(b);
    assert_int_equal(fake_openpgp.resets, 1);
    pass(b, 60 * SECOND);
    serves(b);
}

static void the_counters_are_those_of_the_application(void **state)
{
    struct bench *b = *state;
    const struct icc_counters left = icc_counters(b->icc);
    assert_int_equal(left.pw1, 3);
    assert_int_equal(left.rc, 1);
    assert_int_equal(left.pw3, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest TESTS[] = {
    TEST(a_cold_reset_gives_the_atr),
    TEST(without_power_nothing_is_heard_or_said),
    TEST(a_cold_reset_starts_t1_anew),
    TEST(a_command_and_its_answer_are_one_block_each),
    TEST(sequence_numbers_alternate),
    TEST(a_block_with_a_wrong_edc_is_asked_for_again),
    TEST(a_block_that_is_no_block_is_asked_for_again),
    TEST(reserved_bits_and_unknown_blocks_are_wrong),
    TEST(a_wrong_sequence_number_is_never_executed),
    TEST(an_r_block_before_everything_else_is_wrong),
    TEST(an_answer_is_repeated_as_often_as_it_is_asked_for),
    TEST(a_repeated_command_is_not_executed_again),
    TEST(a_lost_r_block_of_the_card_is_said_again),
    TEST(a_long_command_is_put_together),
    TEST(the_longest_command_is_put_together),
    TEST(a_command_that_is_too_long_is_refused_and_the_next_is_served),
    TEST(an_acknowledgement_that_was_lost_is_said_again),
    TEST(a_misheard_part_is_taken_when_it_comes_right),
    TEST(a_long_answer_comes_in_parts_of_32_bytes),
    TEST(an_answer_of_exactly_one_block_is_not_chained),
    TEST(the_host_makes_the_blocks_longer),
    TEST(a_host_may_take_one_byte_at_a_time),
    TEST(an_ifsd_out_of_range_is_refused),
    TEST(a_lost_part_of_an_answer_is_repeated),
    TEST(a_command_in_the_middle_of_an_answer_is_wrong),
    TEST(the_host_aborts_its_command),
    TEST(the_host_aborts_the_answer),
    TEST(an_abort_after_an_answer_leaves_it_to_be_repeated),
    TEST(the_card_aborts_its_answer),
    TEST(resynch_starts_t1_anew_and_leaves_the_application_alone),
    TEST(the_card_asks_for_other_blocks_before_its_answer),
    TEST(what_the_card_was_told_to_ask_survives_a_reset),
    TEST(each_kind_of_command_takes_its_own_time),
    TEST(the_eighth_generation_serves_all_later_ones),
    TEST(a_computing_card_does_not_hear),
    TEST(an_answer_that_nobody_took_is_lost_and_an_r_block_brings_it_back),
    TEST(an_answer_waits_for_a_reader_that_looks_late),
    TEST(time_is_asked_for_as_the_script_says),
    TEST(time_is_asked_for_in_a_later_command_as_well),
    TEST(time_is_not_asked_for_in_the_silence),
    TEST(the_work_goes_on_while_the_card_waits_for_a_response),
    TEST(without_the_right_response_the_request_is_repeated),
    TEST(a_request_that_nobody_took_is_repeated_and_the_answer_waits),
    TEST(an_answer_that_waited_for_a_response_asks_for_its_ifs_first),
    TEST(a_card_lies_about_the_time_it_needs),
    TEST(resynch_in_a_computation_drops_its_answer),
    TEST(resynch_after_a_computation_drops_its_answer),
    TEST(in_real_time_an_answer_comes_when_it_is_computed),
    TEST(in_real_time_an_answer_never_comes_before_its_scripted_time),
    TEST(in_real_time_a_late_computation_goes_on_asking_for_time),
    TEST(in_real_time_resynch_does_not_wait_and_the_next_command_does),
    TEST(on_a_virtual_clock_an_answer_is_waited_for_and_exact),
    TEST(a_bad_edc_is_all_that_is_wrong),
    TEST(a_bad_length_is_all_that_is_wrong),
    TEST(a_bad_sequence_number_is_all_that_is_wrong),
    TEST(a_truncated_block_is_a_part_of_it),
    TEST(noise_is_no_block),
    TEST(as_many_blocks_are_corrupted_as_were_asked_for),
    TEST(as_many_blocks_are_misheard_as_were_asked_for),
    TEST(a_mute_card_hears_and_says_nothing_until_it_is_not_mute),
    TEST(a_card_that_falls_mute_keeps_what_it_was_about_to_say),
    TEST(what_is_sent_to_a_mute_card_covers_what_it_was_saying),
    TEST(a_whole_apdu_is_answered_when_the_script_says),
    TEST(a_whole_answer_waits_until_there_is_room_for_it),
    TEST(without_power_a_whole_apdu_has_no_answer),
    TEST(a_command_that_waits_for_a_touch_begins_with_it),
    TEST(without_a_touch_in_time_the_answer_is_there_at_once),
    TEST(a_touch_that_nobody_waits_for_changes_nothing),
    TEST(a_reset_ends_the_wait_for_a_touch),
    TEST(the_log_in_memory_tells_each_command),
    TEST(the_log_in_memory_holds_many_commands),
    TEST(the_log_file_is_as_promised),
    TEST(a_log_that_cannot_be_written_is_an_error),
    TEST(a_reset_in_a_computation_resets_the_application_too),
    TEST(the_counters_are_those_of_the_application),
};

int main(void)
{
    return cmocka_run_group_tests_name("icc", TESTS, NULL, NULL);
}
