/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_start.c - the whole driver on a virtual Nitrokey Start: extended APDUs in short ones, touch, what power off and a
 * restart do. */
#include "bench.h"
#include <stdio.h>
#include <string.h>

static struct bench *started(const struct icc_timing *timing)
{
    struct bench *b = bench_new(timing);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

static void fill(char *apdu, size_t bytes)
{
    char *end = apdu + strlen(apdu);
    for (size_t i = 0; i < bytes; i++, end += 2)
        memcpy(end, "A5", 3);
}

/* A signature key that needs a touch for each signature. */
static struct bench *with_key_and_button(void)
{
    struct bench *b = started(&(struct icc_timing){ .work_us = SECOND });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_expect(b, "00DA00D6 02 0120", 0x9000);
    bench_expect(b, VERIFY_USER, 0x9000);
    return b;
}

static void extended_apdus_are_chained_both_ways(void **state)
{
    (void)state;
    char put[32 + 2 * 520] = "00DA7F21 000208 ";
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    fill(put, 520);
    bench_expect(b, put, 0x9000);
    const struct answer got = bench_expect(b, "00CA7F21 000000", 0x9000);
    assert_int_equal(got.length, 522);
    for (size_t i = 0; i < 520; i++)
        assert_int_equal(got.bytes[i], 0xa5);
    bench_free(b);
}

static void reset_takes_the_pin_away(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    bench_works(b);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x6982);
    bench_free(b);
}

/* The firmware has room for 540 bytes of data, and would refuse the third part without a status word. */
static void a_command_longer_than_the_firmware_takes_is_refused_at_once_and_not_sent(void **state)
{
    static const size_t SIZES[] = { 541, 765, 3000 };
    (void)state;
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    char put[32 + 2 * 3000] = "00DA7F21 00021C ";
    fill(put, 540);
    bench_expect(b, put, 0x6700); /* the longest; the object is shorter */
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        snprintf(put, sizeof put, "00DA7F21 00%04zX ", SIZES[i]);
        fill(put, SIZES[i]);
        const struct answer refused = bench_transmit(b, put);
        assert_int_equal(refused.code, IFD_ERROR_NOT_SUPPORTED);
        assert_int_equal(refused.took_us, 0);
        bench_works(b);
    }
    bench_free(b);
}

static void swallow_answers(struct bench *b, unsigned answers)
{
    virtual_lock(b->slot);
    b->device->faults.answer = ANSWER_SWALLOWED;
    b->device->faults.answers = answers;
    virtual_unlock(b->slot);
}

/* SET_CONFIGURATION alone would leave it verified, also over IccPowerOff and IccPowerOn. */
static void after_starting_the_key_anew_nobody_finds_a_verified_pin(void **state)
{
    (void)state;
    for (int reopened = 0; reopened <= 1; reopened++) {
        struct bench *b = started(NULL);
        bench_expect(b, VERIFY_USER, 0x9000);
        bench_expect(b, VERIFY_ADMIN, 0x9000);
        swallow_answers(b, 2); /* the time extension and the status word */
        assert_int_equal(bench_transmit(b, "00478000 02 0000 00").code, IFD_RESPONSE_TIMEOUT);
        if (reopened) {
            bench_stop(b);
            assert_int_equal(bench_open(), IFD_SUCCESS);
        }
        assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
        bench_expect(b, SELECT, 0x9000);
        bench_expect(b, "00200081", 0x63c3);
        bench_expect(b, "00200083", 0x63c3);
        bench_expect(b, "00DA5F50 03 616263", 0x6982);
        bench_works(b);
        bench_free(b);
    }
}

/* Nor when the key says nothing after that either, but later. */
static void a_key_that_cannot_be_powered_off_after_that_is_used_by_nobody(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_USER, 0x9000);
    swallow_answers(b, 4);
    assert_int_equal(bench_transmit(b, "00478000 02 0000 00").code, IFD_RESPONSE_TIMEOUT);
    for (int i = 0; i < 4 && bench_power(IFD_POWER_UP) != IFD_SUCCESS; i++)
        virtual_pass(b->slot, SECOND);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, "00200081", 0x63c3);
    bench_free(b);
}

static void touch(void *key)
{
    struct bench *const b = key;
    icc_touch(b->icc, b->device->now_us);
}

static void a_touch_is_waited_for(void **state)
{
    (void)state;
    struct bench *b = with_key_and_button();
    virtual_at(b->slot, virtual_now_us(b->slot) + 10 * SECOND, touch, b);
    const struct answer answer = bench_expect(b, SIGN, 0x9000);
    assert_in_range(answer.took_us, 10 * SECOND, 12 * SECOND);
    bench_free(b);
}

static void a_touch_that_does_not_come_is_the_keys_own_error(void **state)
{
    (void)state;
    struct bench *b = with_key_and_button();
    const struct answer answer = bench_expect(b, SIGN, 0x6600);
    assert_in_range(answer.took_us, 10 * SECOND, 20 * SECOND);
    bench_works(b);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(extended_apdus_are_chained_both_ways),
        TEST(a_command_longer_than_the_firmware_takes_is_refused_at_once_and_not_sent),
        TEST(after_starting_the_key_anew_nobody_finds_a_verified_pin),
        TEST(a_key_that_cannot_be_powered_off_after_that_is_used_by_nobody),
        TEST(reset_takes_the_pin_away),
        TEST(a_touch_is_waited_for),
        TEST(a_touch_that_does_not_come_is_the_keys_own_error),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
