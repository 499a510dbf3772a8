/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_trace.c - the file of a trace: private, never too long, whole at every moment, readable however it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>
#include "tool/capture.h"
#include "tool/story.h"
#include "pcap.h"
#include "trace.h"
#include "trace_file.h"

#define NO_LIMIT 1000000
#define NAME "Nitrokey Pro 2 (001/005)"

static const struct usb_identity KEY = {
    .vendor_id = 0x20a0, .product_id = 0x4108, .bus = 1, .address = 5, .interface_number = 1, .interface_class = 0x0b,
    .class_descriptor = { 0x36, 0x21, 0x10, 0x01, 0x00, 0x02, 0x02, [40] = 0xba, 0x04, 0x01, 0x00, 0x0f, 0x01 },
    .class_descriptor_len = 54, .bulk_in = 0x82, .bulk_out = 0x02, .packet_size = 64,
};

/* ---- a directory for each test, and what the driver says ---- */

static char directory[32], said[100][200];
static unsigned errors;

extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (priority == 2 && errors < 100)
        vsnprintf(said[errors], sizeof said[0], format, arguments);
    va_end(arguments);
    errors += priority == 2;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/trace-XXXXXX");
    errors = 0;
    return mkdtemp(directory) ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[2][300];
    static unsigned next;
    next ^= 1;
    snprintf(path[next], sizeof path[next], "%s/%s", directory, name);
    return path[next];
}

static unsigned files(bool away)
{
    unsigned count = 0;
    DIR *const all = opendir(directory);
    for (struct dirent *entry; (entry = readdir(all));)
        if (entry->d_name[0] != '.') {
            count++;
            if (away)
                unlink(path_of(entry->d_name));
        }
    closedir(all);
    return count;
}

static int tear_down(void **state)
{
    (void)state;
    files(true);
    return rmdir(directory);
}

/* ---- writing and reading ---- */

static uint8_t command[] = { 0x6f, 9, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0x40, 5, 0, 0xca, 0, 0xc4, 0, 0 };
static const uint8_t ANSWER[] = { 0x80, 6, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0x40, 2, 0x69, 0x82, 0 };

static struct trace_file *trace_open(size_t limit)
{
    return trace_file_open(path_of("key.pcap.gz"), limit, NAME, &KEY, 0);
}

/* GET DATA as an I-block, each with another N(S) than the one before, and its answer. */
static bool add_both(struct trace_file *file, int64_t now_ms)
{
    command[CCID_HEADER + 1] ^= 0x40;
    return trace_file_add(file, false, command, sizeof command, sizeof command, now_ms) &&
           trace_file_add(file, true, ANSWER, sizeof ANSWER, sizeof ANSWER, now_ms + 25);
}

/* How many packets there are, and the last of them in words. */
static int read_all(const char *path, enum capture_end *end, struct event *last)
{
    const char *why;
    struct story story = { .known = false };
    struct packet packet;
    int count = 0;
    struct capture *const capture = capture_open(path, &why);
    if (!capture)
        return -1;
    while ((*end = capture_next(capture, &packet)) == CAPTURE_MORE) {
        count++;
        (void)story_tell(&story, &packet, last);
    }
    capture_close(capture);
    return count;
}

static void a_trace_is_whole_after_each_message(void **state)
{
    (void)state;
    struct trace_file *const file = trace_open(NO_LIMIT);
    enum capture_end end;
    struct event last;
    assert_non_null(file);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(read_all(path_of("key-001-005-1.pcap.gz"), &end, &last), 4 + 2 * i);
        assert_int_equal(end, CAPTURE_END);
        assert_true(add_both(file, 1000 * i));
    }
    trace_file_close(file);
    assert_int_equal(read_all(path_of("key-001-005-1.pcap.gz"), &end, &last), 104);
    assert_int_equal(end, CAPTURE_END);
    assert_string_equal(last.command, "GET DATA: PIN status");
    assert_string_equal(last.meaning, "not permitted: a PIN must be verified, or it is wrong");
    assert_true(last.ends);
    assert_int_equal(last.took_us, 25000);
    assert_int_equal(errors, 0);
}

