/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_tool.c - what the command for people reads: text of devices, files of the driver, bundles, other processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool/keys.h"
#include "tool/plist.h"
#include "tool/processes.h"
#include "tool/run.h"
#include "tool/status.h"
#include "tool/text.h"
#include "tool/words.h"

static char directory[32];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/tool-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char line[64];
    snprintf(line, sizeof line, "rm -r %s", directory);
    return system(line);
}

static const char *path_of(const char *name)
{
    static char path[2][300];
    static unsigned next;
    next ^= 1;
    snprintf(path[next], sizeof path[next], "%s/%s", directory, name);
    return path[next];
}

static const char *spill(const char *name, const char *text)
{
    const char *const path = path_of(name);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- text ---- */

static void what_is_not_printable_never_gets_to_the_terminal(void **state)
{
    (void)state;
    char text[16];
    text_clean(text, sizeof text, "a\033[2J~\177\303\244 z");
    assert_string_equal(text, "a?[2J~??? z");
    text_clean(text, 4, "abcdef");
    assert_string_equal(text, "abc");
}

static void a_text_ends_within_its_room(void **state)
{
    (void)state;
    char room[9];
    memset(room, '!', sizeof room);
    text_clean(room, 8, "abcdefghij");
    assert_memory_equal(room, "abcdefg\0!", 9);
    memset(room, '!', sizeof room);
    assert_int_equal(text_read_file(spill("file", "abcdefghij"), room, 8), 7);
    assert_memory_equal(room, "abcdefg\0!", 9);
}

static void a_line_is_the_first_without_its_blanks(void **state)
{
    (void)state;
    char line[16];
    assert_true(text_read_line(spill("file", "Nitrokey 3  \nmore\n"), line, sizeof line));
    assert_string_equal(line, "Nitrokey 3");
    assert_false(text_read_line(spill("file", "\n"), line, sizeof line));
    assert_false(text_read_line(path_of("none"), line, sizeof line));
    assert_string_equal(line, "");
}

static void json_has_nothing_that_ends_a_string(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *const memory = open_memstream(&text, &size);
    text_json(memory, "a\"b\\c\n\033d");
    fclose(memory);
    assert_string_equal(text, "\"a\\\"b\\\\c\\u000a\\u001bd\"");
    free(text);
}

/* ---- words ---- */

static void says(const char *words, const char *apdu, size_t length)
{
    char text[WORDS_SIZE];
    assert_string_equal(command_in_words((const uint8_t *)apdu, length, text), words);
}

static void commands_are_told_as_people_know_them(void **state)
{
    (void)state;
    says("VERIFY admin PIN", "\0\x20\0\x83\0\0\0", 7);
    says("VERIFY user PIN (82)", "\0\x20\0\x82\0\0\0", 7);
    says("VERIFY user PIN (82): is it verified?", "\0\x20\0\x82", 4);
    says("IMPORT KEY, part of a chain", "\x10\xdb\x3f\xff\0\0", 6);
    says("GENERATE KEY PAIR", "\0\x47\x80\0\2\xb6\0\0", 8);
    says("READ PUBLIC KEY", "\0\x47\x81\0\2\xb6\0\0", 8);
    says("command 80 99 0102", "\x80\x99\1\2", 4);
}

static void applications_are_told_by_name_or_by_number(void **state)
{
    (void)state;
    says("SELECT application OpenPGP", "\0\xa4\4\0\6\xd2\x76\0\1\x24\1", 11);
    says("SELECT application PIV", "\0\xa4\4\0\5\xa0\0\0\3\x08", 10);
    says("SELECT application A0000003", "\0\xa4\4\0\4\xa0\0\0\3", 9);
    says("SELECT application D27600012402", "\0\xa4\4\0\6\xd2\x76\0\1\x24\2", 11);
    says("SELECT 0400", "\0\xa4\4\0\x09\xa0\0\0\3\x08", 10); /* the rest of the name is not there */
}

static void status_words_are_told_as_people_know_them(void **state)
{
    (void)state;
    char text[WORDS_SIZE];
    assert_string_equal(status_in_words(0x63, 0xc2, text), "refused, 2 tries left");
    assert_string_equal(status_in_words(0x63, 0xc1, text), "refused, 1 try left");
    assert_string_equal(status_in_words(0x69, 0x83, text), "the PIN is blocked");
    assert_string_equal(status_in_words(0x61, 0x10, text), "success, and there is more");
    assert_string_equal(status_in_words(0x12, 0x34, text), "status word 1234");
}

/* ---- status files ---- */

struct told {
    const char *reader, *usually_to;
    long long total_ends;
    long pid;
};

static void tell(const char *name, struct told told)
{
    char text[600];
    const long long now = status_now();
    snprintf(text, sizeof text,
             "reader=%s\nclass=generate\nbus=1\naddress=5\npid=%ld\nbegun=%lld\nheard=%lld\nsigns=3\n"
             "silence-ends=%lld\ntotal-ends=%lld\nusually-from=20000\n%s%s\n",
             told.reader, told.pid, now - 9000, now - 1000, now + 60000, now + told.total_ends,
             told.usually_to ? "usually-to=" : "", told.usually_to ? told.usually_to : "");
    (void)spill(name, text);
}

static const struct told RUNS = { .reader = "Nitrokey 3", .usually_to = "60000", .total_ends = 60000 };

static int count(struct status all[STATUS_MAX])
{
    return status_read_all(directory, all);
}

static void a_command_that_runs_is_read(void **state)
{
    (void)state;
    struct status all[STATUS_MAX];
    struct told told = RUNS;
    told.pid = getpid();
    assert_int_equal(count(all), 0);
    tell("ifd-nitrokey-001-005", told);
    tell("ifd-nitrokey-001-005.new", told);
    tell("ifd-nitrokey-001-x", told);
    assert_int_equal(count(all), 1);
    assert_string_equal(all[0].reader, "Nitrokey 3");
    assert_int_equal(all[0].address, 5);
    assert_int_equal(all[0].signs, 3);
    assert_int_equal(all[0].heard - all[0].begun, 8000);
    assert_int_equal(all[0].usually_to, 60000);
    assert_int_equal(status_read_all("/nonexistent", all), -1);
}

static void what_a_driver_has_left_behind_is_passed_over(void **state)
{
    (void)state;
    struct status all[STATUS_MAX];
    struct told told = RUNS;
    const pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    told.pid = gone;
    tell("ifd-nitrokey-001-005", told);
    assert_int_equal(count(all), 0);
    told.pid = getpid();
    told.total_ends = -11000; /* it should have ended long ago */
    tell("ifd-nitrokey-001-005", told);
    assert_int_equal(count(all), 0);
    told.total_ends = -5000;
    tell("ifd-nitrokey-001-005", told);
    assert_int_equal(count(all), 1);
}

static void what_is_not_whole_or_no_number_is_passed_over(void **state)
{
    (void)state;
    static const char *const WRONG[] = { NULL, "", "6x", "-1", "99999999999999999999" };
    struct status all[STATUS_MAX];
    struct told told = RUNS;
    told.pid = getpid();
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        told.usually_to = WRONG[i];
        tell("ifd-nitrokey-001-005", told);
        assert_int_equal(count(all), 0);
    }
}

