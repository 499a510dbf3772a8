/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_judge.c - the judge lets pass what a client has sent, in parts where a firmware needs them, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hex.h"
#include "judge.h"

#define MOST 16

static uint8_t bytes[2 * MOST][700];
static struct judge_sent sent[MOST];
static struct judge_executed executed[MOST];
static size_t sent_count, executed_count, used;

static int set_up(void **state)
{
    (void)state;
    sent_count = executed_count = used = 0;
    return 0;
}

static const uint8_t *keep(const char *hex, size_t *length)
{
    assert_true(used < 2 * MOST);
    *length = parse_hex(hex, bytes[used], sizeof bytes[used]);
    return bytes[used++];
}

static void sends(const char *hex, enum judge_outcome outcome, unsigned status_word)
{
    struct judge_sent *const s = &sent[sent_count++];
    *s = (struct judge_sent){ .outcome = outcome, .status_word = (uint16_t)status_word };
    s->bytes = keep(hex, &s->length);
}

static void runs(const char *hex, unsigned status_word, size_t answer_length)
{
    struct judge_executed *const e = &executed[executed_count++];
    *e = (struct judge_executed){ .status_word = (uint16_t)status_word, .answer_length = answer_length };
    e->bytes = keep(hex, &e->length);
}

static bool is_right(const char *firmware)
{
    char *const verdict = judge(&(struct judge_case){ .firmware = firmware, .sent = sent, .sent_count = sent_count,
                                                      .executed = executed, .executed_count = executed_count });
    const bool right = !verdict;
    free(verdict);
    return right;
}

#define PUT_FIRST "10DA7F2103 010203"
#define PUT_LAST "00DA7F2102 0405"
#define PUT "00DA7F21 000005 0102030405"
#define READ "00CA7F21 0000"

static void what_was_sent_may_be_executed_once_or_not_at_all(void **state)
{
    (void)state;
    assert_true(is_right("pro"));
    sends("00A4040001AA", OUTCOME_FAILED, 0);
    assert_true(is_right("pro"));
    sends("00CA004F00", OUTCOME_FAILED, 0);
    runs("00CA004F00", 0x9000, 16);
    assert_true(is_right("pro"));
    runs("00CA004F00", 0x9000, 16);
    assert_false(is_right("pro"));
}

static void order_counts(void **state)
{
    (void)state;
    sends("00A4040001AA", OUTCOME_FAILED, 0);
    sends("00CA004F00", OUTCOME_FAILED, 0);
    runs("00CA004F00", 0x9000, 16);
    runs("00A4040001AA", 0x9000, 0);
    assert_false(is_right("pro"));
    const struct judge_case facts = { .firmware = "pro", .any_order = true, .sent = sent, .sent_count = 2,
                                      .executed = executed, .executed_count = 2 };
    assert_null(judge(&facts));
}

/* The second of two equal commands, not the first, is the one that was executed. */
static void an_answer_belongs_to_the_command_that_got_it(void **state)
{
    (void)state;
    sends("0020008101 31", OUTCOME_FAILED, 0);
    sends("0020008101 31", OUTCOME_ANSWERED, 0x9000);
    runs("0020008101 31", 0x9000, 0);
    assert_true(is_right("pro"));
    executed[0].status_word = 0x63c2;
    assert_false(is_right("pro"));
    executed_count = 0;
    assert_false(is_right("pro")); /* answered, and never executed */
}

static void one_bit_of_another_command_is_another_command(void **state)
{
    (void)state;
    static const char *const firmwares[] = { "pro", "nk3", "gnuk", "gnuk-2010" };
    for (size_t i = 0; i < sizeof firmwares / sizeof firmwares[0]; i++) {
        sent_count = executed_count = used = 0;
        sends("00DA010102 0102", OUTCOME_UNKNOWN, 0);
        runs("00DA010102 0103", 0x9000, 0);
        assert_false(is_right(firmwares[i]));
    }
}

