/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_nk3.c - the whole driver on a virtual Nitrokey 3: messages in parts, the Abort pair, what no reset takes away.
 */
#include "bench.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <PCSC/reader.h>
#include <sys/stat.h>
#include <openssl/evp.h>
#include "libusb_virtual.h"
#include "pending.h"

static struct bench *started(const struct icc_timing *timing)
{
    struct bench *b = bench_new(timing);
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    return b;
}

static void fill(char *apdu, size_t bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    char *end = apdu + strlen(apdu);
    for (size_t i = 0; i < bytes; i++) {
        *end++ = digits[i / 16 % 16];
        *end++ = digits[i % 16];
    }
    *end = '\0';
}

static void writes_and_reads(size_t bytes)
{
    static char put[32 + 2 * 4096];
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    snprintf(put, sizeof put, "00DA7F21 00%04zX ", bytes);
    fill(put, bytes);
    bench_expect(b, put, 0x9000);
    const struct answer got = bench_expect(b, "00CA7F21 000000", 0x9000);
    assert_int_equal(got.length, bytes + 2);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(got.bytes[i], i & 0xff);
    bench_works(b);
    bench_free(b);
}

/* 54 bytes of an answer fill a packet; 3062 bytes of a command fill a message, 3072 what the firmware takes. */
static void objects_of_all_sizes_go_both_ways(void **state)
{
    static const size_t SIZES[] = { 1, 51, 52, 53, 54, 106, 107, 300, 3000, 3055, 3056, 3065 };
    (void)state;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++)
        writes_and_reads(SIZES[i]);
}

/* The firmware would give no answer to it, or panic: the client would wait for nothing. */
static void a_command_longer_than_the_firmware_takes_is_refused_at_once(void **state)
{
    static const size_t SIZES[] = { 3066, 4000, 7000 };
    (void)state;
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        static char put[32 + 2 * 7000];
        snprintf(put, sizeof put, "00DA7F21 00%04zX ", SIZES[i]);
        fill(put, SIZES[i]);
        const struct answer refused = bench_transmit(b, put);
        assert_int_equal(refused.code, IFD_ERROR_NOT_SUPPORTED);
        assert_int_equal(refused.took_us, 0);
        bench_works(b);
    }
    bench_free(b);
}

static void a_command_that_was_given_up_is_waited_for(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=20s/30s", 1);
    struct bench *b = started(&(struct icc_timing){ .work_us = 50 * SECOND });
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_RESPONSE_TIMEOUT);
    /* The application goes on, so the next command waits for its end; nobody gets its answer. */
    const struct answer aid = bench_expect(b, GET_AID, 0x9000);
    assert_int_equal(aid.length, 18);
    assert_in_range(aid.took_us, 17 * SECOND, 24 * SECOND);
    bench_free(b);
}

/* ---- the Abort pair ---- */

#define ABORT 0x72

struct late_aborts {
    struct bench *bench;
    unsigned count;
};

/* The firmware is busy when the message of the pair comes, and answers it later than the driver waits. */
static void answer_aborts_late(void *context, enum libusb_virtual_event event, const uint8_t *bytes, size_t length)
{
    struct late_aborts *const late = context;
    struct faults *const faults = &late->bench->device->faults;
    const int64_t now_us = virtual_now_us(late->bench->slot);
    if (event != TAP_SENT || length == 0 || bytes[0] != ABORT || now_us < faults->naked_until_us)
        return;
    late->count++;
    faults->naked_endpoint = late->bench->device->identity->bulk_in;
    faults->naked_until_us = now_us + 2500 * MS;
}

/* Of a message of three packets the second is lost; what there is of it is ended, though it takes long. */
static void an_abort_that_is_answered_late_ends_the_message_all_the_same(void **state)
{
    (void)state;
    char put[600] = "00DA0101 00008C ";
    struct bench *b = started(NULL);
    struct late_aborts late = { .bench = b };
    bench_expect(b, VERIFY_USER, 0x9000);
    fill(put, 140);
    b->device->faults.packet = (struct packet_fault){
        .kind = PACKET_LOST, .endpoint = b->device->identity->bulk_out, .nth = 2,
    };
    libusb_virtual_listen(answer_aborts_late, &late);
    assert_int_not_equal(bench_try(b, put).code, IFD_SUCCESS);
    const int64_t begun = virtual_now_us(b->slot);
    while (bench_try(b, GET_AID).code != IFD_SUCCESS)
        assert_true(virtual_now_us(b->slot) - begun < 10 * SECOND);
    libusb_virtual_listen(NULL, NULL);
    assert_true(late.count > 0);
    bench_works(b);
    bench_free(b);
}

