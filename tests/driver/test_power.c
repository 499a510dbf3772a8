/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_power.c - no entry point says success of what presupposes a powered card, a claim or a key while there is none. */
#include "bench.h"
#include <limits.h>

/* pcsc-lite's reader.h has the name of the driver's own */
#define ATTR_ATR_STRING 0x00090303
#define ATTR_ICC_INTERFACE_STATUS 0x00090301
#define GET_FEATURE_REQUEST 0x42000d48

static RESPONSECODE set_protocol(void)
{
    return IFDHSetProtocolParameters(LUN, SCARD_PROTOCOL_T1, 0, 0, 0, 0);
}

static RESPONSECODE get_atr(DWORD tag)
{
    UCHAR atr[33];
    DWORD length = sizeof atr;
    return IFDHGetCapabilities(LUN, tag, &length, atr);
}

static UCHAR interface_status(void)
{
    UCHAR status = 99;
    DWORD length = sizeof status;
    assert_int_equal(IFDHGetCapabilities(LUN, ATTR_ICC_INTERFACE_STATUS, &length, &status), IFD_SUCCESS);
    return status;
}

static void expect_usable(struct bench *b)
{
    assert_int_equal(set_protocol(), IFD_SUCCESS);
    assert_int_equal(get_atr(ATTR_ATR_STRING), IFD_SUCCESS);
    assert_int_equal(interface_status(), 1);
    assert_int_equal(bench_transmit(b, SELECT).code, IFD_SUCCESS);
}

/* 606, 607 and 614 would let pcscd go on as if a protocol were set. */
static void expect_unusable(struct bench *b)
{
    assert_int_equal(set_protocol(), IFD_COMMUNICATION_ERROR);
    assert_int_not_equal(get_atr(ATTR_ATR_STRING), IFD_SUCCESS);
    assert_int_not_equal(get_atr(TAG_IFD_ATR), IFD_SUCCESS);
    assert_int_equal(interface_status(), 0);
    assert_int_not_equal(bench_transmit(b, SELECT).code, IFD_SUCCESS);
}

static void comes_anew(void)
{
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    bench_card_comes_anew();
}

static void before_power_on_and_after_power_off_there_is_no_card(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    expect_unusable(b);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    expect_usable(b);
    assert_int_equal(bench_power(IFD_POWER_DOWN), IFD_SUCCESS);
    expect_unusable(b);
    assert_int_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    expect_usable(b);
    bench_free(b);
}

static void after_a_power_on_that_fails_there_is_no_card(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_freeze(b, true);
    assert_int_not_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    expect_unusable(b);
    bench_freeze(b, false);
    comes_anew();
    expect_usable(b);
    bench_free(b);
}

static void after_an_unplug_there_is_no_card(void **state)
{
    (void)state;
    UCHAR features[16];
    DWORD length;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_unplug_after(b, 1);
    virtual_pass(b->slot, 2);
    assert_int_not_equal(bench_transmit(b, SELECT).code, IFD_SUCCESS);
    expect_unusable(b);
    assert_int_equal(IFDHICCPresence(LUN), IFD_COMMUNICATION_ERROR);
    for (DWORD action = IFD_POWER_UP; action <= IFD_RESET; action++)
        assert_int_not_equal(bench_power(action), IFD_SUCCESS);
    assert_int_not_equal(IFDHControl(LUN, GET_FEATURE_REQUEST, NULL, 0, features, sizeof features, &length),
                         IFD_SUCCESS);
    bench_free(b);
}

static void without_the_claim_there_is_no_card(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    for (uint8_t interface = 0; interface < 4; interface++)
        virtual_occupy(b->slot, interface, true);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    expect_unusable(b);
    for (DWORD action = IFD_POWER_UP; action <= IFD_RESET; action++)
        assert_int_not_equal(bench_power(action), IFD_SUCCESS);
    for (uint8_t interface = 0; interface < 4; interface++)
        virtual_occupy(b->slot, interface, false);
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    expect_usable(b);
    bench_free(b);
}

static void spoil_answers(struct bench *b, unsigned count)
{
    virtual_lock(b->slot);
    b->device->faults.answer = ANSWER_TOO_LONG;
    b->device->faults.answers = count;
    virtual_unlock(b->slot);
}

static void a_card_that_is_reset_in_use_and_has_no_atr_comes_anew_once(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    spoil_answers(b, UINT_MAX);
    assert_int_not_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    comes_anew();
    expect_unusable(b);
    assert_int_not_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS); /* of SCardConnect */
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    spoil_answers(b, 0);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    expect_usable(b);
    bench_free(b);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_power_on_and_after_power_off_there_is_no_card),
        cmocka_unit_test(after_a_power_on_that_fails_there_is_no_card),
        cmocka_unit_test(after_an_unplug_there_is_no_card),
        cmocka_unit_test(without_the_claim_there_is_no_card),
        cmocka_unit_test(a_card_that_is_reset_in_use_and_has_no_atr_comes_anew_once),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
