/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_waiting.c - slow commands succeed, mute cards end at their patience, and a late answer is nobody else's. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>

static struct bench *ready_to_generate(const struct icc_timing *timing)
{
    struct bench *b = bench_new(timing);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    return b;
}

/* The public key that the generation returned is the card's, and the key signs. */
static void the_key_is_there(struct bench *b, const struct answer *generated)
{
    const struct answer read = bench_expect(b, READ_SIGNATURE_KEY, 0x9000);
    assert_int_equal(read.length, generated->length);
    assert_memory_equal(read.bytes, generated->bytes, read.length);
    bench_expect(b, VERIFY_USER, 0x9000);
    bench_expect(b, SIGN, 0x9000);
}

static void generates(struct bench *b, int64_t least_us)
{
    const struct answer generated = bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    assert_true(generated.took_us >= least_us);
    the_key_is_there(b, &generated);
    bench_free(b);
}

/* ---- generation ---- */

static void rsa_4096_of_15_minutes_with_an_extension_each_10_s(void **state)
{
    (void)state;
    struct bench *b = ready_to_generate(&(struct icc_timing){
        .work_us = 15 * MINUTE, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 100 });
    bench_expect(b, "00DA00C1 06 011000002000", 0x9000);
    const struct answer generated = bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    assert_true(generated.took_us >= 15 * MINUTE && generated.took_us < 15 * MINUTE + 5 * SECOND);
    assert_true(generated.length > 512); /* the modulus alone */
    the_key_is_there(b, &generated);
    bench_free(b);
}

static void extensions_with_multiplier_1(void **state)
{
    (void)state;
    generates(ready_to_generate(&(struct icc_timing){
        .work_us = 15 * MINUTE, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 1 }), 15 * MINUTE);
}

static void extensions_with_multiplier_0(void **state)
{
    (void)state;
    generates(ready_to_generate(&(struct icc_timing){
        .work_us = 15 * MINUTE, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 0 }), 15 * MINUTE);
}

static void extensions_with_multiplier_255(void **state)
{
    (void)state;
    generates(ready_to_generate(&(struct icc_timing){
        .work_us = 15 * MINUTE, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 255 }), 15 * MINUTE);
}

static void silences_of_60_s_between_extensions(void **state)
{
    (void)state;
    generates(ready_to_generate(&(struct icc_timing){
        .work_us = 15 * MINUTE, .wtx_every_us = 60 * SECOND, .wtx_multiplier = 1 }), 15 * MINUTE);
}

static void no_sign_of_life_for_longer_than_the_firmware_listens(void **state)
{
    (void)state;
    generates(ready_to_generate(&(struct icc_timing){ .work_us = 15 * MINUTE }), 15 * MINUTE);
}

static void an_extension_between_silences_beyond_the_firmwares_limit(void **state)
{
    (void)state;
    generates(ready_to_generate(&(struct icc_timing){
        .work_us = 12 * MINUTE, .wtx_every_us = 5 * MINUTE, .wtx_multiplier = 10 }),
        12 * MINUTE);
}

static void silence_beyond_the_patience_ends_and_the_key_serves_when_the_card_is_ready(void **state)
{
    (void)state;
    struct bench *b = ready_to_generate(&(struct icc_timing){ .work_us = 25 * MINUTE });
    const struct answer generated = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    assert_int_equal(generated.code, IFD_RESPONSE_TIMEOUT);
    assert_true(generated.took_us >= 20 * MINUTE && generated.took_us < 21 * MINUTE);
    virtual_pass(b->slot, 6 * MINUTE);
    const struct answer next = bench_transmit(b, GET_AID);
    if (next.code != IFD_SUCCESS) { /* the card was given up: everybody is told, and it is powered on again */
        assert_int_equal(next.code, IFD_COMMUNICATION_ERROR);
        assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
        assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    }
    bench_works(b);
    bench_free(b);
}

static void patience_is_what_the_environment_says(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=30m,ordinary=5s", 1);
    struct bench *b = ready_to_generate(&(struct icc_timing){ .work_us = 25 * MINUTE });
    unsetenv("IFD_NITROKEY_PATIENCE");
    generates(b, 25 * MINUTE);
}

