/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_usb_virtual.c - usb.c on the virtual libusb, a virtual key and a virtual clock keeps what usb.h promises. */
#include <errno.h>
#include <fcntl.h>
#include <libusb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "fake_icc.h"
#include "pro.h"
#include "usb.h"
#include "usb_virtual.h"

#define NODE "/dev/bus/usb/001/002"
#define MS INT64_C(1000)
#define SECOND (1000 * MS)

struct bench {
    struct icc *icc;
    struct device *device;
    struct virtual_slot *slot;
    struct usb_port *port;
    struct usb_identity identity;
    uint8_t in[512];
};

static const struct usb_place PLACE = { .vendor_id = 0x20a0, .product_id = 0x4108, .interface_number = 1,
                                        .node = NODE };
static const uint8_t STATUS[] = { 0x65, 0, 0, 0, 0, 0, 7, 0, 0, 0 };
static const uint8_t POWER_ON[] = { 0x62, 0, 0, 0, 0, 0, 8, 0, 0, 0 };
static const uint8_t BLOCK[] = { 0x6f, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0x00 };

static int set_up(void **state)
{
    static struct bench bench;
    const struct icc_options card = { .atr = identity_find("nitrokey-pro-2")->atr, .atr_len = identity_find("nitrokey-pro-2")->atr_len,
                                      .other = { .work_us = 5 * MS } };
    const struct pro_options options = { .first_byte_limit_us = 120 * SECOND };
    bench = (struct bench){ .icc = icc_new(&card) };
    bench.device = pro_new(identity_find("nitrokey-pro-2"), bench.icc, &options);
    bench.slot = virtual_insert(NODE, bench.device);
    *state = &bench;
    return bench.slot && usb_open(&bench.port, &PLACE, &bench.identity) == ERR_NONE
           && usb_claim(bench.port) == ERR_NONE ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    usb_close(b->port);
    const size_t left = virtual_open_ports();
    virtual_remove(b->slot);
    device_free(b->device);
    icc_free(b->icc);
    return left == 0 ? 0 : -1;
}

static void post(struct bench *b, const uint8_t *message, size_t length)
{
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_NONE);
    assert_int_equal(usb_post_out(b->port, message, length, NULL), ERR_NONE);
}

static void receives(struct bench *b, size_t length)
{
    const struct usb_news news = usb_wait(b->port, usb_now_ms(b->port) + 10000);
    assert_int_equal(news.event, USB_RECEIVED);
    assert_int_equal(news.length, length);
}

static void power_on(struct bench *b)
{
    post(b, POWER_ON, sizeof POWER_ON);
    receives(b, 10 + identity_find("nitrokey-pro-2")->atr_len);
}

/* ---- opening ---- */

static void the_identity_is_that_of_the_descriptors(void **state)
{
    const struct bench *b = *state;
    assert_int_equal(b->identity.vendor_id, 0x20a0);
    assert_int_equal(b->identity.bcd_device, 0x0101);
    assert_int_equal(b->identity.bus, 1);
    assert_int_equal(b->identity.address, 2);
    assert_int_equal(b->identity.interface_class, 0x0b);
    assert_int_equal(b->identity.class_descriptor_len, 54);
    assert_int_equal(b->identity.class_descriptor[40], 0xba);
    assert_int_equal(b->identity.bulk_in, 0x82);
    assert_int_equal(b->identity.bulk_out, 0x02);
    assert_int_equal(b->identity.packet_size, 64);
}

static enum err open_other(const struct usb_place *place)
{
    struct usb_port *port;
    struct usb_identity identity;
    const enum err err = usb_open(&port, place, &identity);
    usb_close(port);
    return err;
}