/* ---- pcscd's polling thread reads what is owed ---- */

static atomic_int poller_thread;

static void *poll_until_stopped(void *context)
{
    (void)context;
    atomic_store(&poller_thread, gettid());
    (void)bench_poll(600000);
    return NULL;
}

static void stop_polling(pthread_t poller)
{
    RESPONSECODE (*stop)(DWORD);
    DWORD length = sizeof stop;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&stop), IFD_SUCCESS);
    assert_int_equal(stop(LUN), IFD_SUCCESS);
    pthread_join(poller, NULL);
}

/* A generation of 50 s was given up after 30 s. */
static struct bench *given_up(void)
{
    setenv("IFD_NITROKEY_PATIENCE", "generate=20s/30s", 1);
    struct bench *b = started(&(struct icc_timing){ .work_us = 50 * SECOND });
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_RESPONSE_TIMEOUT);
    return b;
}

/* Not even by a control transfer. */
static void a_key_that_owes_an_answer_is_not_asked_for_its_name(void **state)
{
    (void)state;
    unsigned char name[64];
    DWORD length = sizeof name;
    struct bench *b = given_up();
    assert_int_not_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_VENDOR_NAME, &length, name), IFD_SUCCESS);
    bench_expect(b, GET_AID, 0x9000);
    length = sizeof name;
    assert_int_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_VENDOR_NAME, &length, name), IFD_SUCCESS);
    bench_free(b);
}

static void a_key_whose_firmware_has_stopped_is_not_asked_for_its_name(void **state)
{
    (void)state;
    unsigned char name[64];
    DWORD length = sizeof name;
    struct bench *b = started(NULL);
    b->device->faults.answer = ANSWER_SWALLOWED;
    b->device->faults.answers = 1;
    assert_int_not_equal(bench_transmit(b, GET_AID).code, IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    const struct host_statistics before = virtual_statistics(b->slot);
    assert_int_not_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_VENDOR_NAME, &length, name), IFD_SUCCESS);
    assert_int_equal(virtual_statistics(b->slot).control, before.control);
    bench_free(b);
}

static void a_late_answer_is_read_though_nobody_calls(void **state)
{
    (void)state;
    pthread_t poller;
    struct bench *b = given_up();
    const int64_t given_up_at = virtual_now_us(b->slot);
    assert_int_equal(pthread_create(&poller, NULL, poll_until_stopped, NULL), 0);
    for (int i = 0; i < 10000 && virtual_now_us(b->slot) < given_up_at + 19 * SECOND; i++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* real time; the clock runs as it reads */
    assert_in_range(virtual_now_us(b->slot), given_up_at + 19 * SECOND, given_up_at + 21 * SECOND);
    const struct answer aid = bench_expect(b, GET_AID, 0x9000);
    assert_in_range(aid.took_us, 0, 3 * SECOND);
    stop_polling(poller);
    bench_free(b);
}

static void a_poll_that_sleeps_wakes_when_an_answer_is_owed(void **state)
{
    (void)state;
    pthread_t poller;
    setenv("IFD_NITROKEY_PATIENCE", "generate=20s/30s", 1);
    struct bench *b = started(&(struct icc_timing){ .work_us = 50 * SECOND });
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    atomic_store(&poller_thread, 0);
    assert_int_equal(pthread_create(&poller, NULL, poll_until_stopped, NULL), 0);
    bench_await_sleep(&poller_thread);
    const int64_t begun = virtual_now_us(b->slot);
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_RESPONSE_TIMEOUT);
    for (int i = 0; i < 10000 && virtual_now_us(b->slot) < begun + 49 * SECOND; i++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* real time; the clock runs as it reads */
    assert_in_range(virtual_now_us(b->slot), begun + 49 * SECOND, begun + 52 * SECOND);
    stop_polling(poller);
    bench_works(b);
    bench_free(b);
}

static void a_stop_ends_the_reading_of_what_is_owed(void **state)
{
    (void)state;
    pthread_t poller;
    struct timespec limit;
    RESPONSECODE (*stop)(DWORD);
    DWORD length = sizeof stop;
    struct bench *b = given_up();
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&stop), IFD_SUCCESS);
    virtual_hold_at(b->slot, virtual_now_us(b->slot) + 5 * SECOND);
    assert_int_equal(pthread_create(&poller, NULL, poll_until_stopped, NULL), 0);
    assert_true(virtual_await_hold(b->slot));
    assert_int_equal(stop(LUN), IFD_SUCCESS);
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 20;
    assert_int_equal(pthread_timedjoin_np(poller, NULL, &limit), 0); /* the key's clock stands still */
    virtual_release(b->slot);
    bench_works(b);
    bench_free(b);
}