static void a_name_in_a_file_is_fit_for_a_terminal_and_for_json(void **state)
{
    (void)state;
    struct status all[STATUS_MAX];
    struct told told = RUNS;
    told.pid = getpid();
    told.reader = "a\033\"b\\c\177 z";
    tell("ifd-nitrokey-001-005", told);
    assert_int_equal(count(all), 1);
    assert_string_equal(all[0].reader, "a??b?c? z");
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    struct status all[STATUS_MAX];
    struct told told = RUNS;
    told.pid = getpid();
    tell("elsewhere", told);
    assert_int_equal(symlink("elsewhere", path_of("ifd-nitrokey-001-005")), 0);
    assert_int_equal(count(all), 0);
}

static void a_reader_is_told_of_by_a_driver_that_lives(void **state)
{
    (void)state;
    char text[128], words[STATUS_WORDS];
    struct status_reader reader;
    snprintf(text, sizeof text, "pid=%ld\nnumber=2\nstate=held\nuntil=%lld\n", (long)getpid(),
             (long long)status_now() + 125900);
    (void)spill("ifd-nitrokey-001-005.reader", text);
    assert_true(status_reader(directory, 1, 5, &reader));
    assert_int_equal(reader.number, 2);
    assert_non_null(strstr(status_reader_in_words(&reader, words), "held back for 2:05 at most"));
    (void)spill("ifd-nitrokey-001-005.reader", "pid=0\nnumber=2\nstate=served\nuntil=0\n");
    assert_false(status_reader(directory, 1, 5, &reader));
    assert_int_equal(reader.number, -1);
    assert_string_equal(reader.state, "");
    assert_false(status_reader(directory, 1, 6, &reader));
}

