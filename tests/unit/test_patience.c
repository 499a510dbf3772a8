/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_patience.c - each command is given the time that its class says, never more than the total. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "patience.h"

#define S INT64_C(1000)
#define M (60 * S)

static enum patience_class class_of(uint8_t cla, uint8_t ins, uint8_t p1)
{
    const uint8_t apdu[] = { cla, ins, p1, 0x00, 0x00 };
    return patience_classify(apdu, sizeof apdu);
}

/* ---- which class ---- */

static void every_slow_command_has_its_class(void **state)
{
    (void)state;
    static const struct {
        uint8_t cla, ins;
        enum patience_class class;
    } COMMANDS[] = {
        { 0x00, 0x2a, PATIENCE_SIGN },   { 0x00, 0x88, PATIENCE_SIGN },     { 0x00, 0x87, PATIENCE_SIGN },
        { 0x80, 0x62, PATIENCE_SIGN },   { 0x80, 0x68, PATIENCE_SIGN },     { 0x80, 0x72, PATIENCE_SIGN },
        { 0x80, 0x74, PATIENCE_SIGN },   { 0x00, 0x20, PATIENCE_SECRET },   { 0x00, 0x24, PATIENCE_SECRET },
        { 0x00, 0x2c, PATIENCE_SECRET }, { 0x00, 0xdb, PATIENCE_SECRET },   { 0x00, 0xda, PATIENCE_SECRET },
        { 0x00, 0xe6, PATIENCE_RESET },  { 0x00, 0x44, PATIENCE_RESET },    { 0x80, 0x50, PATIENCE_RESET },
        { 0x80, 0x52, PATIENCE_RESET },  { 0x00, 0x46, PATIENCE_GENERATE }, { 0x00, 0x47, PATIENCE_GENERATE },
    };
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        const uint8_t cla = COMMANDS[i].cla, ins = COMMANDS[i].ins;
        assert_int_equal(class_of(cla, ins, 0x80), COMMANDS[i].class);
        assert_int_equal(class_of(cla | 0x10, ins, 0x80), COMMANDS[i].class); /* part of a chain */
        assert_int_equal(class_of(cla | 0x0c, ins, 0x80), COMMANDS[i].class); /* secure messaging */
        assert_int_equal(class_of(cla | 0x1c, ins, 0x80), COMMANDS[i].class);
    }
}

static void all_other_commands_are_ordinary(void **state)
{
    (void)state;
    static const uint8_t ORDINARY[] = { 0xa4, 0xca, 0xcb, 0xb0, 0xd6, 0xc0, 0x84, 0x22, 0x00, 0xff };
    for (size_t i = 0; i < sizeof ORDINARY; i++)
        assert_int_equal(class_of(0x00, ORDINARY[i], 0x00), PATIENCE_ORDINARY);
}

static void the_hsms_instructions_count_in_its_class_only(void **state)
{
    (void)state;
    static const uint8_t PROPRIETARY[] = { 0x62, 0x68, 0x72, 0x74, 0x50, 0x52 };
    for (size_t i = 0; i < sizeof PROPRIETARY; i++)
        assert_int_equal(class_of(0x00, PROPRIETARY[i], 0x00), PATIENCE_ORDINARY);
}

static void reading_a_public_key_is_no_generation(void **state)
{
    (void)state;
    assert_int_equal(class_of(0x00, 0x47, 0x81), PATIENCE_ORDINARY);
    assert_int_equal(class_of(0x00, 0x47, 0x80), PATIENCE_GENERATE);
    assert_int_equal(class_of(0x00, 0x47, 0x00), PATIENCE_GENERATE); /* PIV */
    assert_int_equal(class_of(0x00, 0x46, 0x81), PATIENCE_GENERATE); /* a key reference of the HSM */
}

static void the_length_of_the_apdu_does_not_matter(void **state)
{
    (void)state;
    uint8_t apdu[3000] = { 0x00, 0x47, 0x80, 0x00, 0x00, 0x0b, 0xb0 };
    for (size_t length = 4; length < sizeof apdu; length += 7)
        assert_int_equal(patience_classify(apdu, length), PATIENCE_GENERATE);
    for (size_t length = 0; length < 4; length++)
        assert_int_equal(patience_classify(apdu, length), PATIENCE_ORDINARY);
}

