/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_ccid.c - CCID messages are written as the standard says, and an answer is taken only if it is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "ccid.h"

#define PACKET 64

/* ---- the class descriptor ---- */

static const uint8_t PRO[54] = {
    0x36, 0x21, 0x10, 0x01, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0x00, 0x10, 0x0e, 0x00, 0x00,
    0x00, 0xcd, 0x25, 0x00, 0x00, 0xa1, 0xc5, 0x01, 0x00, 0x00, 0xfe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xba, 0x04, 0x01, 0x00, 0x0f, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
};

static void the_class_descriptor_of_a_nitrokey_pro_is_read(void **state)
{
    (void)state;
    struct ccid_class class;
    assert_int_equal(ccid_parse_class(PRO, sizeof PRO, &class), ERR_NONE);
    assert_int_equal(class.level, CCID_TPDU);
    assert_int_equal(class.protocols, 2);
    assert_int_equal(class.clock_khz, 3600);
    assert_int_equal(class.max_message, 271);
    assert_int_equal(class.max_ifsd, 254);
}

static void the_exchange_level_is_the_highest_one_claimed(void **state)
{
    (void)state;
    static const enum ccid_level LEVEL[8] = { CCID_CHARACTER, CCID_TPDU, CCID_SHORT_APDU, CCID_SHORT_APDU,
                                              CCID_EXTENDED_APDU, CCID_EXTENDED_APDU, CCID_EXTENDED_APDU,
                                              CCID_EXTENDED_APDU };
    for (uint8_t bits = 0; bits < 8; bits++) {
        uint8_t descriptor[54];
        struct ccid_class class;
        memcpy(descriptor, PRO, sizeof descriptor);
        descriptor[42] = bits;
        assert_int_equal(ccid_parse_class(descriptor, sizeof descriptor, &class), ERR_NONE);
        assert_int_equal(class.level, LEVEL[bits]);
    }
}

static void other_descriptors_are_refused(void **state)
{
    (void)state;
    struct ccid_class class;
    uint8_t descriptor[60] = { 0 };
    for (size_t length = 0; length < sizeof descriptor; length++)
        assert_int_equal(ccid_parse_class(descriptor, length, &class), ERR_NOT_CCID);
    memcpy(descriptor, PRO, sizeof PRO);
    descriptor[1] = 0x22;
    assert_int_equal(ccid_parse_class(descriptor, sizeof PRO, &class), ERR_NOT_CCID);
    assert_int_equal(ccid_parse_class(PRO, sizeof PRO - 1, &class), ERR_NOT_CCID);
    memcpy(descriptor, PRO, sizeof PRO);
    memset(descriptor + 2, 0xff, sizeof PRO - 2);
    assert_int_equal(ccid_parse_class(descriptor, sizeof PRO, &class), ERR_NOT_CCID);
}

/* ---- commands ---- */

static void a_command_is_header_and_data(void **state)
{
    (void)state;
    const uint8_t data[] = { 0x00, 0xc1, 0x01, 0xfe, 0x3e };
    const struct ccid_command command = { .type = CCID_XFR_BLOCK, .parameter = { 100, 1, 2 }, .data = data,
                                          .length = sizeof data };
    const uint8_t expected[] = { 0x6f, 5, 0, 0, 0, 3, 0xfe, 100, 1, 2, 0x00, 0xc1, 0x01, 0xfe, 0x3e };
    uint8_t message[15];
    assert_int_equal(ccid_write(message, sizeof message, 3, 0xfe, &command), sizeof expected);
    assert_memory_equal(message, expected, sizeof expected);
    assert_int_equal(ccid_write(message, sizeof message - 1, 3, 0xfe, &command), 0);
    assert_int_equal(ccid_write(message, 9, 3, 0xfe, &(struct ccid_command){ .type = CCID_ICC_POWER_ON }), 0);
}

static void the_length_of_a_long_command_is_little_endian(void **state)
{
    (void)state;
    static uint8_t data[0x12345], message[sizeof data + 10];
    const struct ccid_command command = { .type = CCID_XFR_BLOCK, .data = data, .length = sizeof data };
    assert_int_equal(ccid_write(message, sizeof message, 0, 0, &command), sizeof message);
    assert_memory_equal(message + 1, "\x45\x23\x01\x00", 4);
}

static void each_command_has_its_type_of_answer(void **state)
{
    (void)state;
    assert_int_equal(ccid_answer_type(CCID_ICC_POWER_ON), CCID_DATA_BLOCK);
    assert_int_equal(ccid_answer_type(CCID_XFR_BLOCK), CCID_DATA_BLOCK);
    assert_int_equal(ccid_answer_type(CCID_ICC_POWER_OFF), CCID_SLOT_STATUS);
    assert_int_equal(ccid_answer_type(CCID_GET_SLOT_STATUS), CCID_SLOT_STATUS);
}

/* ---- answers ---- */

static const struct ccid_expectation EXPECTED = { .type = CCID_DATA_BLOCK, .slot = 0, .sequence = 7 };

static void an_answer_is_found_with_all_it_says(void **state)
{
    (void)state;
    const uint8_t bytes[] = { 0x80, 2, 0, 0, 0, 0, 7, 0, 0x12, 0x34, 0x90, 0x00 };
    struct ccid_answer answer;
    assert_true(ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer));
    assert_int_equal(answer.status, CCID_OK);
    assert_int_equal(answer.error, 0x12);
    assert_int_equal(answer.parameter, 0x34);
    assert_true(answer.complete);
    assert_ptr_equal(answer.data, bytes + 10);
    assert_int_equal(answer.length, 2);
}

