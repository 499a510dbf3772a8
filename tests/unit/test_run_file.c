/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_run_file.c - a file in the run directory is the old one or the new one, whole. */
#include "run_file.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

static void half_a_file_takes_nobodys_place(void **state)
{
    (void)state;
    char path[] = "/tmp/run-file-XXXXXX", text[8] = "";
    struct rlimit before, little;
    assert_non_null(mkdtemp(path));
    const int directory = open(path, O_RDONLY | O_DIRECTORY);
    assert_true(run_file_write(directory, "name", "old", 3));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = (struct rlimit){ 2, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    const bool written = run_file_write(directory, "name", "new", 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    const int file = openat(directory, "name", O_RDONLY);
    assert_int_equal(read(file, text, sizeof text), 3);
    assert_string_equal(text, "old");
    close(file);
    assert_int_equal(faccessat(directory, "name.new", F_OK, 0), -1);
    assert_int_equal(unlinkat(directory, "name", 0), 0);
    close(directory);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(half_a_file_takes_nobodys_place) };
    return cmocka_run_group_tests_name("run_file", tests, NULL, NULL);
}
