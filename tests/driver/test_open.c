/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_open.c - plugging in, restarts of pcscd, other programs and unplugging: what pcscd is told, and what stays. */
#include "bench.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <PCSC/reader.h>
#include "libusb_virtual.h"
#include "unit/open_files.h"
#include "usb.h"

static char said[512]; /* the last line in the log */

/* In pcscd's place. */
extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    va_list arguments;
    (void)priority;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
}

static RESPONSECODE open_as(DWORD lun, const char *name)
{
    char copy[256] = "";
    strncpy(copy, name, sizeof copy - 1);
    return IFDHCreateChannelByName(lun, copy);
}

/* ---- what cannot be opened ---- */

static void refuses(RESPONSECODE code, const char *name)
{
    assert_int_equal(open_as(LUN, name), code);
    assert_int_equal(virtual_open_ports(), 0);
    assert_int_equal(IFDHICCPresence(LUN), IFD_COMMUNICATION_ERROR); /* the Lun is not in use */
}

static void the_hid_interface_is_no_ccid_interface(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    const struct host_statistics before = virtual_statistics(b->slot);
    refuses(IFD_NO_SUCH_DEVICE, BENCH_NAME_HID);
    const struct host_statistics after = virtual_statistics(b->slot);
    assert_int_equal(after.interrupt_in, before.interrupt_in); /* nothing was asked of it */
    assert_int_equal(after.bulk_out, before.bulk_out);
    bench_start(b);
    bench_works(b);
    bench_free(b);
}

static void an_interface_that_is_not_there_is_no_ccid_interface(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    refuses(IFD_NO_SUCH_DEVICE, "usb:20a0/4108:libudev:7:" BENCH_NODE);
    bench_free(b);
}

static void another_device_at_the_node_than_pcscd_says_is_refused(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    refuses(IFD_NO_SUCH_DEVICE, "usb:20a0/4109:libudev:1:" BENCH_NODE);
    bench_free(b);
}

static void a_node_that_is_not_there_is_a_communication_error(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    refuses(IFD_COMMUNICATION_ERROR, "usb:20a0/4108:libudev:1:/dev/bus/usb/001/099");
    assert_non_null(strstr(said, "/dev/bus/usb/001/099 cannot be used: there is no such device"));
    bench_free(b);
}

static void a_node_without_permission_is_a_communication_error(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    for (int i = 0; i < 2; i++) {
        said[0] = '\0';
        virtual_deny_access(b->slot, i ? EPERM : EACCES);
        refuses(IFD_COMMUNICATION_ERROR, BENCH_NAME);
        assert_non_null(strstr(said, "may not be opened by pcscd"));
    }
    bench_free(b);
}

static void a_device_name_that_is_nonsense_is_a_communication_error(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    static const char *const nonsense[] = { "", "usb:", "usb:20a0", "usb:20a0/4108:libudev:x:" BENCH_NODE,
        "usb:20a0/4108:libudev:1:", "/dev/ttyS0", "usb:zzzz/4108:libudev:1:" BENCH_NODE };
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        refuses(IFD_COMMUNICATION_ERROR, nonsense[i]);
    bench_free(b);
}

static void descriptors_that_are_garbage_are_refused_and_a_good_key_works_afterwards(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    for (enum descriptor_fault fault = DESCRIPTORS_CLASS_CUT; fault <= DESCRIPTORS_NEVER_END; fault++) {
        b->device->faults.descriptors = fault;
        virtual_unplug(b->slot);
        virtual_plug(b->slot);
        if (bench_open() == IFD_SUCCESS) /* a fault that leaves what the driver needs intact */
            IFDHCloseChannel(LUN);
        assert_int_equal(virtual_open_ports(), 0);
    }
    b->device->faults.descriptors = DESCRIPTORS_CLASS_GARBAGE;
    virtual_unplug(b->slot);
    virtual_plug(b->slot);
    refuses(IFD_NO_SUCH_DEVICE, BENCH_NAME);
    b->device->faults.descriptors = DESCRIPTORS_RIGHT;
    virtual_unplug(b->slot);
    virtual_plug(b->slot);
    bench_start(b);
    bench_works(b);
    bench_free(b);
}