/* ---- bundles ---- */

#define KEY(name, value) "<key>" name "</key>\n<string>" value "</string>\n"
#define ID(value) "<string>" value "</string>\n"

static void a_bundle_names_keys_by_both_their_numbers(void **state)
{
    (void)state;
    struct plist plist;
    assert_true(plist_read(spill("Info.plist", KEY("CFBundleExecutable", "lib.so") KEY("CFBundleName", "CCIDCLASSDRIVER")
                                 KEY("ifdVendorID", "0x20A0") ID("0x1209") KEY("ifdProductID", "0x4108") ID("0xbeee")
                                 KEY("ifdFriendlyName", "Pro") ID("Three")), &plist));
    assert_int_equal(plist.vendors, 2);
    assert_int_equal(plist.products, 2);
    assert_int_equal(plist.names, 2);
    assert_string_equal(plist.executable, "lib.so");
    assert_true(plist.is_class_driver);
    assert_true(plist_names(&plist, 0x20a0, 0x4108));
    assert_true(plist_names(&plist, 0x1209, 0xbeee));
    assert_false(plist_names(&plist, 0x20a0, 0xbeee));
    assert_true(plist_read(spill("Info.plist", KEY("CFBundleName", "OTHER")), &plist));
    assert_false(plist.is_class_driver);
    assert_false(plist_read(path_of("none"), &plist));
}

static void more_keys_than_there_is_room_for_are_counted(void **state)
{
    (void)state;
    static struct plist plist;
    static char text[64 * (PLIST_IDS_MAX + 10)];
    char *end = text + sprintf(text, "<key>ifdVendorID</key>\n");
    for (int i = 0; i < PLIST_IDS_MAX + 5; i++)
        end += sprintf(end, ID("0x%04x"), i);
    assert_true(plist_read(spill("Info.plist", text), &plist));
    assert_int_equal(plist.vendors, PLIST_IDS_MAX + 5);
}

/* ---- keys ---- */

static void is_called(const char *name, const char *manufacturer, const char *product, const struct model *model)
{
    char found[KEY_NAME_SIZE];
    struct key key = { .model = model };
    snprintf(key.manufacturer, sizeof key.manufacturer, "%s", manufacturer);
    snprintf(key.product, sizeof key.product, "%s", product);
    key_name(&key, found);
    assert_string_equal(found, name);
}

static void a_key_is_called_as_it_calls_itself(void **state)
{
    (void)state;
    is_called("Nitrokey 3", "Nitrokey", "Nitrokey 3", NULL);
    is_called("Free Software Initiative of Japan Gnuk", "Free Software Initiative of Japan", "Gnuk", NULL);
    is_called("Gnuk", "", "Gnuk", NULL);
    is_called("Nitrokey Nitrokey Pro", "Nitrokey", "", model_find(0x20a0, 0x4108));
    is_called("a device of Nitrokey's", "Nitrokey", "", NULL);
}

static void has_firmware(const char *version, const char *serial, uint16_t release, const struct model *model)
{
    char found[32];
    struct key key = { .model = model, .release = release };
    snprintf(key.serial, sizeof key.serial, "%s", serial);
    key_firmware(&key, found);
    assert_string_equal(found, version);
}

