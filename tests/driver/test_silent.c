/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_silent.c - a key that does not answer, and one that answers while nobody calls. */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libusb_virtual.h"

#define HOUR (60 * MINUTE)

static unsigned lines, messages;

extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    (void)format;
    lines += priority >= 1; /* PCSC_LOG_INFO */
}

static void count_sent(void *context, enum libusb_virtual_event event, const uint8_t *bytes, size_t length)
{
    (void)context, (void)bytes, (void)length;
    messages += event == TAP_SENT;
}

static void thaw(void *bench)
{
    bench_freeze(bench, false);
}

/* pcscd would power it on again and again: a message and some lines in the log each 5 s. */
static void a_key_that_does_not_answer_is_asked_seldom_and_served_as_soon_as_it_does(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_freeze(b, true);
    assert_int_not_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
    const int64_t begun = virtual_now_us(b->slot);
    virtual_at(b->slot, begun + HOUR, thaw, b);
    lines = messages = 0;
    libusb_virtual_listen(count_sent, NULL);
    while (IFDHICCPresence(LUN) == IFD_ICC_NOT_PRESENT)
        assert_int_equal(bench_poll(2 * 3600 * 1000), IFD_SUCCESS);
    libusb_virtual_listen(NULL, NULL);
    const int64_t took = virtual_now_us(b->slot) - begun;
    assert_true(took >= HOUR && took <= HOUR + 2 * SECOND);
    assert_true(messages <= 720); /* of 3600 s */
    assert_true(lines <= 4);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    bench_works(b);
    bench_free(b);
}

static bool reader_file_says(const char *directory, const char *line)
{
    char name[128], text[256];
    snprintf(name, sizeof name, "%s/ifd-nitrokey-001-002.reader", directory);
    FILE *const file = fopen(name, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return strstr(text, line) != NULL;
}

static void an_answer_that_is_owed_is_read_while_nobody_calls(void **state)
{
    (void)state;
    char directory[] = "/tmp/test-silent-XXXXXX";
    assert_non_null(mkdtemp(directory));
    setenv("IFD_NITROKEY_RUN", directory, 1);
    setenv("IFD_NITROKEY_PATIENCE", "generate=5s/5s", 1);
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 20 * SECOND });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_true(reader_file_says(directory, "state=served"));
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_RESPONSE_TIMEOUT);
    assert_true(reader_file_says(directory, "state=late"));
    for (int i = 0; i < 6; i++)
        (void)bench_poll(0);
    assert_true(reader_file_says(directory, "state=served"));
    bench_works(b);
    bench_free(b);
    unsetenv("IFD_NITROKEY_PATIENCE");
    unsetenv("IFD_NITROKEY_RUN");
    assert_int_equal(rmdir(directory), 0);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_does_not_answer_is_asked_seldom_and_served_as_soon_as_it_does),
        cmocka_unit_test(an_answer_that_is_owed_is_read_while_nobody_calls),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("silent", tests, NULL, NULL);
}
