/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_apdu_level.c - the whole driver on virtual keys of APDU level: time extensions, no T=1. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>

static struct bench *started(const struct icc_timing *timing)
{
    struct bench *b = bench_new(timing);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

static void a_generation_of_15_minutes_succeeds(void **state)
{
    (void)state;
    struct bench *b = started(&(struct icc_timing){ .work_us = 15 * MINUTE });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    const struct answer generated = bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    assert_true(generated.took_us >= 15 * MINUTE && generated.took_us < 15 * MINUTE + 2 * SECOND);
    const struct answer read = bench_expect(b, READ_SIGNATURE_KEY, 0x9000);
    assert_int_equal(read.length, generated.length);
    assert_memory_equal(read.bytes, generated.bytes, read.length);
    bench_free(b);
}

static void endless_extensions_end_at_the_total(void **state)
{
    (void)state;
    struct bench *b = started(&(struct icc_timing){ .work_us = 180 * MINUTE });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    const struct answer generated = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    assert_int_equal(generated.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(generated.took_us, 120 * MINUTE - MS, 120 * MINUTE + MS);
    bench_free(b);
}

static void after_an_answer_that_came_too_late_the_next_command_gets_its_own(void **state)
{
    (void)state;
    if (bench_known_to_fail(KILLED_BY_PROBE, PROBE_KILLS,
                            after_an_answer_that_came_too_late_the_next_command_gets_its_own))
        return;
    setenv("IFD_NITROKEY_PATIENCE", "generate=20s/30s", 1);
    struct bench *b = started(&(struct icc_timing){ .work_us = 50 * SECOND });
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_RESPONSE_TIMEOUT);
    bench_works(b); /* it waits 20 s for the key, drops it, and asks then */
    bench_free(b);
}

static void a_key_that_was_busy_at_open_serves_when_it_is_free(void **state)
{
    (void)state;
    if (bench_known_to_fail(KILLED_BY_PROBE " nitrokey-3-first", PROBE_KILLS,
                            a_key_that_was_busy_at_open_serves_when_it_is_free))
        return;
    struct bench *b = started(&(struct icc_timing){ .work_us = 60 * SECOND });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_close_while(b, GENERATE_SIGNATURE_KEY, 10 * SECOND), IFD_COMMUNICATION_ERROR);
    const int64_t begun = virtual_now_us(b->slot);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    while (bench_power(IFD_POWER_UP) != IFD_SUCCESS) {
        assert_true(virtual_now_us(b->slot) - begun < 60 * SECOND);
        virtual_pass(b->slot, SECOND);
    }
    bench_works(b);
    bench_free(b);
}

static void a_frozen_key_ends_at_its_patience_and_serves_when_it_thaws(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    bench_freeze(b, true);
    const struct answer answer = bench_transmit(b, VERIFY_USER_WRONG);
    assert_int_equal(answer.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(answer.took_us, 60 * SECOND - MS, 61 * SECOND);
    bench_freeze(b, false);
    bench_works(b);
    bench_free(b);
}

/* At each moment of a command and an answer of several packets, or several messages. */
static void a_key_that_freezes_within_a_command_or_an_answer_serves_when_it_thaws(void **state)
{
    (void)state;
    char put[32 + 2 * 200] = "00DA7F21 C8 ";
    for (int i = 0; i < 200; i++)
        strcat(put, "A5");
    for (int64_t after_us = 0; after_us < 24 * MS; after_us += 137) {
        struct bench *b = started(NULL);
        bench_expect(b, VERIFY_ADMIN, 0x9000);
        bench_expect(b, put, 0x9000);
        bench_freeze_after(b, after_us);
        const struct answer got = bench_transmit(b, after_us / 137 % 2 ? put : "00CA7F21 00");
        if (got.code == IFD_SUCCESS)
            assert_int_equal(got.status_word, 0x9000);
        virtual_pass(b->slot, SECOND);
        bench_freeze(b, false);
        for (int i = 0; i < 3 && bench_transmit(b, SELECT).code != IFD_SUCCESS; i++) {
            (void)bench_event_thread();
            (void)bench_event_thread();
        }
        bench_works(b);
        bench_free(b);
    }
}

static void a_mute_application_is_waited_for_as_long_as_it_gives_signs_of_life(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    icc_set_mute(b->icc, true);
    const struct answer answer = bench_transmit(b, GET_AID);
    assert_int_equal(answer.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(answer.took_us, 5 * MINUTE - MS, 5 * MINUTE + MS);
    icc_set_mute(b->icc, false);
    bench_works(b);
    bench_free(b);
}

static void an_unplug_ends_a_generation_at_once_and_a_replug_works(void **state)
{
    (void)state;
    struct bench *b = started(&(struct icc_timing){ .work_us = 60 * SECOND });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_unplug_after(b, 10 * SECOND);
    const struct answer generated = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    assert_int_equal(generated.code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(generated.took_us, 10 * SECOND);
    bench_stop(b);
    virtual_plug(b->slot);
    bench_start(b);
    bench_works(b);
    bench_free(b);
}

static void an_answer_that_answers_nothing_is_never_delivered(void **state)
{
    (void)state;
    for (enum answer_fault fault = ANSWER_WRONG_SEQUENCE; fault <= ANSWER_REPEATED; fault++) {
        struct bench *b = started(NULL);
        virtual_lock(b->slot);
        b->device->faults.answer = fault;
        b->device->faults.answers = 2;
        virtual_unlock(b->slot);
        const struct answer answer = bench_transmit(b, GET_AID);
        if (answer.code == IFD_SUCCESS)
            assert_memory_equal(answer.bytes, "\xD2\x76\x00\x01\x24\x01", 6);
        virtual_lock(b->slot);
        b->device->faults.answers = 0;
        virtual_unlock(b->slot);
        virtual_pass(b->slot, 3 * MINUTE);
        for (int i = 0; i < 10 && bench_transmit(b, SELECT).code != IFD_SUCCESS; i++)
            (void)bench_event_thread();
        bench_works(b);
        bench_free(b);
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_of_15_minutes_succeeds),
        TEST(endless_extensions_end_at_the_total),
        TEST(after_an_answer_that_came_too_late_the_next_command_gets_its_own),
        TEST(a_key_that_was_busy_at_open_serves_when_it_is_free),
        TEST(a_frozen_key_ends_at_its_patience_and_serves_when_it_thaws),
        TEST(a_key_that_freezes_within_a_command_or_an_answer_serves_when_it_thaws),
        TEST(a_mute_application_is_waited_for_as_long_as_it_gives_signs_of_life),
        TEST(an_unplug_ends_a_generation_at_once_and_a_replug_works),
        TEST(an_answer_that_answers_nothing_is_never_delivered),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("APDU level", tests, NULL, NULL);
}
