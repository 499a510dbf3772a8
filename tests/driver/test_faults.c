/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_faults.c - lines that lie, cards that lose the thread, firmware that sends nonsense: one clear error at most,
 * and the next command is right. */
#include "bench.h"
#include <stdio.h>
#include <string.h>
#include "openpgp_profile.h"

static struct bench *started(void)
{
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

/* ---- T=1 ---- */

static void one_bad_block_costs_nothing(void **state)
{
    (void)state;
    for (enum icc_corruption how = ICC_BAD_EDC; how <= ICC_NOISE; how++) {
        struct bench *b = started();
        icc_corrupt(b->icc, how, 1);
        bench_expect(b, GET_AID, 0x9000);
        bench_works(b);
        bench_free(b);
    }
}

static void one_misheard_block_costs_nothing(void **state)
{
    (void)state;
    struct bench *b = started();
    icc_mishear(b->icc, 1);
    bench_expect(b, VERIFY_USER_WRONG, 0x6982);
    assert_int_equal(icc_counters(b->icc).pw1, 2);
    bench_free(b);
}

/* All but the clients' tries takes no time. */
static void serves_within(struct bench *b, int64_t limit_us)
{
    const int64_t begun = virtual_now_us(b->slot);
    while (bench_transmit(b, SELECT).code != IFD_SUCCESS) {
        if (virtual_now_us(b->slot) - begun > limit_us)
            fail_msg("the key does not serve any more");
        for (int i = 0; i < 3 && IFDHICCPresence(LUN) == IFD_ICC_NOT_PRESENT; i++)
            (void)bench_event_thread();
    }
    assert_true(virtual_now_us(b->slot) - begun <= limit_us);
    bench_works(b);
}

/* After an error that cannot be mended: an error, perhaps a reset that everybody is told of, and then all is well. */
static void serves_after(struct bench *b)
{
    for (int i = 0; i < 3; i++) {
        const struct answer answer = bench_transmit(b, SELECT);
        if (answer.code == IFD_SUCCESS) {
            assert_int_equal(answer.status_word, 0x9000);
            bench_works(b);
            return;
        }
        assert_true(answer.code == IFD_COMMUNICATION_ERROR || answer.code == IFD_RESPONSE_TIMEOUT);
        if (IFDHICCPresence(LUN) == IFD_ICC_NOT_PRESENT) {
            assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
            assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
        }
    }
    fail_msg("the key does not serve any more");
}

static void bad_blocks_that_do_not_end_are_one_error(void **state)
{
    (void)state;
    for (enum icc_corruption how = ICC_BAD_EDC; how <= ICC_NOISE; how++) {
        struct bench *b = started();
        icc_corrupt(b->icc, how, 100);
        assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
        icc_corrupt(b->icc, how, 0);
        serves_after(b);
        bench_free(b);
    }
}

static void a_pin_whose_answer_is_lost_costs_one_try(void **state)
{
    (void)state;
    struct bench *b = started();
    icc_corrupt(b->icc, ICC_BAD_EDC, 100);
    assert_int_equal(bench_transmit(b, VERIFY_USER_WRONG).code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(icc_counters(b->icc).pw1, 2);
    icc_corrupt(b->icc, ICC_BAD_EDC, 0);
    serves_after(b);
    assert_int_equal(icc_counters(b->icc).pw1, 2);
    bench_free(b);
}

static void a_reset_that_the_driver_needs_is_told_to_everybody(void **state)
{
    (void)state;
    struct bench *b = started();
    icc_corrupt(b->icc, ICC_BAD_EDC, 100);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
    icc_corrupt(b->icc, ICC_BAD_EDC, 0);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR); /* until it is powered on again */
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    bench_works(b);
    bench_free(b);
}

static void the_hid_side_resets_the_card_and_the_key_serves_again(void **state)
{
    (void)state;
    struct bench *b = started();
    bench_expect(b, GET_AID, 0x9000);
    virtual_lock(b->slot);
    device_reset_by_sibling(b->device);
    virtual_unlock(b->slot);
    serves_after(b);
    bench_free(b);
}

static void a_card_that_asks_for_larger_blocks_gets_them(void **state)
{
    (void)state;
    struct bench *b = started();
    icc_ask_ifs(b->icc, 128);
    bench_works(b);
    bench_free(b);
}

#define GET_LONG "00CA0103 000000"

/* Fills the data object that GET_LONG reads with 1200 bytes. */
static struct bench *with_a_long_object(void)
{
    struct bench *b = started();
    bench_expect(b, "00200082 06 313233343536", 0x9000);
    char put[32 + 2 * 1200] = "00DA0103 0004B0 ";
    for (int i = 0; i < 1200; i++)
        strcat(put, "A5");
    bench_expect(b, put, 0x9000);
    return b;
}

static void long_commands_and_answers_are_chained(void **state)
{
    (void)state;
    struct bench *b = with_a_long_object();
    const struct answer got = bench_expect(b, GET_LONG, 0x9000);
    assert_int_equal(got.length, 1202);
    for (int i = 0; i < 1200; i++)
        assert_int_equal(got.bytes[i], 0xa5);
    bench_free(b);
}

/* More than any card takes that is in these keys, but not than T=1 carries. */
static void an_apdu_of_3000_bytes_and_its_answer_pass(void **state)
{
    (void)state;
    struct bench *b = bench_new_with((struct icc_options){ .application = "opcard" });
    char put[32 + 2 * 3000] = "00DA7F21 000BB8 ";
    char *end = put + strlen(put);
    for (int i = 0; i < 3000; i++)
        end += snprintf(end, 3, "%02X", i & 0xff);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_expect(b, put, 0x9000);
    const struct answer got = bench_expect(b, "00CA7F21 000000", 0x9000);
    assert_int_equal(got.length, 3002);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(got.bytes[i], i & 0xff);
    bench_free(b);
}

static void a_card_that_aborts_its_answer_is_an_error_and_serves_again(void **state)
{
    (void)state;
    struct bench *b = with_a_long_object();
    icc_ask_abort(b->icc);
    assert_int_equal(bench_transmit(b, GET_LONG).code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT); /* it needed no reset */
    bench_expect(b, GET_LONG, 0x9000);
    bench_works(b);
    bench_free(b);
}

static void a_key_that_freezes_within_an_answer_serves_when_it_thaws(void **state)
{
    (void)state;
    for (int64_t after_us = 5 * MS; after_us < 200 * MS; after_us += 9 * MS) {
        struct bench *b = with_a_long_object();
        bench_freeze_after(b, after_us);
        const struct answer got = bench_transmit(b, GET_LONG);
        if (got.code == IFD_SUCCESS)
            assert_int_equal(got.length, 1202);
        virtual_pass(b->slot, SECOND);
        bench_freeze(b, false);
        serves_after(b);
        bench_free(b);
    }
}

static void bad_blocks_within_a_chain_cost_nothing(void **state)
{
    (void)state;
    for (enum icc_corruption how = ICC_BAD_EDC; how <= ICC_NOISE; how++) {
        struct bench *b = with_a_long_object();
        icc_corrupt(b->icc, how, 2);
        const struct answer got = bench_expect(b, GET_LONG, 0x9000);
        assert_int_equal(got.length, 1202);
        icc_mishear(b->icc, 2);
        bench_expect(b, GET_LONG, 0x9000);
        bench_free(b);
    }
}

/* ---- the firmware ---- */

static void firmware_sends(enum answer_fault fault, unsigned times)
{
    struct bench *b = started();
    virtual_lock(b->slot);
    b->device->faults.answer = fault;
    b->device->faults.answers = times;
    virtual_unlock(b->slot);
    const struct answer answer = bench_transmit(b, GET_AID);
    if (answer.code == IFD_SUCCESS)
        assert_memory_equal(answer.bytes, "\xD2\x76\x00\x01\x24\x01", 6);
    else
        assert_int_not_equal(answer.code, IFD_ICC_NOT_PRESENT);
    virtual_lock(b->slot);
    b->device->faults.answers = 0;
    virtual_unlock(b->slot);
    /* an answer that has not come is awaited: so long the firmware may wait for its card */
    serves_within(b, answer.code == IFD_RESPONSE_TIMEOUT ? 3 * MINUTE + SECOND : SECOND);
    bench_free(b);
}

static void an_answer_that_answers_nothing_is_never_delivered(void **state)
{
    (void)state;
    for (enum answer_fault fault = ANSWER_WRONG_SEQUENCE; fault <= ANSWER_REPEATED; fault++) {
        firmware_sends(fault, 1);
        firmware_sends(fault, 3);
    }
}

static void a_frozen_key_is_left_alone_after_the_patience_and_serves_when_it_thaws(void **state)
{
    (void)state;
    struct bench *b = started();
    bench_freeze(b, true);
    const struct answer answer = bench_transmit(b, VERIFY_USER_WRONG);
    assert_int_equal(answer.code, IFD_RESPONSE_TIMEOUT);
    assert_true(answer.took_us < 62 * SECOND);
    bench_freeze(b, false);
    serves_after(b);
    bench_free(b);
}

static void stalls(uint8_t endpoint)
{
    struct bench *b = started();
    virtual_lock(b->slot);
    device_halt(b->device, endpoint);
    virtual_unlock(b->slot);
    const struct answer answer = bench_transmit(b, VERIFY_USER_WRONG);
    if (answer.code == IFD_SUCCESS)
        assert_int_equal(answer.status_word, 0x6982);
    serves_after(b);
    bench_free(b);
}

static void a_halted_endpoint_is_cleared(void **state)
{
    (void)state;
    stalls(0x02);
    stalls(0x82);
}

/* ---- arguments ---- */

static void arguments_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct bench *b = started();
    UCHAR byte[300] = { 0 };
    DWORD length = sizeof byte;
    SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    assert_int_equal(IFDHTransmitToICC(LUN + 7, pci, byte, 5, byte, &length, &pci), IFD_COMMUNICATION_ERROR);
    length = sizeof byte;
    assert_int_equal(IFDHTransmitToICC(LUN, pci, byte, 3, byte, &length, &pci), IFD_ERROR_NOT_SUPPORTED);
    assert_int_equal(length, 0);
    length = sizeof byte;
    pci.Protocol = 0;
    assert_int_equal(IFDHTransmitToICC(LUN, pci, byte, 5, byte, &length, &pci), IFD_PROTOCOL_NOT_SUPPORTED);
    assert_int_equal(IFDHSetProtocolParameters(LUN, SCARD_PROTOCOL_T0, 0, 0, 0, 0), IFD_PROTOCOL_NOT_SUPPORTED);
    assert_int_equal(IFDHSetProtocolParameters(LUN, SCARD_PROTOCOL_T1, 0, 0, 0, 0), IFD_SUCCESS);
    assert_int_equal(IFDHPowerICC(LUN, 999, byte, &length), IFD_NOT_SUPPORTED);
    assert_int_equal(IFDHControl(LUN, 0x12345678, byte, 1, byte, sizeof byte, &length), IFD_ERROR_NOT_SUPPORTED);
    assert_int_equal(length, 0);
    bench_works(b);
    bench_free(b);
}

