/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_survival.c - what tests/bench/survival does to keys, to this driver, on the virtual clock: generations of all
 * lengths with all ways of giving signs of life succeed, and the next command too. Stalls, corrupted blocks, late
 * answers, touch and what the HID side does are in test_faults.c, test_waiting.c, test_apdu_level.c, test_start.c and
 * test_nk3.c.
 */
#include "bench.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const int LENGTHS_S[] = { 5, 20, 60, 180, 900 };
#define LENGTHS (sizeof LENGTHS_S / sizeof LENGTHS_S[0])

static double cpu_s(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How the card passes the time. */
static void survives(const struct icc_timing *way)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        struct icc_timing timing = *way;
        timing.work_us = LENGTHS_S[i] * SECOND;
        struct bench *b = bench_new(&timing);
        bench_start(b);
        bench_expect(b, SELECT, 0x9000);
        bench_expect(b, VERIFY_ADMIN, 0x9000);
        const double begun_s = cpu_s();
        const struct answer generated = bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
        assert_true(cpu_s() - begun_s < 1); /* the driver and the virtual USB; the card computes in its own thread */
        assert_memory_equal(generated.bytes, "\x7f\x49", 2);
        assert_in_range(generated.took_us, timing.work_us, timing.work_us + 30 * SECOND);
        bench_works(b);
        const struct answer read = bench_expect(b, READ_SIGNATURE_KEY, 0x9000);
        assert_int_equal(read.length, generated.length);
        assert_memory_equal(read.bytes, generated.bytes, read.length);
        bench_free(b);
    }
}

static void a_sign_of_life_each_second(void **state)
{
    (void)state;
    survives(&(struct icc_timing){ .wtx_every_us = SECOND, .wtx_multiplier = 1 });
}

static void a_sign_of_life_each_10_s_that_asks_for_little(void **state)
{
    (void)state;
    survives(&(struct icc_timing){ .wtx_every_us = 10 * SECOND, .wtx_multiplier = 1 });
}

static void a_sign_of_life_each_10_s_that_asks_for_much(void **state)
{
    (void)state;
    survives(&(struct icc_timing){ .wtx_every_us = 10 * SECOND, .wtx_multiplier = 100 });
}

static void one_sign_of_life_at_the_start(void **state)
{
    (void)state;
    survives(&(struct icc_timing){ .wtx_every_us = SECOND, .wtx_multiplier = 1, .wtx_count = 1 });
}

/* Beyond its own limit the firmware says so, and is asked to listen again. */
static void no_sign_of_life(void **state)
{
    (void)state;
    survives(&(struct icc_timing){ .wtx_every_us = 0 });
}

/* ---- other ways to be difficult ---- */

static struct bench *started(const struct icc_timing *generate)
{
    struct bench *b = bench_new(generate);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

/* A SmartCard-HSM is silent for 30 s and more; what this card says to INITIALIZE does not matter. */
static void initialize_is_silent_for_40_s(void **state)
{
    (void)state;
    struct bench *b = bench_new_with((struct icc_options){ .other = { .work_us = 40 * SECOND } });
    bench_start(b);
    const struct answer answer = bench_transmit(b, "80500000 02 0102");
    assert_int_equal(answer.code, IFD_SUCCESS);
    assert_int_equal(answer.length, 2);
    assert_in_range(answer.took_us, 40 * SECOND, 42 * SECOND);
    bench_free(b);
}

static void mishear(void *key)
{
    const struct bench *const b = key;
    icc_mishear(b->icc, 1);
}

/* The driver's S(WTX response). */
static void an_answer_to_a_waiting_time_extension_is_lost(void **state)
{
    (void)state;
    struct bench *b = started(&(struct icc_timing){ .work_us = 60 * SECOND, .wtx_every_us = 10 * SECOND,
                                                    .wtx_multiplier = 1 });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    virtual_at(b->slot, virtual_now_us(b->slot) + 5 * SECOND, mishear, b);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_works(b);
    bench_free(b);
}

static void speak(void *key)
{
    const struct bench *const b = key;
    icc_set_mute(b->icc, false);
}

static void a_card_is_mute_for_5_s_and_comes_back(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    icc_set_mute(b->icc, true);
    virtual_at(b->slot, virtual_now_us(b->slot) + 5 * SECOND, speak, b);
    const struct answer answer = bench_transmit(b, VERIFY_USER_WRONG);
    if (answer.code == IFD_SUCCESS)
        assert_int_equal(answer.status_word, 0x6982);
    for (int i = 0; i < 10 && bench_transmit(b, SELECT).code != IFD_SUCCESS; i++) {
        virtual_pass(b->slot, 20 * SECOND);
        (void)bench_event_thread();
        (void)bench_event_thread();
    }
    bench_works(b);
    bench_free(b);
}

static void the_key_is_replugged_20_times_while_it_is_used(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    for (int i = 0; i < 20; i++) {
        bench_unplug_after(b, (1 + i * 7 % 20) * MS);
        while (bench_transmit(b, GET_AID).code == IFD_SUCCESS)
            continue;
        bench_stop(b);
        virtual_plug(b->slot);
        bench_start(b);
        bench_works(b);
    }
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tpdu_level[] = {
        TEST(a_sign_of_life_each_second),
        TEST(a_sign_of_life_each_10_s_that_asks_for_little),
        TEST(a_sign_of_life_each_10_s_that_asks_for_much),
        TEST(one_sign_of_life_at_the_start),
        TEST(no_sign_of_life),
        TEST(initialize_is_silent_for_40_s),
        TEST(an_answer_to_a_waiting_time_extension_is_lost),
        TEST(a_card_is_mute_for_5_s_and_comes_back),
        TEST(the_key_is_replugged_20_times_while_it_is_used),
    };
    const struct CMUnitTest apdu_level[] = { /* the firmware is never silent, whatever its application does */
        TEST(a_sign_of_life_each_second),
        TEST(a_card_is_mute_for_5_s_and_comes_back),
        TEST(the_key_is_replugged_20_times_while_it_is_used),
    };
    bench_choose(argc, argv);
    return bench_speaks_t1() ? cmocka_run_group_tests_name("survival", tpdu_level, NULL, NULL)
                             : cmocka_run_group_tests_name("survival", apdu_level, NULL, NULL);
}