static void patience_that_is_not_understood_is_ignored(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=1s,nonsense", 1);
    struct bench *b = ready_to_generate(&(struct icc_timing){ .work_us = 15 * MINUTE });
    unsetenv("IFD_NITROKEY_PATIENCE");
    generates(b, 15 * MINUTE);
}

static void two_generations_in_turn(void **state)
{
    (void)state;
    struct bench *b = ready_to_generate(&(struct icc_timing){
        .work_us = 60 * SECOND, .silent_us = 20 * SECOND, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 100 });
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_expect(b, GENERATE_DECRYPTION_KEY, 0x9000);
    bench_free(b);
}

/* ---- mute cards ---- */

static void ends_at(const char *apdu, int64_t patience_us)
{
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    icc_set_mute(b->icc, true);
    const struct answer answer = bench_transmit(b, apdu);
    assert_int_equal(answer.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(answer.took_us, patience_us - MS, patience_us + MS);
    bench_free(b);
}

static void an_ordinary_command_to_a_mute_card_ends_after_30_s(void **state)
{
    (void)state;
    ends_at(GET_AID, 30 * SECOND);
}

static void a_pin_to_a_mute_card_ends_after_60_s(void **state)
{
    (void)state;
    ends_at(VERIFY_USER, 60 * SECOND);
}

static void a_signature_of_a_mute_card_ends_after_60_s(void **state)
{
    (void)state;
    ends_at(SIGN, 60 * SECOND);
}

static void a_mute_card_that_recovers_is_found_without_replug(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    icc_set_mute(b->icc, true);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_RESPONSE_TIMEOUT);
    icc_set_mute(b->icc, false);
    bool lost = false;
    for (int i = 0; i < 10 && !lost; i++)
        lost = bench_transmit(b, GET_AID).code == IFD_COMMUNICATION_ERROR;
    assert_true(lost);
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT); /* every program is told that the PIN state is gone */
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    bench_works(b);
    bench_free(b);
}

static void a_card_that_is_mute_at_power_on_is_said_to_be_so_and_found_later(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    const bool storage = strncmp(bench_firmware(), "storage", 7) == 0; /* which does not say so for 20 minutes */
    icc_set_mute(b->icc, true);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(bench_power(IFD_POWER_UP), storage ? IFD_COMMUNICATION_ERROR : IFD_ERROR_POWER_ACTION);
    icc_set_mute(b->icc, false);
    if (storage)
        virtual_pass(b->slot, 3 * MINUTE); /* it tries again each two minutes */
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    bench_works(b);
    bench_free(b);
}