/* ---- another program has it ---- */

static void thaw(void *bench_that_is_frozen)
{
    bench_freeze(bench_that_is_frozen, false);
}

/* It says nothing for so long from now on. */
static void answers_late(struct bench *b, int64_t after_us)
{
    bench_freeze(b, true);
    assert_true(virtual_at(b->slot, virtual_now_us(b->slot) + after_us, thaw, b));
}

static UCHAR presence_attribute(void)
{
    UCHAR present = 77;
    DWORD length = 1;
    assert_int_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_ICC_PRESENCE, &length, &present), IFD_SUCCESS);
    return present;
}

static void a_key_that_another_program_holds_has_no_card_until_it_lets_go(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    virtual_occupy(b->slot, 1, true);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
    assert_int_equal(presence_attribute(), 0);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_COMMUNICATION_ERROR);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
    virtual_occupy(b->slot, 1, false);
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    assert_int_equal(presence_attribute(), 2);
    bench_works(b);
    bench_free(b);
}

/* Nobody waits for the opening any more: all programs that ask pcscd for its readers have got their answer. */
static void whoever_gets_the_key_late_has_all_the_time_for_its_first_power_on(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    virtual_occupy(b->slot, 1, true);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    virtual_pass(b->slot, 10 * SECOND);
    virtual_occupy(b->slot, 1, false);
    answers_late(b, 3 * SECOND);
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT); /* powers it on, once */
    bench_works(b);
    bench_free(b);
}

static void a_key_that_is_powered_on_long_after_it_was_opened_has_all_the_time_for_it(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    virtual_pass(b->slot, 10 * SECOND);
    answers_late(b, 3 * SECOND);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    bench_works(b);
    bench_free(b);
}

/* ---- a driver before us has left something ---- */

#define LEFT_APDU "00CA006E00"

/* A driver that is killed while its command is under way: sends an XfrBlock with this bSeq and dies. */
static void somebody_sends_a_block_and_dies(uint8_t sequence)
{
    static const uint8_t block[] = { 0x00, 0x00, 0x05, 0x00, 0xca, 0x00, 0x6e, 0x00 }; /* I-block, N(S) = 0 */
    uint8_t message[10 + sizeof block + 1] = { 0x6f, sizeof block + 1, 0, 0, 0, 0, sequence, 0, 0, 0 };
    memcpy(message + 10, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++)
        message[10 + sizeof block] ^= block[i];
    const struct usb_place place = { .vendor_id = 0x20a0, .product_id = 0x4108, .interface_number = 1,
                                     .node = BENCH_NODE };
    struct usb_port *port;
    struct usb_identity identity;
    assert_int_equal(usb_open(&port, &place, &identity), ERR_NONE);
    assert_int_equal(usb_claim(port), ERR_NONE);
    assert_int_equal(usb_post_out(port, message, sizeof message, NULL), ERR_NONE);
    assert_int_equal(usb_take_back_out(port, usb_now_ms(port)), sizeof message);
    usb_close(port);
}

static void an_answer_left_by_a_killed_driver_is_nobodys_whatever_its_number(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    for (unsigned sequence = 0; sequence < 256; sequence++) {
        bench_stop(b);
        bench_will_execute(LEFT_APDU);
        somebody_sends_a_block_and_dies((uint8_t)sequence);
        virtual_pass(b->slot, SECOND);
        bench_start(b);
        bench_works(b);
    }
    bench_free(b);
}

static struct bench *closed_while_it_generates(void)
{
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 60 * SECOND });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_close_while(b, GENERATE_SIGNATURE_KEY, 10 * SECOND), IFD_COMMUNICATION_ERROR);
    return b;
}

static void opening_a_busy_key_takes_5_s_at_most(void **state)
{
    (void)state;
    struct bench *b = closed_while_it_generates();
    const int64_t begun = virtual_now_us(b->slot);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    (void)bench_power(IFD_POWER_UP);
    assert_true(virtual_now_us(b->slot) - begun <= 5 * SECOND);
    bench_free(b);
}

