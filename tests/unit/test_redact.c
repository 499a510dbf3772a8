/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_redact.c - of the traffic with a key no more is seen than may be, and that is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "redact.h"

/* ---- one key, and what is seen of its traffic ---- */

static struct redactor redactor;
static uint8_t sequence;

static size_t unhex(const char *text, uint8_t *bytes)
{
    size_t length = 0;
    for (; *text; text += 2) {
        while (*text == ' ')
            text++;
        bytes[length++] = (uint8_t)strtoul((char[]){ text[0], text[1], 0 }, NULL, 16);
    }
    return length;
}

/* A message of this type around data, as it is seen: bytes 7 to 9 and data in hexadecimal. */
static const char *seen(bool received, uint8_t type, const char *tail, const char *data)
{
    static uint8_t message[600], shown[REDACT_MAX];
    static char text[2 * REDACT_MAX + 2];
    const size_t length = unhex(data, message + CCID_HEADER);
    memset(message, 0, 7);
    message[0] = type;
    message[1] = (uint8_t)length;
    message[2] = (uint8_t)(length >> 8);
    message[6] = sequence;
    assert_int_equal(unhex(tail, message + 7), 3);
    const struct redacted redacted = (received ? redact_received : redact_sent)(&redactor, message,
                                                                                CCID_HEADER + length, shown);
    assert_true(redacted.length >= CCID_HEADER);
    assert_int_equal(redacted.length, redacted.original);
    if (shown[0])
        assert_int_equal(shown[1] | shown[2] << 8, redacted.length - CCID_HEADER);
    for (size_t i = 7; i < redacted.length; i++)
        snprintf(text + 2 * (i - 7), 3, "%02X", shown[i]);
    return shown[0] ? text : "unknown";
}

#define SENT(tail, data, expected) (sequence++, assert_string_equal(seen(false, 0x6f, tail, data), expected))
#define RECEIVED(tail, data, expected) assert_string_equal(seen(true, 0x80, tail, data), expected)

static void powered_on(void)
{
    sequence++;
    assert_string_equal(seen(false, 0x62, "000000", ""), "000000");
    RECEIVED("000000", "3BDA18FF81B1FE751F030031F573C001600090001C",
             "000000" "3BDA18FF81B1FE751F030031F573C001600090001C");
}

static void plugged_in(enum ccid_level level, bool names)
{
    redact_init(&redactor, level, names);
    powered_on();
}

#define SELECT "00A4040006D27600012401"

static void openpgp_card(enum ccid_level level, bool names)
{
    plugged_in(level, names);
    if (level == CCID_TPDU) {
        SENT("000000", "00000B" SELECT "2A", "00000000000B" SELECT "00");
        RECEIVED("000000", "0000029000 92", "0000000000029000" "00");
    } else {
        SENT("000000", SELECT, "000000" SELECT);
        RECEIVED("000000", "9000", "0000009000");
    }
}

/* ---- what may be seen ---- */

static void public_objects_are_seen_without_the_serial_number(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA004F00", "00000000CA004F00");
    RECEIVED("000000", "D2760001240103040005123456780000 9000", "000000D27600012401030400050000000000009000");
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "00202020030003 9000", "000000002020200300039000");
    openpgp_card(CCID_SHORT_APDU, true);
    SENT("000000", "00CA004F00", "00000000CA004F00");
    RECEIVED("000000", "D2760001240103040005123456780000 9000", "000000D27600012401030400051234567800009000");
    SENT("000000", "00A4040010D2760001240103040005123456780000", "00000000A4040010D2760001240103040005123456780000");
}

static void in_a_template_each_object_is_looked_at(void **state)
{
    (void)state;
    static const char TEMPLATE[] = "6E 28 C407 00202020030003 5E03 414243 5F5203 003145 6503 5B0141 7A05 9303 000007 "
                                   "D602 0020 9000";
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA006E00", "00000000CA006E00");
    RECEIVED("000000", TEMPLATE,
             "0000006E28C407002020200300035E030000005F5203003145" "65035B0100" "7A059303000007" "D6020020" "9000");
    openpgp_card(CCID_SHORT_APDU, true);
    SENT("000000", "00CA006E00", "00000000CA006E00");
    RECEIVED("000000", TEMPLATE,
             "0000006E28C407002020200300035E034142435F5203003145" "65035B0141" "7A059303000007" "D6020020" "9000");
}

static void from_the_first_byte_that_is_not_known_nothing_is_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA006E00", "00000000CA006E00");
    RECEIVED("000000", "6E10 31 32 33 34 35 36 C407 00202020030003 9000",
             "0000006E10" "000000000000" "0000" "00000000000000" "9000");
    SENT("000000", "00CA006E00", "00000000CA006E00");
    RECEIVED("000000", "6E10 C405 3132333435 9000", "0000006E10C400" "0000000000" "9000"); /* C4 has 7 bytes */
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "3132333435 9000", "000000" "0000000000" "9000");
    SENT("000000", "00CA004F00", "00000000CA004F00");
    RECEIVED("000000", "31323334353637383132333435363738 9000", "000000" "00000000000000000000000000000000" "9000");
}

