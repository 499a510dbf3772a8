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
static uint8_t sequence, slot;

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
    message[5] = slot;
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

static void who_the_card_belongs_to_is_seen_only_if_that_is_wanted(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA005E00", "00000000CA005E00");
    RECEIVED("000000", "61626364 9000", "000000" "00000000" "9000"); /* the login */
    openpgp_card(CCID_SHORT_APDU, true);
    SENT("000000", "00CA005E00", "00000000CA005E00");
    RECEIVED("000000", "61626364 9000", "000000" "61626364" "9000");
    SENT("000000", "00CA010100", "00000000CA010100");
    RECEIVED("000000", "61626364 9000", "000000" "00000000" "9000"); /* private use */
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

static void a_block_of_another_node_is_not_looked_into(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "00400500CA00C40049", "000000" "00400500CA00C400" "00");
    RECEIVED("000000", "014009002020200300039000F8", "000000" "00000000000000000000000000");
}

/* Only what is whole is known to be a name and no more. */
static void a_select_of_which_more_comes_is_not_seen(void **state)
{
    (void)state;
    plugged_in(CCID_TPDU, false);
    SENT("000000", "00200B" SELECT "0A", "000000" "00200B" "00A4040000000000000000" "00");
    plugged_in(CCID_EXTENDED_APDU, false);
    SENT("000100", SELECT, "000100" "00A4040000000000000000");
}

/* The command before it may have ended without an answer, and the card may say something else. */
static void get_response_without_a_promise_is_not_looked_into(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA006E00", "00000000CA006E00");
    SENT("000000", "00C0000000", "00000000C0000000");
    RECEIVED("000000", "C407 00202020030003 9000", "000000" "000000000000000000" "9000");
}

static void a_message_of_another_slot_is_unknown(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA00C400", "00000000CA00C400");
    slot = 1;
    RECEIVED("000000", "00202020030003 9000", "unknown");
    slot = 0;
    RECEIVED("000000", "00202020030003 9000", "000000" "00000000000000" "9000");
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

/* ---- which commands, and which of their answers ---- */

/* A command of this header, and an answer with data to it. */
static void is_answered(const char *header, const char *expected)
{
    char sent[16], shown[20];
    snprintf(sent, sizeof sent, "%s00", header);
    snprintf(shown, sizeof shown, "000000%s00", header);
    SENT("000000", sent, shown);
    RECEIVED("000000", "4142 9000", expected);
}

static void a_status_word_is_seen_behind_data_only_where_data_is_due(void **state)
{
    (void)state;
    static const char *const with_data[] = { "00A40000", "00CB3FFF", "00CC7F21", "00B00000", "00B10000", "002A9E9A",
                                             "00860000", "00879B03", "00880000", "00840000", "00468000", "00478000",
                                             "80620121", "80680140", "80720192" };
    static const char *const without[] = { "00A50204", "00D60000", "00D70000", "0022C1B8", "00DA7F21", "00DB3FFF",
                                           "00E40200", "00E60000", "00440000", "80740193" };
    openpgp_card(CCID_SHORT_APDU, false);
    for (size_t i = 0; i < sizeof with_data / sizeof with_data[0]; i++)
        is_answered(with_data[i], "000000" "0000" "9000");
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        is_answered(without[i], "000000" "0000" "0000");
}

static void the_serial_number_is_not_seen_in_the_name_that_is_selected(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00A4040010D276000124010304000512345678 0102",
         "000000" "00A4040010D276000124010304000500000000" "0102");
    SENT("000000", "00A404000AD2760001240103040005", "000000" "00A404000AD2760001240103040005");
    SENT("000000", "00A404000BD276000124010304000512", "000000" "00A404000BD276000124010304000500");
}