/* ---- how long ---- */

static void the_table_is_the_documented_one(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t silence, total;
    } TABLE[PATIENCE_CLASSES] = {
        { "status", 2 * S, 5 * S },     { "power", 10 * S, 60 * S },    { "ordinary", 30 * S, 5 * M },
        { "sign", 60 * S, 10 * M },     { "secret", 60 * S, 10 * M },   { "reset", 3 * M, 30 * M },
        { "generate", 20 * M, 120 * M },
    };
    for (unsigned i = 0; i < PATIENCE_CLASSES; i++) {
        assert_string_equal(patience_name((enum patience_class)i), TABLE[i].name);
        assert_int_equal(patience_defaults.of[i].silence_ms, TABLE[i].silence);
        assert_int_equal(patience_defaults.of[i].total_ms, TABLE[i].total);
    }
}

static void a_sign_of_life_renews_the_silence_but_not_the_total(void **state)
{
    (void)state;
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_ORDINARY, 1000 * S);
    assert_int_equal(vigil_deadline_ms(&vigil), 1030 * S);
    vigil_renew(&vigil, 1020 * S);
    assert_int_equal(vigil_deadline_ms(&vigil), 1050 * S);
    vigil_renew(&vigil, 1290 * S);
    assert_int_equal(vigil_deadline_ms(&vigil), 1300 * S);
}

static void what_the_protocol_allows_counts_when_it_is_longer(void **state)
{
    (void)state;
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_SIGN, 0);
    vigil_allow(&vigil, 12700, 1);
    assert_int_equal(vigil_deadline_ms(&vigil), 60 * S);
    vigil_allow(&vigil, 12700, 10);
    assert_int_equal(vigil_deadline_ms(&vigil), 127 * S);
    vigil_allow(&vigil, 12700, 0); /* 0 is no multiplier and counts as 1 */
    assert_int_equal(vigil_deadline_ms(&vigil), 60 * S);
    vigil_allow(&vigil, 12700, 255);
    assert_int_equal(vigil_deadline_ms(&vigil), 10 * M);
}

static void a_multiplier_gives_an_ordinary_command_60_s_at_most(void **state)
{
    (void)state;
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_ORDINARY, 0);
    vigil_allow(&vigil, 12700, 255);
    assert_int_equal(vigil_deadline_ms(&vigil), 60 * S);
    vigil_allow(&vigil, UINT32_MAX, 255);
    assert_int_equal(vigil_deadline_ms(&vigil), 60 * S);
}

static void a_part_of_a_wait_never_outlasts_the_whole(void **state)
{
    (void)state;
    const struct vigil whole = vigil_begin(&patience_defaults, PATIENCE_POWER, 0);
    const struct vigil part = vigil_within(&whole, 2000, 9 * S);
    assert_int_equal(vigil_deadline_ms(&part), 10 * S);
    const struct vigil early = vigil_within(&whole, 2000, 3 * S);
    assert_int_equal(vigil_deadline_ms(&early), 5 * S);
    const struct vigil late = vigil_within(&whole, 2000, 11 * S);
    assert_int_equal(vigil_deadline_ms(&late), 11 * S);
}

static void a_part_of_a_wait_may_have_its_own_silence_and_total(void **state)
{
    (void)state;
    const struct vigil whole = vigil_begin(&patience_defaults, PATIENCE_POWER, 0);
    struct vigil part = vigil_part(&whole, patience_defaults.of[PATIENCE_STATUS], 3 * S);
    assert_int_equal(vigil_deadline_ms(&part), 5 * S);
    vigil_renew(&part, 5 * S - 1);
    assert_int_equal(vigil_deadline_ms(&part), 7 * S - 1);
    vigil_renew(&part, 7 * S);
    assert_int_equal(vigil_deadline_ms(&part), 8 * S);
    part = vigil_part(&whole, patience_defaults.of[PATIENCE_STATUS], 9 * S);
    assert_int_equal(vigil_deadline_ms(&part), 10 * S);
    vigil_renew(&part, 10 * S - 1); /* it would prolong the whole as well */
    assert_int_equal(vigil_deadline_ms(&part), 11 * S - 1);
    part = vigil_part(&whole, (struct patience){ 30 * S, UINT32_MAX }, 1 * S);
    vigil_renew(&part, 59 * S);
    assert_int_equal(vigil_deadline_ms(&part), 60 * S);
}

