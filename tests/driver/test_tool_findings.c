/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_tool_findings.c - ifd-nitrokey: what it reads from keys and programs that mean it ill, and the lines that it gives to type. */
#include "bench.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tool/doctor.h"
#include "tool/power_on.h"
#include "tool/run.h"
#include "tool/text.h"

/* ---- a key without what a CCID has ---- */

static void a_key_without_a_bulk_endpoint_has_no_atr(void **state)
{
    static const uint8_t ENDPOINTS[] = { 0x82, 0x02 };
    (void)state;
    for (size_t i = 0; i < sizeof ENDPOINTS; i++) {
        struct bench *b = bench_new(NULL);
        struct identity identity = *b->device->identity;
        uint8_t configuration[512];
        memcpy(configuration, identity.configuration, identity.configuration_len);
        identity.configuration = configuration;
        for (size_t at = 0; at < identity.configuration_len; at += configuration[at])
            if (configuration[at + 1] == 5 && configuration[at + 2] == ENDPOINTS[i])
                configuration[at + 3] = 3; /* an interrupt endpoint */
        b->device->identity = &identity;
        virtual_unplug(b->slot);
        virtual_plug(b->slot);
        const struct key key = { .vendor_id = 0x20a0, .product_id = 0x4108, .ccid_interface = 1, .node = BENCH_NODE };
        uint8_t atr[36];
        size_t length = 1;
        assert_int_equal(power_on(&key, atr, &length), ERR_NOT_CCID);
        assert_int_equal(length, 0);
        bench_free(b);
    }
}

/* ---- other programs' output ---- */

static void what_gpgconf_prints_is_read_to_its_end_and_no_further(void **state)
{
    (void)state;
    char text[][16] = { "a%20b%3a", "a%", "a%4", "a%\0SECRET", "a%a\0SECRET", "a%zz", "%%41", "a%00b" };
    static const char *const MEANS[] = { "a b:", "a%", "a%4", "a%", "a%a", "a%zz", "%A", "a" };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        text_unescape(text[i]);
        assert_string_equal(text[i], MEANS[i]);
    }
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Its output ends, and it goes on. */
static void a_program_that_does_not_end_is_ended(void **state)
{
    (void)state;
    static const char *const ENDLESS[] = { "sh", "-c", "echo text; exec sleep 60 >&-", NULL };
    char text[64];
    const int64_t begun = now_ms();
    assert_false(run_within(ENDLESS, text, sizeof text, 300));
    assert_in_range(now_ms() - begun, 300, 10000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_program_that_ends_is_waited_for(void **state)
{
    (void)state;
    static const char *const LATE[] = { "sh", "-c", "echo text; exec >&-; sleep 0.1", NULL };
    static const char *const FAILS[] = { "false", NULL };
    char text[64];
    assert_true(run(LATE, text, sizeof text));
    assert_string_equal(text, "text\n");
    assert_false(run(FAILS, text, sizeof text));
}

/* ---- lines to type ---- */

/* What a shell makes of the first part of a line, up to "| sudo". */
static void shell_prints(const char *shell, const char *line, char text[LINE_MAX_TO_TYPE])
{
    char part[LINE_MAX_TO_TYPE];
    const char *const end = strstr(line, " | sudo ");
    assert_non_null(end);
    snprintf(part, sizeof part, "%.*s", (int)(end - line), line);
    const char *const argv[] = { shell, "-c", part, NULL };
    assert_true(run(argv, text, LINE_MAX_TO_TYPE));
}

static void polkits_rule_names_whoever_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *user, *in_rule, *file;
    } USERS[] = {
        { "person", "\"person\"", "50-pcscd-person.rules" },
        { "DOMAIN\\name", "\"DOMAIN\\\\name\"", "50-pcscd-DOMAIN_name.rules" },
        { "o'neill \"x\"", "\"o'neill \\\"x\\\"\"", "50-pcscd-o_neill__x_.rules" },
    };
    static const char *const SHELLS[] = { "sh", "bash" };
    for (size_t i = 0; i < sizeof USERS / sizeof USERS[0]; i++)
        for (size_t k = 0; k < 2; k++) {
            char line[LINE_MAX_TO_TYPE], text[LINE_MAX_TO_TYPE], expected[128];
            polkit_line(line, USERS[i].user);
            assert_non_null(strstr(line, USERS[i].file));
            shell_prints(SHELLS[k], line, text);
            snprintf(expected, sizeof expected, "subject.user == %s) return", USERS[i].in_rule);
            assert_non_null(strstr(text, expected));
        }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_without_a_bulk_endpoint_has_no_atr),
        TEST(what_gpgconf_prints_is_read_to_its_end_and_no_further),
        TEST(a_program_that_does_not_end_is_ended),
        TEST(a_program_that_ends_is_waited_for),
        TEST(polkits_rule_names_whoever_it_is),
    };
    return cmocka_run_group_tests_name("tool_findings", tests, NULL, NULL);
}
