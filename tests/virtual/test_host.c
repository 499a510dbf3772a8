/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_host.c - the host controller: which packets end which transfer. The device is a scripted one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "host_controller.h"

#define OUT 0x02
#define IN 0x82
#define INTERRUPT 0x81

/* ---- a device that says what a test scripts ---- */

struct script {
    struct device device;
    struct { size_t length; bool stall; } in[8]; /* what the IN endpoint gives, in order; then NAK */
    size_t in_count, in_given;
    size_t out_room;                              /* packets the OUT endpoint takes; then NAK */
    size_t out_lengths[8], out_count;
    int64_t event_us;
};

static struct script *script_of(struct device *device)
{
    return (struct script *)device;
}

static void script_power(struct device *device, bool on)
{
    (void)device, (void)on;
}

static void script_nothing(struct device *device)
{
    (void)device;
}

static enum handshake script_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    (void)device, (void)setup, (void)data, (void)length;
    return HANDSHAKE_STALL;
}

static enum handshake script_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct script *script = script_of(device);
    (void)endpoint, (void)packet;
    if (script->out_room == 0)
        return HANDSHAKE_NAK;
    script->out_room--;
    script->out_lengths[script->out_count++] = length;
    return HANDSHAKE_ACK;
}

static enum handshake script_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct script *script = script_of(device);
    if (endpoint != IN || script->in_given == script->in_count)
        return HANDSHAKE_NAK;
    const size_t at = script->in_given++;
    *length = script->in[at].length;
    memset(packet, (int)at + 1, *length);
    return script->in[at].stall ? HANDSHAKE_STALL : HANDSHAKE_ACK;
}

static int64_t script_next_us(const struct device *device)
{
    return ((const struct script *)device)->event_us;
}

static bool script_busy(const struct device *device)
{
    const struct script *const given = (const struct script *)device;
    return given->in_given < given->in_count;
}

static const struct firmware SCRIPT = {
    .power = script_power, .reset = script_nothing, .control = script_control, .out = script_out, .in = script_in,
    .advance = script_nothing, .next_us = script_next_us, .busy = script_busy, .reset_by_sibling = script_nothing,
    .free = script_nothing,
};

/* ---- tools ---- */

static struct script script;
static uint8_t buffer[512];

static int set_up(void **state)
{
    script = (struct script){ .device = { .firmware = &SCRIPT, .identity = identity_find("nitrokey-pro-2") }, .event_us = DEVICE_NEVER };
    memset(buffer, 0, sizeof buffer);
    *state = host_new(&script.device);
    host_plug(*state, 0, true);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    host_free(*state);
    return 0;
}

static void device_gives(size_t length)
{
    script.in[script.in_count++].length = length;
}

static void submit(struct host_controller *host, struct urb *urb, uint8_t endpoint, size_t length)
{
    *urb = (struct urb){ .endpoint = endpoint, .buffer = buffer, .length = length };
    host_submit(host, urb);
}

static void ends(struct host_controller *host, struct urb *urb, enum urb_status status, size_t actual)
{
    host_run(host, 0);
    assert_ptr_equal(host_reap(host), urb);
    assert_int_equal(urb->status, status);
    assert_int_equal(urb->actual, actual);
}

static void is_pending(struct host_controller *host, const struct urb *urb)
{
    host_run(host, 0);
    assert_null(host_reap(host));
    assert_int_equal(urb->status, URB_PENDING);
}

/* ---- IN ---- */

static void a_short_packet_ends_an_in_transfer(void **state)
{
    struct urb urb;
    submit(*state, &urb, IN, 256);
    device_gives(64);
    is_pending(*state, &urb);
    device_gives(10);
    device_gives(3);
    ends(*state, &urb, URB_OK, 74);
    assert_int_equal(buffer[63], 1);
    assert_int_equal(buffer[73], 2);
    assert_int_equal(buffer[74], 0); /* the third packet is for the next transfer */
}

static void a_zero_length_packet_ends_an_in_transfer(void **state)
{
    struct urb urb;
    submit(*state, &urb, IN, 256);
    device_gives(64);
    device_gives(0);
    ends(*state, &urb, URB_OK, 64);
    submit(*state, &urb, IN, 256);
    device_gives(0);
    ends(*state, &urb, URB_OK, 0);
}

static void a_full_buffer_ends_an_in_transfer_and_leaves_the_zero_length_packet(void **state)
{
    struct urb urb;
    submit(*state, &urb, IN, 128);
    device_gives(64);
    device_gives(64);
    device_gives(0);
    ends(*state, &urb, URB_OK, 128);
    submit(*state, &urb, IN, 128);
    ends(*state, &urb, URB_OK, 0);
}

