/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_t1.c - T=1 by the scenarios of ISO 7816-3:2006 Annex A, and what follows from never sending a command twice.
 *
 * A scenario is a script, one line a block, in the notation of the standard:
 *
 *   > I(0,0) 00A4       the driver sends this block: N(S), M, INF
 *   < R(0)              the card says this one; R(0)1 is an EDC error, R(0)2 another error
 *   < S(WTX request) 0A and so on: IFS, ABORT, RESYNCH; request, response
 *   x I(0,0) 9000       the card says this one, but it arrives with a wrong EDC
 *   -                   silence
 *   ~                   silence that is no error: listen on
 *   *2                  the last step allowed the card so many times its waiting time
 *   = 9000              the end: the answer
 *   ! resynchronised    the end: a failure (also: dead, too long)
 *   abandon             nobody wants the answer any more
 *
 * The command is "00A40400" where the script does not begin with another: "# 01020304050607", cut by an IFSC of 4.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "t1.h"

struct run {
    struct t1 t1;
    struct t1_step step;
    uint8_t command[256], answer[64];
    size_t command_length, answer_size;
};

/* ---- the notation ---- */

static size_t from_hex(const char *text, uint8_t *bytes)
{
    size_t count = 0;
    unsigned byte;
    int used;
    while (sscanf(text, " %2x%n", &byte, &used) == 1) {
        bytes[count++] = (uint8_t)byte;
        text += used;
    }
    return count;
}

static uint8_t s_block(const char *words)
{
    static const char *const NAMES[] = { "RESYNCH", "IFS", "ABORT", "WTX" };
    for (uint8_t i = 0; i < 4; i++)
        if (strncmp(words, NAMES[i], strlen(NAMES[i])) == 0)
            return (uint8_t)(0xc0 | i | (strstr(words, "response") ? 0x20 : 0));
    fail_msg("\"%s\" is no S-block", words);
    return 0;
}

static uint8_t pcb_of(const char *block)
{
    const unsigned number = block[2] == '1';
    if (block[0] == 'I')
        return (uint8_t)(number << 6 | (block[4] == '1' ? 0x20 : 0));
    if (block[0] == 'R')
        return (uint8_t)(0x80 | number << 4 | (block[4] == '1' ? 1 : block[4] == '2' ? 2 : 0));
    return s_block(block + 2);
}

static size_t build(const char *block, uint8_t *bytes)
{
    const char *const end = strchr(block, ')');
    assert_non_null(end);
    const char *inf = end + 1;
    if (block[0] == 'R' && *inf >= '0' && *inf <= '9')
        inf++;
    bytes[0] = 0;
    bytes[1] = pcb_of(block);
    bytes[2] = (uint8_t)from_hex(inf, bytes + 3);
    uint8_t edc = 0;
    for (size_t i = 0; i < 3u + bytes[2]; i++)
        edc ^= bytes[i];
    bytes[3 + bytes[2]] = edc;
    return 4u + bytes[2];
}

/* ---- the play ---- */

static void must_send(struct run *run, const char *line)
{
    uint8_t expected[T1_BLOCK_MAX];
    const size_t length = build(line + 2, expected);
    if (run->step.action != T1_SEND)
        fail_msg("instead of \"%s\" it has ended", line);
    if (run->step.length != length || memcmp(run->step.block, expected, length) != 0)
        fail_msg("instead of \"%s\" it sends PCB %02x, %zu bytes", line, run->step.block[1], run->step.length);
}

static void hears(struct run *run, const char *line, bool garbled)
{
    uint8_t bytes[T1_BLOCK_MAX];
    const size_t length = build(line + 2, bytes);
    if (garbled)
        bytes[length - 1] ^= 0x80;
    assert_int_equal(run->step.action, T1_SEND);
    run->step = t1_received(&run->t1, bytes, length);
    if (garbled)
        assert_false(run->step.heard);
}

