/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_survival.c - generations of all lengths, with all ways of giving signs of life, succeed; the next command too. */
#include "bench.h"
#include <stdio.h>
#include <string.h>

static const int LENGTHS_S[] = { 5, 20, 60, 180, 900 };
#define LENGTHS (sizeof LENGTHS_S / sizeof LENGTHS_S[0])

/* How the card passes the time; a key of APDU level gives its own signs of life, whatever its application does. */
static void survives(const struct icc_timing *way)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        struct icc_timing timing = *way;
        timing.work_us = LENGTHS_S[i] * SECOND;
        struct bench *b = bench_new(&timing);
        bench_start(b);
        bench_expect(b, SELECT, 0x9000);
        bench_expect(b, VERIFY_ADMIN, 0x9000);
        const struct answer generated = bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
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

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(a_sign_of_life_each_second),
        TEST(a_sign_of_life_each_10_s_that_asks_for_little),
        TEST(a_sign_of_life_each_10_s_that_asks_for_much),
        TEST(one_sign_of_life_at_the_start),
        TEST(no_sign_of_life),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("survival", tests, NULL, NULL);
}
