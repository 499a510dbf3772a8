/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_firmware.c - the firmware of the Nitrokey Pro 2, packet by packet, with a scripted card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "device.h"
#include "fake_icc.h"
#include "identity.h"
#include "pro.h"

#define OUT 0x02
#define IN 0x82
#define INTERRUPT 0x81
#define HID_IN 0x84
#define MS INT64_C(1000)
#define SECOND (1000 * MS)

struct bench {
    struct icc *icc;
    struct device *device;
    int64_t now_us;
    uint8_t answer[512]; /* of the last read_answer() */
};

static void enumerate(struct bench *b)
{
    const struct setup set_configuration = { .request = 9, .value = 1 };
    size_t length;
    uint8_t none[1];
    device_reset(b->device);
    assert_int_equal(device_control(b->device, &set_configuration, none, &length), HANDSHAKE_ACK);
}

static int set_up_with(void **state, bool stale_packet)
{
    static struct bench bench;
    const struct identity *identity = identity_find("nitrokey-pro-2");
    assert_non_null(identity);
    const struct icc_options card = { .atr = identity->atr, .atr_len = identity->atr_len,
                                      .other = { .work_us = 5 * MS } };
    const struct pro_options options = { .first_byte_limit_us = 120 * SECOND, .stale_packet = stale_packet };
    bench = (struct bench){ .icc = icc_new(&card), .now_us = SECOND };
    bench.device = pro_new(identity, bench.icc, &options);
    device_advance(bench.device, bench.now_us);
    device_power(bench.device, true);
    enumerate(&bench);
    *state = &bench;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, false);
}

static int set_up_with_stale_packet(void **state)
{
    return set_up_with(state, true);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    device_free(b->device);
    icc_free(b->icc);
    return 0;
}

/* ---- tools ---- */

static enum handshake out(struct bench *b, const void *bytes, size_t length)
{
    return device_out(b->device, OUT, bytes, length);
}

/* Sends a message in packets of 64 bytes, as a host does: no zero-length packet at the end. */
static void send_message(struct bench *b, const uint8_t *message, size_t length)
{
    for (size_t sent = 0; sent < length; sent += 64)
        assert_int_equal(out(b, message + sent, length - sent < 64 ? length - sent : 64), HANDSHAKE_ACK);
}

#define SEND(b, ...)                                     \
    do {                                                 \
        const uint8_t message_[] = { __VA_ARGS__ };      \
        send_message(b, message_, sizeof message_);      \
    } while (0)

static enum handshake in(struct bench *b, uint8_t endpoint, uint8_t packet[DEVICE_PACKET_MAX], size_t *length)
{
    return device_in(b->device, endpoint, packet, length);
}

static bool in_is(struct bench *b, uint8_t endpoint, enum handshake expected)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    return in(b, endpoint, packet, &length) == expected;
}

/* Lets the clock jump from event to event until the device has nothing more to do on its own. */
static void settle(struct bench *b)
{
    int64_t next;
    while ((next = device_next_us(b->device)) != DEVICE_NEVER) {
        assert_true(next > b->now_us);
        b->now_us = next;
        device_advance(b->device, b->now_us);
    }
}

/* Reads packets up to the short one; returns the bytes in b->answer. */
static size_t read_answer(struct bench *b)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t total = 0, length;
    settle(b);
    do {
        assert_int_equal(in(b, IN, packet, &length), HANDSHAKE_ACK);
        assert_true(length <= 64 && total + length <= sizeof b->answer);
        memcpy(b->answer + total, packet, length);
        total += length;
    } while (length == 64);
    return total;
}

#define ANSWERS(b, ...)                                            \
    do {                                                           \
        const uint8_t expected_[] = { __VA_ARGS__ };               \
        assert_int_equal(read_answer(b), sizeof expected_);        \
        assert_memory_equal((b)->answer, expected_, sizeof expected_); \
    } while (0)

/* Header of a message: type, dwLength, slot, bSeq 42h and the three bytes after. */
#define HEAD(type, length, slot, x, y, z) type, length, 0, 0, 0, slot, 0x42, x, y, z

static void power_on(struct bench *b)
{
    SEND(b, HEAD(0x62, 0, 0, 0, 0, 0));
    assert_int_equal(read_answer(b), 10 + b->device->identity->atr_len);
}

/* ---- the table of messages ---- */

static void power_on_answers_with_the_atr_after_600_ms(void **state)
{
    struct bench *b = *state;
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x62, 0, 0, 1, 0, 0));
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    assert_int_equal(read_answer(b), 10 + 21);
    assert_int_equal(b->now_us - begin, 600 * MS);
    const uint8_t head[] = { HEAD(0x80, 21, 0, 0, 0, 0) };
    assert_memory_equal(b->answer, head, sizeof head);
    assert_memory_equal(b->answer + 10, b->device->identity->atr, 21);
    assert_int_equal(icc_resets(b->icc), 2); /* the first when it was plugged in */
}