static void parts_count_as_the_command_if_they_are_all_of_it(void **state)
{
    (void)state;
    sends(PUT, OUTCOME_ANSWERED, 0x9000);
    runs(PUT_FIRST, 0x9000, 0);
    runs(PUT_LAST, 0x9000, 0);
    assert_true(is_right("gnuk"));
    assert_false(is_right("pro"));
    executed[0].resets = 1; /* between them the card has lost its power: it was executed with the last part's data */
    assert_false(is_right("gnuk"));
}

static void a_part_left_over_from_before_is_not_the_command(void **state)
{
    (void)state;
    sends(PUT, OUTCOME_FAILED, 0);
    sends(PUT, OUTCOME_ANSWERED, 0x9000);
    runs(PUT_FIRST, 0x9000, 0);
    runs(PUT_FIRST, 0x9000, 0);
    runs(PUT_LAST, 0x9000, 0);
    assert_false(is_right("gnuk"));
    executed_count = 0;
    runs("00DA7F21 000008 0102030102030405", 0x9000, 0); /* as a key logs it that puts them together itself */
    assert_false(is_right("gnuk"));
    executed_count = 0;
    runs("00DA7F2105 0102030405", 0x9000, 0);
    assert_true(is_right("gnuk"));
}

static void a_client_may_make_parts_itself(void **state)
{
    (void)state;
    sends(PUT_FIRST, OUTCOME_ANSWERED, 0x9000);
    sends(PUT_LAST, OUTCOME_ANSWERED, 0x9000);
    runs("00DA7F2105 0102030405", 0x9000, 0);
    assert_true(is_right("gnuk"));
    runs("00DA7F2105 0102030405", 0x9000, 0);
    assert_false(is_right("gnuk"));
}

static void a_part_that_the_client_was_told_to_have_failed_is_none_of_its_command(void **state)
{
    (void)state;
    sends(PUT_FIRST, OUTCOME_FAILED, 0);
    sends(PUT_LAST, OUTCOME_UNKNOWN, 0);
    runs("00DA7F2105 0102030405", 0x9000, 0);
    assert_false(is_right("gnuk"));
}

static void the_rest_of_an_answer_belongs_to_an_extended_command_only(void **state)
{
    (void)state;
    sends("00CA7F21 000000", OUTCOME_ANSWERED, 0x9000);
    runs("00CA7F2100", 0x6120, 256);
    runs("00C0000020", 0x9000, 32);
    assert_true(is_right("gnuk"));
    assert_false(is_right("pro"));
    sent_count = 0;
    sends("00CA7F2100", OUTCOME_ANSWERED, 0x6120);
    assert_false(is_right("gnuk")); /* the client would have asked for it */
    sends("00C0000020", OUTCOME_ANSWERED, 0x9000);
    assert_true(is_right("gnuk"));
}

static void a_get_response_is_harmless_where_it_is_refused(void **state)
{
    (void)state;
    runs("00C0000000", 0x6d00, 0);
    assert_true(is_right("gnuk"));
    assert_false(is_right("pro"));
    assert_false(is_right("gnuk-2010"));
    executed[0].status_word = 0x9000;
    assert_false(is_right("gnuk"));
    executed_count = 0;
    runs("00CA004F00", 0x6d00, 0);
    assert_false(is_right("gnuk"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_sent_may_be_executed_once_or_not_at_all),
        TEST(order_counts),
        TEST(an_answer_belongs_to_the_command_that_got_it),
        TEST(one_bit_of_another_command_is_another_command),
        TEST(parts_count_as_the_command_if_they_are_all_of_it),
        TEST(a_part_left_over_from_before_is_not_the_command),
        TEST(a_client_may_make_parts_itself),
        TEST(a_part_that_the_client_was_told_to_have_failed_is_none_of_its_command),
        TEST(the_rest_of_an_answer_belongs_to_an_extended_command_only),
        TEST(a_get_response_is_harmless_where_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
