/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_atr.c - what the answers to reset of real cards say, and that everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "atr.h"

#define ATR(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

static struct atr parsed(const uint8_t *bytes, size_t length)
{
    struct atr atr;
    assert_int_equal(atr_parse(bytes, length, &atr), ERR_NONE);
    assert_int_equal(atr.length, length);
    assert_int_equal(atr.end, length);
    assert_memory_equal(atr.bytes, bytes, length);
    return atr;
}

/* Expected: 11 etu of F / D / f, and 2^BWI x 960 x 372 / f (ISO 7816-3 §11.4.3), here by hand, up to 2 ms more. */
static void bwt_is(const struct atr *atr, uint32_t khz, uint32_t ms)
{
    const uint32_t bwt = atr_bwt_ms(atr, khz);
    assert_true(bwt >= ms && bwt <= ms + 2);
}

static void openpgp_card_3(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0xda, 0x18, 0xff, 0x81, 0xb1, 0xfe, 0x75, 0x1f, 0x03, 0x00, 0x31, 0xf5, 0x73,
                                      0xc0, 0x01, 0x60, 0x00, 0x90, 0x00, 0x1c));
    assert_true(atr.t1);
    assert_false(atr.t0);
    assert_int_equal(atr.f, 372);
    assert_int_equal(atr.d, 12);
    assert_int_equal(atr.ifsc, 254);
    assert_int_equal(atr.bwi, 7);
    assert_int_equal(atr.cwi, 5);
    assert_false(atr.crc);
    bwt_is(&atr, 3600, 12697); /* 128 x 99.2 ms */
}

static void smartcard_hsm(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0xfe, 0x18, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x45, 0x80, 0x31, 0x81, 0x54, 0x48,
                                      0x53, 0x4d, 0x31, 0x73, 0x80, 0x21, 0x40, 0x81, 0x07, 0xfa));
    assert_true(atr.t1);
    assert_int_equal(atr.ifsc, 254);
    assert_int_equal(atr.bwi, 4);
    bwt_is(&atr, 3600, 1587); /* 16 x 99.2 ms */
}

static void smartcard_hsm_2_has_the_default_waiting_times(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0xde, 0x18, 0xff, 0x81, 0x91, 0xfe, 0x1f, 0xc3, 0x80, 0x31, 0x81, 0x54, 0x48,
                                      0x53, 0x4d, 0x31, 0x73, 0x80, 0x21, 0x40, 0x81, 0x07, 0x1c));
    assert_int_equal(atr.bwi, 4);
    assert_int_equal(atr.cwi, 13);
    bwt_is(&atr, 3600, 1587);
}

static void a_reader_that_patches_ta1_and_not_tck_is_forgiven(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0xda, 0x11, 0xff, 0x81, 0xb1, 0xfe, 0x75, 0x1f, 0x03, 0x00, 0x31, 0xc5, 0x73,
                                      0xc0, 0x01, 0x40, 0x00, 0x90, 0x00, 0x0c));
    assert_int_equal(atr.d, 1);
    assert_int_equal(atr.bwi, 7);
}

static void nitrokey_3(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0x8f, 0x01, 0x80, 0x5d, 0x4e, 0x69, 0x74, 0x72, 0x6f, 0x6b, 0x65, 0x79, 0x00,
                                      0x00, 0x00, 0x00, 0x00, 0x6a));
    assert_true(atr.t1);
    assert_int_equal(atr.ifsc, 32);
}

static void without_td1_it_is_t_0(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0x02, 0x14, 0x50));
    assert_true(atr.t0);
    assert_false(atr.t1);
}

static void a_crc_is_recognised(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0x80, 0x81, 0x41, 0x01, 0xc1)); /* TC3 = 01 */
    assert_true(atr.crc);
}

static void interface_bytes_that_make_no_sense_leave_the_defaults(void **state)
{
    (void)state;
    const struct atr zero = parsed(ATR(0x3b, 0x80, 0x81, 0x31, 0x00, 0xa5, 0x15)); /* IFSC 0, BWI 10 */
    assert_int_equal(zero.ifsc, 32);
    assert_int_equal(zero.bwi, 4);
    const struct atr ff = parsed(ATR(0x3b, 0x80, 0x81, 0x11, 0xff, 0xef));
    assert_int_equal(ff.ifsc, 32);
}