static void every_power_on_resets_the_card(void **state)
{
    struct bench *b = *state;
    power_on(b);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 3);
}

static void power_on_of_a_mute_card_is_a_hardware_error(void **state)
{
    struct bench *b = *state;
    icc_set_mute(b->icc, true);
    SEND(b, HEAD(0x62, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 0, 0x40, 0xfb, 0));
}

static void power_on_refuses_wrong_slot_and_length(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x62, 0, 1, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 1, 0x40, 0x05, 0));
    SEND(b, HEAD(0x62, 1, 0, 0, 0, 0), 0xaa);
    ANSWERS(b, HEAD(0x80, 0, 0, 0x40, 0x01, 0));
    assert_int_equal(icc_resets(b->icc), 1);
}

static void power_off_claims_inactive_but_leaves_the_card_on(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x63, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x01));
    assert_true(fake_icc_powered(b->icc));
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void the_card_answers_before_any_power_on(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
}

static void slot_status_is_active_even_before_power_on(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void slot_status_insists_on_zeros(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x65, 0, 0, 1, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x40, 0x07, 0));
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 1));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x40, 0x07, 0));
}

static void xfr_block_takes_bytes_to_the_card_and_back(void **state)
{
    struct bench *b = *state;
    size_t heard;
    const uint8_t block[] = { 0x00, 0x40, 0x02, 0x90, 0x00, 0xd2 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 50 * MS);
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x6f, 4, 0, 0x64, 1, 2), 0x00, 0xc1, 0x00, 0xc1); /* bBWI and wLevelParameter are not looked at */
    ANSWERS(b, HEAD(0x80, 6, 0, 0, 0, 0), 0x00, 0x40, 0x02, 0x90, 0x00, 0xd2);
    assert_int_equal(b->now_us - begin, 50 * MS + 10 * MS); /* the end of an answer is 10 ms of silence */
    const uint8_t sent[] = { 0x00, 0xc1, 0x00, 0xc1 };
    assert_memory_equal(fake_icc_heard(b->icc, &heard), sent, sizeof sent);
    assert_int_equal(heard, sizeof sent);
}

static void xfr_block_without_data_is_an_error(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6f, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 0, 0x40, 0x01, 0));
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void a_pps_request_is_answered_without_the_card(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0xff, 0x11, 0x18, 0xf6);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0xff, 0x11, 0x18, 0xf6);
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void silence_of_the_card_becomes_a5_a5_after_the_limit(void **state)
{
    struct bench *b = *state;
    power_on(b);
    fake_icc_script(b->icc, NULL, 0, 0);
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 2, 0, 0, 0, 0), 0xa5, 0xa5);
    assert_int_equal(b->now_us - begin, 120 * SECOND);
}

static void an_answer_in_the_last_moment_is_still_heard(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 120 * SECOND);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0x80, 0x00, 0x80);
}

static void an_answer_after_the_limit_is_not_given_to_anybody(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 120 * SECOND + 1);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 2, 0, 0, 0, 0), 0xa5, 0xa5);
    assert_true(device_busy(b->device)); /* the card is */
    b->now_us += SECOND;
    device_advance(b->device, b->now_us);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
}

static void the_limit_counts_though_the_clock_is_looked_at_late(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 121 * SECOND);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    b->now_us += 200 * SECOND;
    device_advance(b->device, b->now_us);
    ANSWERS(b, HEAD(0x80, 2, 0, 0, 0, 0), 0xa5, 0xa5);
}

static void a_first_byte_6x_ends_the_answer_after_two_bytes(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x60, 0x40, 0x02, 0x90, 0x00, 0xb2 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, MS);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 2, 0, 0, 0, 0), 0x60, 0x40);
}

static void get_parameters_takes_old_data_for_parameters(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6c, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x0b, 0));
    SEND(b, HEAD(0x61, 7, 0, 1, 0, 0), 0x18, 0x10, 0xff, 0x75, 0x00, 0xfe, 0x00);
    assert_int_equal(read_answer(b), 17);
    SEND(b, HEAD(0x6c, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x0a, 0));
}

