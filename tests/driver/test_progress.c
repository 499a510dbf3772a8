/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_progress.c - the file in which the driver tells how a long command is getting on. */
#include "bench.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "model.h"
#include "patience.h"
#include "progress.h"
#include "unit/open_files.h"

#define NAME "ifd-nitrokey-001-002"

static char directory[] = "/tmp/progress-XXXXXX";

/* What the file holds at this moment of the virtual clock; empty: there is none. */
struct look {
    char text[1024];
    mode_t mode;
};

static void look(void *context)
{
    struct look *const look = context;
    struct stat attributes;
    char path[64];
    snprintf(path, sizeof path, "%s/" NAME, directory);
    FILE *const file = fopen(path, "r");
    *look = (struct look){ .mode = 0 };
    if (!file)
        return;
    look->text[fread(look->text, 1, sizeof look->text - 1, file)] = '\0';
    look->mode = fstat(fileno(file), &attributes) == 0 ? attributes.st_mode : 0;
    fclose(file);
}

static long long field(const struct look *look, const char *key)
{
    const char *const line = strstr(look->text, key);
    if (!line)
        fail_msg("there is no %s in \"%s\"", key, look->text);
    return atoll(line + strlen(key));
}

static unsigned files(void)
{
    unsigned count = 0;
    DIR *const all = opendir(directory);
    for (struct dirent *entry; (entry = readdir(all));)
        count += entry->d_name[0] != '.' && strcmp(entry->d_name, NAME ".reader") != 0 &&
                 strcmp(entry->d_name, NAME ".pending") != 0;
    closedir(all);
    return count;
}

static struct bench *with_admin(int64_t work_us)
{
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = work_us, .wtx_every_us = 10 * SECOND,
                                                      .wtx_multiplier = 10 });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    return b;
}

static bool a_file_tells_its_reader(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/" NAME ".reader", directory);
    return access(path, F_OK) == 0;
}

static struct look in_the_middle_of_a_generation(struct bench *b, int64_t after_us)
{
    struct look seen;
    virtual_at(b->slot, virtual_now_us(b->slot) + after_us, look, &seen);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    return seen;
}

static void a_generation_can_be_watched(void **state)
{
    (void)state;
    struct bench *b = with_admin(60 * SECOND);
    const struct look seen = in_the_middle_of_a_generation(b, SECOND);
    assert_non_null(strstr(seen.text, "reader=Nitrokey Nitrokey Pro\n"));
    assert_non_null(strstr(seen.text, "class=generate\n"));
    assert_int_equal(field(&seen, "\npid="), getpid());
    assert_int_equal(field(&seen, "\nbus="), 1);
    assert_int_equal(field(&seen, "\naddress="), 2);
    assert_int_equal(field(&seen, "\ntotal-ends=") - field(&seen, "\nbegun="), 2 * 3600 * 1000);
    assert_in_range(field(&seen, "\nsilence-ends=") - field(&seen, "\nheard="), 20 * 60 * 1000 - 100, 20 * 60 * 1000 + 100);
    assert_true(field(&seen, "\nusually-to=") > field(&seen, "\nusually-from="));
    assert_int_equal(seen.mode & 07777, 0644);
    assert_int_equal(files(), 0);
    bench_free(b);
}

/* How often a file of that name has come to be since. Events of other names between keep equal ones apart. */
static unsigned written(int watch)
{
    char events[65536];
    unsigned count = 0;
    for (ssize_t length; (length = read(watch, events, sizeof events)) > 0;)
        for (ssize_t at = 0; at < length;) {
            const struct inotify_event *const event = (const void *)(events + at);
            count += event->len > 0 && strcmp(event->name, NAME) == 0;
            at += (ssize_t)sizeof *event + event->len;
        }
    return count;
}

/* Of the machine's clock, since that is what writing costs. */
static void signs_of_life_are_written_as_often_as_somebody_can_see(void **state)
{
    (void)state;
    struct timespec begun, ended;
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 15 * MINUTE, .wtx_every_us = SECOND,
                                                      .wtx_multiplier = 1 });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(inotify_add_watch(watch, directory, IN_CREATE | IN_MOVED_TO) > 0);
    clock_gettime(CLOCK_BOOTTIME, &begun);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    clock_gettime(CLOCK_BOOTTIME, &ended);
    const int64_t took_ms = (ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000;
    assert_in_range(written(watch), 1, took_ms / 400 + 2);
    close(watch);
    bench_free(b);
}

static void signs_of_life_are_counted_and_nothing_stays_open(void **state)
{
    (void)state;
    struct progress progress;
    struct look seen;
    const unsigned before = open_files();
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_GENERATE, 0);
    progress_init(&progress, model_find(0x20a0, 0x4108), 1, 2);
    progress_begin(&progress, &vigil, 0);
    for (int i = 1; i <= 5; i++) {
        progress.written_ms -= 1000; /* so long ago */
        vigil_renew(&vigil, 1000 * i);
    }
    look(&seen);
    assert_int_equal(field(&seen, "signs="), 5);
    progress_end(&progress);
    look(&seen);
    assert_string_equal(seen.text, "");
    assert_int_equal(open_files(), before);
}

