/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_pending.c - what is pending at a key outlives the process, is another key's never, and follows no link. */
#include "pending.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const struct pending_key KEY = { .node = 4711, .vendor_id = 0x20a0, .product_id = 0x42b2, .bcd_device = 0x0108,
                                        .bus = 1, .address = 2 };
static char directory[] = "/tmp/ifd-nitrokey-pending-XXXXXX";
static char path[128];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory) || setenv("IFD_NITROKEY_RUN", directory, 1) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/ifd-nitrokey-001-002.pending", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(directory);
}

/* A process writes this, and is killed: nothing is closed. */
static void leave(uint32_t phase)
{
    struct pending_store store;
    pending_open(&store, &KEY);
    store.now->phase = phase;
    store.now->length = 75;
    store.now->sent = 64;
}

static uint32_t found_by(const struct pending_key *key)
{
    struct pending_store store;
    pending_open(&store, key);
    const uint32_t phase = store.now->phase;
    pending_close(&store, false);
    return phase;
}

static void what_a_killed_process_has_left_is_found(void **state)
{
    (void)state;
    struct stat status;
    leave(PENDING_MESSAGE);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    struct pending_store store;
    pending_open(&store, &KEY);
    assert_int_equal(store.now->phase, PENDING_MESSAGE);
    assert_int_equal(store.now->length, 75);
    assert_int_equal(store.now->sent, 64);
    pending_close(&store, false);
    assert_int_equal(access(path, F_OK), 0);
}

static void nothing_pending_and_an_unplug_leave_no_file(void **state)
{
    (void)state;
    leave(PENDING_NOTHING);
    (void)found_by(&KEY);
    assert_int_not_equal(access(path, F_OK), 0);
    leave(PENDING_ANSWER);
    struct pending_store store;
    pending_open(&store, &KEY);
    pending_close(&store, true);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void what_the_key_holds_in_parts_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pending_store store;
        pending_open(&store, &KEY);
        store.now->phase = PENDING_NOTHING;
        store.now->chain = i == 0;
        store.now->rest = i == 1;
        pending_close(&store, false);
        assert_int_equal(access(path, F_OK), 0);
        unlink(path);
    }
}

static void a_file_of_somebody_else_is_not_believed(void **state)
{
    (void)state;
    leave(PENDING_ANSWER);
    if (chown(path, 65534, 65534) != 0) {
        unlink(path);
        print_message("# not tried: only root may give a file away\n"); /* a skip() would be a failure to meson */
        return;
    }
    assert_int_equal(found_by(&KEY), PENDING_UNKNOWN);
    unlink(path);
}

static void another_key_at_the_same_address_has_nothing_of_it(void **state)
{
    (void)state;
    struct pending_key others[] = { KEY, KEY, KEY };
    others[0].node++;
    others[1].product_id++;
    others[2].bcd_device++;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        leave(PENDING_ANSWER);
        assert_int_equal(found_by(&others[i]), PENDING_UNKNOWN);
    }
}

static void what_is_no_such_file_is_not_believed(void **state)
{
    (void)state;
    FILE *const file = fopen(path, "w");
    for (int i = 0; i < 500; i++)
        (void)fputs("nonsense", file);
    fclose(file);
    assert_int_equal(found_by(&KEY), PENDING_UNKNOWN);
    leave(77);
    assert_int_equal(found_by(&KEY), PENDING_UNKNOWN);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    char other[160];
    snprintf(other, sizeof other, "%s/other", directory);
    FILE *const file = fopen(other, "w");
    assert_non_null(file);
    fclose(file);
    (void)unlink(path);
    assert_int_equal(symlink("other", path), 0);
    leave(PENDING_ANSWER);
    assert_int_equal(found_by(&KEY), PENDING_UNKNOWN); /* in memory only */
    struct stat status;
    assert_int_equal(stat(other, &status), 0);
    assert_int_equal(status.st_size, 0);
    (void)unlink(path);
    assert_int_equal(link(other, path), 0);
    leave(PENDING_ANSWER);
    assert_int_equal(found_by(&KEY), PENDING_UNKNOWN);
    (void)unlink(other);
}

static void without_a_directory_or_a_node_it_is_kept_in_memory(void **state)
{
    (void)state;
    struct pending_key unknown = KEY;
    unknown.node = 0;
    struct pending_store store;
    pending_open(&store, &unknown);
    store.now->phase = PENDING_ANSWER;
    assert_ptr_equal(store.now, &store.memory);
    pending_close(&store, true);
    setenv("IFD_NITROKEY_RUN", "/nonexistent", 1);
    pending_open(&store, &KEY);
    assert_ptr_equal(store.now, &store.memory);
    pending_close(&store, false);
    setenv("IFD_NITROKEY_RUN", directory, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_process_has_left_is_found),
        cmocka_unit_test(nothing_pending_and_an_unplug_leave_no_file),
        cmocka_unit_test(what_the_key_holds_in_parts_is_kept),
        cmocka_unit_test(a_file_of_somebody_else_is_not_believed),
        cmocka_unit_test(another_key_at_the_same_address_has_nothing_of_it),
        cmocka_unit_test(what_is_no_such_file_is_not_believed),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(without_a_directory_or_a_node_it_is_kept_in_memory),
    };
    return cmocka_run_group_tests_name("pending", tests, set_up, tear_down);
}