static void the_version_of_the_firmware_is_told_where_it_is_known(void **state)
{
    (void)state;
    has_firmware("1.2.19", "FSIJ-1.2.19-87042413", 0x0200, NULL);
    has_firmware("1.8", "", 0x0108, model_find(0x20a0, 0x42b2));
    has_firmware("", "000012345678", 0x0101, model_find(0x20a0, 0x4108)); /* whose release is none of the firmware */
}

/* ---- processes ---- */

static void finds_guest(const char *argument, const char *name)
{
    char found[32] = "";
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        execlp("sleep", argument, "60", (char *)NULL);
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* it is another program now */
    close(ready[0]);
    assert_int_equal(process_guest(pid, found, sizeof found), name != NULL);
    assert_string_equal(found, name ? name : "");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_guest_is_named_as_a_shell_takes_it(void **state)
{
    (void)state;
    finds_guest("guest=debian-12,debug-threads=on", "debian-12");
    finds_guest("guest=debian", "debian");
    finds_guest("guest=-rf", NULL);
    finds_guest("guest=a;reboot", NULL);
    finds_guest("guest=", NULL);
    finds_guest("guest=a-name-that-is-longer-than-its-room", NULL);
    finds_guest("sleep", NULL);
}

/* In a namespace of its own: a directory that can only be read, and one beside it whose name begins with the same. */
static int looks_at_mounts(const char *read_only, const char *beside)
{
    char below[400];
    snprintf(below, sizeof below, "%s/below", read_only);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", directory, "tmpfs", 0, NULL) != 0 || mkdir(read_only, 0755) != 0 ||
        mount("none", read_only, "tmpfs", MS_RDONLY, NULL) != 0)
        return 77;
    return process_only_reads(getpid(), read_only) == 1 && process_only_reads(getpid(), below) == 1 &&
           process_only_reads(getpid(), beside) == 0 && process_only_reads(getpid(), directory) == 0 ? 0 : 1;
}

static void what_a_process_may_only_read_is_known(void **state)
{
    (void)state;
    char read_only[64], beside[64];
    int status;
    snprintf(read_only, sizeof read_only, "%s/run", directory);
    snprintf(beside, sizeof beside, "%s/runner", directory);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(looks_at_mounts(read_only, beside));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WEXITSTATUS(status) == 77)
        print_message("# not tried: nobody may mount here\n"); /* a skip() would be a failure to meson */
    else
        assert_int_equal(status, 0);
}

/* ---- other programs ---- */

static void a_programs_output_is_read_as_far_as_there_is_room(void **state)
{
    (void)state;
    static const char *const echo[] = { "echo", "abcdefghij", NULL }, *const fails[] = { "false", NULL },
                      *const none[] = { "no-such-program-as-this", NULL };
    char text[9];
    memset(text, '!', sizeof text);
    assert_true(run(echo, text, 8));
    assert_memory_equal(text, "abcdefg\0!", 9);
    assert_false(run(fails, text, sizeof text));
    assert_false(run(none, text, sizeof text));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_printable_never_gets_to_the_terminal),
        TEST(a_text_ends_within_its_room),
        TEST(a_line_is_the_first_without_its_blanks),
        TEST(json_has_nothing_that_ends_a_string),
        TEST(commands_are_told_as_people_know_them),
        TEST(applications_are_told_by_name_or_by_number),
        TEST(status_words_are_told_as_people_know_them),
        TEST(a_command_that_runs_is_read),
        TEST(what_a_driver_has_left_behind_is_passed_over),
        TEST(what_is_not_whole_or_no_number_is_passed_over),
        TEST(a_name_in_a_file_is_fit_for_a_terminal_and_for_json),
        TEST(a_link_is_not_followed),
        TEST(a_reader_is_told_of_by_a_driver_that_lives),
        TEST(a_bundle_names_keys_by_both_their_numbers),
        TEST(more_keys_than_there_is_room_for_are_counted),
        TEST(a_key_is_called_as_it_calls_itself),
        TEST(the_version_of_the_firmware_is_told_where_it_is_known),
        TEST(a_guest_is_named_as_a_shell_takes_it),
        TEST(what_a_process_may_only_read_is_known),
        TEST(a_programs_output_is_read_as_far_as_there_is_room),
    };
    return cmocka_run_group_tests_name("tool", tests, NULL, NULL);
}