static void whoever_calls_gets_the_key_from_the_poller_at_once(void **state)
{
    (void)state;
    pthread_t poller;
    struct bench *b = given_up();
    virtual_hold_at(b->slot, virtual_now_us(b->slot) + 5 * SECOND);
    assert_int_equal(pthread_create(&poller, NULL, poll_until_stopped, NULL), 0);
    assert_true(virtual_await_hold(b->slot));
    const struct answer aid = bench_expect(b, GET_AID, 0x9000);
    assert_in_range(aid.took_us, 10 * SECOND, 20 * SECOND); /* it waits for the end of the generation itself */
    virtual_release(b->slot);
    stop_polling(poller);
    bench_free(b);
}

/* ---- pcscd ends while the key is at work, and comes back ---- */

static char run_directory_of_pcscd[] = "/tmp/test-nk3-XXXXXX";

/* 4 s into a generation of 20 s. */
static struct bench *left_at_work(void)
{
    setenv("IFD_NITROKEY_RUN", run_directory_of_pcscd, 1);
    struct bench *b = started(&(struct icc_timing){ .work_us = 20 * SECOND });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_not_equal(bench_close_while(b, GENERATE_SIGNATURE_KEY, 4 * SECOND), IFD_SUCCESS);
    return b;
}

static void open_again(void)
{
    assert_int_equal(bench_open(), IFD_SUCCESS);
    unsetenv("IFD_NITROKEY_RUN");
}

static struct bench *comes_back(int64_t after_us)
{
    struct bench *b = left_at_work();
    virtual_pass(b->slot, after_us);
    open_again();
    return b;
}

static atomic_bool polling;

static void *poll_again_and_again(void *context)
{
    while (atomic_load(&polling))
        (void)poll_until_stopped(context);
    return NULL;
}

/* Lets pcscd's polling thread run until there is a card, for so long of real time at most; the clock runs as it reads. */
static bool card_comes(int most_ms)
{
    pthread_t poller;
    atomic_store(&polling, true);
    assert_int_equal(pthread_create(&poller, NULL, poll_again_and_again, NULL), 0);
    for (int i = 0; i < most_ms && IFDHICCPresence(LUN) != IFD_ICC_PRESENT; i++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    atomic_store(&polling, false);
    stop_polling(poller);
    return IFDHICCPresence(LUN) == IFD_ICC_PRESENT;
}

static void works_again(struct bench *b)
{
    assert_true(card_comes(10000));
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    bench_works(b);
    bench_free(b);
}

/* It is heard again, since no more than one sign of life was lost. */
static void a_key_at_work_is_waited_for_by_the_next_pcscd(void **state)
{
    static const int64_t AFTER[] = { 0, SECOND / 2, SECOND };
    (void)state;
    for (size_t i = 0; i < sizeof AFTER / sizeof AFTER[0]; i++)
        works_again(comes_back(AFTER[i]));
}

/* From two unread signs of life on its firmware says nothing, and nobody can know when it will have ended. */
/* What the tools are told of the key. */
static void state_is(const char *state)
{
    char path[96], text[200] = "", line[32];
    snprintf(path, sizeof path, "%s/ifd-nitrokey-001-002.reader", run_directory_of_pcscd);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    snprintf(line, sizeof line, "\nstate=%s\n", state);
    if (!strstr(text, line))
        fail_msg("there is no %s in \"%s\"", line + 1, text);
}

static void is_held_for_at_most(int64_t most_ms)
{
    char path[96];
    long long until = 0;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    snprintf(path, sizeof path, "%s/ifd-nitrokey-001-002.reader", run_directory_of_pcscd);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "pid=%*d number=%*d state=held until=%lld", &until), 1);
    fclose(file);
    assert_in_range(until - now.tv_sec * 1000, 60000, most_ms);
}

