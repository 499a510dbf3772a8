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
    (void)device;
    return false;
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
        TEST(unplugging_ends_every_transfer_and_refuses_new_ones),
        TEST(a_port_reset_cancels_transfers_and_configuration),
        TEST(transfers_are_counted_by_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
