/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_classes.c - the whole driver waits for each command as long as its class allows, and not a moment longer. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>

#define HOUR (60 * MINUTE)

static const struct {
    const char *apdu;
    int64_t silence_us, total_us;
} COMMANDS[] = {
    { "00CA006E00", 30 * SECOND, 5 * MINUTE },                   /* ordinary */
    { "00478100 02 B600 00", 30 * SECOND, 5 * MINUTE },          /* reads a public key only */
    { "0CCA006E 02 8E00 00", 30 * SECOND, 5 * MINUTE },
    { "002A9E9A 02 0102 00", 60 * SECOND, 10 * MINUTE },         /* sign */
    { "0C2A9E9A 02 8E00 00", 60 * SECOND, 10 * MINUTE },
    { "102A8086 02 0102", 60 * SECOND, 10 * MINUTE },
    { "00880000 02 0102 00", 60 * SECOND, 10 * MINUTE },
    { "0087039B 02 7C00 00", 60 * SECOND, 10 * MINUTE },
    { "80620110 02 0102 00", 60 * SECOND, 10 * MINUTE },
    { "80680110 02 0102 00", 60 * SECOND, 10 * MINUTE },
    { VERIFY_USER, 60 * SECOND, 10 * MINUTE },                   /* secret */
    { "0C200081 02 8E00", 60 * SECOND, 10 * MINUTE },
    { "00240081", 60 * SECOND, 10 * MINUTE },
    { "002C0281 02 0102", 60 * SECOND, 10 * MINUTE },
    { "10DB3FFF 02 4D00", 60 * SECOND, 10 * MINUTE },
    { "00DA005B 02 4142", 60 * SECOND, 10 * MINUTE },
    { "00E60000", 3 * MINUTE, 30 * MINUTE },                     /* reset */
    { "00440000", 3 * MINUTE, 30 * MINUTE },
    { "80500000 02 0102", 3 * MINUTE, 30 * MINUTE },
    { "80520000 02 0102", 3 * MINUTE, 30 * MINUTE },
    { "00478000 02 B600 00", 20 * MINUTE, 2 * HOUR },            /* generate */
    { GENERATE_SIGNATURE_KEY, 20 * MINUTE, 2 * HOUR },
    { "0C478000 02 8E00 00", 20 * MINUTE, 2 * HOUR },
    { "10478000 02 B600", 20 * MINUTE, 2 * HOUR },
    { "00460000 02 B600 00", 20 * MINUTE, 2 * HOUR },
};
#define COMMAND_COUNT (sizeof COMMANDS / sizeof COMMANDS[0])

static void freeze(struct bench *b, bool frozen)
{
    virtual_lock(b->slot);
    b->device->faults.frozen = frozen;
    virtual_unlock(b->slot);
}

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
    if (answer.code != IFD_RESPONSE_TIMEOUT || answer.took_us < least_us || answer.took_us > most_us)
        fail_msg("%s: code %ld after %.3f s instead of %.0f s", apdu, (long)answer.code, (double)answer.took_us / 1e6,
                 (double)least_us / 1e6);
}

/* A key that does not take the command: the driver may need a moment to take it back. */
static void without_a_sign_of_life_patience_ends_with_the_silence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        struct bench *b = started();
        freeze(b, true);
        ends_after(b, COMMANDS[i].apdu, COMMANDS[i].silence_us, COMMANDS[i].silence_us + SECOND);
        freeze(b, false);
        bench_works(b);
        bench_free(b);
    }
}

static void signs_of_life_do_not_prolong_the_total(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        struct bench *b = started();
        icc_set_mute(b->icc, true);
        ends_after(b, COMMANDS[i].apdu, COMMANDS[i].total_us, COMMANDS[i].total_us + 3 * SECOND); /* with the Abort */
        icc_set_mute(b->icc, false);
        bench_works(b);
        bench_free(b);
    }
}

static void the_environment_changes_what_it_names(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=45m/3h,ordinary=10s", 1);
    struct bench *b = started();
    unsetenv("IFD_NITROKEY_PATIENCE");
    freeze(b, true);
    ends_after(b, "00478000 02 B600 00", 45 * MINUTE, 45 * MINUTE + SECOND);
    ends_after(b, "00CA006E00", 10 * SECOND, 11 * SECOND);
    ends_after(b, VERIFY_USER, 60 * SECOND, 61 * SECOND);
    freeze(b, false);
    bench_works(b);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_sign_of_life_patience_ends_with_the_silence),
        TEST(signs_of_life_do_not_prolong_the_total),
        TEST(the_environment_changes_what_it_names),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("classes", tests, NULL, NULL);
}