static void set_parameters_answers_zeros_and_applies_nothing(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x61, 7, 0, 1, 0, 0), 0x18, 0x10, 0xff, 0x75, 0x00, 0xfe, 0x00);
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), 0, 0, 0, 0, 0, 0, 0);
    SEND(b, HEAD(0x61, 5, 0, 0, 0, 0), 0x18, 0x10, 0xff, 0x75, 0x00);
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void set_parameters_refuses_what_it_does_not_know(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x61, 6, 0, 1, 0, 0), 0, 0, 0, 0, 0, 0);
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x01, 0));
    SEND(b, HEAD(0x61, 7, 0, 2, 0, 0), 0, 0, 0, 0, 0, 0, 0);
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x07, 0));
    SEND(b, HEAD(0x61, 5, 0, 1, 0, 0), 0, 0, 0, 0, 0);
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x07, 0));
    SEND(b, HEAD(0x61, 7, 0, 1, 1, 0), 0, 0, 0, 0, 0, 0, 0);
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x08, 0));
    SEND(b, HEAD(0x61, 7, 0, 1, 0, 1), 0, 0, 0, 0, 0, 0, 0);
    ANSWERS(b, HEAD(0x82, 0, 0, 0x40, 0x08, 1));
}

static void reset_parameters_stores_its_defaults(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6d, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), 0x11, 0x00, 0x00, 0x0a, 0x03, 0x00, 0x00);
    SEND(b, HEAD(0x61, 7, 0, 1, 0, 0), 0x18, 0x10, 0xff, 0x75, 0x00, 0xfe, 0x00);
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), 0x11, 0x00, 0x00, 0x0a, 0x03, 0x00, 0x00);
}

/* IFD_SetParameters and IFD_ApplyParametersStructure of nitrokey-pro-firmware 0.15 */
static void get_parameters_stores_what_it_finds_if_it_is_possible(void **state)
{
    struct bench *b = *state;
    const struct {
        uint8_t found[5], error;
    } cases[] = {
        { { 0x18, 0x00, 0xff, 0x75, 0x03 }, 0 },    { { 0x11, 0x02, 0x01, 0x0a, 0x00 }, 0 },
        { { 0x17, 0x00, 0xff, 0x75, 0x03 }, 0x0a }, { { 0x71, 0x00, 0xff, 0x75, 0x03 }, 0x0a },
        { { 0x81, 0x00, 0xff, 0x75, 0x03 }, 0x0a }, /* F is not known */
        { { 0xdf, 0x00, 0xff, 0x75, 0x03 }, 0x0a }, /* 2048 * 64 clock cycles */
        { { 0x18, 0x10, 0xff, 0x75, 0x03 }, 0x0b }, { { 0x18, 0x00, 0xff, 0x75, 0x01 }, 0x0e },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *const f = cases[i].found;
        SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), f[0], f[1], f[2], f[3], f[4]);
        assert_int_equal(read_answer(b), 15);
        SEND(b, HEAD(0x6c, 0, 0, 0, 0, 0));
        if (cases[i].error)
            ANSWERS(b, HEAD(0x82, 0, 0, 0x40, cases[i].error, 0));
        else
            ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), f[0], 0, f[2], f[3], f[4], 0, 0);
    }
}

static void escape_knows_one_question(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x02);
    assert_int_equal(read_answer(b), 28);
    const uint8_t head[] = { HEAD(0x83, 18, 0, 0, 0, 0) };
    assert_memory_equal(b->answer, head, sizeof head);
    assert_memory_equal(b->answer + 10, "GemTwin-V2.00-GT00", 18);
    SEND(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x03);
    ANSWERS(b, HEAD(0x83, 0, 0, 0, 0, 0));
    SEND(b, HEAD(0x6b, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x83, 0, 0, 0, 0, 0));
}

static void the_clock_can_be_stopped_once_parameters_say_so(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6e, 0, 0, 1, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x40, 0x00, 0));
    SEND(b, HEAD(0x6d, 0, 0, 0, 0, 0));
    assert_int_equal(read_answer(b), 17);
    SEND(b, HEAD(0x6e, 0, 0, 1, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0)); /* and it goes on */
}

static void abort_always_fails(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x72, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x40, 0xff, 0));
}

static void what_it_does_not_know_comes_back_with_its_own_type(void **state)
{
    struct bench *b = *state;
    const uint8_t types[] = { 0x69, 0x6a, 0x71, 0x73, 0x7e, 0x00, 0xff };
    for (size_t i = 0; i < sizeof types; i++) {
        SEND(b, HEAD(types[i], 2, 0, 7, 8, 9), 1, 2);
        ANSWERS(b, HEAD(types[i], 0, 0, 0x40, 0x00, 0));
    }
}