static void a_key_that_was_busy_at_open_serves_when_it_is_free(void **state)
{
    (void)state;
    struct bench *b = closed_while_it_generates();
    const int64_t begun = virtual_now_us(b->slot);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    while (bench_power(IFD_POWER_UP) != IFD_SUCCESS)
        assert_true(virtual_now_us(b->slot) - begun < 60 * SECOND);
    assert_true(virtual_now_us(b->slot) - begun < 55 * SECOND);
    bench_works(b);
    bench_free(b);
}

/* A control transfer would hold it up. */
static void a_key_that_was_busy_at_open_is_not_asked_for_its_name(void **state)
{
    (void)state;
    struct bench *b = closed_while_it_generates();
    UCHAR name[64];
    DWORD length = sizeof name;
    assert_int_equal(bench_open(), IFD_SUCCESS);
    const struct host_statistics before = virtual_statistics(b->slot);
    assert_int_not_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_VENDOR_NAME, &length, name), IFD_SUCCESS);
    assert_int_equal(virtual_statistics(b->slot).control, before.control);
    bench_free(b);
}

static void pcscds_event_thread_finds_the_card_when_the_key_is_free(void **state)
{
    (void)state;
    struct bench *b = closed_while_it_generates();
    const int64_t begun = virtual_now_us(b->slot);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    assert_int_not_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS); /* pcscd does this once, and then waits for changes */
    for (int i = 0; i < 20 && virtual_now_us(b->slot) - begun < 49 * SECOND; i++)
        (void)bench_event_thread();
    while (bench_event_thread() != IFD_ICC_PRESENT)
        assert_true(virtual_now_us(b->slot) - begun < 70 * SECOND);
    UCHAR atr[33];
    DWORD length = sizeof atr;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_ATR, &length, atr), IFD_SUCCESS);
    bench_works(b);
    bench_free(b);
}

/* What pcscd does for a client that ends its connection by a reset: it asks once only. */
static void a_reset_that_a_busy_key_does_not_hear_is_made_up_for_when_it_is_free(void **state)
{
    (void)state;
    setenv("IFD_NITROKEY_PATIENCE", "generate=5s/5s", 1);
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 60 * SECOND });
    bench_start(b);
    unsetenv("IFD_NITROKEY_PATIENCE");
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    assert_int_equal(bench_transmit(b, GENERATE_SIGNATURE_KEY).code, IFD_RESPONSE_TIMEOUT);
    assert_int_not_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    virtual_pass(b->slot, 60 * SECOND);
    bench_card_comes_anew();
    bench_works(b);
    bench_free(b);
}

/* ---- the end ---- */

static void an_unplug_ends_a_generation_at_once_and_a_replug_works(void **state)
{
    (void)state;
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = 60 * SECOND });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_unplug_after(b, 10 * SECOND);
    const struct answer generated = bench_transmit(b, GENERATE_SIGNATURE_KEY);
    assert_int_equal(generated.code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(generated.took_us, 10 * SECOND);
    assert_int_equal(bench_event_thread(), IFD_COMMUNICATION_ERROR);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_COMMUNICATION_ERROR);
    bench_stop(b);
    virtual_plug(b->slot);
    bench_start(b);
    bench_works(b);
    bench_free(b);
}

static void an_unplug_during_power_on_is_an_error_and_a_replug_works(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    bench_unplug_after(b, 0);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_COMMUNICATION_ERROR);
    bench_stop(b);
    virtual_plug(b->slot);
    bench_start(b);
    bench_works(b);
    bench_free(b);
}

static void closing_while_a_command_runs_ends_it_and_frees_all(void **state)
{
    (void)state;
    struct bench *b = closed_while_it_generates();
    assert_int_equal(virtual_open_ports(), 0);
    assert_int_equal(IFDHCloseChannel(LUN), IFD_COMMUNICATION_ERROR); /* it is closed */
    bench_free(b);
}

static void no_file_stays_open(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_stop(b);
    const unsigned before = open_files();
    for (int i = 0; i < 3; i++) {
        bench_start(b);
        bench_works(b);
        bench_stop(b);
        refuses(IFD_NO_SUCH_DEVICE, BENCH_NAME_HID);
    }
    assert_int_equal(open_files(), before);
    bench_free(b);
}