static void a_factory_reset_can_be_watched(void **state)
{
    (void)state;
    struct look seen;
    struct bench *b = with_admin(60 * SECOND);
    virtual_at(b->slot, virtual_now_us(b->slot) + 5 * MS, look, &seen);
    bench_transmit(b, "00E60000");
    assert_non_null(strstr(seen.text, "class=reset\n"));
    assert_int_equal(field(&seen, "\ntotal-ends=") - field(&seen, "\nbegun="), 30 * 60 * 1000);
    assert_true(field(&seen, "\nusually-to=") > field(&seen, "\nusually-from="));
    assert_true(field(&seen, "\nusually-to=") < 30 * 1000);
    assert_int_equal(files(), 0);
    bench_free(b);
}

static void it_says_nothing_of_other_commands(void **state)
{
    (void)state;
    struct look seen;
    struct bench *b = with_admin(SECOND);
    virtual_at(b->slot, virtual_now_us(b->slot) + 5 * MS, look, &seen);
    bench_expect(b, GET_AID, 0x9000);
    assert_string_equal(seen.text, "");
    virtual_at(b->slot, virtual_now_us(b->slot) + 5 * MS, look, &seen);
    bench_expect(b, VERIFY_USER, 0x9000);
    assert_string_equal(seen.text, "");
    bench_free(b);
}

static void a_generation_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct bench *b = with_admin(60 * SECOND);
    bench_unplug_after(b, 10 * SECOND);
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(files(), 0);
    bench_free(b);
}

/* In a container pcscd may have the same number again, so that nothing else tells that this is over. */
static void what_a_killed_driver_has_left_is_removed_at_open(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/" NAME, directory);
    FILE *const file = fopen(path, "w");
    fprintf(file, "pid=%d\n", getpid());
    fclose(file);
    struct bench *b = bench_new(NULL);
    bench_start(b);
    assert_int_equal(files(), 0);
    bench_free(b);
}

/* Somebody else who may write there has put links in the way. */
static void the_number_of_its_reader_can_be_read_while_it_is_open(void **state)
{
    (void)state;
    char path[64], text[64] = "", expected[64];
    struct bench *b = bench_new(NULL);
    bench_start(b);
    snprintf(path, sizeof path, "%s/" NAME ".reader", directory);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    snprintf(expected, sizeof expected, "pid=%d\nnumber=%lu\nstate=served\nuntil=0\n", getpid(), (unsigned long)LUN >> 16);
    assert_string_equal(text, expected);
    bench_stop(b);
    assert_false(a_file_tells_its_reader());
    bench_free(b);
}

/* pcscd numbers its readers in the upper half of a Lun. */
static void the_number_is_pcscds(void **state)
{
    (void)state;
    char path[64], text[200] = "", name[] = BENCH_NAME;
    struct bench *b = bench_new(NULL);
    snprintf(path, sizeof path, "%s/" NAME ".reader", directory);
    assert_int_equal(IFDHCreateChannelByName(3 << 16, name), IFD_SUCCESS);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(text, "\nnumber=3\n"));
    assert_int_equal(IFDHCloseChannel(3 << 16), IFD_SUCCESS);
    bench_free(b);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    char victim[64], link[64];
    struct bench *b = with_admin(60 * SECOND);
    snprintf(victim, sizeof victim, "%s/victim", directory);
    FILE *const file = fopen(victim, "w");
    assert_int_equal(fputs("precious", file) < 0, 0);
    fclose(file);
    snprintf(link, sizeof link, "%s/" NAME ".new", directory);
    assert_int_equal(symlink(victim, link), 0);
    snprintf(link, sizeof link, "%s/" NAME, directory);
    assert_int_equal(symlink(victim, link), 0);
    const struct look seen = in_the_middle_of_a_generation(b, SECOND);
    assert_non_null(strstr(seen.text, "class=generate\n"));
    assert_int_equal(files(), 1);
    char text[16] = "";
    FILE *const after = fopen(victim, "r");
    assert_int_equal(fread(text, 1, sizeof text, after), 8);
    fclose(after);
    assert_string_equal(text, "precious");
    unlink(victim);
    bench_free(b);
}

static void a_directory_that_is_not_there_changes_nothing(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_RUN", "/nonexistent", 1);
    struct bench *b = with_admin(60 * SECOND);
    const struct look seen = in_the_middle_of_a_generation(b, SECOND);
    assert_string_equal(seen.text, "");
    bench_works(b);
    bench_free(b);
    setenv("IFD_NITROKEY_RUN", directory, 1);
}

static int end(void **state)
{
    (void)state;
    return rmdir(directory);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_can_be_watched),
        TEST(signs_of_life_are_written_as_often_as_somebody_can_see),
        TEST(signs_of_life_are_counted_and_nothing_stays_open),
        TEST(a_factory_reset_can_be_watched),
        TEST(it_says_nothing_of_other_commands),
        TEST(a_generation_that_fails_leaves_nothing),
        TEST(what_a_killed_driver_has_left_is_removed_at_open),
        TEST(the_number_of_its_reader_can_be_read_while_it_is_open),
        TEST(the_number_is_pcscds),
        TEST(links_are_not_followed),
        TEST(a_directory_that_is_not_there_changes_nothing),
    };
    if (!mkdtemp(directory))
        return 1;
    setenv("IFD_NITROKEY_RUN", directory, 1);
    return cmocka_run_group_tests_name("progress", tests, NULL, end);
}