static void a_packet_larger_than_the_room_left_is_an_overflow(void **state)
{
    struct urb urb;
    submit(*state, &urb, IN, 100);
    device_gives(64);
    device_gives(64);
    ends(*state, &urb, URB_OVERFLOW, 100);
    assert_int_equal(buffer[99], 2);
    assert_int_equal(buffer[100], 0);
}

static void a_stall_ends_a_transfer_with_what_has_moved(void **state)
{
    struct urb urb;
    submit(*state, &urb, IN, 256);
    device_gives(64);
    script.in[script.in_count++].stall = true;
    ends(*state, &urb, URB_STALL, 64);
}

static void a_halted_endpoint_fails_transfers_until_it_is_cleared(void **state)
{
    struct urb urb;
    struct urb clear = { .setup = { .request_type = 0x02, .request = 1, .index = IN } };
    device_gives(10);
    device_halt(&script.device, IN);
    for (int i = 0; i < 2; i++) {
        submit(*state, &urb, IN, 64);
        ends(*state, &urb, URB_STALL, 0);
    }
    host_submit(*state, &clear);
    ends(*state, &clear, URB_OK, 0);
    submit(*state, &urb, IN, 64);
    ends(*state, &urb, URB_OK, 10);
}

static void transfers_of_an_endpoint_are_served_in_order(void **state)
{
    struct urb first, second;
    submit(*state, &first, IN, 64);
    submit(*state, &second, IN, 64);
    device_gives(3);
    device_gives(4);
    ends(*state, &first, URB_OK, 3);
    ends(*state, &second, URB_OK, 4);
}

static void endpoints_do_not_wait_for_each_other(void **state)
{
    struct urb waiting, urb;
    submit(*state, &waiting, INTERRUPT, 64);
    submit(*state, &urb, IN, 64);
    device_gives(3);
    ends(*state, &urb, URB_OK, 3);
    is_pending(*state, &waiting);
    assert_true(host_cancel(*state, &waiting));
    ends(*state, &waiting, URB_CANCELLED, 0);
}

/* ---- OUT ---- */

static void out_transfers_are_cut_into_packets_and_get_no_zero_length_packet(void **state)
{
    struct urb urb;
    script.out_room = 8;
    submit(*state, &urb, OUT, 128);
    ends(*state, &urb, URB_OK, 128);
    assert_int_equal(script.out_count, 2);
    submit(*state, &urb, OUT, 70);
    ends(*state, &urb, URB_OK, 70);
    assert_int_equal(script.out_count, 4);
    assert_int_equal(script.out_lengths[3], 6);
}

static void a_zero_length_packet_is_sent_on_request_only(void **state)
{
    struct urb urb = { .endpoint = OUT, .buffer = buffer, .length = 64, .zero_packet = true };
    script.out_room = 8;
    host_submit(*state, &urb);
    ends(*state, &urb, URB_OK, 64);
    assert_int_equal(script.out_count, 2);
    assert_int_equal(script.out_lengths[1], 0);
    submit(*state, &urb, OUT, 0); /* an empty transfer is such a packet itself */
    ends(*state, &urb, URB_OK, 0);
    assert_int_equal(script.out_count, 3);
}

static void a_cancelled_transfer_tells_what_has_moved(void **state)
{
    struct urb urb;
    script.out_room = 1;
    submit(*state, &urb, OUT, 128);
    is_pending(*state, &urb);
    assert_true(host_cancel(*state, &urb));
    ends(*state, &urb, URB_CANCELLED, 64);
    submit(*state, &urb, IN, 256);
    device_gives(64);
    is_pending(*state, &urb);
    assert_true(host_cancel(*state, &urb));
    ends(*state, &urb, URB_CANCELLED, 64);
    assert_false(host_cancel(*state, &urb));
}

/* ---- packets that fail ---- */

static void fails(enum packet_fault_kind kind, uint8_t endpoint, unsigned nth)
{
    script.device.faults.packet = (struct packet_fault){ .kind = kind, .endpoint = endpoint, .nth = nth };
}

static void struck(unsigned times)
{
    assert_int_equal(script.device.faults.packets_struck, times);
    assert_int_equal(script.device.faults.packet.kind, PACKET_RIGHT);
}

static void a_lost_out_packet_is_a_transaction_error_and_the_device_has_what_came_before(void **state)
{
    struct urb urb;
    script.out_room = 8;
    fails(PACKET_LOST, OUT, 2);
    submit(*state, &urb, OUT, 150);
    ends(*state, &urb, URB_NO_ANSWER, 64);
    assert_int_equal(script.out_count, 1);
    struck(1);
    submit(*state, &urb, OUT, 150);
    ends(*state, &urb, URB_OK, 150);
}

