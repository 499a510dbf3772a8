/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_classes.c - the whole driver waits for each command as long as its class allows, and not a moment longer. */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR (60 * MINUTE)

static const struct {
    const char *apdu; /* after CLA */
    int64_t silence_us, total_us;
    uint8_t cla;
} COMMANDS[] = {
    { "CA006E00", 30 * SECOND, 5 * MINUTE, 0x00 },              /* ordinary */
    { "478100 02 B600 00", 30 * SECOND, 5 * MINUTE, 0x00 },     /* reads a public key only */
    { "2A9E9A 02 0102 00", 60 * SECOND, 10 * MINUTE, 0x00 },    /* sign */
    { "2A8086 02 0102", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "880000 02 0102 00", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "87039B 02 7C00 00", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "620110 02 0102 00", 60 * SECOND, 10 * MINUTE, 0x80 },
    { "680110 02 0102 00", 60 * SECOND, 10 * MINUTE, 0x80 },
    { "720192 00", 60 * SECOND, 10 * MINUTE, 0x80 },
    { "740193 02 0102", 60 * SECOND, 10 * MINUTE, 0x80 },
    { "200082", 60 * SECOND, 10 * MINUTE, 0x00 },               /* secret; without a PIN, so that no try is lost */
    { "240081", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "2C0281 02 0102", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "DB3FFF 02 4D00", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "DA005B 02 4142", 60 * SECOND, 10 * MINUTE, 0x00 },
    { "E60000", 3 * MINUTE, 30 * MINUTE, 0x00 },                /* reset */
    { "440000", 3 * MINUTE, 30 * MINUTE, 0x00 },
    { "500000 02 0102", 3 * MINUTE, 30 * MINUTE, 0x80 },
    { "520000 02 0102", 3 * MINUTE, 30 * MINUTE, 0x80 },
    { "478000 02 B600 00", 20 * MINUTE, 2 * HOUR, 0x00 },       /* generate */
    { "460000 02 B600 00", 20 * MINUTE, 2 * HOUR, 0x00 },
};
#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

/* Alone, as a part of a chain (ISO 7816-4 §5.1.1), with secure messaging, and both. */
static const uint8_t FORMS[] = { 0x00, 0x10, 0x0c, 0x1c };
#define FORM_COUNT (sizeof FORMS / sizeof FORMS[0])

static const char *command(size_t i, size_t form)
{
    static char apdu[64];
    snprintf(apdu, sizeof apdu, "%02X%s", (unsigned)(COMMANDS[i].cla | FORMS[form]), COMMANDS[i].apdu);
    return apdu;
}

/* A key that may be started anew is, and one that hears nothing lets the kernel wait for 5 s. */
#define RESTART_US (6 * SECOND)

static struct bench *started(void)
{
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

static void ends_after(struct bench *b, const char *apdu, int64_t least_us, int64_t most_us)
{
    const struct answer answer = bench_transmit(b, apdu);
    if (answer.code != IFD_RESPONSE_TIMEOUT || answer.took_us < least_us - MS || answer.took_us > most_us)
        fail_msg("%s: code %ld after %.3f s instead of %.0f s", apdu, (long)answer.code, (double)answer.took_us / 1e6,
                 (double)least_us / 1e6);
}

static void silence_ends(size_t i, size_t form)
{
    struct bench *b = started();
    bench_freeze(b, true);
    ends_after(b, command(i, form), COMMANDS[i].silence_us, COMMANDS[i].silence_us + RESTART_US);
    bench_freeze(b, false);
    bench_works(b);
    bench_free(b);
}

/* A key that does not take the command: the driver may need a moment to take it back. */
static void without_a_sign_of_life_patience_ends_with_the_silence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (size_t form = 0; form < FORM_COUNT; form++)
            silence_ends(i, form);
}

/* A card that is at work for ever, and says so; in a key of APDU level the firmware does, whatever the card. */
static struct bench *for_ever(uint8_t multiplier, unsigned signs)
{
    const struct icc_timing always = { .work_us = 100 * HOUR, .wtx_every_us = SECOND, .wtx_multiplier = multiplier,
                                       .wtx_count = signs };
    struct bench *b = bench_new_with((struct icc_options){ .generate = { always }, .generate_count = 1, .sign = always,
                                                           .other = always });
    bench_start(b);
    return b;
}

static void total_ends(size_t i, size_t form)
{
    struct bench *b = for_ever(0, 0);
    if (strcmp(bench_application(), "gnuk") == 0 && FORMS[form] & 0x10) /* whose application does not get it */
        bench_expect(b, command(i, form), 0x9000);
    else
        ends_after(b, command(i, form), COMMANDS[i].total_us, COMMANDS[i].total_us + 3 * SECOND); /* with the Abort */
    bench_free(b);
}

static void signs_of_life_do_not_prolong_the_total(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (size_t form = 0; form < FORM_COUNT; form++)
            total_ends(i, form);
}

static void a_card_that_asks_for_the_most_and_falls_silent_ends_at_the_total_at_the_latest(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        struct bench *b = for_ever(255, 1);
        ends_after(b, command(i, 0), COMMANDS[i].silence_us, COMMANDS[i].total_us + 3 * SECOND);
        bench_free(b);
    }
}

static void the_environment_changes_what_it_names(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=45m/3h,ordinary=20s", 1);
    struct bench *b = started();
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_freeze(b, true);
    ends_after(b, "00478000 02 B600 00", 45 * MINUTE, 45 * MINUTE + RESTART_US);
    ends_after(b, "00CA006E00", 20 * SECOND, 21 * SECOND);
    ends_after(b, VERIFY_USER, 60 * SECOND, 61 * SECOND);
    bench_freeze(b, false);
    bench_works(b);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_sign_of_life_patience_ends_with_the_silence),
        TEST(signs_of_life_do_not_prolong_the_total),
        TEST(a_card_that_asks_for_the_most_and_falls_silent_ends_at_the_total_at_the_latest),
        TEST(the_environment_changes_what_it_names),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("classes", tests, NULL, NULL);
}