static void must_end(struct run *run, const char *line)
{
    static const char *const FAILURES[] = { "resynchronised", "not taken", "too long", "dead" };
    assert_false(t1_pending(&run->t1));
    if (line[0] == '!') {
        assert_int_equal(run->step.action, T1_FAILED);
        assert_string_equal(FAILURES[run->step.failure], line + 2);
        return;
    }
    uint8_t expected[64];
    const size_t length = from_hex(line + 1, expected);
    assert_int_equal(run->step.action, T1_DONE);
    assert_int_equal(run->step.answer_length, length);
    assert_memory_equal(run->answer, expected, length);
}

static void take_line(struct run *run, const char *line)
{
    switch (line[0]) {
    case '#':
        run->command_length = from_hex(line + 1, run->command);
        run->step = t1_transmit(&run->t1, run->command, run->command_length, run->answer, run->answer_size);
        break;
    case '>': must_send(run, line); break;
    case '<': hears(run, line, false); break;
    case 'x': hears(run, line, true); break;
    case '-': run->step = t1_silence(&run->t1); break;
    case '~': run->step = t1_listen(&run->t1); break;
    case '*': assert_int_equal(run->step.multiplier, atoi(line + 1)); break;
    case 'a': t1_abandon(&run->t1); break;
    default: must_end(run, line);
    }
}

static void play(const char *script)
{
    char copy[4096];
    struct run run = { .answer_size = sizeof run.answer };
    assert_true(strlen(script) < sizeof copy);
    strcpy(copy, script);
    t1_reset(&run.t1, 4, false);
    if (script[0] != '#')
        take_line(&run, "# 00A40400");
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) && *line;)
        take_line(&run, line);
}

#define SCENARIO(name, script) \
    static void name(void **state) { (void)state; play(script); }

/* ---- Annex A.2: without errors ---- */

SCENARIO(s1_blocks_are_exchanged_with_alternating_numbers,
    "> I(0,0) 00A40400\n< I(0,0) 9000\n= 9000\n"
    "# 00CA004F\n> I(1,0) 00CA004F\n< I(1,0) 6A88\n= 6A88\n"
    "# 00CA0065\n> I(0,0) 00CA0065\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s2_the_card_asks_for_time,
    "> I(0,0) 00A40400\n< S(WTX request) 0A\n> S(WTX response) 0A\n*10\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s2_the_card_asks_for_time_again_and_again,
    "< S(WTX request) 01\n> S(WTX response) 01\n*1\n< S(WTX request) FF\n> S(WTX response) FF\n*255\n"
    "< S(WTX request) 64\n> S(WTX response) 64\n*100\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s4_the_card_takes_larger_blocks,
    "# 0102030405060708\n> I(0,1) 01020304\n< S(IFS request) 10\n> S(IFS response) 10\n< R(1)\n> I(1,0) 05060708\n"
    "< I(0,0) 9000\n= 9000\n# 0102030405060708\n> I(0,0) 0102030405060708\n< I(1,0) 9000\n= 9000\n")
SCENARIO(what_the_card_has_not_taken_and_is_too_long_for_it_now_comes_in_shorter_blocks,
    "# 0102030405060708\n> I(0,1) 01020304\n< S(IFS request) 03\n> S(IFS response) 03\n< R(0)2\n> I(0,1) 010203\n"
    "< R(1)\n> I(1,1) 040506\n< R(0)\n> I(0,0) 0708\n< I(0,0) 9000\n= 9000\n")
SCENARIO(a_block_that_was_the_last_becomes_a_chain_when_the_card_takes_less,
    "> I(0,0) 00A40400\n< S(IFS request) 02\n> S(IFS response) 02\n< R(0)1\n> I(0,1) 00A4\n< R(1)\n> I(1,0) 0400\n"
    "< I(0,0) 9000\n= 9000\n")
SCENARIO(s5_a_long_command_is_chained,
    "# 0102030405060708090A\n> I(0,1) 01020304\n< R(1)\n> I(1,1) 05060708\n< R(0)\n> I(0,0) 090A\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s6_a_long_answer_is_chained,
    "> I(0,0) 00A40400\n< I(0,1) 0102\n> R(1)\n< I(1,1) 0304\n> R(0)\n< I(0,0) 9000\n= 010203049000\n"
    "# 00CA0065\n> I(1,0) 00CA0065\n< I(1,0) 9000\n= 9000\n")