static void every_known_message_but_power_off_refuses_another_slot(void **state)
{
    struct bench *b = *state;
    const uint8_t types[][2] = { { 0x62, 0x80 }, { 0x65, 0x81 }, { 0x6f, 0x80 }, { 0x6c, 0x82 }, { 0x61, 0x82 },
                                 { 0x6d, 0x82 }, { 0x6b, 0x83 }, { 0x6e, 0x81 }, { 0x72, 0x81 } };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        SEND(b, HEAD(types[i][0], 0, 3, 0, 0, 0));
        ANSWERS(b, HEAD(types[i][1], 0, 3, 0x40, 0x05, 0));
    }
    SEND(b, HEAD(0x63, 2, 3, 7, 8, 9), 1, 2);
    ANSWERS(b, HEAD(0x81, 2, 3, 0x01, 0, 1), 1, 2);
}

/* ---- bulk endpoints ---- */

static void out_answers_nak_while_the_card_works(void **state)
{
    struct bench *b = *state;
    const uint8_t status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    assert_int_equal(out(b, status, sizeof status), HANDSHAKE_NAK);
    settle(b);
    assert_int_equal(out(b, status, sizeof status), HANDSHAKE_ACK);
}

static void a_command_overwrites_the_answer_that_nobody_has_read(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    settle(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
}

/* An answer of 10 + data_len bytes from the card. */
static void card_says(struct bench *b, size_t data_len)
{
    uint8_t block[260];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i & 0x0f);
    fake_icc_script(b->icc, block, data_len, MS);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    settle(b);
}

static void an_answer_of_full_packets_ends_with_a_zero_length_packet(void **state)
{
    struct bench *b = *state;
    uint8_t packet[DEVICE_PACKET_MAX];
    const uint8_t status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    size_t length;
    power_on(b);
    card_says(b, 128 - 10);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(out(b, status, sizeof status), HANDSHAKE_NAK); /* 64 bytes or more are still to be read */
        assert_int_equal(in(b, IN, packet, &length), HANDSHAKE_ACK);
        assert_int_equal(length, 64);
    }
    assert_int_equal(in(b, IN, packet, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 0);
    assert_int_equal(out(b, status, sizeof status), HANDSHAKE_ACK);
}

static void an_answer_with_a_short_packet_has_no_zero_length_packet(void **state)
{
    struct bench *b = *state;
    power_on(b);
    card_says(b, 100);
    assert_int_equal(read_answer(b), 110);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
}

static void the_longest_block_fits(void **state)
{
    struct bench *b = *state;
    uint8_t message[10 + 258] = { HEAD(0x6f, 0x02, 0, 0, 0, 0) };
    message[2] = 0x01;
    power_on(b);
    for (size_t i = 10; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    message[10] = 0;
    send_message(b, message, sizeof message);
    message[0] = 0x80;
    assert_int_equal(read_answer(b), sizeof message);
    assert_memory_equal(b->answer, message, sizeof message);
}

static void a_message_is_complete_when_its_bytes_have_come(void **state)
{
    struct bench *b = *state;
    const uint8_t head[] = { HEAD(0x6f, 4, 0, 0, 0, 0) }, rest[] = { 0xff, 0x11, 0x18, 0xf6 };
    assert_int_equal(out(b, head, sizeof head), HANDSHAKE_ACK);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    assert_int_equal(out(b, rest, sizeof rest), HANDSHAKE_ACK);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0xff, 0x11, 0x18, 0xf6);
}