static void only_a_name_that_is_selected_is_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_EXTENDED_APDU, false);
    SENT("000000", "00A40000023F11", "000000" "00A400000000" "00");        /* a file */
    SENT("000000", "10A4040006D27600012401", "000000" "10A40400" "00000000000000"); /* a part */
    SENT("000000", "00A40400000006D27600012401", "000000" "00A40400" "000000000000000000");
    SENT("000000", "00A4040011D2760001240103040005123456780102FF", /* longer than names are */
         "000000" "00A40400" "000000000000000000000000000000000000");
    SENT("000000", "00A4040007D27600012401", "000000" "00A40400" "00000000000000"); /* says more than there is */
}

/* GET DATA of the PIN status, which is seen in the OpenPGP application only. */
static void pin_status_is(const char *expected)
{
    SENT("000000", "00CA00C400", "00000000CA00C400");
    RECEIVED("000000", "00202020030003 9000", expected);
}

static void another_application_has_other_objects(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    pin_status_is("000000" "00202020030003" "9000");
    SENT("000000", "00A4040005A000000308", "000000" "00A4040005A000000308");
    RECEIVED("000000", "9000", "0000009000");
    pin_status_is("000000" "00000000000000" "9000");
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00A4040005A000000308", "000000" "00A4040005A000000308");
    RECEIVED("000000", "3132", "0000000000"); /* whether that was a yes is not known */
    pin_status_is("000000" "00000000000000" "9000");
    SENT("000000", "00A4040005D276000124", "000000" "00A4040005D276000124"); /* of which application? */
    RECEIVED("000000", "9000", "0000009000");
    pin_status_is("000000" "00000000000000" "9000");
}

static void what_does_not_look_like_the_object_is_not_seen(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *said, *seen;
    } answers[] = {
        { "00CA00C400", "02202020030003 9000", "00000000000000" "9000" }, /* PIN status: a flag is 0 or 1, ... */
        { "00CA00C400", "00202020100003 9000", "00000000000000" "9000" }, /* ... and tries are 15 at most */
        { "00CA00C400", "00202020031003 9000", "00000000000000" "9000" },
        { "00CA00C400", "00202020030010 9000", "00000000000000" "9000" },
        { "00CA00C400", "012020200F0F0F 9000", "012020200F0F0F" "9000" },
        { "00CA00C100", "0108000020 9000", "0000000000" "9000" }, /* algorithm attributes: only in their template */
        { "00CA006E00", "6E8109 C40700202020030003 9000", "6E8109C40700202020030003" "9000" },
        { "00CA006E00", "6E820009 C40700202020030003 9000", "6E820009C40700202020030003" "9000" },
        { "00CA006E00", "6E8009 C40700202020030003 9000", "6E0000000000000000000000" "9000" }, /* no such length */
        { "00CA006E00", "6E83000009 C40700202020030003 9000", "6E00000000000000000000000000" "9000" },
        { "00CA006E00", "6E0C 9F310141 C40700202020030003 9000", "6E0C00000000000000000000000000" "9000" },
        /* a PIN status of 263 bytes */
        { "00CA006E00", "6E82010B C4820107 00202020030003 9000", "6E82010B" "C482010000000000000000" "9000" },
    };
    openpgp_card(CCID_SHORT_APDU, false);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        char expected[80];
        snprintf(expected, sizeof expected, "000000%s", answers[i].asked);
        SENT("000000", answers[i].asked, expected);
        snprintf(expected, sizeof expected, "000000%s", answers[i].seen);
        RECEIVED("000000", answers[i].said, expected);
    }
}

static void only_a_status_word_is_seen_of_the_answer_to_a_pin(void **state)
{
    (void)state;
    static const char *const answers[][2] = {
        { "6F00", "0000006F00" }, { "6101", "0000006100" }, { "6C31", "0000006C00" }, { "9F31", "0000009F31" },
        { "6001", "000000" },     { "7001", "000000" },     { "3132", "000000" },     { "90", "000000" },
        { "319000", "000000" },
    };
    openpgp_card(CCID_SHORT_APDU, false);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        SENT("000000", "0020008106313233343536", "000000" "0020008100");
        RECEIVED("000000", answers[i][0], answers[i][1]);
    }
}