static void opening_fails_for_the_reason_there_is(void **state)
{
    struct bench *b = *state;
    struct usb_place place = PLACE;
    assert_int_equal(open_other(&place), ERR_NONE);
    place.interface_number = 7;
    assert_int_equal(open_other(&place), ERR_NOT_CCID);
    place = PLACE;
    place.product_id++;
    assert_int_equal(open_other(&place), ERR_NOT_CCID);
    place = PLACE;
    strcpy(place.node, "/dev/bus/usb/001/003");
    assert_int_equal(open_other(&place), ERR_NO_DEVICE);
    strcpy(place.node, "");
    assert_int_equal(open_other(&place), ERR_NO_DEVICE);
    place.bus = 1;
    place.address = 2;
    assert_int_equal(open_other(&place), ERR_NONE);
    virtual_deny_access(b->slot, EPERM);
    assert_int_equal(open_other(&PLACE), ERR_ACCESS);
    virtual_deny_access(b->slot, EACCES);
    assert_int_equal(open_other(&PLACE), ERR_ACCESS);
    assert_int_equal(open_other(&place), ERR_ACCESS); /* found on the bus */
    virtual_deny_access(b->slot, 0);
    virtual_unplug(b->slot);
    assert_int_equal(open_other(&PLACE), ERR_NO_DEVICE);
}

static ino_t inode(void)
{
    struct stat status;
    const int fd = open(NODE, O_RDWR);
    assert_int_equal(fstat(fd, &status), 0);
    close(fd);
    return status.st_ino;
}

static void a_node_is_another_file_when_the_device_is_plugged_in_anew(void **state)
{
    struct bench *b = *state;
    const ino_t first = inode();
    assert_int_equal(inode(), first);
    virtual_unplug(b->slot);
    virtual_plug(b->slot);
    assert_int_not_equal(inode(), first);
}

static void an_interface_has_one_owner(void **state)
{
    struct bench *b = *state;
    struct usb_port *other;
    struct usb_identity identity;
    assert_int_equal(usb_open(&other, &PLACE, &identity), ERR_NONE);
    assert_int_equal(virtual_open_ports(), 2);
    assert_int_equal(usb_claim(other), ERR_BUSY);
    assert_int_equal(usb_post_in(other, b->in, 64), ERR_IO);
    usb_close(b->port);
    b->port = other;
    virtual_occupy(b->slot, 1, true);
    assert_int_equal(usb_claim(other), ERR_BUSY);
    virtual_occupy(b->slot, 1, false);
    assert_int_equal(usb_claim(other), ERR_NONE);
}

static void strings_come_without_their_nul_characters(void **state)
{
    struct bench *b = *state;
    char text[64];
    assert_int_equal(usb_string(b->port, USB_STRING_MANUFACTURER, text, sizeof text), 8);
    assert_string_equal(text, "Nitrokey");
    assert_int_equal(usb_string(b->port, USB_STRING_PRODUCT, text, 5), 4);
    assert_string_equal(text, "Nitr");
    assert_int_equal(usb_string(b->port, USB_STRING_SERIAL, text, sizeof text), 24);
    assert_int_equal(usb_string(b->port, USB_STRING_SERIAL, text, 0), 0);
}

/* ---- waiting ---- */

static void an_answer_that_came_before_the_wait_is_not_overwritten(void **state)
{
    struct bench *b = *state;
    uint8_t other[64];
    post(b, STATUS, sizeof STATUS); /* answered at once */
    assert_int_equal(usb_post_in(b->port, other, sizeof other), ERR_NONE);
    receives(b, 10);
    assert_int_equal(b->in[0], 0x81);
}

static void a_wait_jumps_to_the_answer(void **state)
{
    struct bench *b = *state;
    const int64_t begin = usb_now_ms(b->port);
    power_on(b);
    assert_int_equal(usb_now_ms(b->port) - begin, 600);
}

