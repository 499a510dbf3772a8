/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_log.c - each line says whose it is, and details are shown to whom asks for them. */
#include "log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char said[600];
static int said_at;

/* In pcscd's place. */
extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    said_at = priority;
}

enum { DEBUG, INFO, ERROR }; /* of pcsc-lite */

static void each_line_says_whose_it_is(void **state)
{
    (void)state;
    log_error(NULL, "%d keys", 2);
    assert_string_equal(said, "ifd-nitrokey: 2 keys");
    assert_int_equal(said_at, ERROR);
    log_info("Pro (001/002)", "%s", "it is busy");
    assert_string_equal(said, "ifd-nitrokey: Pro (001/002): it is busy");
    assert_int_equal(said_at, INFO);
}

static void details_are_shown_to_whom_asks(void **state)
{
    (void)state;
    static const char *const WISHES[] = { NULL, "", "info", "debug" };
    for (int i = 0; i < 4; i++) {
        unsetenv("IFD_NITROKEY_LOG");
        if (WISHES[i])
            setenv("IFD_NITROKEY_LOG", WISHES[i], 1);
        log_debug(NULL, "a detail");
        assert_string_equal(said, "ifd-nitrokey: a detail");
        assert_int_equal(said_at, i == 3 ? ERROR : DEBUG);
        log_info(NULL, "what else there is");
        assert_int_equal(said_at, i == 3 ? ERROR : INFO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_says_whose_it_is),
        cmocka_unit_test(details_are_shown_to_whom_asks),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