static void a_clock_that_no_card_runs_at_does_not_make_the_time_nonsense(void **state)
{
    (void)state;
    const struct atr atr = parsed(ATR(0x3b, 0x80, 0x81, 0x31, 0xfe, 0x95, 0x00)); /* BWI 9, the longest */
    static const uint32_t CLOCKS[] = { 0, 1, 999, 20001, UINT32_MAX };
    for (size_t i = 0; i < sizeof CLOCKS / sizeof CLOCKS[0]; i++) {
        assert_true(atr_bwt_ms(&atr, CLOCKS[i]) > 50000);
        assert_true(atr_bwt_ms(&atr, CLOCKS[i]) < 52000);
    }
}

static void what_is_cut_off_is_no_atr(void **state)
{
    (void)state;
    static const uint8_t WHOLE[] = { 0x3b, 0xda, 0x18, 0xff, 0x81, 0xb1, 0xfe, 0x75, 0x1f, 0x03, 0x00, 0x31, 0xf5, 0x73,
                                     0xc0, 0x01, 0x60, 0x00, 0x90, 0x00, 0x1c };
    for (size_t length = 0; length < sizeof WHOLE - 1; length++) {
        uint8_t *exact = malloc(length + !length); /* so that a read beyond is seen by the sanitizer */
        struct atr atr;
        memcpy(exact, WHOLE, length);
        assert_int_equal(atr_parse(exact, length, &atr), ERR_PROTOCOL);
        free(exact);
    }
}

static void what_never_ends_or_begins_wrong_is_no_atr(void **state)
{
    (void)state;
    uint8_t bytes[40];
    struct atr atr;
    memset(bytes, 0xff, sizeof bytes);
    bytes[0] = 0x3b;
    for (size_t length = 0; length <= sizeof bytes; length++)
        assert_int_equal(atr_parse(bytes, length, &atr), ERR_PROTOCOL);
    assert_int_equal(atr_parse(ATR(0x3c, 0x00), &atr), ERR_PROTOCOL);
    assert_int_equal(atr_parse(ATR(0x3f, 0x00), &atr), ERR_NONE); /* inverse convention */
}

static void an_atr_has_33_bytes_at_most(void **state)
{
    (void)state;
    uint8_t bytes[40] = { 0x3b, 0x00 };
    struct atr atr;
    assert_int_equal(atr_parse(bytes, 33, &atr), ERR_NONE);
    assert_int_equal(atr_parse(bytes, 34, &atr), ERR_PROTOCOL);
}

/* ISO 7816-3 11.4: the first group for T=1 counts. */
static void a_second_group_for_t_1_changes_nothing(void **state)
{
    (void)state;
    struct atr atr;
    assert_int_equal(atr_parse(ATR(0x3b, 0x80, 0x81, 0xb1, 0x80, 0x45, 0x31, 0x20, 0x55), &atr), ERR_NONE);
    assert_int_equal(atr.ifsc, 0x80);
    assert_int_equal(atr.bwi, 4);
    assert_int_equal(atr.cwi, 5);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(openpgp_card_3),
        TEST(smartcard_hsm),
        TEST(smartcard_hsm_2_has_the_default_waiting_times),
        TEST(a_reader_that_patches_ta1_and_not_tck_is_forgiven),
        TEST(nitrokey_3),
        TEST(without_td1_it_is_t_0),
        TEST(a_crc_is_recognised),
        TEST(interface_bytes_that_make_no_sense_leave_the_defaults),
        TEST(a_clock_that_no_card_runs_at_does_not_make_the_time_nonsense),
        TEST(what_is_cut_off_is_no_atr),
        TEST(what_never_ends_or_begins_wrong_is_no_atr),
        TEST(an_atr_has_33_bytes_at_most),
        TEST(a_second_group_for_t_1_changes_nothing),
    };
    return cmocka_run_group_tests_name("atr", tests, NULL, NULL);
}
