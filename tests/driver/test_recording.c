/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_recording.c - what the driver records of a session with a key, and that nothing else changes by it. */
#include "bench.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "model.h"

#define PIN "00200081 06 313233343536"
/* As long as a Gnuk wants it before the admin PIN is changed. */
#define NEW_PIN "00240081 0E 313233343536 3635343332313635"
#define PRIVATE_OBJECT "00DA0101 06 706C61696E21"

static char directory[] = "/tmp/trace-XXXXXX";
static uint8_t recorded[1 << 20];
static size_t recorded_length;
static char said[20000]; /* all errors in the log */

extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const size_t at = strlen(said);
    if (priority == 2) {
        vsnprintf(said + at, sizeof said - at - 1, format, arguments);
        strcat(said, "\n");
    }
    va_end(arguments);
}

/* Takes all traces away, what was in them is then in recorded. */
static unsigned collect(void)
{
    unsigned count = 0;
    char path[300];
    DIR *const all = opendir(directory);
    recorded_length = 0;
    for (struct dirent *entry; (entry = readdir(all));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        gzFile file = gzopen(path, "rb");
        const size_t room = sizeof recorded - recorded_length;
        recorded_length += (size_t)gzread(file, recorded + recorded_length, (unsigned)room);
        gzclose(file);
        unlink(path);
        count++;
    }
    closedir(all);
    return count;
}

static bool is_recorded(const void *bytes, size_t length)
{
    return memmem(recorded, recorded_length, bytes, length) != NULL;
}

static void session(void)
{
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 30 * SECOND, .wtx_every_us = 10 * SECOND,
                                                      .wtx_multiplier = 10 });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, GET_AID, 0x9000);
    bench_expect(b, PIN, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    (void)bench_transmit(b, PRIVATE_OBJECT);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_expect(b, PIN, 0x9000);
    bench_expect(b, SIGN, 0x9000);
    bench_expect(b, NEW_PIN, 0x9000);
    bench_stop(b);
    bench_free(b);
}

static int set_up(void **state)
{
    char path[64];
    (void)state;
    said[0] = '\0';
    snprintf(path, sizeof path, "%s/key.pcap.gz", directory);
    return setenv("IFD_NITROKEY_TRACE", path, 1);
}

static void a_session_is_recorded_without_its_secrets(void **state)
{
    (void)state;
    session();
    assert_int_equal(collect(), 1);
    assert_true(is_recorded("\xd2\x76\x00\x01\x24\x01", 6));     /* SELECT */
    assert_true(is_recorded("\x00\x20\x00\x81", 4));             /* VERIFY */
    assert_true(is_recorded("\x00\x47\x80\x00", 4));             /* GENERATE */
    assert_false(is_recorded("\x12\x34\x56\x78", 4));            /* serial number */
    for (size_t i = 0; i + 3 <= 8; i++)                          /* any three digits of a PIN */
        assert_false(is_recorded(&"12345678"[i], 3));
    assert_false(is_recorded("654", 3));
    assert_false(is_recorded("321", 3));
    assert_false(is_recorded("plai", 4));
    assert_false(is_recorded("\x65\x03\x04\x02\x01", 5));        /* of the hash that is signed */
    assert_false(is_recorded("\x7f\x49", 2));                    /* the public key that is generated */
}

static void nothing_is_recorded_if_nobody_asks_for_it(void **state)
{
    (void)state;
    unsetenv("IFD_NITROKEY_TRACE");
    session();
    assert_int_equal(collect(), 0);
}

static void a_trace_that_cannot_be_written_changes_nothing_else(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_TRACE", "/nonexistent/key.pcap.gz", 1);
    session();
    assert_non_null(strstr(said, "/nonexistent/key-001-002-1.pcap.gz"));
    assert_null(strstr(strstr(said, "/nonexistent") + 1, "/nonexistent")); /* said once */
}

static void after_a_failure_the_last_messages_are_in_the_log(void **state)
{
    (void)state;
    unsetenv("IFD_NITROKEY_TRACE");
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 200 * MINUTE });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_null(strstr(said, "the last messages"));
    assert_int_not_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_SUCCESS);
    assert_non_null(strstr(said, "a command of class \"generate\" has failed: there was no answer in time"));
    const char *const last = strstr(said, "the last messages");
    assert_non_null(last);
    assert_non_null(strstr(last, "00478000"));
    assert_null(strstr(last, "3132"));
    bench_stop(b);
    bench_free(b);
}