SCENARIO(s7_both_are_chained,
    "# 010203040506\n> I(0,1) 01020304\n< R(1)\n> I(1,0) 0506\n< I(0,1) 0102\n> R(1)\n< I(1,0) 9000\n= 01029000\n")
SCENARIO(the_card_asks_for_time_within_its_chain,
    "< I(0,1) 0102\n> R(1)\n< S(WTX request) 02\n> S(WTX response) 02\n*2\n< I(1,0) 9000\n= 01029000\n")
SCENARIO(the_card_asks_for_time_within_our_chain,
    "# 010203040506\n< S(WTX request) 02\n> S(WTX response) 02\n< R(1)\n> I(1,0) 0506\n< I(0,0) 9000\n= 9000\n")
SCENARIO(an_empty_block_of_a_chain_is_taken,
    "< I(0,1) 0102\n> R(1)\n< I(1,1)\n> R(0)\n< I(0,0) 9000\n= 01029000\n")

/* ---- Annex A.3: error handling ---- */

SCENARIO(s8_our_block_is_lost_and_the_card_asks_for_it,
    "> I(0,0) 00A40400\n< R(0)1\n> I(0,0) 00A40400\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s9_the_answer_is_lost_and_asked_for,
    "> I(0,0) 00A40400\nx I(0,0) 9000\n> R(0)1\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s9_the_answer_never_came_and_is_asked_for,
    "> I(0,0) 00A40400\n-\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s10_our_block_is_lost_and_so_is_the_request_for_it,
    "> I(0,0) 00A40400\nx R(0)1\n> R(0)1\n< R(0)\n> I(0,0) 00A40400\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s11_the_answer_and_the_request_for_it_are_lost,
    "> I(0,0) 00A40400\nx I(0,0) 9000\n> R(0)1\n-\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s12_the_request_for_time_is_lost,
    "> I(0,0) 00A40400\nx S(WTX request) 0A\n> R(0)1\n< S(WTX request) 0A\n> S(WTX response) 0A\n*10\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s13_the_response_to_the_request_for_time_is_lost,
    "< S(WTX request) 0A\n> S(WTX response) 0A\n< S(WTX request) 0A\n> S(WTX response) 0A\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s14_after_the_response_nothing_comes,
    "< S(WTX request) 0A\n> S(WTX response) 0A\n-\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s20_a_block_of_our_chain_is_lost,
    "# 010203040506\n> I(0,1) 01020304\n< R(0)1\n> I(0,1) 01020304\n< R(1)\n> I(1,0) 0506\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s21_the_acknowledgement_of_our_chain_is_lost,
    "# 010203040506\n> I(0,1) 01020304\nx R(1)\n> R(0)1\n< R(1)\n> I(1,0) 0506\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s22_the_last_block_of_our_chain_is_lost,
    "# 010203040506\n< R(1)\n> I(1,0) 0506\n< R(1)1\n> I(1,0) 0506\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s24_a_block_of_the_cards_chain_is_lost,
    "< I(0,1) 0102\n> R(1)\nx I(1,0) 9000\n> R(1)1\n< I(1,0) 9000\n= 01029000\n")
SCENARIO(s25_our_acknowledgement_is_lost,
    "< I(0,1) 0102\n> R(1)\n-\n> R(1)2\n< I(1,0) 9000\n= 01029000\n")
SCENARIO(a_block_of_the_cards_chain_that_comes_twice_is_taken_once,
    "< I(0,1) 0102\n> R(1)\n< I(0,1) 0102\n> R(1)2\n< I(1,0) 9000\n= 01029000\n")
SCENARIO(an_answer_with_the_wrong_number_is_not_taken,
    "> I(0,0) 00A40400\n< I(1,0) 9000\n> R(0)2\n< I(0,0) 6A82\n= 6A82\n")