static void a_trace_is_private_and_takes_no_file_that_is_there(void **state)
{
    (void)state;
    struct stat attributes;
    const int other = open(path_of("key-001-005-1.pcap.gz"), O_CREAT | O_WRONLY, 0644);
    assert_int_equal(close(other), 0);
    assert_int_equal(symlink(path_of("away"), path_of("key-001-005-2.pcap.gz")), 0);
    trace_file_close(trace_open(NO_LIMIT));
    assert_int_equal(stat(path_of("key-001-005-1.pcap.gz"), &attributes), 0);
    assert_int_equal(attributes.st_size, 0);
    assert_int_equal(stat(path_of("away"), &attributes), -1);
    assert_int_equal(stat(path_of("key-001-005-3.pcap.gz"), &attributes), 0);
    assert_int_equal(attributes.st_mode & 07777, 0600);
}

static void a_name_without_its_ending_gets_it(void **state)
{
    (void)state;
    trace_file_close(trace_file_open(path_of("key"), NO_LIMIT, NAME, &KEY, 0));
    assert_int_equal(access(path_of("key-001-005-1.pcap.gz"), R_OK), 0);
}

static void only_the_last_two_files_are_kept(void **state)
{
    (void)state;
    struct trace_file *const file = trace_open(2000);
    struct stat attributes;
    enum capture_end end;
    struct event last;
    unsigned newest = 0;
    for (int i = 0; i < 400; i++)
        assert_true(add_both(file, i));
    trace_file_close(file);
    assert_int_equal(files(false), 2);
    for (unsigned number = 1; number < 100; number++) {
        char name[40];
        snprintf(name, sizeof name, "key-001-005-%u.pcap.gz", number);
        if (stat(path_of(name), &attributes) != 0)
            continue;
        newest = number;
        assert_in_range(attributes.st_size, 100, 2200);
        assert_true(read_all(path_of(name), &end, &last) > 4);
        assert_int_equal(end, CAPTURE_END);
        assert_string_equal(last.command, "GET DATA: PIN status");
    }
    assert_true(newest > 3);
}

static void without_a_directory_there_is_no_trace_and_one_complaint(void **state)
{
    (void)state;
    assert_null(trace_file_open("/nonexistent/key.pcap.gz", NO_LIMIT, NAME, &KEY, 0));
    assert_int_equal(errors, 1);
}

static void a_full_disk_ends_the_trace_with_one_complaint(void **state)
{
    (void)state;
    struct rlimit before, little = { 1000, 1000 };
    struct trace_file *const file = trace_open(NO_LIMIT);
    enum capture_end end;
    struct event last;
    unsigned added = 0;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    while (added < 1000 && add_both(file, added))
        added++;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    trace_file_close(file);
    assert_in_range(added, 1, 999);
    assert_int_equal(errors, 1);
    assert_true(read_all(path_of("key-001-005-1.pcap.gz"), &end, &last) >= 4 + 2 * (int)added);
}

/* ---- what the kernel and zlib may do, once ---- */

static bool writes_nothing, does_not_reset;
static int reused = -1;

ssize_t __real_pwrite64(int file, const void *bytes, size_t length, off_t at);
ssize_t __wrap_pwrite(int file, const void *bytes, size_t length, off_t at);
ssize_t __wrap_pwrite64(int file, const void *bytes, size_t length, off_t at);
ssize_t __wrap_pwrite64(int file, const void *bytes, size_t length, off_t at)
{
    return writes_nothing ? 0 : __real_pwrite64(file, bytes, length, at);
}

ssize_t __wrap_pwrite(int file, const void *bytes, size_t length, off_t at) /* without large files */
{
    return __wrap_pwrite64(file, bytes, length, at);
}

int __real_deflateReset(z_stream *stream);
int __wrap_deflateReset(z_stream *stream);
int __wrap_deflateReset(z_stream *stream)
{
    if (!does_not_reset)
        return __real_deflateReset(stream);
    reused = open("/dev/null", O_RDONLY); /* another thread's, which gets the number of the file that was closed */
    return Z_STREAM_ERROR;
}