static void a_key_that_may_be_at_work_is_held_back(void **state)
{
    static const int64_t AFTER[] = { 3 * SECOND, 10 * SECOND, 15 * SECOND, 60 * SECOND };
    (void)state;
    for (size_t i = 0; i < sizeof AFTER / sizeof AFTER[0]; i++) {
        struct bench *b = comes_back(AFTER[i]);
        setenv("IFD_NITROKEY_RUN", run_directory_of_pcscd, 1);
        assert_false(card_comes(20));
        state_is("held");
        is_held_for_at_most(120 * 60 * 1000);
        virtual_pass(b->slot, 60 * SECOND);
        assert_false(card_comes(20));
        virtual_pass(b->slot, 120 * MINUTE); /* no generation is waited for longer */
        assert_true(card_comes(10000));
        state_is("served");
        works_again(b);
        unsetenv("IFD_NITROKEY_RUN");
    }
}

/* In the note of the pcscd before, a field of struct pending. */
/* All that pcscd serves waits while it opens a key. */
static void opening_does_not_wait_for_an_abort_that_is_answered_late(void **state)
{
    (void)state;
    char put[600] = "00DA0101 00008C ";
    setenv("IFD_NITROKEY_RUN", run_directory_of_pcscd, 1);
    struct bench *b = started(NULL);
    struct late_aborts late = { .bench = b };
    bench_expect(b, VERIFY_USER, 0x9000);
    fill(put, 140);
    b->device->faults.packet = (struct packet_fault){
        .kind = PACKET_NAKED, .endpoint = b->device->identity->bulk_out, .nth = 2, .naked_us = MINUTE,
    };
    assert_int_not_equal(bench_close_while(b, put, 100 * MS), IFD_SUCCESS);
    b->device->faults.naked_until_us = 0;
    libusb_virtual_listen(answer_aborts_late, &late);
    const int64_t begun = virtual_now_us(b->slot);
    open_again();
    const int64_t took = virtual_now_us(b->slot) - begun;
    libusb_virtual_listen(NULL, NULL);
    assert_true(late.count > 0);
    assert_true(took <= 3 * SECOND);
    works_again(b);
}

static void note_says(size_t offset, uint32_t value)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/ifd-nitrokey-001-002.pending", run_directory_of_pcscd);
    const int file = open(path, O_WRONLY);
    assert_int_equal(fstat(file, &status), 0);
    const off_t at = status.st_size - (off_t)(sizeof(struct pending) - offset);
    assert_int_equal(pwrite(file, &value, sizeof value, at), sizeof value);
    close(file);
}

/* It was killed before it had seen that its message had arrived. */
static void a_message_of_which_nobody_knows_that_it_has_arrived_is_not_ended_meanwhile(void **state)
{
    (void)state;
    struct bench *b = left_at_work();
    note_says(offsetof(struct pending, phase), PENDING_MESSAGE);
    note_says(offsetof(struct pending, sent), 0);
    virtual_pass(b->slot, 10 * SECOND);
    open_again();
    assert_false(card_comes(20));
    virtual_pass(b->slot, 120 * MINUTE);
    works_again(b);
}

static void a_key_that_is_held_back_serves_when_it_is_plugged_in_anew(void **state)
{
    (void)state;
    struct bench *b = comes_back(10 * SECOND);
    assert_false(card_comes(20));
    assert_int_equal(IFDHCloseChannel(LUN), IFD_SUCCESS);
    virtual_unplug(b->slot);
    virtual_plug(b->slot);
    bench_start(b);
    bench_works(b);
    bench_free(b);
}

static void no_reset_takes_the_pin_away(void **state)
{
    (void)state;
    struct bench *b = started(NULL);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_free(b);
}

static void touch(void *key)
{
    struct bench *const b = key;
    icc_touch(b->icc, b->device->now_us);
}

static void a_touch_is_waited_for(void **state)
{
    (void)state;
    struct bench *b = started(&(struct icc_timing){ .work_us = SECOND });
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_expect(b, GENERATE_SIGNATURE_KEY, 0x9000);
    bench_expect(b, "00DA00D6 02 0120", 0x9000);
    bench_expect(b, VERIFY_USER, 0x9000);
    virtual_at(b->slot, virtual_now_us(b->slot) + 10 * SECOND, touch, b);
    const struct answer answer = bench_expect(b, SIGN, 0x9000);
    assert_in_range(answer.took_us, 10 * SECOND, 12 * SECOND);
    bench_expect(b, VERIFY_USER, 0x9000);
    assert_in_range(bench_expect(b, SIGN, 0x6982).took_us, 14 * SECOND, 17 * SECOND);
    bench_works(b);
    bench_free(b);
}

/* ---- the PIV card ---- */