static void a_wait_ends_exactly_at_its_deadline(void **state)
{
    struct bench *b = *state;
    power_on(b);
    fake_icc_script(b->icc, NULL, 0, 0);
    post(b, BLOCK, sizeof BLOCK);
    const int64_t deadline = usb_now_ms(b->port) + 30000;
    const struct usb_news news = usb_wait(b->port, deadline);
    assert_int_equal(news.event, USB_TIMEOUT);
    assert_int_equal(usb_now_ms(b->port), deadline);
}

static void with_nothing_posted_there_is_nothing_to_wait_for(void **state)
{
    struct bench *b = *state;
    const int64_t begin = usb_now_ms(b->port);
    assert_int_equal(usb_wait(b->port, begin + 1000).event, USB_TIMEOUT);
    assert_int_equal(usb_post_out(b->port, STATUS, sizeof STATUS, NULL), ERR_NONE);
    const struct usb_news news = usb_wait(b->port, begin + 1000);
    assert_int_equal(news.event, USB_TIMEOUT);
    assert_int_equal(usb_now_ms(b->port), begin);
}

static void a_stall_is_told_and_cleared(void **state)
{
    struct bench *b = *state;
    device_halt(b->device, b->identity.bulk_in);
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_NONE);
    assert_int_equal(usb_wait(b->port, 1000).event, USB_STALLED_IN);
    assert_int_equal(usb_clear_halt(b->port, b->identity.bulk_in), ERR_NONE);
    device_halt(b->device, b->identity.bulk_out);
    post(b, STATUS, sizeof STATUS);
    assert_int_equal(usb_wait(b->port, 1000).event, USB_STALLED_OUT);
    assert_int_equal(usb_take_back_out(b->port, 1000), 0);
    assert_int_equal(usb_clear_halt(b->port, b->identity.bulk_out), ERR_NONE);
    post(b, STATUS, sizeof STATUS);
    receives(b, 10);
}

/* So nobody reads for the answer to a message that has not left. */
static void when_both_transfers_fail_that_of_the_message_is_told_first(void **state)
{
    struct bench *b = *state;
    device_halt(b->device, b->identity.bulk_in);
    device_halt(b->device, b->identity.bulk_out);
    post(b, STATUS, sizeof STATUS);
    assert_int_equal(usb_wait(b->port, 1000).event, USB_STALLED_OUT);
    assert_int_equal(usb_wait(b->port, 1000).event, USB_STALLED_IN);
}

static void more_than_there_is_room_for_is_an_overrun(void **state)
{
    struct bench *b = *state;
    b->device->faults.packet = (struct packet_fault){ .kind = PACKET_BABBLE, .endpoint = b->identity.bulk_in, .nth = 1 };
    post(b, STATUS, sizeof STATUS);
    assert_int_equal(usb_wait(b->port, usb_now_ms(b->port) + 1000).event, USB_OVERRUN);
}

/* The kernel says of the transfers what it says of those of a device that is gone. */
static void a_reset_by_another_program_is_no_unplug(void **state)
{
    struct bench *b = *state;
    power_on(b);
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_NONE);
    virtual_reset_by_another(b->slot);
    assert_int_equal(usb_wait(b->port, usb_now_ms(b->port) + 1000).event, USB_FAILED_IN);
    post(b, STATUS, sizeof STATUS);
    receives(b, 10);
}

static void after_set_configuration_the_interface_is_the_drivers_again(void **state)
{
    struct bench *b = *state;
    struct usb_port *other;
    struct usb_identity identity;
    assert_int_equal(usb_set_configuration(b->port), ERR_NONE);
    assert_int_equal(usb_open(&other, &PLACE, &identity), ERR_NONE);
    assert_int_equal(usb_claim(other), ERR_BUSY);
    usb_close(b->port);
    b->port = other;
    assert_int_equal(usb_claim(other), ERR_NONE);
}