static void an_answer_longer_than_the_clients_buffer_is_an_error_and_the_next_is_right(void **state)
{
    (void)state;
    struct bench *b = started();
    UCHAR select[] = { 0x00, 0xca, 0x00, 0x6e, 0x00 };
    UCHAR room[8];
    DWORD length = sizeof room;
    SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    bench_will_execute("00CA006E00");
    assert_int_equal(IFDHTransmitToICC(LUN, pci, select, sizeof select, room, &length, &pci),
                     IFD_ERROR_INSUFFICIENT_BUFFER);
    assert_int_equal(length, 0);
    bench_works(b);
    bench_free(b);
}

static void power_off_and_reset(void **state)
{
    (void)state;
    struct bench *b = started();
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_power(IFD_POWER_DOWN), IFD_SUCCESS);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    bench_works(b);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    bench_works(b);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x6982); /* the PIN is not verified any more */
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    bench_choose(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(one_bad_block_costs_nothing),
        TEST(one_misheard_block_costs_nothing),
        TEST(bad_blocks_that_do_not_end_are_one_error),
        TEST(a_pin_whose_answer_is_lost_costs_one_try),
        TEST(a_reset_that_the_driver_needs_is_told_to_everybody),
        TEST(the_hid_side_resets_the_card_and_the_key_serves_again),
        TEST(a_card_that_asks_for_larger_blocks_gets_them),
        TEST(long_commands_and_answers_are_chained),
        TEST(an_apdu_of_3000_bytes_and_its_answer_pass),
        TEST(a_card_that_aborts_its_answer_is_an_error_and_serves_again),
        TEST(a_key_that_freezes_within_an_answer_serves_when_it_thaws),
        TEST(bad_blocks_within_a_chain_cost_nothing),
        TEST(an_answer_that_answers_nothing_is_never_delivered),
        TEST(a_frozen_key_is_left_alone_after_the_patience_and_serves_when_it_thaws),
        TEST(a_halted_endpoint_is_cleared),
        TEST(arguments_that_make_no_sense_are_refused),
        TEST(an_answer_longer_than_the_clients_buffer_is_an_error_and_the_next_is_right),
        TEST(power_off_and_reset),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