static bool found(uint8_t type, uint8_t slot, uint8_t sequence, uint8_t status)
{
    const uint8_t bytes[] = { type, 0, 0, 0, 0, slot, sequence, status, 1, 0 };
    struct ccid_answer answer;
    return ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer);
}

static void an_answer_to_another_command_is_not_taken(void **state)
{
    (void)state;
    assert_true(found(0x80, 0, 7, 0x00));
    assert_false(found(0x80, 0, 6, 0x00));
    assert_false(found(0x80, 1, 7, 0x00));
    assert_false(found(0x81, 0, 7, 0x00));
    assert_false(found(0x80, 0, 7, 0xc0)); /* a status that the standard does not know */
    assert_true(found(0x81, 0, 7, 0x40));  /* a failure may be of another type */
    assert_false(found(0x81, 0, 6, 0x40));
    assert_true(found(0x80, 0, 7, 0x80)); /* a time extension */
    assert_false(found(0x81, 0, 7, 0x80));
}

static void a_time_extension_may_be_a_data_block_whatever_is_due(void **state)
{
    (void)state;
    static const struct ccid_expectation STATUS = { .type = CCID_SLOT_STATUS, .slot = 0, .sequence = 7 };
    const uint8_t bytes[] = { 0x80, 0, 0, 0, 0, 0, 7, 0x80, 1, 0 };
    struct ccid_answer answer;
    assert_true(ccid_find_answer(bytes, sizeof bytes, PACKET, &STATUS, &answer));
    assert_int_equal(answer.status, CCID_TIME_EXTENSION);
}

/* It ends where the transfer ends, or it is a part of what is stale. */
static void what_stands_behind_a_stale_packet_must_fit(void **state)
{
    (void)state;
    uint8_t bytes[PACKET + 13] = { 0 };
    struct ccid_answer answer;
    memcpy(bytes + PACKET, (const uint8_t[]){ 0x80, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0x90, 0x00 }, 12);
    assert_true(ccid_find_answer(bytes, sizeof bytes - 1, PACKET, &EXPECTED, &answer));
    assert_false(ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer));
}

static void a_stale_packet_before_the_answer_is_skipped(void **state)
{
    (void)state;
    uint8_t bytes[PACKET + 12] = { 0x80, 54, 0, 0, 0, 0, 6 };
    const uint8_t right[] = { 0x80, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0x90, 0x00 };
    memcpy(bytes + PACKET, right, sizeof right);
    struct ccid_answer answer;
    assert_true(ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer));
    assert_ptr_equal(answer.data, bytes + PACKET + 10);
    assert_int_equal(answer.length, 2);
    bytes[PACKET + 1] = 3; /* the one within must end where the transfer ends */
    assert_false(ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer));
}

static void nothing_within_an_answer_is_taken_for_one(void **state)
{
    (void)state;
    uint8_t bytes[PACKET + 12] = { 0x80, 60, 0, 0, 0, 0, 7 }; /* and six bytes more than it says */
    const uint8_t forged[] = { 0x80, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0x90, 0x00 };
    memcpy(bytes + PACKET, forged, sizeof forged);
    struct ccid_answer answer;
    assert_true(ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer));
    assert_ptr_equal(answer.data, bytes + 10);
    assert_int_equal(answer.length, 60);
}

static void an_answer_that_says_it_is_longer_is_not_complete(void **state)
{
    (void)state;
    const uint8_t bytes[] = { 0x80, 0xff, 0xff, 0xff, 0xff, 0, 7, 0, 0, 0, 0x90, 0x00 };
    struct ccid_answer answer;
    assert_true(ccid_find_answer(bytes, sizeof bytes, PACKET, &EXPECTED, &answer));
    assert_false(answer.complete);
    assert_int_equal(answer.length, 2);
}

static void less_than_a_header_is_no_answer(void **state)
{
    (void)state;
    const uint8_t bytes[] = { 0x80, 0, 0, 0, 0, 0, 7, 0, 0, 0 };
    struct ccid_answer answer;
    for (size_t length = 0; length < sizeof bytes; length++)
        assert_false(ccid_find_answer(bytes, length, PACKET, &EXPECTED, &answer));
    assert_false(ccid_find_answer(bytes, sizeof bytes, 0, &EXPECTED, &answer));
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_class_descriptor_of_a_nitrokey_pro_is_read),
        TEST(the_exchange_level_is_the_highest_one_claimed),
        TEST(other_descriptors_are_refused),
        TEST(a_command_is_header_and_data),
        TEST(the_length_of_a_long_command_is_little_endian),
        TEST(each_command_has_its_type_of_answer),
        TEST(an_answer_is_found_with_all_it_says),
        TEST(an_answer_to_another_command_is_not_taken),
        TEST(a_time_extension_may_be_a_data_block_whatever_is_due),
        TEST(what_stands_behind_a_stale_packet_must_fit),
        TEST(a_stale_packet_before_the_answer_is_skipped),
        TEST(nothing_within_an_answer_is_taken_for_one),
        TEST(an_answer_that_says_it_is_longer_is_not_complete),
        TEST(less_than_a_header_is_no_answer),
    };
    return cmocka_run_group_tests_name("ccid", tests, NULL, NULL);
}
