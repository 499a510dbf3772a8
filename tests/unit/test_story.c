/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_story.c - what a trace tells of each packet: commands, blocks, parts, and how long an answer took. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "tool/story.h"

enum { CONTROL = 2, BULK = 3, OUT = 0x02, IN = 0x82 };
enum { TPDU = 1, SHORT = 2, EXTENDED = 4 };

static struct story story;
static struct event event;
static int64_t now_us;

static bool tell(uint8_t type, uint8_t endpoint, const uint8_t *bytes, size_t length)
{
    const struct packet packet = { .time_us = now_us, .submitted = endpoint == OUT, .type = type, .endpoint = endpoint,
                                   .bus = 1, .address = 5, .data = bytes, .length = length };
    return story_tell(&story, &packet, &event);
}

/* The class descriptor stands behind those of the configuration and the interface. */
static void begin(uint8_t level)
{
    uint8_t bytes[9 + 9 + 54] = { 9, 2, [9] = 9, [10] = 4, [18] = 54, [19] = 0x21, [24] = 2, [18 + 42] = level };
    story = (struct story){ .known = false };
    now_us = 1000000;
    assert_true(tell(CONTROL, 0x80, bytes, sizeof bytes));
    assert_true(story.known);
}

static void message(bool in, uint8_t type, const uint8_t tail[3], const void *data, size_t length)
{
    uint8_t bytes[300] = { type, (uint8_t)length, 0, 0, 0, 0, 7, tail[0], tail[1], tail[2] };
    memcpy(bytes + 10, data, length);
    now_us += 1000;
    assert_true(tell(BULK, in ? IN : OUT, bytes, 10 + length));
    assert_int_equal(event.sequence, 7);
}

static void sent(const void *data, size_t length)
{
    message(false, 0x6f, (const uint8_t[3]){ 0 }, data, length);
}

static void came(const void *data, size_t length)
{
    message(true, 0x80, (const uint8_t[3]){ 0 }, data, length);
}

static void descriptors_that_go_on_behind_the_packet_are_not_read(void **state)
{
    (void)state;
    uint8_t bytes[9 + 54 + 54] = { 9, 2, [9] = 54, [10] = 0x21, [15] = 2, [9 + 42] = SHORT };
    story = (struct story){ .known = false };
    assert_false(tell(CONTROL, 0x80, bytes, 9 + 53)); /* the byte that is missing follows in memory */
    assert_false(story.known);
}

static void the_exchange_level_is_told(void **state)
{
    (void)state;
    begin(TPDU);
    assert_string_equal(event.message, "exchange level: TPDU");
    begin(SHORT);
    assert_string_equal(event.message, "exchange level: short APDU");
    begin(EXTENDED);
    assert_string_equal(event.message, "exchange level: short and extended APDU");
}

/* ---- T=1 ---- */

static void an_answer_ends_its_command_with_the_last_block(void **state)
{
    (void)state;
    begin(TPDU);
    sent("\0\0\5\0\xca\0\x4f\0\0", 9);
    assert_string_equal(event.command, "GET DATA: application identifier");
    assert_string_equal(event.block, "I 0");
    came("\0\x20\4\x90\0\1\2\0", 8); /* which begins like a status word */
    assert_string_equal(event.block, "I 0 more");
    assert_false(event.ends);
    sent("\0\x90\0\0", 4);
    assert_string_equal(event.block, "R 1");
    came("\0\x40\6\x61\x10\1\2\x6a\x82\0", 10);
    assert_true(event.ends);
    assert_string_equal(event.status, "6A82");
    assert_string_equal(event.meaning, "not found");
    assert_int_equal(event.took_us, 3000);
    assert_string_equal(event.command, "GET DATA: application identifier");
}

static void a_long_command_is_told_once(void **state)
{
    (void)state;
    begin(TPDU);
    sent("\0\x20\5\0\x2a\x9e\x9a\x33\0", 9);
    assert_string_equal(event.command, "SIGN");
    sent("\0\x40\5\0\x20\0\x81\1\0", 9); /* data that looks like a command */
    assert_string_equal(event.command, "");
    came("\0\0\2\x90\0\0", 6);
    assert_true(event.ends);
    assert_int_equal(event.took_us, 2000);
}

static void a_block_that_is_sent_once_more_is_no_new_command(void **state)
{
    (void)state;
    begin(TPDU);
    sent("\0\0\5\0\xca\0\x4f\0\0", 9);
    came("\0\x81\0\0", 4);
    assert_string_equal(event.block, "R 0 EDC error");
    sent("\0\0\5\0\xca\0\x4f\0\0", 9);
    assert_string_equal(event.command, "");
    assert_string_equal(event.meaning, "once more, as the card has asked for");
    came("\0\0\2\x90\0\0", 6);
    assert_int_equal(event.took_us, 3000);
}

