/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_storages.c - the whole driver on virtual Storages: HID commands beside the client's, packets of 64 bytes, the
 * start after plugging in, and a power on that resets nothing.
 */
#include "bench.h"
#include <stdio.h>
#include <string.h>

static char said[4096]; /* the log */

/* In pcscd's place. */
extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    const size_t at = strlen(said);
    va_list arguments;
    (void)priority;
    va_start(arguments, format);
    vsnprintf(said + at, sizeof said - at, format, arguments);
    va_end(arguments);
}

static struct bench *started(void)
{
    struct icc_options card = { .sign = { .work_us = SECOND }, .other = { .work_us = 100 * MS } };
    card.generate[0] = (struct icc_timing){ .work_us = 20 * SECOND, .wtx_every_us = 8 * SECOND, .wtx_multiplier = 100 };
    card.generate_count = 1;
    struct bench *b = bench_new_with(card);
    said[0] = '\0';
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

/* ---- HID commands beside a command ---- */

#define PUT_LOGIN "00DA005E 06 6E6F626F6479"
#define GET_LOGIN "00CA005E 00"

enum outcome { OWN_ANSWER, FAILED };

static enum outcome outcome(const struct answer *answer)
{
    if (answer->code == IFD_SUCCESS)
        return OWN_ANSWER;
    assert_int_equal(answer->code, IFD_COMMUNICATION_ERROR);
    return FAILED;
}

static enum outcome verifies(struct bench *b)
{
    const struct answer got = bench_transmit(b, VERIFY_USER);
    if (outcome(&got) == OWN_ANSWER)
        assert_int_equal(got.status_word, 0x9000);
    return outcome(&got);
}

/* The card answers a wrong PIN with 6982, as its family does. */
static enum outcome verifies_wrongly(struct bench *b)
{
    const unsigned tries = icc_counters(b->icc).pw1;
    const struct answer got = bench_transmit(b, VERIFY_USER_WRONG);
    if (outcome(&got) == OWN_ANSWER)
        assert_int_equal(got.status_word, 0x6982);
    assert_int_equal(icc_counters(b->icc).pw1, outcome(&got) == OWN_ANSWER ? tries - 1 : tries);
    return outcome(&got);
}

/* Either it says 9000 and has stored the object, or it says nothing and has not. */
static enum outcome puts_data(struct bench *b)
{
    const struct answer got = bench_transmit(b, PUT_LOGIN);
    if (outcome(&got) == OWN_ANSWER)
        assert_int_equal(got.status_word, 0x9000);
    const struct answer read = bench_expect(b, GET_LOGIN, 0x9000);
    assert_int_equal(read.length, outcome(&got) == OWN_ANSWER ? 6 + 2 : 2);
    return outcome(&got);
}

static enum outcome signs(struct bench *b)
{
    const struct answer got = bench_transmit(b, SIGN);
    if (outcome(&got) == OWN_ANSWER) {
        assert_int_equal(got.status_word, 0x9000);
        assert_int_equal(got.length, 256 + 2);
    }
    return outcome(&got);
}

static enum outcome generates(struct bench *b)
{
    const struct answer got = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    if (outcome(&got) == OWN_ANSWER) {
        assert_int_equal(got.status_word, 0x9000);
        assert_memory_equal(got.bytes, "\x7F\x49", 2);
    }
    return outcome(&got);
}

static void nothing(struct bench *b) { (void)b; }
static void with_the_admins_pin(struct bench *b) { bench_expect(b, VERIFY_ADMIN, 0x9000); }

static void with_a_key(struct bench *b)
{
    with_the_admins_pin(b);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_expect(b, VERIFY_USER, 0x9000);
}

static const struct command {
    const char *name;
    void (*prepare)(struct bench *b);
    enum outcome (*run)(struct bench *b);
} COMMANDS[] = {
    { "VERIFY", nothing, verifies },
    { "VERIFY with a wrong PIN", nothing, verifies_wrongly },
    { "PUT DATA", with_the_admins_pin, puts_data },
    { "PSO", with_a_key, signs },
    { "GENERATE", with_the_admins_pin, generates },
};

static const struct occasion {
    const char *name;
    int64_t after_us; /* the command has begun; 0: before it, and HID has done */
} OCCASIONS[] = { { "before", 0 }, { "at the beginning of", 1 }, { "during", 50 * MS } };

struct beside {
    struct bench *bench;
    unsigned commands;
};

static void use_hid(void *context)
{
    const struct beside *const beside = context;
    bench_hid(beside->bench, beside->commands);
}

/* The command, and then others: each gets its own answer or an error, and in the end all is well again. */
static enum outcome run_beside(const struct command *command, const struct occasion *occasion, unsigned commands)
{
    struct bench *b = started();
    struct beside beside = { b, commands };
    command->prepare(b);
    if (occasion->after_us == 0) {
        bench_hid(b, commands);
        virtual_pass(b->slot, 30 * SECOND);
    } else
        assert_true(virtual_at(b->slot, virtual_now_us(b->slot) + occasion->after_us, use_hid, &beside));
    const enum outcome first = command->run(b);
    virtual_pass(b->slot, 30 * SECOND); /* for HID, which waited */
    const struct answer next = bench_transmit(b, GET_AID);
    if (outcome(&next) == OWN_ANSWER)
        assert_int_equal(next.status_word, 0x9000);
    bench_works(b);
    assert_int_equal(verifies_wrongly(b), OWN_ANSWER);
    bench_free(b);
    return first;
}

static void a_command_beside_hid_gets_its_own_answer_or_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
        for (size_t k = 0; k < sizeof OCCASIONS / sizeof OCCASIONS[0]; k++)
            for (unsigned commands = 0; commands <= 4; commands++) {
                const enum outcome got = run_beside(&COMMANDS[i], &OCCASIONS[k], commands);
                print_message("# %s, %u HID commands %s it: %s\n", COMMANDS[i].name, commands, OCCASIONS[k].name,
                              got == OWN_ANSWER ? "its answer" : "an error");
                if (commands == 0 || OCCASIONS[k].after_us > 0) /* HID waits for the end */
                    assert_int_equal(got, OWN_ANSWER);
            }
}