/* Its last part may be as short as a status word, and come back as it is. */
static void of_the_answer_to_a_pin_in_parts_nothing_is_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "006006 002400810431 00", "000000" "006005" "0024008100" "00");
    RECEIVED("000000", "008000 80", "000000" "008000" "80");
    SENT("000000", "000003 656632 00", "000000" "000000" "00");
    RECEIVED("000000", "004002 6566 41", "000000" "004000" "00");
}

/* ---- T=1 ---- */

static void a_block_that_is_repeated_shows_no_more_than_its_header(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "00400B" SELECT "6A", "000000" "00400B" SELECT "00");
    SENT("000000", "00400B" SELECT "6A", "000000" "00400B" "00A40400" "00000000000000" "00");
}

static void a_block_with_the_number_of_another_is_not_looked_into(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "004005 00CA006E00 E1", "000000" "004005" "00CA006E00" "00");
    SENT("000000", "00400B 0020008106313233343536 E1", "000000" "004000" "00");
    RECEIVED("000000", "004002 6231 11", "000000" "004000" "00");
}

static void a_block_of_the_card_that_comes_twice_is_not_looked_into(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "004005 00CA006E00 E1", "000000" "004005" "00CA006E00" "00");
    RECEIVED("000000", "00600D 6E0FC40700202020030003D602 3B", "000000" "00600D" "6E0FC40700202020030003D602" "00");
    SENT("000000", "008000 80", "000000" "008000" "80");
    RECEIVED("000000", "00600D 6E0FC40700202020030003D602 3B", "000000" "00600D" "00000000000000000000000000" "00");
    SENT("000000", "008000 80", "000000" "008000" "80");
    RECEIVED("000000", "000004 0020 9000 B4", "000000" "000004" "0000" "9000" "00");
    openpgp_card(CCID_TPDU, false); /* and as it should be */
    SENT("000000", "004005 00CA006E00 E1", "000000" "004005" "00CA006E00" "00");
    RECEIVED("000000", "00600D 6E0FC40700202020030003D602 3B", "000000" "00600D" "6E0FC40700202020030003D602" "00");
    SENT("000000", "008000 80", "000000" "008000" "80");
    RECEIVED("000000", "000004 0020 9000 B4", "000000" "000004" "0020" "9000" "00");
}

static void a_resynchronisation_begins_the_numbers_anew(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "00C000 C0", "000000" "00C000" "C0");
    RECEIVED("000000", "00E000 E0", "000000" "00E000" "E0");
    SENT("000000", "00000B" SELECT "2A", "000000" "00000B" SELECT "00"); /* 0 as the one before, and none repeated */
    RECEIVED("000000", "000002 9000 92", "000000" "000002" "9000" "00");
    SENT("000000", "004005 00CA006E00 E1", "000000" "004005" "00CA006E00" "00");
    RECEIVED("000000", "00400D 6E09C40700202020030003 9000 59", "000000" "00400D" "6E09C40700202020030003" "9000" "00");
}

static void a_supervisory_block_holds_nothing(void **state)
{
    (void)state;
    openpgp_card(CCID_TPDU, false);
    SENT("000000", "008003 313233 00", "000000" "00000000000000"); /* R, with something in it */
    SENT("000000", "00AC00 AC", "000000" "00000000");             /* R, with bits that it has not */
    SENT("000000", "00C102 3132 00", "000000" "000000000000");    /* S, with more than a byte */
    SENT("000000", "00DC01 31 00", "000000" "0000000000");        /* S, of an unknown kind */
    SENT("000000", "004005 00CA00C400 4B", "000000" "004005" "00CA00C400" "00");
    RECEIVED("000000", "00C102 3132 C0", "000000" "000000000000");
    SENT("000000", "009100 91", "000000" "009100" "91");
    RECEIVED("000000", "A531", "0000000000"); /* neither a block nor the firmware's word */
    SENT("000000", "009100 91", "000000" "009100" "91");
    RECEIVED("000000", "31A5", "0000000000");
}