static void objects_are_public_only_in_the_application_that_they_belong_to(void **state)
{
    (void)state;
    plugged_in(CCID_SHORT_APDU, false);
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "00202020030003 9000", "000000000000000000009000");
    SENT("000000", "00A4040006D27600012401", "00000000A4040006D27600012401");
    RECEIVED("000000", "6A82", "0000006A82");
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "00202020030003 9000", "000000000000000000009000");
}

/* ---- what may not ---- */

static void of_a_pin_nothing_is_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    /* NAD PCB LEN, CLA INS P1 P2 and an empty length field, no LRC */
    SENT("000000", "00400B 0020008106313233343536 E1", "000000" "004005" "0020008100" "00");
    RECEIVED("000000", "004002 63C2 E3", "000000" "004002" "63C2" "00");
    SENT("000000", "000016 00240081 11 3132333435363738393031323334353637 00", "000000" "000005" "0024008100" "00");
    RECEIVED("000000", "000002 9000 92", "000000" "000002" "9000" "00");
    openpgp_card(CCID_EXTENDED_APDU, false);
    SENT("000000", "0020008106313233343536", "000000" "0020008100");
    RECEIVED("000000", "9000", "0000009000");
    SENT("000000", "00DA00D3083132333435363738", "000000" "00DA00D300"); /* the resetting code */
    RECEIVED("000000", "9000", "0000009000");
    SENT("000000", "00B2000006313233343536", "000000" "00B2000000"); /* whatever this is */
    RECEIVED("000000", "3132339000", "000000");
    SENT("000000", "00200081", "000000" "00200081"); /* asks whether it is verified */
    RECEIVED("000000", "63C3", "00000063C3");
}

static void of_other_commands_header_length_and_status_word_are_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_EXTENDED_APDU, false);
    SENT("000000", "002A80860541424344 4500", "000000" "002A8086" "00000000000000");
    RECEIVED("000000", "706C61696E746578 9000", "000000" "0000000000000000" "9000");
    SENT("000000", "00DB3FFF044D020102", "000000" "00DB3FFF" "0000000000");
    RECEIVED("000000", "9000", "0000009000");
}

static void a_part_is_treated_as_the_first_one_was(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "006006 002A80868000 AA", "000000" "006006" "002A80860000" "00");
    RECEIVED("000000", "009000 90", "000000" "009000" "90");
    SENT("000000", "000006 00CA006E0031 55", "000000" "000006" "000000000000" "00"); /* looks like another command */
    RECEIVED("000000", "008100 81", "000000" "008100" "81");
    SENT("000000", "000006 00CA006E0031 55", "000000" "000006" "000000000000" "00"); /* and once more */
    RECEIVED("000000", "006004 70619000 E5", "000000" "006004" "00000000" "00"); /* a status word is in the last part */
    SENT("000000", "009000 90", "000000" "009000" "90");
    RECEIVED("000000", "000004 70616900 7C", "000000" "000004" "00006900" "00");
    openpgp_card(CCID_EXTENDED_APDU, false);
    SENT("000100", "002A80868000", "000100" "002A80860000");
    RECEIVED("000010", "", "000010");
    SENT("000200", "00CA006E00", "000200" "0000000000");
    RECEIVED("000001", "70619000", "000001" "00000000");
    SENT("001000", "", "001000");
    RECEIVED("000002", "70616900", "000002" "00006900");
}

static void the_parts_of_a_chain_of_commands_have_their_own_header(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "10DB3FFF04 4D020102", "000000" "10DB3FFF" "0000000000");
    RECEIVED("000000", "9000", "0000009000");
    SENT("000000", "0024008104 31323334", "000000" "0024008100");
    RECEIVED("000000", "9000", "0000009000");
}

static void get_response_brings_more_of_what_was_asked_before(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA006E00", "000000" "00CA006E00");
    RECEIVED("000000", "6E09C407002020 6105", "000000" "6E09C407002020" "6105");
    SENT("000000", "00C0000005", "000000" "00C00000" "00");
    RECEIVED("000000", "20030003 9000", "000000" "20030003" "9000");
    SENT("000000", "00C0000005", "000000" "00C00000" "00"); /* nothing was promised */
    RECEIVED("000000", "C40700202020030003 9000", "000000" "000000000000000000" "9000");
    SENT("000000", "002A808600", "000000" "002A808600");
    RECEIVED("000000", "6107", "0000006107");
    SENT("000000", "00C0000007", "000000" "00C00000" "00");
    RECEIVED("000000", "C40531323334 9000", "000000" "000000000000" "9000");
    SENT("000000", "0024008104 31323334", "000000" "0024008100");
    RECEIVED("000000", "6104", "0000006100"); /* not how much */
    SENT("000000", "00C0000004", "000000" "00C0000000");
    RECEIVED("000000", "31323334 9000", "000000");
}

