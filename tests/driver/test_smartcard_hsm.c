/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_smartcard_hsm.c - the driver and the slowest silent commands of a SmartCard-HSM: initialisation, generation. */
#include "bench.h"
#include <stdio.h>
#include <string.h>

#define SELECT_HSM "00A404000B E82B0601040181C31F0201 00"
#define INITIALIZE "80500000 1C 80020001 8106313233343536 82083537363231383830 910103 920100"
#define PIN_STATUS "00200081"
#define SO_PIN_STATUS "00200088"
/* As OpenSC sends it, for a key of so many bits in hexadecimal. */
#define GENERATE(reference, bits)                                                                                      \
    "0046" reference "00 00003A 5F290100 4209555443413030303031 7F4915 060A04007F00070202020102 8203010001 0202" bits  \
    "5F201044454E4B303130303030313030303031 0000"
#define SIGN_DIGEST                                                                                                    \
    "80680130 000033 3031300D060960864801650304020105000420"                                                           \
    "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F 0000"
#define WRAP "80720192 000000"
#define DEVICE_CERTIFICATE "00B12F02 04 54020000 20"

#define SILENT(seconds)                                                                                                \
    {                                                                                                                  \
        .work_us = (seconds)*SECOND                                                                                    \
    }

static struct bench *new_hsm(struct icc_timing initialize, struct icc_timing generate)
{
    struct icc_options card = { .application = bench_application(),
                                .reset = initialize,
                                .generate = { generate },
                                .generate_count = 1,
                                .sign = { .work_us = 300 * MS },
                                .other = { .work_us = 10 * MS } };
    struct bench *b = bench_new_with(card);
    b->admin_tries = 15;
    bench_start(b);
    bench_expect(b, SELECT_HSM, 0x9000);
    return b;
}

/* It answers what it was asked: its certificate. */
static void serves(struct bench *b)
{
    const struct answer answer = bench_expect(b, DEVICE_CERTIFICATE, 0x9000);
    assert_memory_equal(answer.bytes, "\x7f\x21", 2);
}

static void initializes(struct bench *b, int64_t takes_us)
{
    const struct answer answer = bench_expect(b, INITIALIZE, 0x9000);
    assert_in_range(answer.took_us, takes_us, takes_us + SECOND);
    serves(b);
    bench_expect(b, PIN_STATUS, 0x63c3);
    bench_expect(b, SO_PIN_STATUS, 0x63cf);
}

/* The field reports more than 30 s for a device that was full. */
static void an_initialisation_of_40_s_without_a_sign_of_life_succeeds(void **state)
{
    (void)state;
    struct bench *b = new_hsm((struct icc_timing)SILENT(40), (struct icc_timing)SILENT(1));
    initializes(b, 40 * SECOND);
    bench_free(b);
}

/* The firmware has given up listening after 2 minutes and said so. */
static void one_of_170_s_succeeds_too(void **state)
{
    (void)state;
    struct bench *b = new_hsm((struct icc_timing)SILENT(170), (struct icc_timing)SILENT(1));
    initializes(b, 170 * SECOND);
    bench_free(b);
}

static void one_with_signs_of_life_may_take_as_long_as_a_factory_reset(void **state)
{
    (void)state;
    struct bench *b =
        new_hsm((struct icc_timing){ .work_us = 25 * MINUTE, .wtx_every_us = SECOND, .wtx_multiplier = 1 },
                (struct icc_timing)SILENT(1));
    initializes(b, 25 * MINUTE);
    bench_free(b);
}

static void after_an_initialisation_that_was_given_up_the_device_is_found_initialised(void **state)
{
    (void)state;
    struct bench *b = new_hsm((struct icc_timing)SILENT(200), (struct icc_timing)SILENT(1));
    const struct answer answer = bench_transmit(b, INITIALIZE);
    assert_int_equal(answer.code, IFD_RESPONSE_TIMEOUT);
    assert_in_range(answer.took_us, 180 * SECOND - MS, 181 * SECOND);
    const struct answer next = bench_transmit(b, DEVICE_CERTIFICATE);
    if (next.code != IFD_SUCCESS) { /* it was reset, and everybody is told */
        assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
        assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    }
    bench_expect(b, SELECT_HSM, 0x9000);
    serves(b);
    bench_expect(b, PIN_STATUS, 0x63c3);
    bench_free(b);
}

/* The longest RSA key that the model can make: for 4096 bits 84.16 s were measured. */
static void generates(struct icc_timing timing)
{
    const bool long_keys = strcmp(bench_application(), "smartcard-hsm-2.6") != 0;
    struct bench *b = new_hsm((struct icc_timing)SILENT(1), timing);
    bench_expect(b, INITIALIZE, 0x9000);
    bench_expect(b, VERIFY_USER, 0x9000);
    const struct answer generated =
        bench_expect(b, long_keys ? GENERATE("01", "1000") : GENERATE("01", "0800"), 0x9000);
    assert_in_range(generated.took_us, timing.work_us, timing.work_us + SECOND);
    assert_true(generated.length > (long_keys ? 1024 : 512)); /* modulus and signature alone */
    assert_int_equal(generated.bytes[0], 0x67);
    serves(b);
    bench_expect(b, SIGN_DIGEST, 0x9000);
    const struct answer wrapped = bench_expect(b, WRAP, 0x9000);
    assert_int_equal(wrapped.length, long_keys ? 1099 + 2 : 587 + 2);
    bench_free(b);
}

static void a_generation_of_84_s_without_a_sign_of_life_succeeds(void **state)
{
    (void)state;
    generates((struct icc_timing){ .work_us = 84160 * MS });
}

static void a_generation_of_84_s_with_extensions_succeeds(void **state)
{
    (void)state;
    generates((struct icc_timing){ .work_us = 84160 * MS, .wtx_every_us = 1500 * MS, .wtx_multiplier = 1 });
}

static void wrong_pins_cost_as_many_tries_as_there_were(void **state)
{
    (void)state;
    struct bench *b = new_hsm((struct icc_timing)SILENT(1), (struct icc_timing)SILENT(1));
    bench_expect(b, INITIALIZE, 0x9000);
    bench_expect(b, VERIFY_USER_WRONG, 0x63c2);
    bench_expect(b, VERIFY_USER_WRONG, 0x63c1);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(an_initialisation_of_40_s_without_a_sign_of_life_succeeds),
        TEST(one_of_170_s_succeeds_too),
        TEST(one_with_signs_of_life_may_take_as_long_as_a_factory_reset),
        TEST(after_an_initialisation_that_was_given_up_the_device_is_found_initialised),
        TEST(a_generation_of_84_s_without_a_sign_of_life_succeeds),
        TEST(a_generation_of_84_s_with_extensions_succeeds),
        TEST(wrong_pins_cost_as_many_tries_as_there_were),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("smartcard_hsm", tests, NULL, NULL);
}