/* ---- CCID ---- */

static void messages_without_data_have_none_that_is_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    static const uint8_t types[] = { CCID_GET_SLOT_STATUS, CCID_ABORT, CCID_ICC_POWER_OFF, CCID_ICC_POWER_ON };
    for (size_t i = 0; i < sizeof types; i++) {
        sequence++;
        assert_string_equal(seen(false, types[i], "000000", "313233"), "000000");
    }
    sequence++;
    assert_string_equal(seen(false, 0x69, "000000", "313233"), "unknown"); /* PC_to_RDR_Secure */
    RECEIVED("000000", "9000", "unknown");
}

static void a_card_that_wants_more_time_says_so_whatever_was_asked(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    sequence++;
    assert_string_equal(seen(false, CCID_ICC_POWER_OFF, "000000", ""), "000000");
    RECEIVED("800100", "", "800100");
    assert_string_equal(seen(true, 0x83, "800100", ""), "unknown");
    assert_string_equal(seen(true, 0x81, "000100", ""), "000100"); /* done */
}

static void after_a_message_that_is_unknown_no_object_is_seen(void **state)
{
    (void)state;
    openpgp_card(CCID_SHORT_APDU, false);
    SENT("000000", "00CA00C400", "00000000CA00C400");
    sequence--;
    RECEIVED("000000", "9000", "unknown");
    sequence++;
    RECEIVED("000000", "00202020030003 9000", "000000" "00000000000000" "9000");
}

static void of_an_atr_with_something_behind_it_nothing_is_seen(void **state)
{
    (void)state;
    plugged_in(CCID_SHORT_APDU, false);
    sequence++;
    assert_string_equal(seen(false, CCID_ICC_POWER_ON, "000000", ""), "000000");
    RECEIVED("000000", "3BDA18FF81B1FE751F030031F573C001600090001C 31", "000000"); /* and something from before */
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(public_objects_are_seen_without_the_serial_number),
        TEST(in_a_template_each_object_is_looked_at),
        TEST(who_the_card_belongs_to_is_seen_only_if_that_is_wanted),
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
        TEST(a_block_of_another_node_is_not_looked_into),
        TEST(a_select_of_which_more_comes_is_not_seen),
        TEST(get_response_without_a_promise_is_not_looked_into),
        TEST(a_message_of_another_slot_is_unknown),
        TEST(power_on_forgets_everything),
        TEST(a_status_word_is_seen_behind_data_only_where_data_is_due),
        TEST(the_serial_number_is_not_seen_in_the_name_that_is_selected),
        TEST(only_a_name_that_is_selected_is_seen),
        TEST(another_application_has_other_objects),
        TEST(what_does_not_look_like_the_object_is_not_seen),
        TEST(only_a_status_word_is_seen_of_the_answer_to_a_pin),
        TEST(of_the_answer_to_a_pin_in_parts_nothing_is_seen),
        TEST(a_block_that_is_repeated_shows_no_more_than_its_header),
        TEST(a_block_with_the_number_of_another_is_not_looked_into),
        TEST(a_block_of_the_card_that_comes_twice_is_not_looked_into),
        TEST(a_resynchronisation_begins_the_numbers_anew),
        TEST(a_supervisory_block_holds_nothing),
        TEST(messages_without_data_have_none_that_is_seen),
        TEST(a_card_that_wants_more_time_says_so_whatever_was_asked),
        TEST(after_a_message_that_is_unknown_no_object_is_seen),
        TEST(of_an_atr_with_something_behind_it_nothing_is_seen),
    };
    return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