static void a_message_that_begins_without_its_length_has_that_of_the_message_before(void **state)
{
    struct bench *b = *state;
    const uint8_t status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    assert_int_equal(out(b, "", 0), HANDSHAKE_ACK);
    send_message(b, status, sizeof status); /* 10 bytes were expected */
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    power_on(b); /* its answer has 31 */
    assert_int_equal(out(b, "", 0), HANDSHAKE_ACK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out(b, status, sizeof status), HANDSHAKE_ACK);
        assert_true(in_is(b, IN, HANDSHAKE_NAK));
    }
    assert_int_equal(out(b, "", 1), HANDSHAKE_ACK);
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void a_header_may_come_in_parts(void **state)
{
    struct bench *b = *state;
    const uint8_t status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    assert_int_equal(out(b, status, 7), HANDSHAKE_ACK);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    assert_int_equal(out(b, status + 7, 3), HANDSHAKE_ACK);
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

/* Sends a message whose header says this dwLength. */
static void say_length(struct bench *b, uint8_t type, const uint8_t dw_length[4], size_t sent)
{
    uint8_t message[1024] = { HEAD(type, 0, 0, 0, 0, 0) };
    memcpy(message + 1, dw_length, 4);
    send_message(b, message, sent);
}

static void an_impossible_length_is_refused_when_all_has_come(void **state)
{
    struct bench *b = *state;
    const struct {
        uint8_t dw_length[4];
        size_t sent;
    } cases[] = {
        { { 0, 0, 1, 0 }, 10 }, { { 0, 0, 0, 0x80 }, 10 }, { { 5, 0, 0, 1 }, 15 }, /* 16 bits of it are counted */
        { { 0x10, 0x01, 0, 0 }, 282 }, { { 0xb0, 0x03, 0, 0 }, 954 }, { { 0, 0, 0, 0 }, 11 }, { { 70, 0, 0, 0 }, 100 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        say_length(b, 0x6f, cases[i].dw_length, cases[i].sent);
        ANSWERS(b, HEAD(0x80, 0, 0, 0x40, 0x01, 0));
        SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
        ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    }
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void power_off_with_surplus_bytes_answers_the_longest_message(void **state)
{
    struct bench *b = *state;
    say_length(b, 0x63, (const uint8_t[4]){ 0 }, 12);
    assert_int_equal(read_answer(b), 302);
    const uint8_t head[] = { 0x81, 0xff, 0xff, 0xff, 0xff, 0, 0x42, 0x01, 0, 0x01 };
    assert_memory_equal(b->answer, head, sizeof head);
}

static void the_longest_request_is_281_bytes(void **state)
{
    struct bench *b = *state;
    uint8_t message[281] = { HEAD(0x69, 0x0f, 0, 0, 0, 0) };
    message[2] = 0x01; /* 10 + 271 */
    send_message(b, message, sizeof message);
    ANSWERS(b, HEAD(0x69, 0, 0, 0x40, 0x00, 0));
}

/* ---- enumeration, resets, power ---- */

static void after_enumeration_the_first_in_packet_is_old_memory(void **state)
{
    struct bench *b = *state;
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    assert_int_equal(in(b, IN, packet, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 64);
    assert_true(in_is(b, IN, HANDSHAKE_NAK)); /* only one */
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    enumerate(b);
    assert_int_equal(in(b, IN, packet, &length), HANDSHAKE_ACK);
    const uint8_t old[] = { HEAD(0x81, 0, 0, 0, 0, 0) };
    assert_int_equal(length, 64);
    assert_memory_equal(packet, old, sizeof old); /* it looks like an answer */
}

static void an_answer_takes_the_place_of_old_memory_that_nobody_has_read(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
}

static void presence_is_told_once_after_each_enumeration(void **state)
{
    struct bench *b = *state;
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(in(b, INTERRUPT, packet, &length), HANDSHAKE_ACK);
        assert_int_equal(length, 2);
        assert_memory_equal(packet, "\x50\x03", 2);
        assert_true(in_is(b, INTERRUPT, HANDSHAKE_NAK));
        power_on(b);
        assert_true(in_is(b, INTERRUPT, HANDSHAKE_NAK));
        enumerate(b);
    }
}

static void an_answer_waits_for_whoever_reads_next(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    settle(b);
    b->now_us += 3600 * SECOND; /* the host's program ends, another one is started */
    device_advance(b->device, b->now_us);
    assert_true(device_busy(b->device));
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    assert_false(device_busy(b->device));
}

static void a_bus_reset_ends_neither_card_nor_command(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    enumerate(b);
    assert_int_equal(icc_resets(b->icc), 2);
    assert_true(fake_icc_powered(b->icc));
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0); /* of the command before the reset */
}

static void after_a_bus_reset_one_command_is_swallowed_while_the_card_works(void **state)
{
    struct bench *b = *state;
    const uint8_t status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    power_on(b);
    assert_true(in_is(b, INTERRUPT, HANDSHAKE_ACK));
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    enumerate(b);
    assert_true(in_is(b, INTERRUPT, HANDSHAKE_NAK)); /* the main loop would say it */
    assert_int_equal(out(b, status, sizeof status), HANDSHAKE_ACK);
    assert_int_equal(out(b, status, sizeof status), HANDSHAKE_NAK);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    assert_true(in_is(b, INTERRUPT, HANDSHAKE_ACK));
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void a_bus_reset_does_not_end_a_request_that_has_begun(void **state)
{
    struct bench *b = *state;
    const uint8_t half[64] = { HEAD(0x6f, 64, 0, 0, 0, 0) }, status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    assert_int_equal(out(b, half, sizeof half), HANDSHAKE_ACK);
    enumerate(b);
    send_message(b, status, sizeof status); /* is the rest of it */
    assert_int_equal(read_answer(b), 74);
    assert_int_equal(b->answer[0], 0x80);
    assert_memory_equal(b->answer + 64, status, sizeof status);
}

/* The firmware sends the first 6X byte's block as two bytes; the third stays in the receiver. */
static void after_a_cut_answer_the_next_block_does_not_get_to_the_card(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x60, 0x40, 0x02, 0x90, 0x00, 0xb2 };
    size_t heard;
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, MS);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 2, 0, 0, 0, 0), 0x60, 0x40);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    ANSWERS(b, HEAD(0x80, 2, 0, 0, 0, 0), 0x00, 0xc0); /* of the request; the length is a variable that nobody set */
    (void)fake_icc_heard(b->icc, &heard);
    assert_int_equal(heard, 1);
}