/* ---- the environment ---- */

static void entries_of_the_environment_are_applied(void **state)
{
    (void)state;
    struct patience_table table = patience_defaults;
    const char *mistake;
    assert_true(patience_parse("generate=45m,ordinary=30s/10m,status=500ms,reset=1h/3h", &table, &mistake));
    assert_int_equal(table.of[PATIENCE_GENERATE].silence_ms, 45 * M);
    assert_int_equal(table.of[PATIENCE_GENERATE].total_ms, 120 * M);
    assert_int_equal(table.of[PATIENCE_ORDINARY].total_ms, 10 * M);
    assert_int_equal(table.of[PATIENCE_STATUS].silence_ms, 500);
    assert_int_equal(table.of[PATIENCE_RESET].silence_ms, 60 * M);
    assert_int_equal(table.of[PATIENCE_RESET].total_ms, 180 * M);
    assert_memory_equal(&table.of[PATIENCE_SIGN], &patience_defaults.of[PATIENCE_SIGN], sizeof(struct patience));
}

static void a_total_below_the_silence_is_raised_to_it(void **state)
{
    (void)state;
    struct patience_table table = patience_defaults;
    const char *mistake;
    assert_true(patience_parse("generate=3h,ordinary=20s/10s", &table, &mistake));
    assert_int_equal(table.of[PATIENCE_GENERATE].total_ms, 180 * M);
    assert_int_equal(table.of[PATIENCE_ORDINARY].total_ms, 20 * S);
}

static void a_mistake_changes_nothing_and_is_pointed_at(void **state)
{
    (void)state;
    static const struct {
        const char *text, *mistake;
    } BAD[] = {
        { "", "" }, { "generate", "generate" }, { "generate=", "generate=" }, { "generate=45", "generate=45" },
        { "generate=45x", "generate=45x" }, { "generate=0s", "generate=0s" }, { "generate=25h", "generate=25h" },
        { "generate=-1s", "generate=-1s" }, { "generate=1s/", "generate=1s/" }, { "generate=1s/2", "generate=1s/2" },
        { "generate=1s,", "" }, { "generate=1s,,sign=2s", ",sign=2s" }, { "sign=2s,nonsense=3s", "nonsense=3s" },
        { "generate=1s ", "generate=1s " }, { " generate=1s", " generate=1s" }, { "GENERATE=1s", "GENERATE=1s" },
        { "generate=99999999999999999999999s", "generate=99999999999999999999999s" }, { "generate=1s2s", "generate=1s2s" },
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct patience_table table = patience_defaults;
        const char *mistake = NULL;
        assert_false(patience_parse(BAD[i].text, &table, &mistake));
        assert_string_equal(mistake, BAD[i].mistake);
        assert_memory_equal(&table, &patience_defaults, sizeof table);
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_slow_command_has_its_class),
        TEST(all_other_commands_are_ordinary),
        TEST(the_hsms_instructions_count_in_its_class_only),
        TEST(reading_a_public_key_is_no_generation),
        TEST(the_length_of_the_apdu_does_not_matter),
        TEST(the_table_is_the_documented_one),
        TEST(a_sign_of_life_renews_the_silence_but_not_the_total),
        TEST(what_the_protocol_allows_counts_when_it_is_longer),
        TEST(a_multiplier_gives_an_ordinary_command_60_s_at_most),
        TEST(a_part_of_a_wait_never_outlasts_the_whole),
        TEST(a_part_of_a_wait_may_have_its_own_silence_and_total),
        TEST(entries_of_the_environment_are_applied),
        TEST(a_total_below_the_silence_is_raised_to_it),
        TEST(a_mistake_changes_nothing_and_is_pointed_at),
    };
    return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