SCENARIO(an_answer_before_the_command_is_complete_is_not_taken,
    "# 010203040506\n> I(0,1) 01020304\n< I(0,0) 9000\n> R(0)2\n< R(1)\n> I(1,0) 0506\n< I(0,0) 9000\n= 9000\n")

/* ---- Annex A.4, where this driver stops: the command is not sent again ---- */

SCENARIO(s30_after_three_requests_in_vain_it_resynchronises_and_the_command_has_failed,
    "< I(0,0) 9000\n= 9000\n"
    "# 00CA004F\n> I(1,0) 00CA004F\nx I(1,0) 9000\n> R(1)1\nx I(1,0) 9000\n> R(1)1\nx I(1,0) 9000\n> R(1)1\nx I(1,0) 9000\n"
    "> S(RESYNCH request)\n< S(RESYNCH response)\n! resynchronised\n"
    "# 00CA0065\n> I(0,0) 00CA0065\n< I(0,0) 9000\n= 9000\n")
SCENARIO(errors_count_only_in_a_row,
    "-\n-\n-\n> R(0)2\n< S(WTX request) 02\n-\n-\n-\n> R(0)2\n< I(0,1) 0102\n-\n-\n-\n> R(1)2\n< I(1,0) 9000\n= 01029000\n")
SCENARIO(each_block_of_a_chain_may_be_asked_for_three_times,
    "# 010203040506\n< R(0)1\n< R(0)1\n< R(0)1\n> I(0,1) 01020304\n< R(1)\n> I(1,0) 0506\n< R(1)1\n< R(1)1\n< R(1)1\n"
    "> I(1,0) 0506\n< I(0,0) 9000\n= 9000\n")
SCENARIO(s31_the_request_to_resynchronise_is_repeated,
    "-\n-\n-\n-\n> S(RESYNCH request)\n-\n> S(RESYNCH request)\nx S(RESYNCH response)\n> S(RESYNCH request)\n"
    "< S(RESYNCH response)\n! resynchronised\n")
SCENARIO(s32_after_three_requests_to_resynchronise_only_a_reset_helps,
    "-\n-\n-\n-\n> S(RESYNCH request)\n-\n> S(RESYNCH request)\n-\n> S(RESYNCH request)\n-\n! dead\n")
SCENARIO(a_block_that_the_card_asks_for_more_than_three_times_is_given_up,
    "< R(0)1\n> I(0,0) 00A40400\n< R(0)1\n> I(0,0) 00A40400\n< R(0)1\n> I(0,0) 00A40400\n< R(0)1\n> S(RESYNCH request)\n"
    "< S(RESYNCH response)\n! resynchronised\n")
SCENARIO(s35_the_card_aborts_its_chain_and_the_command_has_failed,
    "< I(0,1) 0102\n> R(1)\n< S(ABORT request)\n> S(ABORT response)\n< R(1)\n> S(RESYNCH request)\n"
    "< S(RESYNCH response)\n! resynchronised\n")
SCENARIO(s34_the_card_aborts_our_chain_and_the_command_has_failed,
    "# 010203040506\n> I(0,1) 01020304\n< S(ABORT request)\n> S(ABORT response)\n-\n> S(RESYNCH request)\n"
    "< S(RESYNCH response)\n! resynchronised\n")
SCENARIO(after_a_resynchronisation_the_first_block_size_holds_again,
    "# 0102030405060708\n> I(0,1) 01020304\n< S(IFS request) 10\n> S(IFS response) 10\n-\n-\n-\n-\n"
    "> S(RESYNCH request)\n< S(RESYNCH response)\n! resynchronised\n# 0102030405060708\n> I(0,1) 01020304\n")
SCENARIO(an_acknowledgement_of_a_command_that_is_complete_does_not_send_it_again,
    "> I(0,0) 00A40400\nx I(0,0) 9000\n> R(0)1\n< R(1)\n> R(0)2\n< I(0,0) 9000\n= 9000\n")

/* ---- a card to which somebody else has spoken: §11.6.2.2 N(R) is the number it expects ---- */