static void unplugging_ends_everything(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc0, 0x00, 0xc0);
    device_power(b->device, false);
    assert_false(fake_icc_powered(b->icc));
    assert_int_equal(device_next_us(b->device), DEVICE_NEVER);
    assert_true(in_is(b, IN, HANDSHAKE_NONE));
    device_power(b->device, true);
    enumerate(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void nothing_answers_before_the_device_is_configured(void **state)
{
    struct bench *b = *state;
    device_reset(b->device);
    assert_int_equal(out(b, "", 0), HANDSHAKE_NONE);
    assert_true(in_is(b, IN, HANDSHAKE_NONE));
    enumerate(b);
    assert_true(in_is(b, 0x83, HANDSHAKE_NONE)); /* no such endpoint */
}

/* ---- control requests ---- */

static enum handshake control(struct bench *b, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                              uint16_t wanted, uint8_t *data, size_t *length)
{
    const struct setup setup = { type, request, value, index, wanted };
    return device_control(b->device, &setup, data, length);
}

static void descriptors_are_those_of_the_model(void **state)
{
    struct bench *b = *state;
    const struct identity *identity = b->device->identity;
    uint8_t data[256];
    size_t length;
    assert_int_equal(control(b, 0x80, 6, 0x0100, 0, 64, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 18);
    assert_memory_equal(data, identity->device, 18);
    assert_int_equal(control(b, 0x80, 6, 0x0200, 0, 9, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 9);
    assert_int_equal(data[2], 118);
    assert_int_equal(control(b, 0x80, 6, 0x0200, 0, 255, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 118);
    assert_memory_equal(data, identity->configuration, 118);
    assert_int_equal(control(b, 0x80, 6, 0x0600, 0, 10, data, &length), HANDSHAKE_STALL); /* full speed only */
}

static void strings_end_in_nul_characters(void **state)
{
    struct bench *b = *state;
    uint8_t data[256];
    size_t length;
    assert_int_equal(control(b, 0x80, 6, 0x0300, 0, 255, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 4);
    assert_int_equal(control(b, 0x80, 6, 0x0301, 0x0409, 255, data, &length), HANDSHAKE_ACK);
    const uint8_t nitrokey[52] = { 52, 3, 'N', 0, 'i', 0, 't', 0, 'r', 0, 'o', 0, 'k', 0, 'e', 0, 'y' };
    assert_int_equal(length, sizeof nitrokey);
    assert_memory_equal(data, nitrokey, sizeof nitrokey);
    assert_int_equal(control(b, 0x80, 6, 0x0309, 0x0409, 255, data, &length), HANDSHAKE_STALL);
}

static void ccid_control_requests_are_refused_or_mistaken(void **state)
{
    struct bench *b = *state;
    uint8_t data[64] = { 0xee };
    size_t length;
    assert_int_equal(control(b, 0x21, 1, 0x4200, 1, 0, data, &length), HANDSHAKE_STALL);  /* ABORT */
    assert_int_equal(control(b, 0xa1, 2, 0, 1, 64, data, &length), HANDSHAKE_STALL);      /* GET_CLOCK_FREQUENCIES */
    assert_int_equal(control(b, 0xa1, 3, 0, 1, 64, data, &length), HANDSHAKE_ACK);        /* GET_DATA_RATES */
    assert_int_equal(length, 1);
}

static void the_hid_interface_enumerates(void **state)
{
    struct bench *b = *state;
    uint8_t data[256];
    size_t length;
    assert_int_equal(control(b, 0x81, 6, 0x2200, 0, 255, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 42);
    assert_int_equal(control(b, 0x81, 6, 0x2200, 1, 255, data, &length), HANDSHAKE_STALL); /* CCID has no reports */
    assert_int_equal(control(b, 0x81, 6, 0x2100, 0, 255, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 9);
    assert_int_equal(control(b, 0x21, 0x0a, 0, 0, 0, data, &length), HANDSHAKE_STALL); /* SET_IDLE */
    assert_int_equal(control(b, 0xa1, 1, 0x0100, 0, 8, data, &length), HANDSHAKE_STALL); /* an input report */
    assert_int_equal(control(b, 0xa1, 1, 0x0300, 0, 64, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 64);
    assert_int_equal(control(b, 0x21, 9, 0x0300, 0, 64, data, &length), HANDSHAKE_ACK);
    assert_true(in_is(b, HID_IN, HANDSHAKE_NAK));
}

static void hid_reports_are_acknowledged_while_a_command_uses_the_card(void **state)
{
    struct bench *b = *state;
    uint8_t data[64];
    size_t length;
    power_on(b);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    assert_int_equal(control(b, 0xa1, 1, 0x0300, 0, 64, data, &length), HANDSHAKE_ACK);
    assert_int_equal(control(b, 0x21, 9, 0x0300, 0, 64, data, &length), HANDSHAKE_ACK);
}

static void a_hid_command_resets_the_card_when_it_is_free(void **state)
{
    struct bench *b = *state;
    power_on(b);
    device_reset_by_sibling(b->device);
    assert_int_equal(icc_resets(b->icc), 3);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    device_reset_by_sibling(b->device);
    assert_int_equal(icc_resets(b->icc), 3);
    ANSWERS(b, HEAD(0x80, 1, 0, 0, 0, 0), 0x00);
    assert_int_equal(icc_resets(b->icc), 4);
}

/* ---- faults ---- */

static void a_halted_endpoint_stalls_until_it_is_cleared(void **state)
{
    struct bench *b = *state;
    uint8_t data[2];
    size_t length;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    device_halt(b->device, IN);
    assert_true(in_is(b, IN, HANDSHAKE_STALL));
    assert_true(in_is(b, IN, HANDSHAKE_STALL));
    assert_int_equal(control(b, 0x82, 0, 0, IN, 2, data, &length), HANDSHAKE_ACK);
    assert_int_equal(data[0], 1);
    assert_int_equal(control(b, 0x02, 1, 0, IN, 0, data, &length), HANDSHAKE_ACK);
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    device_halt(b->device, OUT);
    assert_int_equal(out(b, "", 0), HANDSHAKE_STALL);
    assert_int_equal(control(b, 0x02, 1, 0, OUT, 0, data, &length), HANDSHAKE_ACK);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
}

static void a_frozen_device_answers_nak_and_thaws(void **state)
{
    struct bench *b = *state;
    uint8_t data[18];
    size_t length;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    b->device->faults.frozen = true;
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    assert_int_equal(control(b, 0x80, 6, 0x0100, 0, 18, data, &length), HANDSHAKE_NAK);
    b->device->faults.frozen = false;
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

/* Asks for the PPS answer, FF 11 18 F6, with a fault in it; returns the bytes that come. */
static size_t spoiled(struct bench *b, enum answer_fault fault)
{
    b->device->faults.answer = fault;
    b->device->faults.answers = 1;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0xff, 0x11, 0x18, 0xf6);
    return read_answer(b);
}

static void faulty_answers_are_faulty_once(void **state)
{
    struct bench *b = *state;
    assert_int_equal(spoiled(b, ANSWER_WRONG_SEQUENCE), 14);
    assert_int_not_equal(b->answer[6], 0x42);
    assert_int_equal(spoiled(b, ANSWER_WRONG_SLOT), 14);
    assert_int_not_equal(b->answer[5], 0);
    assert_int_equal(spoiled(b, ANSWER_WRONG_TYPE), 14);
    assert_int_not_equal(b->answer[0], 0x80);
    assert_int_equal(spoiled(b, ANSWER_TOO_LONG), 14);
    assert_int_equal(b->answer[1], 20);
    assert_int_equal(spoiled(b, ANSWER_TOO_SHORT), 14);
    assert_int_equal(b->answer[1], 3);
    assert_int_equal(spoiled(b, ANSWER_CUT), 12);
    assert_int_equal(b->answer[1], 4);
    assert_int_equal(spoiled(b, ANSWER_RIGHT), 14);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void a_swallowed_answer_never_comes_and_the_next_command_is_taken(void **state)
{
    struct bench *b = *state;
    b->device->faults.answer = ANSWER_SWALLOWED;
    b->device->faults.answers = 1;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    settle(b);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
}

static void a_repeated_answer_comes_before_the_new_one(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0));
    assert_int_equal(spoiled(b, ANSWER_REPEATED), 10);
    assert_int_equal(b->answer[0], 0x81);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0xff, 0x11, 0x18, 0xf6);
}

static void descriptors_can_be_wrong(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[DEVICE_CONFIGURATION_MAX];
    b->device->faults.descriptors = DESCRIPTORS_CLASS_CUT;
    assert_int_equal(device_configuration(b->device, bytes), 108);
    assert_int_equal(bytes[2], 108);
    assert_int_equal(bytes[9 + 9 + 9 + 7 + 9], 44);
    b->device->faults.descriptors = DESCRIPTORS_CLASS_GARBAGE;
    assert_int_equal(device_configuration(b->device, bytes), 118);
    assert_int_equal(bytes[9 + 9 + 9 + 7 + 9 + 40], 0xff);
    b->device->faults.descriptors = DESCRIPTORS_TOTAL_LONG;
    assert_int_equal(device_configuration(b->device, bytes), 118);
    assert_int_equal(bytes[2], 143);
    b->device->faults.descriptors = DESCRIPTORS_TOTAL_SHORT;
    assert_int_equal(device_configuration(b->device, bytes), 115);
    b->device->faults.descriptors = DESCRIPTORS_NEVER_END;
    assert_int_equal(device_configuration(b->device, bytes), 118);
    assert_int_equal(bytes[9], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_on_answers_with_the_atr_after_600_ms),
        TEST(every_power_on_resets_the_card),
        TEST(power_on_of_a_mute_card_is_a_hardware_error),
        TEST(power_on_refuses_wrong_slot_and_length),
        TEST(power_off_claims_inactive_but_leaves_the_card_on),
        TEST(the_card_answers_before_any_power_on),
        TEST(slot_status_is_active_even_before_power_on),
        TEST(slot_status_insists_on_zeros),
        TEST(xfr_block_takes_bytes_to_the_card_and_back),
        TEST(xfr_block_without_data_is_an_error),
        TEST(a_pps_request_is_answered_without_the_card),
        TEST(silence_of_the_card_becomes_a5_a5_after_the_limit),
        TEST(an_answer_in_the_last_moment_is_still_heard),
        TEST(an_answer_after_the_limit_is_not_given_to_anybody),
        TEST(the_limit_counts_though_the_clock_is_looked_at_late),
        TEST(a_first_byte_6x_ends_the_answer_after_two_bytes),
        TEST(get_parameters_takes_old_data_for_parameters),
        TEST(set_parameters_answers_zeros_and_applies_nothing),
        TEST(set_parameters_refuses_what_it_does_not_know),
        TEST(reset_parameters_stores_its_defaults),
        TEST(get_parameters_stores_what_it_finds_if_it_is_possible),
        TEST(escape_knows_one_question),
        TEST(the_clock_can_be_stopped_once_parameters_say_so),
        TEST(abort_always_fails),
        TEST(what_it_does_not_know_comes_back_with_its_own_type),
        TEST(every_known_message_but_power_off_refuses_another_slot),
        TEST(out_answers_nak_while_the_card_works),
        TEST(a_command_overwrites_the_answer_that_nobody_has_read),
        TEST(an_answer_of_full_packets_ends_with_a_zero_length_packet),
        TEST(an_answer_with_a_short_packet_has_no_zero_length_packet),
        TEST(the_longest_block_fits),
        TEST(a_message_is_complete_when_its_bytes_have_come),
        TEST(a_message_that_begins_without_its_length_has_that_of_the_message_before),
        TEST(a_header_may_come_in_parts),
        TEST(an_impossible_length_is_refused_when_all_has_come),
        TEST(power_off_with_surplus_bytes_answers_the_longest_message),
        TEST(the_longest_request_is_281_bytes),
        cmocka_unit_test_setup_teardown(after_enumeration_the_first_in_packet_is_old_memory, set_up_with_stale_packet,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_takes_the_place_of_old_memory_that_nobody_has_read,
                                        set_up_with_stale_packet, tear_down),
        TEST(presence_is_told_once_after_each_enumeration),
        TEST(an_answer_waits_for_whoever_reads_next),
        TEST(a_bus_reset_ends_neither_card_nor_command),
        TEST(after_a_bus_reset_one_command_is_swallowed_while_the_card_works),
        TEST(a_bus_reset_does_not_end_a_request_that_has_begun),
        TEST(after_a_cut_answer_the_next_block_does_not_get_to_the_card),
        TEST(unplugging_ends_everything),
        TEST(nothing_answers_before_the_device_is_configured),
        TEST(descriptors_are_those_of_the_model),
        TEST(strings_end_in_nul_characters),
        TEST(ccid_control_requests_are_refused_or_mistaken),
        TEST(the_hid_interface_enumerates),
        TEST(hid_reports_are_acknowledged_while_a_command_uses_the_card),
        TEST(a_hid_command_resets_the_card_when_it_is_free),
        TEST(a_halted_endpoint_stalls_until_it_is_cleared),
        TEST(a_frozen_device_answers_nak_and_thaws),
        TEST(faulty_answers_are_faulty_once),
        TEST(a_swallowed_answer_never_comes_and_the_next_command_is_taken),
        TEST(a_repeated_answer_comes_before_the_new_one),
        TEST(descriptors_can_be_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