static void an_out_transfer_that_has_not_moved_is_taken_back(void **state)
{
    struct bench *b = *state;
    b->device->faults.frozen = true;
    post(b, STATUS, sizeof STATUS);
    assert_int_equal(usb_wait(b->port, usb_now_ms(b->port) + 100).event, USB_TIMEOUT);
    assert_int_equal(usb_take_back_out(b->port, usb_now_ms(b->port) + 500), 0);
    b->device->faults.frozen = false;
    assert_int_equal(usb_wait(b->port, usb_now_ms(b->port) + 1000).event, USB_TIMEOUT); /* it never got there */
}

/* Whoever comes after a process that was killed reads it. */
static void what_has_left_is_told_as_soon_as_it_has(void **state)
{
    struct bench *b = *state;
    uint32_t moved = 0;
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_NONE);
    assert_int_equal(usb_post_out(b->port, STATUS, sizeof STATUS, &moved), ERR_NONE);
    receives(b, 10);
    assert_int_equal(moved, sizeof STATUS);
}

static void an_out_transfer_that_cannot_be_completed_is_stuck(void **state)
{
    struct bench *b = *state;
    const uint8_t surplus[128] = { 0x6f, 54 }; /* the message is complete with the first packet */
    assert_int_equal(usb_post_out(b->port, surplus, sizeof surplus, NULL), ERR_NONE);
    const int64_t begin = usb_now_ms(b->port);
    assert_int_equal(usb_take_back_out(b->port, begin + 500), 64);
    assert_int_equal(usb_now_ms(b->port), begin + 500);
}

static void an_out_transfer_that_is_complete_has_been_sent(void **state)
{
    struct bench *b = *state;
    assert_int_equal(usb_take_back_out(b->port, 0), 0);
    post(b, STATUS, sizeof STATUS);
    assert_int_equal(usb_take_back_out(b->port, 0), sizeof STATUS);
    receives(b, 10);
}

static void unplug(void *slot)
{
    virtual_unplug(slot);
}

static void LIBUSB_CALL on_end(struct libusb_transfer *transfer)
{
    *(int *)transfer->user_data = 1;
}

static void fails(struct bench *b, enum packet_fault_kind kind, uint8_t endpoint)
{
    b->device->faults.packet = (struct packet_fault){ .kind = kind, .endpoint = endpoint, .nth = 1 };
}

/* What libusb says of one transfer out of this buffer, or into it, of at most 1 s. */
static int transfer_ends(libusb_context *context, libusb_device_handle *handle, uint8_t endpoint, uint8_t *bytes,
                         int length)
{
    struct libusb_transfer *const transfer = libusb_alloc_transfer(0);
    struct timeval limit = { .tv_sec = 2 };
    int ended = 0;
    libusb_fill_bulk_transfer(transfer, handle, endpoint, bytes, length, on_end, &ended, 1000);
    assert_int_equal(libusb_submit_transfer(transfer), 0);
    while (!ended)
        assert_int_equal(libusb_handle_events_timeout_completed(context, &limit, &ended), 0);
    const int status = (int)transfer->status;
    libusb_free_transfer(transfer);
    return status;
}