static void a_file_that_takes_nothing_ends_the_trace_with_one_complaint(void **state)
{
    (void)state;
    struct trace_file *const file = trace_open(NO_LIMIT);
    assert_true(add_both(file, 0));
    writes_nothing = true;
    assert_false(add_both(file, 1));
    writes_nothing = false;
    trace_file_close(file);
    assert_int_equal(errors, 1);
}

static void a_file_is_closed_once_whatever_fails_at_the_next(void **state)
{
    (void)state;
    struct trace_file *const file = trace_open(300);
    does_not_reset = true;
    for (int i = 0; i < 1000 && add_both(file, i); i++)
        ;
    does_not_reset = false;
    assert_true(reused >= 0);
    trace_file_close(file);
    assert_int_equal(close(reused), 0);
}

/* ---- traces that are none ---- */

static size_t slurp(const char *path, uint8_t *bytes, size_t size)
{
    FILE *const file = fopen(path, "rb");
    assert_non_null(file);
    const size_t length = fread(bytes, 1, size, file);
    fclose(file);
    return length;
}

static size_t slurp_unpacked(const char *path, uint8_t *bytes, unsigned size)
{
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    const int length = gzread(file, bytes, size);
    gzclose(file);
    assert_true(length > 0);
    return (size_t)length;
}

static void spill(const char *path, const uint8_t *bytes, size_t length)
{
    unlink(path); /* a file that is cut to nothing would be waited for, till it is on the disk */
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static void a_trace_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    static uint8_t bytes[20000];
    struct trace_file *const file = trace_open(NO_LIMIT);
    enum capture_end end = CAPTURE_END;
    struct event last;
    int most = 0;
    for (int i = 0; i < 5; i++)
        assert_true(add_both(file, i));
    trace_file_close(file);
    const size_t length = slurp(path_of("key-001-005-1.pcap.gz"), bytes, sizeof bytes);
    for (size_t cut = 0; cut < length; cut++) {
        spill(path_of("cut"), bytes, cut);
        const int count = read_all(path_of("cut"), &end, &last);
        assert_true(count == -1 || count >= most);
        most = count > most ? count : most;
    }
    assert_int_equal(most, 14);
}

static void a_damaged_trace_hurts_nobody(void **state)
{
    (void)state;
    static uint8_t bytes[20000];
    enum capture_end end;
    struct event last;
    struct trace_file *const file = trace_open(NO_LIMIT);
    char path[300];
    strcpy(path, path_of("key-001-005-1.pcap.gz"));
    for (int i = 0; i < 5; i++)
        assert_true(add_both(file, i));
    trace_file_close(file);
    for (int unpacked = 0; unpacked < 2; unpacked++) {
        const size_t length = unpacked ? slurp_unpacked(path, bytes, sizeof bytes) : slurp(path, bytes, sizeof bytes);
        for (size_t at = 0; at < length; at++) {
            const uint8_t right = bytes[at];
            bytes[at] = (uint8_t)(right ^ (at % 3 == 0 ? 0xff : 1u << at % 8));
            spill(path_of("damaged"), bytes, length);
            bytes[at] = right;
            assert_in_range(read_all(path_of("damaged"), &end, &last) + 1, 0, 15); /* it has 14, and -1 is none */
        }
    }
}

/* ---- times ---- */

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void a_trace_tells_the_time_of_day(void **state)
{
    (void)state;
    enum capture_end end;
    struct event last;
    const int64_t before = now_us();
    struct trace_file *const file = trace_file_open(path_of("key"), NO_LIMIT, NAME, &KEY, 5000);
    assert_true(trace_file_add(file, true, ANSWER, sizeof ANSWER, sizeof ANSWER, 7500));
    trace_file_close(file);
    const int64_t after = now_us();
    assert_int_equal(read_all(path_of("key-001-005-1.pcap.gz"), &end, &last), 5);
    assert_in_range(last.time_us, before + 2500000 - 2000, after + 2500000 + 2000);
}

/* ---- what stands in a capture ---- */