/* ---- on its way ---- */

/* Half a command would have to be ended. */
static void a_command_that_has_begun_to_leave_when_patience_ends_leaves_whole(void **state)
{
    (void)state;
    char put[32 + 2 * 200] = "00DA0101 C8 ";
    struct bench *b = bench_new(NULL);
    for (int i = 0; i < 200; i++)
        strcat(put, "A5");
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    const size_t before = icc_log_count(b->icc);
    b->device->faults.packet = (struct packet_fault){ .kind = PACKET_NAKED, .endpoint = b->device->identity->bulk_out,
                                                      .nth = 2, .naked_us = 60 * SECOND + 200 * MS };
    assert_int_equal(bench_transmit(b, put).code, IFD_RESPONSE_TIMEOUT);
    virtual_pass(b->slot, SECOND);
    assert_int_equal(icc_log_count(b->icc), before + 1);
    bench_works(b);
    bench_free(b);
}

/* ---- polling ---- */

struct poller {
    RESPONSECODE (*poll)(DWORD, int);
    RESPONSECODE (*stop)(DWORD);
    RESPONSECODE code;
    atomic_int thread; /* its number; 0: it has not begun */
};

static struct poller poller(void)
{
    struct poller p = { .code = -1 };
    DWORD length = sizeof p.poll;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&p.poll),
                     IFD_SUCCESS);
    length = sizeof p.stop;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&p.stop), IFD_SUCCESS);
    return p;
}

static void *poll_for_a_minute(void *context)
{
    struct poller *const p = context;
    atomic_store(&p->thread, gettid());
    p->code = p->poll(LUN, 60000);
    return NULL;
}

/* By a clock of the machine, which may be busy: a poll that nothing ends takes a minute. */
static void ends_early(pthread_t thread)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 30;
    assert_int_equal(pthread_timedjoin_np(thread, NULL, &limit), 0);
}

static void one_stop_ends_one_poll_also_one_that_begins_later(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    struct poller p = poller();
    pthread_t thread;
    assert_int_equal(p.stop(LUN), IFD_SUCCESS);
    assert_int_equal(pthread_create(&thread, NULL, poll_for_a_minute, &p), 0);
    ends_early(thread);
    assert_int_equal(p.code, IFD_SUCCESS);
    assert_int_equal(pthread_create(&thread, NULL, poll_for_a_minute, &p), 0);
    assert_int_equal(p.stop(LUN), IFD_SUCCESS);
    ends_early(thread);
    assert_int_equal(p.code, IFD_SUCCESS);
    bench_free(b);
}

static void a_poll_ends_when_another_program_lets_go(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    virtual_occupy(b->slot, 1, true);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    struct poller p = poller();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, poll_for_a_minute, &p), 0);
    bench_await_sleep(&p.thread);
    virtual_occupy(b->slot, 1, false);
    ends_early(thread);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    bench_free(b);
}

static void closing_ends_a_poll(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    struct poller p = poller();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, poll_for_a_minute, &p), 0);
    bench_await_sleep(&p.thread);
    const time_t begun = time(NULL);
    bench_stop(b); /* which waits for it */
    ends_early(thread);
    assert_true(time(NULL) - begun < 30);
    bench_free(b);
}

static void polling_an_idle_key_causes_no_transfer(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_works(b);
    const struct host_statistics before = virtual_statistics(b->slot);
    const struct poller p = poller();
    for (int i = 0; i < 10; i++) {
        virtual_pass(b->slot, MINUTE);
        assert_int_equal(p.poll(LUN, 0), IFD_SUCCESS);
        assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    }
    const struct host_statistics after = virtual_statistics(b->slot);
    assert_memory_equal(&after, &before, sizeof after);
    assert_int_equal(after.interrupt_in, 0);
    bench_free(b);
}

/* ---- two keys ---- */

#define OTHER_NODE "/dev/bus/usb/001/003"
#define OTHER_NAME "usb:20a0/4108:libudev:1:" OTHER_NODE

struct other_key {
    struct icc *icc;
    struct device *device;
    struct virtual_slot *slot;
};