static unsigned lines_with(const char *text)
{
    unsigned count = 0;
    for (const char *at = said; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static struct bench *without_a_trace(const struct icc_timing *generate)
{
    unsetenv("IFD_NITROKEY_TRACE");
    struct bench *b = bench_new(generate);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    return b;
}

static void each_line_says_which_key(void **state)
{
    (void)state;
    struct bench *b = without_a_trace(&(struct icc_timing){ .work_us = 200 * MINUTE });
    const uint8_t *const d = b->device->identity->device;
    const struct model *const model = model_find((uint16_t)(d[9] << 8 | d[8]), (uint16_t)(d[11] << 8 | d[10]));
    char beginning[128];
    snprintf(beginning, sizeof beginning, "ifd-nitrokey: %s (001/002): ", model->name);
    assert_int_not_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_SUCCESS);
    assert_in_range(lines_with("\n"), 3, 100);
    assert_int_equal(lines_with(beginning), lines_with("\n"));
    bench_stop(b);
    bench_free(b);
}

static void a_failure_is_told_once(void **state)
{
    (void)state;
    struct bench *b = without_a_trace(&(struct icc_timing){ .work_us = 200 * MINUTE });
    assert_int_not_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_SUCCESS);
    assert_int_equal(lines_with("no answer"), 1);
    bench_stop(b);
    bench_free(b);
}

static void the_last_messages_are_told_once_of_a_row_of_equal_failures(void **state)
{
    (void)state;
    struct bench *b = without_a_trace(NULL);
    for (unsigned row = 1; row <= 2; row++) {
        bench_freeze(b, true);
        for (unsigned i = 0; i < 3; i++)
            assert_int_not_equal(bench_transmit(b, GET_AID).code, IFD_SUCCESS);
        assert_int_equal(lines_with("the last messages"), row);
        bench_freeze(b, false);
        (void)bench_power(IFD_POWER_UP);
        (void)bench_event_thread();
        bench_works(b);
    }
    bench_stop(b);
    bench_free(b);
}

/* Three bytes, a length that is not there, and more than any firmware takes, if that is known of it. */
static void a_programs_nonsense_is_not_told_as_a_failure_of_the_key(void **state)
{
    (void)state;
    char too_long[2 * 4000 + 1] = "00DA0101 00 0F00", cut[2 * 400 + 1] = "00DA0101 00 0F00";
    memset(too_long + strlen(too_long), '0', 2 * 0x0f00);
    memset(cut + strlen(cut), '0', 2 * 300);
    struct bench *b = without_a_trace(NULL);
    (void)bench_transmit(b, "00CA00");
    (void)bench_transmit(b, cut);
    (void)bench_transmit(b, too_long);
    assert_string_equal(said, "");
    bench_works(b);
    bench_stop(b);
    bench_free(b);
}

static void all_is_in_the_log_if_that_is_asked_for(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_LOG", "debug", 1);
    session();
    unsetenv("IFD_NITROKEY_LOG");
    assert_non_null(strstr(said, "a trace is written to "));
    assert_int_equal(collect(), 1);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_recorded_without_its_secrets),
        TEST(nothing_is_recorded_if_nobody_asks_for_it),
        TEST(a_trace_that_cannot_be_written_changes_nothing_else),
        TEST(after_a_failure_the_last_messages_are_in_the_log),
        TEST(each_line_says_which_key),
        TEST(a_failure_is_told_once),
        TEST(the_last_messages_are_told_once_of_a_row_of_equal_failures),
        TEST(a_programs_nonsense_is_not_told_as_a_failure_of_the_key),
        TEST(all_is_in_the_log_if_that_is_asked_for),
    };
    bench_choose(argc, argv);
    if (!mkdtemp(directory))
        return 1;
    const int failed = cmocka_run_group_tests_name("recording", tests, NULL, NULL);
    collect();
    rmdir(directory);
    return failed;
}