static void packets_that_fail_are_told_as_libusb_tells_them(void **state)
{
    struct bench *b = *state;
    const uint8_t in = b->identity.bulk_in, out = b->identity.bulk_out;
    const struct {
        enum packet_fault_kind kind;
        uint8_t endpoint;
        int out_status, in_status;
    } ways[] = {
        { PACKET_LOST, out, LIBUSB_TRANSFER_ERROR, LIBUSB_TRANSFER_TIMED_OUT },
        { PACKET_UNACKNOWLEDGED, out, LIBUSB_TRANSFER_ERROR, LIBUSB_TRANSFER_COMPLETED },
        { PACKET_HALTED, out, LIBUSB_TRANSFER_STALL, LIBUSB_TRANSFER_TIMED_OUT },
        { PACKET_UNACKNOWLEDGED, in, LIBUSB_TRANSFER_COMPLETED, LIBUSB_TRANSFER_ERROR },
        { PACKET_BABBLE, in, LIBUSB_TRANSFER_COMPLETED, LIBUSB_TRANSFER_OVERFLOW },
        { PACKET_HALTED, in, LIBUSB_TRANSFER_COMPLETED, LIBUSB_TRANSFER_STALL },
        { PACKET_LOST, in, LIBUSB_TRANSFER_COMPLETED, LIBUSB_TRANSFER_ERROR },
    };
    uint8_t message[sizeof STATUS];
    libusb_context *context;
    libusb_device_handle *handle;
    power_on(b);
    usb_close(b->port);
    b->port = NULL;
    const int fd = open(NODE, O_RDWR);
    assert_int_equal(libusb_init(&context), 0);
    assert_int_equal(libusb_wrap_sys_device(context, fd, &handle), 0);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        fails(b, ways[i].kind, ways[i].endpoint);
        memcpy(message, STATUS, sizeof STATUS);
        assert_int_equal(transfer_ends(context, handle, out, message, sizeof message), ways[i].out_status);
        assert_int_equal(transfer_ends(context, handle, in, b->in, sizeof b->in), ways[i].in_status);
        assert_int_equal(b->device->faults.packet.kind, PACKET_RIGHT);
        b->device->halted = 0;
    }
    assert_int_equal(b->device->faults.packets_struck, sizeof ways / sizeof ways[0]);
    assert_int_equal(transfer_ends(context, handle, in, b->in, sizeof b->in), LIBUSB_TRANSFER_COMPLETED);
    libusb_close(handle);
    libusb_exit(context);
    close(fd);
}

static void a_naked_packet_passes_when_its_time_has_come(void **state)
{
    struct bench *b = *state;
    fails(b, PACKET_NAKED, b->identity.bulk_out);
    b->device->faults.packet.naked_us = 3 * SECOND;
    const int64_t begin = usb_now_ms(b->port);
    post(b, STATUS, sizeof STATUS);
    receives(b, 10);
    assert_int_equal(usb_now_ms(b->port) - begin, 3000);
}

static void orphan(void *slot)
{
    virtual_orphan(slot);
}

/* To the old port all is as after an unplug; the device has not been reset, and serves the new one. */
static void a_process_that_is_gone_at_a_packet_leaves_the_device_as_it_is(void **state)
{
    struct bench *b = *state;
    power_on(b);
    fails(b, PACKET_PAUSED, b->identity.bulk_in);
    b->device->faults.packet.struck = orphan;
    b->device->faults.packet.context = b->slot;
    post(b, STATUS, sizeof STATUS);
    assert_int_equal(usb_wait(b->port, usb_now_ms(b->port) + 1000).event, USB_GONE);
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_GONE);
    usb_close(b->port);
    b->device->faults.paused = false;
    assert_int_equal(usb_open(&b->port, &PLACE, &b->identity), ERR_NONE);
    assert_int_equal(usb_claim(b->port), ERR_NONE);
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_NONE);
    receives(b, 10);
    assert_int_equal(b->in[6], STATUS[6]);
}

static void unplugging_at_a_planned_time_ends_the_wait_for_good(void **state)
{
    struct bench *b = *state;
    power_on(b);
    fake_icc_script(b->icc, NULL, 0, 0);
    post(b, BLOCK, sizeof BLOCK);
    assert_true(virtual_at(b->slot, virtual_now_us(b->slot) + 3 * SECOND, unplug, b->slot));
    const int64_t begin = usb_now_ms(b->port);
    assert_int_equal(usb_wait(b->port, begin + 60000).event, USB_GONE);
    assert_int_equal(usb_now_ms(b->port) - begin, 3000);
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_GONE);
    virtual_plug(b->slot); /* another one, for those who open it anew */
    assert_int_equal(usb_wait(b->port, begin + 60000).event, USB_GONE);
    assert_int_equal(usb_claim(b->port), ERR_GONE);
    assert_int_equal(open_other(&PLACE), ERR_NONE);
}