static struct other_key other_key(const struct bench *b)
{
    const struct identity *const identity = b->device->identity;
    const struct icc_options card = { .atr = identity->atr, .atr_len = identity->atr_len, .other = { .work_us = 10 * MS } };
    struct other_key other = { .icc = icc_new(&card) };
    other.device = firmware_new(identity, other.icc, &(struct firmware_options){ .no_stale_packet = true });
    other.slot = virtual_insert(OTHER_NODE, other.device);
    return other;
}

static void remove_other_key(struct other_key *other)
{
    virtual_remove(other->slot);
    device_free(other->device);
    icc_free(other->icc);
}

static void two_keys_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    struct other_key other = other_key(b);
    bench_start(b);
    assert_int_equal(open_as(0x10000, OTHER_NAME), IFD_SUCCESS);
    icc_set_mute(other.icc, true);
    bench_works(b);
    assert_int_equal(IFDHCloseChannel(0x10000), IFD_SUCCESS);
    bench_works(b);
    bench_stop(b);
    remove_other_key(&other);
    bench_free(b);
}

static void a_lun_is_given_to_one_key_only(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    struct other_key other = other_key(b);
    bench_start(b);
    assert_int_equal(open_as(LUN, OTHER_NAME), IFD_COMMUNICATION_ERROR);
    assert_non_null(strstr(said, "003 cannot be used: pcscd has given its Lun to another reader"));
    bench_works(b);
    bench_stop(b);
    remove_other_key(&other);
    bench_free(b);
}

/* What libusb is told of them lies there until somebody handles events, and nobody uses this key. */
static void what_other_devices_do_does_not_pile_up_beside_an_idle_key(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    struct other_key other = other_key(b);
    bench_start(b);
    (void)bench_poll(0);
    for (int i = 0; i < 100; i++) {
        virtual_unplug(other.slot);
        virtual_plug(other.slot);
    }
    assert_int_equal(libusb_virtual_unhandled(), 200);
    (void)bench_poll(0);
    assert_int_equal(libusb_virtual_unhandled(), 0);
    remove_other_key(&other);
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_hid_interface_is_no_ccid_interface),
        TEST(an_interface_that_is_not_there_is_no_ccid_interface),
        TEST(another_device_at_the_node_than_pcscd_says_is_refused),
        TEST(a_node_that_is_not_there_is_a_communication_error),
        TEST(a_node_without_permission_is_a_communication_error),
        TEST(a_device_name_that_is_nonsense_is_a_communication_error),
        TEST(descriptors_that_are_garbage_are_refused_and_a_good_key_works_afterwards),
        TEST(a_key_that_another_program_holds_has_no_card_until_it_lets_go),
        TEST(whoever_gets_the_key_late_has_all_the_time_for_its_first_power_on),
        TEST(a_key_that_is_powered_on_long_after_it_was_opened_has_all_the_time_for_it),
        TEST(an_answer_left_by_a_killed_driver_is_nobodys_whatever_its_number),
        TEST(opening_a_busy_key_takes_5_s_at_most),
        TEST(a_key_that_was_busy_at_open_serves_when_it_is_free),
        TEST(a_key_that_was_busy_at_open_is_not_asked_for_its_name),
        TEST(pcscds_event_thread_finds_the_card_when_the_key_is_free),
        TEST(a_reset_that_a_busy_key_does_not_hear_is_made_up_for_when_it_is_free),
        TEST(an_unplug_ends_a_generation_at_once_and_a_replug_works),
        TEST(an_unplug_during_power_on_is_an_error_and_a_replug_works),
        TEST(closing_while_a_command_runs_ends_it_and_frees_all),
        TEST(no_file_stays_open),
        TEST(a_command_that_has_begun_to_leave_when_patience_ends_leaves_whole),
        TEST(one_stop_ends_one_poll_also_one_that_begins_later),
        TEST(a_poll_ends_when_another_program_lets_go),
        TEST(closing_ends_a_poll),
        TEST(polling_an_idle_key_causes_no_transfer),
        TEST(what_other_devices_do_does_not_pile_up_beside_an_idle_key),
        TEST(two_keys_do_not_disturb_each_other),
        TEST(a_lun_is_given_to_one_key_only),
    };
    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