/* What the card asks the administrator is encrypted with the factory's key. */
static void encrypt(const uint8_t *challenge, uint8_t *response)
{
    static const uint8_t KEY[] = { 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8 };
    int length = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_true(EVP_EncryptInit_ex2(ctx, EVP_des_ede3_ecb(), KEY, NULL, NULL) > 0);
    assert_true(EVP_CIPHER_CTX_set_padding(ctx, 0) > 0 && EVP_EncryptUpdate(ctx, response, &length, challenge, 8) > 0);
    EVP_CIPHER_CTX_free(ctx);
}

static struct bench *administered(const struct icc_timing *timing)
{
    char apdu[64] = "0087039B 0C 7C0A8208";
    uint8_t response[8];
    struct bench *b = started(timing);
    bench_expect(b, "00A40400 09 A00000030800001000 00", 0x9000);
    const struct answer asked = bench_expect(b, "0087039B 04 7C028100 00", 0x9000);
    encrypt(asked.bytes + 4, response);
    for (size_t i = 0; i < sizeof response; i++)
        (void)snprintf(apdu + strlen(apdu), 3, "%02X", response[i]);
    bench_expect(b, apdu, 0x9000);
    return b;
}

#define GENERATE_CARD_AUTHENTICATION_KEY "0047009E 05 AC03800111 00"
#define SIGN_BY_CARD_AUTHENTICATION_KEY                                                                                \
    "0087119E 26 7C24 8200 8120 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F 00"

static void a_piv_generation_of_15_minutes_succeeds(void **state)
{
    (void)state;
    struct bench *b = administered(&(struct icc_timing){ .work_us = 15 * MINUTE });
    const struct answer key = bench_expect(b, GENERATE_CARD_AUTHENTICATION_KEY, 0x9000);
    assert_in_range(key.took_us, 15 * MINUTE, 15 * MINUTE + SECOND);
    assert_int_equal(key.length, 72);
    bench_expect(b, SIGN_BY_CARD_AUTHENTICATION_KEY, 0x9000);
    bench_expect(b, SELECT, 0x9000);
    bench_works(b);
    bench_free(b);
}

static void a_late_piv_key_is_not_given_to_the_next_command(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=20s/30s", 1);
    struct bench *b = administered(&(struct icc_timing){ .work_us = 50 * SECOND });
    unsetenv("IFD_NITROKEY_PATIENCE");
    assert_int_equal(bench_transmit(b, GENERATE_CARD_AUTHENTICATION_KEY).code, IFD_RESPONSE_TIMEOUT);
    bench_expect(b, "00CB3FFF 05 5C035FC101 00", 0x6a82);
    bench_expect(b, SIGN_BY_CARD_AUTHENTICATION_KEY, 0x9000);
    bench_expect(b, SELECT, 0x9000);
    bench_works(b);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(objects_of_all_sizes_go_both_ways),
        TEST(a_command_longer_than_the_firmware_takes_is_refused_at_once),
        TEST(a_command_that_was_given_up_is_waited_for),
        TEST(an_abort_that_is_answered_late_ends_the_message_all_the_same),
        TEST(a_key_that_owes_an_answer_is_not_asked_for_its_name),
        TEST(a_key_whose_firmware_has_stopped_is_not_asked_for_its_name),
        TEST(a_late_answer_is_read_though_nobody_calls),
        TEST(a_poll_that_sleeps_wakes_when_an_answer_is_owed),
        TEST(a_stop_ends_the_reading_of_what_is_owed),
        TEST(whoever_calls_gets_the_key_from_the_poller_at_once),
        TEST(a_key_at_work_is_waited_for_by_the_next_pcscd),
        TEST(a_key_that_may_be_at_work_is_held_back),
        TEST(opening_does_not_wait_for_an_abort_that_is_answered_late),
        TEST(a_message_of_which_nobody_knows_that_it_has_arrived_is_not_ended_meanwhile),
        TEST(a_key_that_is_held_back_serves_when_it_is_plugged_in_anew),
        TEST(no_reset_takes_the_pin_away),
        TEST(a_touch_is_waited_for),
        TEST(a_piv_generation_of_15_minutes_succeeds),
        TEST(a_late_piv_key_is_not_given_to_the_next_command),
    };
    bench_choose(argc, argv);
    if (!mkdtemp(run_directory_of_pcscd))
        return 1;
    const int failed = cmocka_run_group_tests_name("nk3", tests, NULL, NULL);
    (void)rmdir(run_directory_of_pcscd); /* what is left in it is a fault */
    return failed;
}