static void an_unacknowledged_out_packet_is_a_transaction_error_though_the_device_has_it(void **state)
{
    struct urb urb;
    script.out_room = 1;
    fails(PACKET_UNACKNOWLEDGED, OUT, 2);
    submit(*state, &urb, OUT, 150);
    is_pending(*state, &urb); /* NAK: the packet has not moved yet */
    script.out_room = 1;
    ends(*state, &urb, URB_NO_ANSWER, 64);
    assert_int_equal(script.out_count, 2);
    struck(1);
}

static void a_halt_in_place_of_an_out_packet_lasts_until_it_is_cleared(void **state)
{
    struct urb urb;
    struct urb clear = { .setup = { .request_type = 0x02, .request = 1, .index = OUT } };
    script.out_room = 8;
    fails(PACKET_HALTED, OUT, 1);
    for (int i = 0; i < 2; i++) {
        submit(*state, &urb, OUT, 64);
        ends(*state, &urb, URB_STALL, 0);
    }
    struck(1);
    host_submit(*state, &clear);
    ends(*state, &clear, URB_OK, 0);
    submit(*state, &urb, OUT, 64);
    ends(*state, &urb, URB_OK, 64);
    assert_int_equal(script.out_count, 1);
}

static void a_lost_in_packet_stays_with_the_device(void **state)
{
    struct urb urb;
    fails(PACKET_LOST, IN, 2);
    submit(*state, &urb, IN, 256);
    device_gives(64);
    is_pending(*state, &urb); /* there is no second packet to be lost */
    device_gives(10);
    ends(*state, &urb, URB_NO_ANSWER, 64);
    submit(*state, &urb, IN, 256);
    ends(*state, &urb, URB_OK, 10);
    struck(1);
}

static void an_in_packet_that_the_device_has_given_away_is_gone(void **state)
{
    static const struct {
        enum packet_fault_kind kind;
        enum urb_status status;
    } WAYS[] = { { PACKET_UNACKNOWLEDGED, URB_NO_ANSWER }, { PACKET_BABBLE, URB_OVERFLOW },
                 { PACKET_HALTED, URB_STALL } };
    for (unsigned i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++) {
        struct urb urb;
        script.in_count = script.in_given = 0;
        fails(WAYS[i].kind, IN, 2);
        submit(*state, &urb, IN, 256);
        device_gives(64);
        device_gives(64);
        device_gives(10);
        ends(*state, &urb, WAYS[i].status, 64);
        struck(i + 1);
        script.device.halted = 0;
        submit(*state, &urb, IN, 256);
        ends(*state, &urb, URB_OK, 10);
    }
}

static void an_empty_packet_is_left_out(void **state)
{
    struct urb urb, out = { .endpoint = OUT, .buffer = buffer, .length = 64, .zero_packet = true };
    fails(PACKET_NO_ZLP, IN, 2);
    device_gives(0);
    submit(*state, &urb, IN, 256);
    ends(*state, &urb, URB_OK, 0); /* the first one comes */
    submit(*state, &urb, IN, 256);
    device_gives(64);
    device_gives(0);
    is_pending(*state, &urb);
    struck(1);
    device_gives(10);
    ends(*state, &urb, URB_OK, 74);
    script.out_room = 8;
    fails(PACKET_NO_ZLP, OUT, 1);
    host_submit(*state, &out);
    ends(*state, &out, URB_OK, 64);
    assert_int_equal(script.out_count, 1);
    struck(2);
}

static void a_naked_packet_moves_when_its_time_has_come(void **state)
{
    struct urb urb;
    script.out_room = 8;
    fails(PACKET_NAKED, OUT, 2);
    script.device.faults.packet.naked_us = 5000;
    submit(*state, &urb, OUT, 128);
    is_pending(*state, &urb);
    struck(1);
    assert_int_equal(script.out_count, 1);
    assert_int_equal(host_next_us(*state), 5000);
    host_run(*state, 4999);
    assert_null(host_reap(*state));
    host_run(*state, 5000);
    assert_ptr_equal(host_reap(*state), &urb);
    assert_int_equal(urb.actual, 128);
}

static void a_pause_stops_all_endpoints(void **state)
{
    struct urb out, in;
    script.out_room = 8;
    device_gives(10);
    fails(PACKET_PAUSED, OUT, 2);
    submit(*state, &out, OUT, 128);
    is_pending(*state, &out);
    submit(*state, &in, IN, 256);
    is_pending(*state, &in);
    assert_true(script.device.faults.paused);
    script.device.faults.paused = false;
    ends(*state, &out, URB_OK, 128);
    assert_ptr_equal(host_reap(*state), &in);
    struck(1);
}

static void end_all(void *host)
{
    script.device.faults.paused = false;
    host_end_all(host, URB_GONE);
}

static void what_submitted_a_transfer_may_be_gone_between_two_packets(void **state)
{
    struct urb urb;
    script.out_room = 8;
    fails(PACKET_PAUSED, OUT, 3);
    script.device.faults.packet.struck = end_all;
    script.device.faults.packet.context = *state;
    submit(*state, &urb, OUT, 256);
    ends(*state, &urb, URB_GONE, 128);
    assert_int_equal(script.out_count, 2);
}