static void endless_extensions_end_at_the_total(void **state)
{
    (void)state;
    struct bench *b = ready_to_generate(&(struct icc_timing){
        .work_us = 600 * MINUTE, .wtx_every_us = 10 * SECOND, .wtx_multiplier = 255 });
    const struct answer generated = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    assert_int_equal(generated.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(generated.took_us, 120 * MINUTE - MS, 120 * MINUTE + MS);
    bench_free(b);
}

static void a_lying_multiplier_does_not_freeze_an_ordinary_command(void **state)
{
    (void)state;
    struct icc_options card = { .other = { .work_us = 60 * MINUTE, .wtx_every_us = SECOND, .wtx_multiplier = 255,
                                           .wtx_count = 1 } };
    struct bench *b = bench_new_with(card);
    bench_start(b);
    const struct answer answer = bench_transmit(b, GET_AID);
    assert_int_equal(answer.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(answer.took_us, 60 * SECOND, 62 * SECOND);
    bench_free(b);
}

/* ---- late answers ---- */

/* The patience for a signature is 20 s: less than any firmware waits for the card. */
static struct bench *slow_to_sign(int64_t work_us)
{
    struct icc_options card = { .generate = { { .work_us = SECOND } }, .generate_count = 1,
                                .sign = { .work_us = work_us }, .other = { .work_us = 10 * MS } };
    struct bench *b = bench_new_with(card);
    setenv("IFD_NITROKEY_PATIENCE", "sign=20s/10m", 0);
    bench_start(b);
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_expect(b, VERIFY_USER, 0x9000);
    return b;
}

static void after_an_answer_that_came_too_late_the_next_command_gets_its_own(void **state)
{
    (void)state;
    struct bench *b = slow_to_sign(40 * SECOND);
    assert_int_equal(bench_transmit(b, SIGN).code, IFD_RESPONSE_TIMEOUT);
    bench_works(b); /* it waits for the signature, drops it, and asks then */
    bench_expect(b, VERIFY_USER, 0x9000); /* and the card was not reset: C4 keeps its counters */
    bench_free(b);
}

static void an_answer_that_came_while_nobody_waited_is_dropped_too(void **state)
{
    (void)state;
    struct bench *b = slow_to_sign(40 * SECOND);
    assert_int_equal(bench_transmit(b, SIGN).code, IFD_RESPONSE_TIMEOUT);
    virtual_pass(b->slot, 40 * SECOND);
    bench_works(b);
    bench_free(b);
}

static void the_next_command_waits_no_longer_than_its_own_patience(void **state)
{
    (void)state;
    struct bench *b = slow_to_sign(55 * SECOND);
    assert_int_equal(bench_transmit(b, SIGN).code, IFD_RESPONSE_TIMEOUT);
    const struct answer impatient = bench_transmit(b, GET_AID);
    assert_int_equal(impatient.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(impatient.took_us, 30 * SECOND - MS, 30 * SECOND + MS);
    bench_works(b);
    bench_free(b);
}

static void while_an_answer_is_owed_nothing_is_sent(void **state)
{
    (void)state;
    struct bench *b = slow_to_sign(55 * SECOND);
    assert_int_equal(bench_transmit(b, SIGN).code, IFD_RESPONSE_TIMEOUT);
    const uint64_t before = virtual_statistics(b->slot).bulk_out;
    assert_int_not_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS); /* it waits 10 s, the card needs 35 */
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(virtual_statistics(b->slot).bulk_out, before);
    virtual_pass(b->slot, 40 * SECOND);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    bench_works(b);
    bench_free(b);
}

static void patience_below_the_block_waiting_time_is_raised_to_it(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "sign=500ms/10m", 1);
    struct bench *b = slow_to_sign(1500 * MS); /* the least BWT of all models is 1587 ms */
    bench_expect(b, SIGN, 0x9000);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    bench_choose(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(rsa_4096_of_15_minutes_with_an_extension_each_10_s),
        TEST(extensions_with_multiplier_1),
        TEST(extensions_with_multiplier_0),
        TEST(extensions_with_multiplier_255),
        TEST(silences_of_60_s_between_extensions),
        TEST(no_sign_of_life_for_longer_than_the_firmware_listens),
        TEST(an_extension_between_silences_beyond_the_firmwares_limit),
        TEST(silence_beyond_the_patience_ends_and_the_key_serves_when_the_card_is_ready),
        TEST(patience_is_what_the_environment_says),
        TEST(patience_that_is_not_understood_is_ignored),
        TEST(two_generations_in_turn),
        TEST(an_ordinary_command_to_a_mute_card_ends_after_30_s),
        TEST(a_pin_to_a_mute_card_ends_after_60_s),
        TEST(a_signature_of_a_mute_card_ends_after_60_s),
        TEST(a_mute_card_that_recovers_is_found_without_replug),
        TEST(a_card_that_is_mute_at_power_on_is_said_to_be_so_and_found_later),
        TEST(endless_extensions_end_at_the_total),
        TEST(a_lying_multiplier_does_not_freeze_an_ordinary_command),
        TEST(after_an_answer_that_came_too_late_the_next_command_gets_its_own),
        TEST(an_answer_that_came_while_nobody_waited_is_dropped_too),
        TEST(the_next_command_waits_no_longer_than_its_own_patience),
        TEST(while_an_answer_is_owed_nothing_is_sent),
        TEST(patience_below_the_block_waiting_time_is_raised_to_it),
    };
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