SCENARIO(a_card_that_expects_another_block_has_not_taken_ours,
    "> I(0,0) 00A40400\n< R(1)2\n> S(RESYNCH request)\n< S(RESYNCH response)\n! not taken\n"
    "# 00CA0065\n> I(0,0) 00CA0065\n< I(0,0) 9000\n= 9000\n")
SCENARIO(it_may_say_so_without_an_error_or_with_any,
    "> I(0,0) 00A40400\n< R(1)\n> S(RESYNCH request)\n< S(RESYNCH response)\n! not taken\n"
    "# 00A40400\n> I(0,0) 00A40400\n< R(1)1\n> S(RESYNCH request)\n< S(RESYNCH response)\n! not taken\n")
SCENARIO(a_card_out_of_step_is_not_asked_for_its_last_answer,
    "# 00A40400\n> I(0,0) 00A40400\n< I(0,0) 9000\n= 9000\n"
    "# 00CA0065\n> I(1,0) 00CA0065\n< R(0)2\n> S(RESYNCH request)\n< S(RESYNCH response)\n! not taken\n")
SCENARIO(rule_5_an_error_acknowledges_no_block_of_a_chain,
    "# 0102030405060708\n> I(0,1) 01020304\n< R(1)2\n> S(RESYNCH request)\n< S(RESYNCH response)\n! not taken\n")
SCENARIO(the_second_block_of_a_chain_may_meet_a_card_out_of_step_too,
    "# 0102030405060708\n> I(0,1) 01020304\n< R(1)\n> I(1,0) 05060708\n< R(0)2\n"
    "> S(RESYNCH request)\n< S(RESYNCH response)\n! not taken\n")
SCENARIO(after_silence_it_is_not_the_first_word,
    "> I(0,0) 00A40400\n-\n> R(0)2\n< R(1)2\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(a_card_out_of_step_that_does_not_resynchronise_is_dead,
    "> I(0,0) 00A40400\n< R(1)2\n> S(RESYNCH request)\n-\n> S(RESYNCH request)\n-\n> S(RESYNCH request)\n-\n! dead\n")

/* ---- what no card should say ---- */

SCENARIO(a_request_for_time_without_a_number_is_wrong, "< S(WTX request)\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(a_block_size_of_0_or_255_is_wrong,
    "< S(IFS request) 00\n> R(0)2\n< S(IFS request) FF\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(a_response_to_nothing_is_wrong,
    "< S(WTX response) 01\n> R(0)2\n< S(RESYNCH response)\n> R(0)2\n< S(IFS response) 20\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(a_request_to_resynchronise_is_the_hosts_business,
    "< S(RESYNCH request)\n> R(0)2\n< I(0,0) 9000\n= 9000\n")
SCENARIO(an_answer_that_never_ends_is_too_long,
    "< I(0,1) 00112233445566778899AABBCCDDEEFF00112233\n> R(1)\n< I(1,1) 00112233445566778899AABBCCDDEEFF00112233\n> R(0)\n"
    "< I(0,1) 00112233445566778899AABBCCDDEEFF00112233\n> R(1)\n< I(1,0) 00112233445566778899AABBCCDDEEFF00112233\n"
    "! too long\n# 00CA0065\n> I(1,0) 00CA0065\n< I(0,0) 9000\n= 9000\n")

/* ---- listening on ---- */

SCENARIO(listening_is_not_counted,
    "> I(0,0) 00A40400\n~\n> R(0)\n~\n> R(0)\n~\n> R(0)\n~\n> R(0)\n~\n> R(0)\n~\n> R(0)\n< I(0,0) 9000\n= 9000\n")
SCENARIO(a_card_that_never_got_the_command_asks_for_it_when_listened_to,
    "> I(0,0) 00A40400\n~\n> R(0)\n< R(0)\n> I(0,0) 00A40400\n< I(0,0) 9000\n= 9000\n")
SCENARIO(listening_within_the_cards_chain_asks_for_the_next_block,
    "< I(0,1) 0102\n> R(1)\n~\n> R(1)\n< I(1,0) 9000\n= 01029000\n")

/* ---- abandoned ---- */