static void a_control_transfer_may_be_lost_before_or_after(void **state)
{
    static const enum packet_fault_kind KINDS[] = { PACKET_LOST, PACKET_UNACKNOWLEDGED, PACKET_HALTED };
    for (unsigned i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        struct urb set = { .setup = { .request_type = 0x02, .request = 3, .index = IN }, .buffer = buffer };
        script.device.halted = 0;
        fails(KINDS[i], 0, 1);
        host_submit(*state, &set);
        ends(*state, &set, KINDS[i] == PACKET_HALTED ? URB_STALL : URB_NO_ANSWER, 0);
        assert_int_equal(script.device.halted != 0, KINDS[i] == PACKET_UNACKNOWLEDGED);
        struck(i + 1);
    }
}

static void a_cancelled_transfer_may_keep_what_has_moved_to_itself(void **state)
{
    struct urb urb;
    script.out_room = 1;
    script.device.faults.cancels_unreported = true;
    submit(*state, &urb, OUT, 128);
    is_pending(*state, &urb);
    assert_true(host_cancel(*state, &urb));
    ends(*state, &urb, URB_CANCELLED, 0);
    assert_int_equal(script.out_count, 1);
}

/* ---- the port ---- */

static void unplugging_ends_every_transfer_and_refuses_new_ones(void **state)
{
    struct urb in, out, late;
    submit(*state, &in, IN, 64);
    submit(*state, &out, OUT, 64);
    host_unplug(*state, 0);
    assert_int_equal(in.status, URB_GONE);
    assert_int_equal(out.status, URB_GONE);
    assert_non_null(host_reap(*state));
    assert_non_null(host_reap(*state));
    submit(*state, &late, IN, 64);
    ends(*state, &late, URB_GONE, 0);
}

static void a_port_reset_cancels_transfers_and_configuration(void **state)
{
    struct urb urb;
    submit(*state, &urb, IN, 64);
    host_reset_port(*state, 0, false);
    ends(*state, &urb, URB_CANCELLED, 0);
    submit(*state, &urb, IN, 64);
    ends(*state, &urb, URB_NO_ANSWER, 0);
}

static void transfers_are_counted_by_endpoint(void **state)
{
    struct urb urbs[5];
    struct host_statistics s;
    submit(*state, &urbs[0], IN, 64);
    submit(*state, &urbs[1], IN, 64);
    submit(*state, &urbs[2], OUT, 64);
    submit(*state, &urbs[3], INTERRUPT, 64);
    submit(*state, &urbs[4], 0, 0);
    s = host_statistics(*state);
    assert_int_equal(s.bulk_in, 2);
    assert_int_equal(s.bulk_out, 1);
    assert_int_equal(s.interrupt_in, 1);
    assert_int_equal(s.control, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_short_packet_ends_an_in_transfer),
        TEST(a_zero_length_packet_ends_an_in_transfer),
        TEST(a_full_buffer_ends_an_in_transfer_and_leaves_the_zero_length_packet),
        TEST(a_packet_larger_than_the_room_left_is_an_overflow),
        TEST(a_stall_ends_a_transfer_with_what_has_moved),
        TEST(a_halted_endpoint_fails_transfers_until_it_is_cleared),
        TEST(transfers_of_an_endpoint_are_served_in_order),
        TEST(endpoints_do_not_wait_for_each_other),
        TEST(out_transfers_are_cut_into_packets_and_get_no_zero_length_packet),
        TEST(a_zero_length_packet_is_sent_on_request_only),
        TEST(a_cancelled_transfer_tells_what_has_moved),
        TEST(a_lost_out_packet_is_a_transaction_error_and_the_device_has_what_came_before),
        TEST(an_unacknowledged_out_packet_is_a_transaction_error_though_the_device_has_it),
        TEST(a_halt_in_place_of_an_out_packet_lasts_until_it_is_cleared),
        TEST(a_lost_in_packet_stays_with_the_device),
        TEST(an_in_packet_that_the_device_has_given_away_is_gone),
        TEST(an_empty_packet_is_left_out),
        TEST(a_naked_packet_moves_when_its_time_has_come),
        TEST(a_pause_stops_all_endpoints),
        TEST(what_submitted_a_transfer_may_be_gone_between_two_packets),
        TEST(a_control_transfer_may_be_lost_before_or_after),
        TEST(a_cancelled_transfer_may_keep_what_has_moved_to_itself),
        TEST(unplugging_ends_every_transfer_and_refuses_new_ones),
        TEST(a_port_reset_cancels_transfers_and_configuration),
        TEST(transfers_are_counted_by_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