static void a_capture_says_what_was_cut_off(void **state)
{
    (void)state;
    uint8_t header[PCAP_PACKET_HEADER];
    pcap_write_packet_header(header, &(struct pcap_packet){ .endpoint = 0x82, .length = 100, .original = 300 });
    assert_int_equal(header[8] | header[9] << 8, 64 + 100);
    assert_int_equal(header[12] | header[13] << 8, 64 + 300);
    assert_int_equal(header[16 + 32] | header[16 + 33] << 8, 300);
    assert_int_equal(header[16 + 36] | header[16 + 37] << 8, 100);
}

static void a_capture_has_the_endpoints(void **state)
{
    (void)state;
    uint8_t bytes[PCAP_DESCRIPTORS_MAX];
    struct usb_identity key = KEY;
    key.packet_size = 512;
    const size_t length = pcap_write_descriptors(bytes, &key, 0);
    static const uint8_t TAIL[] = { 7, 5, 0x02, 2, 0x00, 0x02, 0, 7, 5, 0x82, 2, 0x00, 0x02, 0 };
    assert_memory_equal(bytes + length - sizeof TAIL, TAIL, sizeof TAIL);
}

/* ---- the last messages, in the log ---- */

static void pass(struct trace *trace, unsigned number, int64_t now_ms)
{
    uint8_t status[] = { 0x65, 0, 0, 0, 0, 0, (uint8_t)number, 0, 0, 0 };
    trace_sent(trace, status, sizeof status, now_ms);
}

static void the_last_messages_are_told_once(void **state)
{
    (void)state;
    static struct trace trace;
    unsetenv("IFD_NITROKEY_TRACE");
    trace_begin(&trace, NAME, &KEY, CCID_TPDU, 0);
    trace_sent(&trace, command, sizeof command, 0);
    for (unsigned i = 1; i <= TRACE_LAST; i++)
        pass(&trace, i, 1000 * i);
    trace_tell_last(&trace, 1000 * TRACE_LAST + 250);
    assert_int_equal(errors, 2 + TRACE_LAST); /* and the command that they belong to */
    assert_non_null(strstr(said[0], "the last messages"));
    assert_non_null(strstr(said[1], "6f"));
    assert_non_null(strstr(said[2], "65000000000001"));
    assert_non_null(strstr(said[1 + TRACE_LAST], "0.250 s ago"));
    trace_tell_last(&trace, 20000);
    assert_int_equal(errors, 2 + TRACE_LAST);
    pass(&trace, 77, 30000);
    trace_tell_last(&trace, 30000);
    assert_int_equal(errors, 2 + TRACE_LAST + 3);
    assert_non_null(strstr(said[errors - 1], "6500000000004d"));
    trace_end(&trace);
}

static void names_are_shown_if_somebody_asks(void **state)
{
    (void)state;
    static struct trace trace;
    static const char *const WISHES[] = { NULL, "no", "yes" };
    for (size_t i = 0; i < 3; i++) {
        unsetenv("IFD_NITROKEY_TRACE_NAMES");
        if (WISHES[i])
            setenv("IFD_NITROKEY_TRACE_NAMES", WISHES[i], 1);
        trace_begin(&trace, NAME, &KEY, CCID_TPDU, 0);
        assert_int_equal(trace.redactor.names, i == 2);
        trace_end(&trace);
    }
    unsetenv("IFD_NITROKEY_TRACE_NAMES");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_trace_is_whole_after_each_message),
        TEST(a_trace_is_private_and_takes_no_file_that_is_there),
        TEST(a_name_without_its_ending_gets_it),
        TEST(only_the_last_two_files_are_kept),
        TEST(without_a_directory_there_is_no_trace_and_one_complaint),
        TEST(a_full_disk_ends_the_trace_with_one_complaint),
        TEST(a_file_that_takes_nothing_ends_the_trace_with_one_complaint),
        TEST(a_file_is_closed_once_whatever_fails_at_the_next),
        TEST(a_trace_is_read_as_far_as_it_goes),
        TEST(a_damaged_trace_hurts_nobody),
        TEST(a_trace_tells_the_time_of_day),
        TEST(a_capture_says_what_was_cut_off),
        TEST(a_capture_has_the_endpoints),
        TEST(the_last_messages_are_told_once),
        TEST(names_are_shown_if_somebody_asks),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