static void after_a_part_was_missed_no_other_is_looked_into(void **state)
{
    (void)state;
    openpgp_card(CCID_EXTENDED_APDU, false);
    SENT("000000", "00CA006E00", "000000" "00CA006E00");
    RECEIVED("000001", "6E82001CC407002020", "000001" "6E82001CC407002020");
    SENT("001000", "", "001000");
    assert_string_equal(seen(true, 0x6c, "40FB00", ""), "40FB00");
    SENT("001000", "", "001000");
    RECEIVED("000003", "2003000300D602", "000003" "00000000000000");
    openpgp_card(CCID_EXTENDED_APDU, false);
    SENT("000000", "00CA006E00", "000000" "00CA006E00");
    RECEIVED("000003", "6E09C407002020", "000003" "00000000000000"); /* where is the first? */
}

/* ---- firmwares that mix things up ---- */

static void what_the_key_says_of_itself_is_unknown(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA004F00", "00000000CA004F00");
    sequence--;
    RECEIVED("000000", "D2760001240103040005123456780000 9000", "unknown");
    sequence++;
    assert_string_equal(seen(true, 0x31, "323334", "3536"), "unknown");
    assert_string_equal(seen(true, 0x81, "000000", ""), "unknown"); /* no answer to this command */
    RECEIVED("000000", "9000", "0000009000");
    RECEIVED("000000", "9000", "unknown"); /* it has answered */
}

static void an_echo_shows_nothing(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "00400B 0020008106 616263646566 00", "000000" "004005" "0020008100" "00");
    RECEIVED("000000", "00400B 0020008106 616263646566 EB", "000000" "004000" "00"); /* 'e' could begin a status word */
    SENT("000000", "00000B 0020008106 616263646566 00", "000000" "000005" "0020008100" "00");
    assert_string_equal(seen(true, 0x6f, "400000", "0000000B0020008106616263646566"), "400000");
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00DB3FFF04 61626364", "000000" "00DB3FFF" "0000000000");
    RECEIVED("000000", "00DB3FFF04 61626364", "000000" "000000000000000000");
    SENT("000000", "00CA004F00", "00000000CA004F00");
    RECEIVED("000000", "00CA004F00", "0000000000000000");
    SENT("000000", "002000810461626364", "000000" "0020008100");
    RECEIVED("000000", "6982", "0000006982");
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "002000810461626364", "000000000000000000000000"); /* of the command before */
    powered_on();
    SENT("000000", SELECT, "000000" SELECT);
    RECEIVED("000000", "9000", "0000009000");
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "002000810461626364", "000000000000000000000000"); /* also over a reset */
}

static void a_block_that_is_none_shows_nothing(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "004005 00CA00C400 4B", "000000" "004005" "00CA00C400" "00");
    RECEIVED("000000", "004009 00202020030003 9000 00", "000000" "00000000000000000000000000"); /* wrong LRC */
    SENT("000000", "009100 91", "000000" "009100" "91");
    RECEIVED("000000", "004009 00202020030003 9000", "000000" "000000000000000000000000"); /* cut */
    SENT("000000", "009100 91", "000000" "009100" "91");
    RECEIVED("000000", "A5A5", "000000" "A5A5"); /* the card says nothing */
    SENT("000000", "009100 91", "000000" "009100" "91");
    RECEIVED("000000", "00C30114 D6", "000000" "00C30114" "D6"); /* it wants more time */
    SENT("000000", "00E30114 F6", "000000" "00E30114" "F6");
    RECEIVED("000000", "004009 00202020030003 9000 F9", "000000" "004009" "00000000000000" "9000" "00");
}

static void power_on_forgets_everything(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    sequence++;
    assert_string_equal(seen(false, 0x62, "000000", ""), "000000");
    RECEIVED("000000", "313233343536", "000000"); /* no ATR */
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "00202020030003 9000", "000000" "00000000000000" "9000");
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(public_objects_are_seen_without_the_serial_number),
        TEST(in_a_template_each_object_is_looked_at),
        TEST(from_the_first_byte_that_is_not_known_nothing_is_seen),
        TEST(objects_are_public_only_in_the_application_that_they_belong_to),
        TEST(of_a_pin_nothing_is_seen),
        TEST(of_other_commands_header_length_and_status_word_are_seen),
        TEST(a_part_is_treated_as_the_first_one_was),
        TEST(the_parts_of_a_chain_of_commands_have_their_own_header),
        TEST(get_response_brings_more_of_what_was_asked_before),
        TEST(after_a_part_was_missed_no_other_is_looked_into),
        TEST(what_the_key_says_of_itself_is_unknown),
        TEST(an_echo_shows_nothing),
        TEST(a_block_that_is_none_shows_nothing),
        TEST(power_on_forgets_everything),
    };
    return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