/* Firmware that goes on with the host's sequence; older one begins with one of its own. */
static void after_an_odd_number_of_hid_commands_the_next_fails_and_the_one_after_it_works(void **state)
{
    (void)state;
    for (unsigned commands = 1; commands <= 4; commands++) {
        struct bench *b = started();
        bench_hid(b, commands);
        virtual_pass(b->slot, 10 * SECOND);
        const struct answer next = bench_transmit(b, VERIFY_USER_WRONG);
        if (strcmp(bench_firmware(), "storage") == 0)
            assert_int_equal(outcome(&next), commands % 2 == 0 ? OWN_ANSWER : FAILED);
        if (outcome(&next) == FAILED)
            assert_non_null(strstr(said, "the card has not taken the command"));
        assert_int_equal(icc_counters(b->icc).pw1, outcome(&next) == OWN_ANSWER ? 2 : 3);
        bench_works(b);
        bench_free(b);
    }
}

/* CCID's lock ends after 30 s: HID's block goes out while the card computes, and HID takes bytes of the answer. */
static void hid_that_waits_for_longer_than_30_s_takes_bytes_of_the_answer_but_not_the_answer(void **state)
{
    (void)state;
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 45 * SECOND });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    struct beside beside = { b, 1 };
    assert_true(virtual_at(b->slot, virtual_now_us(b->slot) + SECOND, use_hid, &beside));
    (void)generates(b);
    virtual_pass(b->slot, 70 * SECOND);
    (void)bench_transmit(b, GET_AID);
    bench_works(b);
    bench_free(b);
}

/* ---- packets of 64 bytes ---- */

static void a_request_is_one_packet_whatever_block_size_the_card_takes(void **state)
{
    (void)state;
    static char put[64 + 2 * 1200] = "00DA0103 0004B0 ";
    struct bench *b = started();
    for (int i = 0; i < 1200; i++)
        strcat(put, "A5");
    icc_ask_ifs(b->icc, 254);
    bench_expect(b, "00200082 06 313233343536", 0x9000);
    bench_expect(b, put, 0x9000);
    assert_int_equal(bench_expect(b, "00CA0103 000000", 0x9000).length, 1200 + 2);
    bench_free(b);
}

/* ---- power ---- */

static void a_key_that_was_just_plugged_in_is_not_said_to_be_busy(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    said[0] = '\0';
    const int64_t begun = virtual_now_us(b->slot);
    bench_start(b);
    assert_in_range(virtual_now_us(b->slot) - begun, 0, 5 * SECOND);
    assert_null(strstr(said, "busy"));
    bench_works(b);
    bench_free(b);
}

static void power_on_resets_a_card_that_has_power(void **state)
{
    (void)state;
    struct bench *b = started();
    bench_expect(b, VERIFY_USER, 0x9000);
    bench_expect(b, "00200081", 0x9000); /* the PIN's status */
    const size_t resets = icc_resets(b->icc);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    assert_int_equal(icc_resets(b->icc), resets + 1);
    bench_expect(b, SELECT, 0x9000);
    const struct answer status = bench_transmit(b, "00200081");
    assert_int_equal(status.code, IFD_SUCCESS);
    assert_int_not_equal(status.status_word, 0x9000);
    bench_free(b);
}

int main(int argc, char *argv[])
{
    bench_choose(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_beside_hid_gets_its_own_answer_or_an_error),
        cmocka_unit_test(after_an_odd_number_of_hid_commands_the_next_fails_and_the_one_after_it_works),
        cmocka_unit_test(hid_that_waits_for_longer_than_30_s_takes_bytes_of_the_answer_but_not_the_answer),
        cmocka_unit_test(a_request_is_one_packet_whatever_block_size_the_card_takes),
        cmocka_unit_test(a_key_that_was_just_plugged_in_is_not_said_to_be_busy),
        cmocka_unit_test(power_on_resets_a_card_that_has_power),
    };
    return cmocka_run_group_tests_name("storages", tests, NULL, NULL);
}