SCENARIO(the_answer_to_an_abandoned_command_is_heard_to_its_end,
    "abandon\n< S(WTX request) 02\n> S(WTX response) 02\n< I(0,1) 0102\n> R(1)\n< I(1,0) 9000\n= \n")
SCENARIO(no_part_of_an_abandoned_command_is_sent,
    "# 010203040506\n> I(0,1) 01020304\nabandon\n< R(1)\n> S(RESYNCH request)\n< S(RESYNCH response)\n! resynchronised\n")
SCENARIO(an_abandoned_command_is_not_repeated_either,
    "abandon\n< R(0)1\n> S(RESYNCH request)\n< S(RESYNCH response)\n! resynchronised\n")

static void the_answer_of_an_abandoned_command_is_written_nowhere(void **state)
{
    (void)state;
    uint8_t answer[4] = { 0xee, 0xee, 0xee, 0xee };
    struct t1 t1;
    t1_reset(&t1, 32, false);
    (void)t1_transmit(&t1, (const uint8_t *)"\x00\xca\x00\x65", 4, answer, sizeof answer);
    t1_abandon(&t1);
    uint8_t block[16];
    const struct t1_step step = t1_received(&t1, block, build("I(0,0) 01029000", block));
    assert_int_equal(step.action, T1_DONE);
    assert_memory_equal(answer, "\xee\xee\xee\xee", 4);
}

/* ---- IFSD, EDC, form ---- */

static void the_driver_tells_the_card_its_block_size(void **state)
{
    (void)state;
    struct run run = { .answer_size = sizeof run.answer };
    t1_reset(&run.t1, 4, false);
    run.step = t1_negotiate_ifsd(&run.t1, 254);
    must_send(&run, "> S(IFS request) FE");
    hears(&run, "x S(IFS response) FE", true); /* scenario 16: the request is repeated */
    must_send(&run, "> S(IFS request) FE");
    hears(&run, "< R(0)1", false); /* scenario 15 */
    must_send(&run, "> S(IFS request) FE");
    hears(&run, "< S(WTX request) 02", false);
    must_send(&run, "> S(WTX response) 02");
    hears(&run, "< S(IFS response) FE", false);
    assert_int_equal(run.step.action, T1_DONE);
    take_line(&run, "# 00A40400"); /* the numbers have not moved */
    must_send(&run, "> I(0,0) 00A40400");
}

static void a_card_that_does_not_negotiate_is_resynchronised(void **state)
{
    (void)state;
    struct run run = { .answer_size = sizeof run.answer };
    t1_reset(&run.t1, 4, false);
    run.step = t1_negotiate_ifsd(&run.t1, 254);
    for (int i = 0; i < 4; i++) {
        must_send(&run, "> S(IFS request) FE");
        run.step = t1_silence(&run.t1);
    }
    must_send(&run, "> S(RESYNCH request)");
    hears(&run, "< S(RESYNCH response)", false);
    assert_int_equal(run.step.action, T1_FAILED);
    assert_int_equal(run.step.failure, T1_RESYNCHRONISED);
}

static void with_a_crc_blocks_end_in_two_bytes_of_it(void **state)
{
    (void)state;
    /* ISO/IEC 13239, as RFC 1662 appendix C computes it, low byte first */
    uint8_t answer[8], block[] = { 0x00, 0x00, 0x02, 0x90, 0x00, 0x92, 0x63 };
    struct t1 t1;
    t1_reset(&t1, 32, true);
    struct t1_step step = t1_transmit(&t1, (const uint8_t *)"\x90\x00", 2, answer, sizeof answer);
    assert_int_equal(step.length, sizeof block);
    assert_memory_equal(step.block, block, sizeof block);
    block[6] ^= 1; /* the card says the same: N(S) 0, 9000 */
    step = t1_received(&t1, block, sizeof block);
    assert_int_equal(step.block[1], 0x81); /* EDC error */
    block[6] ^= 1;
    step = t1_received(&t1, block, sizeof block);
    assert_int_equal(step.action, T1_DONE);
    assert_memory_equal(answer, "\x90\x00", 2);
}