static void after_a_resynchronisation_the_same_number_is_a_new_command(void **state)
{
    (void)state;
    begin(TPDU);
    sent("\0\0\5\0\xca\0\x4f\0\0", 9);
    sent("\0\xc0\0\0", 4);
    assert_string_equal(event.block, "S RESYNCH request");
    came("\0\xe0\0\0", 4);
    sent("\0\0\5\0\x20\0\x83\1\0", 9);
    assert_string_equal(event.command, "VERIFY admin PIN");
}

static void a_card_at_work_does_not_end_its_command(void **state)
{
    (void)state;
    begin(TPDU);
    sent("\0\0\5\0\x47\x80\0\0\0", 9);
    came("\0\xc3\1\x0a\0", 5);
    assert_string_equal(event.block, "S WTX request 10");
    assert_string_equal(event.meaning, "the card is at work and wants more time");
    assert_false(event.ends);
    came("\xa5\xa5", 2);
    assert_string_equal(event.meaning, "the firmware has given up waiting for the card");
    came("\0\0\2\x90\0\0", 6);
    assert_true(event.ends);
    assert_string_equal(event.command, "GENERATE KEY PAIR");
}

static void what_is_no_block_is_told_so(void **state)
{
    (void)state;
    begin(TPDU);
    came("\0\0\x09\x90\0\0", 6);
    assert_string_equal(event.block, "no T=1 block");
    came("\0", 1);
    assert_string_equal(event.block, "no T=1 block");
}

/* ---- CCID ---- */

static void a_key_at_work_does_not_end_its_command_and_a_failure_does(void **state)
{
    (void)state;
    begin(SHORT);
    sent("\0\x47\x80\0\0", 5);
    message(true, 0x80, (const uint8_t[3]){ 0x80, 3, 0 }, "", 0);
    assert_string_equal(event.meaning, "the key is at work and wants more time (3)");
    assert_false(event.ends);
    message(true, 0x80, (const uint8_t[3]){ 0x40, 0xfe, 0 }, "", 0);
    assert_string_equal(event.meaning, "failed: the card is mute");
    assert_true(event.ends);
    assert_int_equal(event.took_us, 2000);
}

static void parts_are_told_as_those_of_the_command_or_of_the_answer(void **state)
{
    (void)state;
    begin(EXTENDED);
    message(false, 0x6f, (const uint8_t[3]){ 0, 1, 0 }, "\0\x2a\x9e\x9a\0", 5);
    assert_string_equal(event.block, "part 1");
    assert_string_equal(event.command, "SIGN");
    message(true, 0x80, (const uint8_t[3]){ 0, 0, 0x10 }, "", 0);
    assert_string_equal(event.block, "send me more");
    message(false, 0x6f, (const uint8_t[3]){ 0, 2, 0 }, "\0\x20\0\x81\0", 5);
    assert_string_equal(event.block, "last part");
    assert_string_equal(event.command, "");
    message(true, 0x80, (const uint8_t[3]){ 0, 0, 1 }, "\1\2\x90\0", 4);
    assert_string_equal(event.block, "part 1");
    assert_false(event.ends);
    message(true, 0x80, (const uint8_t[3]){ 0, 0, 2 }, "\x90\0", 2);
    assert_true(event.ends);
    assert_string_equal(event.status, "9000");
}

static void a_status_word_that_was_taken_out_is_told_so(void **state)
{
    (void)state;
    begin(SHORT);
    sent("\0\x20\0\x81\0", 5);
    came("\0\0", 2);
    assert_string_equal(event.meaning, "answered, but the status word is not shown");
    assert_string_equal(event.status, "");
    assert_true(event.ends);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(descriptors_that_go_on_behind_the_packet_are_not_read),
        TEST(the_exchange_level_is_told),
        TEST(an_answer_ends_its_command_with_the_last_block),
        TEST(a_long_command_is_told_once),
        TEST(a_block_that_is_sent_once_more_is_no_new_command),
        TEST(after_a_resynchronisation_the_same_number_is_a_new_command),
        TEST(a_card_at_work_does_not_end_its_command),
        TEST(what_is_no_block_is_told_so),
        TEST(a_key_at_work_does_not_end_its_command_and_a_failure_does),
        TEST(parts_are_told_as_those_of_the_command_or_of_the_answer),
        TEST(a_status_word_that_was_taken_out_is_told_so),
    };
    return cmocka_run_group_tests_name("story", tests, NULL, NULL);
}