static void *wait_for_a_day(void *context)
{
    struct bench *b = context;
    static struct usb_news news;
    news = usb_wait(b->port, 86400 * 1000);
    return &news;
}

static void a_cancel_from_another_thread_ends_the_wait_at_the_stopped_clock(void **state)
{
    struct bench *b = *state;
    pthread_t thread;
    void *result;
    power_on(b);
    fake_icc_script(b->icc, NULL, 0, 0);
    post(b, BLOCK, sizeof BLOCK);
    virtual_hold_at(b->slot, 90 * SECOND);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_a_day, b), 0);
    assert_true(virtual_await_hold(b->slot));
    usb_cancel(b->port);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(((const struct usb_news *)result)->event, USB_CANCELLED);
    assert_int_equal(usb_now_ms(b->port), 90000);
    assert_int_equal(usb_wait(b->port, 100000).event, USB_CANCELLED);
    virtual_pass(b->slot, SECOND); /* the clock goes on, for what has to be tidied up */
    assert_int_equal(usb_now_ms(b->port), 91000);
}

static void an_answer_waits_for_the_next_port(void **state)
{
    struct bench *b = *state;
    power_on(b);
    post(b, BLOCK, sizeof BLOCK);
    usb_close(b->port);
    virtual_pass(b->slot, SECOND);
    assert_int_equal(usb_open(&b->port, &PLACE, &b->identity), ERR_NONE);
    assert_int_equal(usb_claim(b->port), ERR_NONE);
    assert_int_equal(usb_post_in(b->port, b->in, sizeof b->in), ERR_NONE);
    const struct usb_news news = usb_wait(b->port, usb_now_ms(b->port));
    assert_int_equal(news.event, USB_RECEIVED);
    assert_int_equal(news.length, 11);
    assert_int_equal(b->in[6], 9);
}

static void transfers_are_counted(void **state)
{
    struct bench *b = *state;
    power_on(b);
    assert_int_equal(virtual_statistics(b->slot).bulk_out, 1);
    assert_int_equal(virtual_statistics(b->slot).bulk_in, 1);
    assert_int_equal(virtual_statistics(b->slot).interrupt_in, 0);
    assert_int_equal(virtual_statistics(b->slot).control, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_identity_is_that_of_the_descriptors),
        TEST(opening_fails_for_the_reason_there_is),
        TEST(a_node_is_another_file_when_the_device_is_plugged_in_anew),
        TEST(an_interface_has_one_owner),
        TEST(strings_come_without_their_nul_characters),
        TEST(an_answer_that_came_before_the_wait_is_not_overwritten),
        TEST(a_wait_jumps_to_the_answer),
        TEST(a_wait_ends_exactly_at_its_deadline),
        TEST(with_nothing_posted_there_is_nothing_to_wait_for),
        TEST(a_stall_is_told_and_cleared),
        TEST(when_both_transfers_fail_that_of_the_message_is_told_first),
        TEST(more_than_there_is_room_for_is_an_overrun),
        TEST(a_reset_by_another_program_is_no_unplug),
        TEST(after_set_configuration_the_interface_is_the_drivers_again),
        TEST(an_out_transfer_that_has_not_moved_is_taken_back),
        TEST(what_has_left_is_told_as_soon_as_it_has),
        TEST(an_out_transfer_that_cannot_be_completed_is_stuck),
        TEST(an_out_transfer_that_is_complete_has_been_sent),
        TEST(packets_that_fail_are_told_as_libusb_tells_them),
        TEST(a_naked_packet_passes_when_its_time_has_come),
        TEST(a_process_that_is_gone_at_a_packet_leaves_the_device_as_it_is),
        TEST(unplugging_at_a_planned_time_ends_the_wait_for_good),
        TEST(a_cancel_from_another_thread_ends_the_wait_at_the_stopped_clock),
        TEST(an_answer_waits_for_the_next_port),
        TEST(transfers_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