static void what_has_not_the_form_of_a_block_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint8_t pcb;
    } WRONG[] = {
        { "", 0x82 }, { "00", 0x82 }, { "000000", 0x82 }, { "00000390003F", 0x81 }, { "000003900093", 0x82 },
        { "120002900080", 0x82 }, { "0000FF9000", 0x81 }, { "A5A5", 0x82 }, { "00A000A0", 0x82 }, { "00840084", 0x82 },
        { "0080010081", 0x82 },
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        uint8_t answer[8], bytes[16];
        struct t1 t1;
        t1_reset(&t1, 32, false);
        (void)t1_transmit(&t1, (const uint8_t *)"\x00\xca\x00\x65", 4, answer, sizeof answer);
        const struct t1_step step = t1_received(&t1, bytes, from_hex(WRONG[i].hex, bytes));
        assert_int_equal(step.action, T1_SEND);
        assert_int_equal(step.block[1], WRONG[i].pcb);
        assert_false(step.heard);
    }
}

/* Whatever the card takes, and says it takes. */
static void blocks_of_ours_are_as_long_as_they_may_be(void **state)
{
    (void)state;
    struct run run = { .answer_size = sizeof run.answer };
    t1_reset(&run.t1, 4, false);
    t1_limit_inf(&run.t1, 2);
    take_line(&run, "# 00A40400");
    must_send(&run, "> I(0,1) 00A4");
    hears(&run, "< S(IFS request) FE", false);
    must_send(&run, "> S(IFS response) FE");
    hears(&run, "< R(1)", false);
    must_send(&run, "> I(1,0) 0400");
}

static void the_longest_blocks_fit(void **state)
{
    (void)state;
    static uint8_t command[600], answer[254], block[T1_BLOCK_MAX + 1];
    struct t1 t1;
    t1_reset(&t1, 254, false);
    struct t1_step step = t1_transmit(&t1, command, sizeof command, answer, sizeof answer);
    assert_int_equal(step.length, 258);
    t1_reset(&t1, 254, false);
    (void)t1_transmit(&t1, command, 10, answer, sizeof answer);
    block[2] = 254;
    for (size_t i = 3; i < 257; i++)
        block[i] = (uint8_t)i;
    for (size_t i = 0; i < 257; i++)
        block[257] ^= block[i];
    step = t1_received(&t1, block, 258);
    assert_int_equal(step.action, T1_DONE);
    assert_memory_equal(answer, block + 3, 254);
    t1_reset(&t1, 254, false);
    (void)t1_transmit(&t1, command, 10, answer, sizeof answer);
    assert_false(t1_received(&t1, block, sizeof block).heard);
}

/* No caller does that; should one do it all the same, nothing is sent. */
static void when_nothing_is_due_a_block_or_silence_is_the_end(void **state)
{
    static const uint8_t block[] = { 0x00, 0x00, 0x02, 0x90, 0x00, 0x92 };
    struct t1 t1;
    (void)state;
    t1_reset(&t1, 32, false);
    assert_int_equal(t1_received(&t1, block, sizeof block).action, T1_FAILED);
    assert_int_equal(t1_silence(&t1).failure, T1_DEAD);
    assert_int_equal(t1_listen(&t1).failure, T1_DEAD);
    assert_false(t1_pending(&t1));
}

#define TEST(name) cmocka_unit_test(name)

static const struct CMUnitTest TESTS[] = {
    TEST(s1_blocks_are_exchanged_with_alternating_numbers),
    TEST(s2_the_card_asks_for_time),
    TEST(s2_the_card_asks_for_time_again_and_again),
    TEST(s4_the_card_takes_larger_blocks),
    TEST(what_the_card_has_not_taken_and_is_too_long_for_it_now_comes_in_shorter_blocks),
    TEST(a_block_that_was_the_last_becomes_a_chain_when_the_card_takes_less),
    TEST(s5_a_long_command_is_chained),
    TEST(s6_a_long_answer_is_chained),
    TEST(s7_both_are_chained),
    TEST(the_card_asks_for_time_within_its_chain),
    TEST(the_card_asks_for_time_within_our_chain),
    TEST(an_empty_block_of_a_chain_is_taken),
    TEST(s8_our_block_is_lost_and_the_card_asks_for_it),
    TEST(s9_the_answer_is_lost_and_asked_for),
    TEST(s9_the_answer_never_came_and_is_asked_for),
    TEST(s10_our_block_is_lost_and_so_is_the_request_for_it),
    TEST(s11_the_answer_and_the_request_for_it_are_lost),
    TEST(s12_the_request_for_time_is_lost),
    TEST(s13_the_response_to_the_request_for_time_is_lost),
    TEST(s14_after_the_response_nothing_comes),
    TEST(s20_a_block_of_our_chain_is_lost),
    TEST(s21_the_acknowledgement_of_our_chain_is_lost),
    TEST(s22_the_last_block_of_our_chain_is_lost),
    TEST(s24_a_block_of_the_cards_chain_is_lost),
    TEST(s25_our_acknowledgement_is_lost),
    TEST(a_block_of_the_cards_chain_that_comes_twice_is_taken_once),
    TEST(an_answer_with_the_wrong_number_is_not_taken),
    TEST(an_answer_before_the_command_is_complete_is_not_taken),
    TEST(s30_after_three_requests_in_vain_it_resynchronises_and_the_command_has_failed),
    TEST(errors_count_only_in_a_row),
    TEST(each_block_of_a_chain_may_be_asked_for_three_times),
    TEST(s31_the_request_to_resynchronise_is_repeated),
    TEST(s32_after_three_requests_to_resynchronise_only_a_reset_helps),
    TEST(a_block_that_the_card_asks_for_more_than_three_times_is_given_up),
    TEST(s35_the_card_aborts_its_chain_and_the_command_has_failed),
    TEST(s34_the_card_aborts_our_chain_and_the_command_has_failed),
    TEST(after_a_resynchronisation_the_first_block_size_holds_again),
    TEST(an_acknowledgement_of_a_command_that_is_complete_does_not_send_it_again),
    TEST(a_card_that_expects_another_block_has_not_taken_ours),
    TEST(it_may_say_so_without_an_error_or_with_any),
    TEST(a_card_out_of_step_is_not_asked_for_its_last_answer),
    TEST(rule_5_an_error_acknowledges_no_block_of_a_chain),
    TEST(the_second_block_of_a_chain_may_meet_a_card_out_of_step_too),
    TEST(after_silence_it_is_not_the_first_word),
    TEST(a_card_out_of_step_that_does_not_resynchronise_is_dead),
    TEST(a_request_for_time_without_a_number_is_wrong),
    TEST(a_block_size_of_0_or_255_is_wrong),
    TEST(a_response_to_nothing_is_wrong),
    TEST(a_request_to_resynchronise_is_the_hosts_business),
    TEST(an_answer_that_never_ends_is_too_long),
    TEST(listening_is_not_counted),
    TEST(a_card_that_never_got_the_command_asks_for_it_when_listened_to),
    TEST(listening_within_the_cards_chain_asks_for_the_next_block),
    TEST(the_answer_to_an_abandoned_command_is_heard_to_its_end),
    TEST(no_part_of_an_abandoned_command_is_sent),
    TEST(an_abandoned_command_is_not_repeated_either),
    TEST(the_answer_of_an_abandoned_command_is_written_nowhere),
    TEST(the_driver_tells_the_card_its_block_size),
    TEST(a_card_that_does_not_negotiate_is_resynchronised),
    TEST(with_a_crc_blocks_end_in_two_bytes_of_it),
    TEST(what_has_not_the_form_of_a_block_is_an_error),
    TEST(blocks_of_ours_are_as_long_as_they_may_be),
    TEST(the_longest_blocks_fit),
    cmocka_unit_test(when_nothing_is_due_a_block_or_silence_is_the_end),
};

int main(void)
{
    return cmocka_run_group_tests_name("t1", TESTS, NULL, NULL);
}
