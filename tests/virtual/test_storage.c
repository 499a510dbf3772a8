/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_storage.c - the firmware of the Nitrokey Storage and its disk, packet by packet, with a scripted card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "device.h"
#include "fake_icc.h"
#include "identity.h"
#include "mass_storage.h"
#include "storage.h"

#define OUT 0x04
#define IN 0x85
#define INTERRUPT 0x83
#define HID_IN 0x86
#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define STARTED (3 * SECOND) /* after plugging in; until then nothing is served */

/* ---- the key: disk, CCID, HID ---- */

#define BULK(address, size) 0x07, 0x05, address, 0x02, (size) & 0xff, (size) >> 8, 0x00

#define CONFIGURATION(size, ifsd)                                                                         \
    {                                                                                                     \
        0x09, 0x02, 0x8d, 0x00, 0x03, 0x01, 0x00, 0x80, 0x32,                                             \
        0x09, 0x04, 0x00, 0x00, 0x02, 0x08, 0x06, 0x50, 0x00, BULK(0x81, size), BULK(0x02, size),         \
        0x09, 0x04, 0x01, 0x00, 0x03, 0x0b, 0x00, 0x00, 0x00,                                             \
        0x36, 0x21, 0x10, 0x01, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0x00, 0x10, 0x0e,   \
        0x00, 0x00, 0x00, 0xcd, 0x25, 0x00, 0x00, 0xa1, 0xc5, 0x01, 0x00, 0x00,                           \
        (ifsd) & 0xff, (ifsd) >> 8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,           \
        0xba, 0x04, 0x01, 0x00, 0x0f, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,               \
        0x07, 0x05, 0x83, 0x03, 0x10, 0x00, 0x10, BULK(0x04, size), BULK(0x85, size),                     \
        0x09, 0x04, 0x02, 0x00, 0x01, 0x03, 0x00, 0x00, 0x00,                                             \
        0x09, 0x21, 0x10, 0x01, 0x00, 0x01, 0x22, 0x2a, 0x00, 0x07, 0x05, 0x86, 0x03, 0x40, 0x00, 0x05,   \
    }

static const uint8_t HIGH_SPEED_CONFIGURATION[141] = CONFIGURATION(512, 261);
static const uint8_t FULL_SPEED_CONFIGURATION[141] = CONFIGURATION(64, 254);
static const uint8_t DEVICE_DESCRIPTOR[18] = { 0x12, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00, 0x40, 0xa0, 0x20,
                                               0x09, 0x41, 0x01, 0x01, 0x01, 0x02, 0x03, 0x01 };
/* TA1 is not the 18h that the firmware tells, so that the difference shows */
static const uint8_t ATR[] = { 0x3b, 0xda, 0x11, 0xff, 0x81, 0xb1, 0xfe, 0x75, 0x1f, 0x03, 0x00, 0x31,
                               0xc5, 0x73, 0xc0, 0x01, 0x40, 0x00, 0x90, 0x00, 0x05 };

#define IDENTITY(bytes)                                                                                      \
    { .name = "storage", .device = DEVICE_DESCRIPTOR, .configuration = bytes, .configuration_len = sizeof bytes, \
      .strings = { NULL, "Nitrokey", "Nitrokey Storage", "0000000000000" }, .ccid_interface = 1,             \
      .bulk_out = OUT, .bulk_in = IN, .interrupt_in = INTERRUPT, .atr = ATR, .atr_len = sizeof ATR }

static const struct identity HIGH_SPEED = IDENTITY(HIGH_SPEED_CONFIGURATION);
static const struct identity FULL_SPEED = IDENTITY(FULL_SPEED_CONFIGURATION);

struct bench {
    struct icc *icc;
    struct device *device;
    int64_t now_us;
    uint8_t answer[DEVICE_PACKET_MAX]; /* of the last read_answer() */
};

/* From event to event, as a host does. */
static void advance(struct bench *b, int64_t us)
{
    const int64_t until = b->now_us + us;
    int64_t next;
    while ((next = device_next_us(b->device)) > b->now_us && next < until)
        device_advance(b->device, b->now_us = next);
    device_advance(b->device, b->now_us = until);
}

static enum handshake control(struct bench *b, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                              uint8_t *data, size_t *length)
{
    const struct setup setup = { type, request, value, index, (uint16_t)*length };
    return device_control(b->device, &setup, data, length);
}

static void set_configuration(struct bench *b)
{
    uint8_t none[1];
    size_t length = 0;
    assert_int_equal(control(b, 0x00, 9, 1, 0, none, &length), HANDSHAKE_ACK);
    advance(b, 0);
}

static void plug(struct bench *b)
{
    device_power(b->device, true);
    device_reset(b->device);
    set_configuration(b);
}

static int set_up_with(void **state, const struct identity *identity, enum storage_version version)
{
    struct storage_options options = storage_defaults;
    static struct bench bench;
    const struct icc_options card = { .atr = ATR, .atr_len = sizeof ATR, .other = { .work_us = 5 * MS } };
    bench = (struct bench){ .icc = icc_new(&card), .now_us = SECOND };
    options.version = version;
    bench.device = storage_new(identity, bench.icc, &options);
    device_advance(bench.device, bench.now_us);
    plug(&bench);
    advance(&bench, STARTED);
    *state = &bench;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, &HIGH_SPEED, STORAGE_0_57);
}

static int set_up_full_speed(void **state)
{
    return set_up_with(state, &FULL_SPEED, STORAGE_0_57);
}

static int set_up_0_43(void **state)
{
    return set_up_with(state, &FULL_SPEED, STORAGE_0_43);
}

static int set_up_0_29(void **state)
{
    return set_up_with(state, &FULL_SPEED, STORAGE_0_29);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    device_free(b->device);
    icc_free(b->icc);
    return 0;
}

/* ---- tools ---- */

/* Sends a message in packets, as a host does: no zero-length packet at the end. */
static void send_message(struct bench *b, const uint8_t *message, size_t length)
{
    const size_t size = device_packet_size(b->device, OUT);
    for (size_t sent = 0; sent < length; sent += size)
        assert_int_equal(device_out(b->device, OUT, message + sent, length - sent < size ? length - sent : size),
                         HANDSHAKE_ACK);
}

#define SEND(b, ...)                                     \
    do {                                                 \
        const uint8_t message_[] = { __VA_ARGS__ };      \
        send_message(b, message_, sizeof message_);      \
    } while (0)

static bool in_is(struct bench *b, uint8_t endpoint, enum handshake expected)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    return device_in(b->device, endpoint, packet, &length) == expected;
}

/* Lets the clock jump from event to event until there is an answer; returns its bytes in b->answer. */
static size_t read_answer(struct bench *b)
{
    size_t length;
    enum handshake handshake;
    while ((handshake = device_in(b->device, IN, b->answer, &length)) == HANDSHAKE_NAK) {
        const int64_t next = device_next_us(b->device);
        assert_true(next > b->now_us && next != DEVICE_NEVER);
        advance(b, next - b->now_us);
    }
    assert_int_equal(handshake, HANDSHAKE_ACK);
    return length;
}

#define ANSWERS(b, ...)                                            \
    do {                                                           \
        const uint8_t expected_[] = { __VA_ARGS__ };               \
        assert_int_equal(read_answer(b), sizeof expected_);        \
        assert_memory_equal((b)->answer, expected_, sizeof expected_); \
    } while (0)

/* There is no answer, and none will come. */
static void assert_silent(struct bench *b)
{
    advance(b, 200 * SECOND);
    assert_true(in_is(b, IN, HANDSHAKE_NAK));
    assert_int_equal(device_next_us(b->device), DEVICE_NEVER);
}

/* Header of a message: type, dwLength, slot, bSeq 42h and the three bytes after. */
#define HEAD(type, length, slot, x, y, z) type, (length) & 0xff, (length) >> 8, 0, 0, slot, 0x42, x, y, z

static void power_on(struct bench *b)
{
    SEND(b, HEAD(0x62, 0, 0, 0, 0, 0));
    assert_int_equal(read_answer(b), 10 + sizeof ATR);
}

/* ---- the table of messages ---- */

static void power_on_takes_400_ms_and_tells_ta1_18(void **state)
{
    struct bench *b = *state;
    uint8_t atr[sizeof ATR];
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x62, 0, 0, 0, 0, 0));
    assert_int_equal(read_answer(b), 10 + sizeof ATR);
    assert_int_equal(b->now_us - begin, 400 * MS);
    const uint8_t head[] = { HEAD(0x80, sizeof ATR, 0, 0, 0, 0) };
    assert_memory_equal(b->answer, head, sizeof head);
    memcpy(atr, ATR, sizeof ATR);
    atr[2] = 0x18; /* TCK stays as the card made it */
    assert_memory_equal(b->answer + 10, atr, sizeof ATR);
}

static void power_on_echoes_bytes_7_to_9(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x62, 0, 0, 0x41, 0xfe, 0x03));
    assert_int_equal(read_answer(b), 10 + sizeof ATR);
    const uint8_t head[] = { HEAD(0x80, sizeof ATR, 0, 0x41, 0xfe, 0x03) };
    assert_memory_equal(b->answer, head, sizeof head);
}

static void every_power_on_resets_the_card(void **state)
{
    struct bench *b = *state;
    power_on(b);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1 + 2); /* and once for itself, when it starts */
}

static void power_on_of_an_active_card_resets_nothing_in_older_firmware(void **state)
{
    struct bench *b = *state;
    power_on(b);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1 + 1);
    SEND(b, HEAD(0x63, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x01));
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1 + 2);
}

static void power_on_of_a_mute_card_succeeds_without_an_atr_after_ten_tries(void **state)
{
    struct bench *b = *state;
    const int64_t begin = b->now_us;
    icc_set_mute(b->icc, true);
    SEND(b, HEAD(0x62, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 0, 0, 0, 0));
    assert_int_equal(icc_resets(b->icc), 1 + 10);
    assert_int_equal(b->now_us - begin, 10 * (250 * MS + 2 * 60 * SECOND));
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
}

static void power_off_takes_the_power_from_the_card(void **state)
{
    struct bench *b = *state;
    power_on(b);
    assert_true(fake_icc_powered(b->icc));
    SEND(b, HEAD(0x63, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x01));
    assert_false(fake_icc_powered(b->icc));
}

static void slot_status_tells_whether_the_card_has_power(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
    power_on(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x00, 0, 0x03));
    SEND(b, HEAD(0x63, 0, 0, 0, 0, 0));
    assert_int_equal(read_answer(b), 10);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
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
    assert_int_equal(b->now_us - begin, 50 * MS + 5 * MS); /* the end of an answer is 5 ms of silence */
    const uint8_t sent[] = { 0x00, 0xc1, 0x00, 0xc1 };
    assert_memory_equal(fake_icc_heard(b->icc, &heard), sent, sizeof sent);
    assert_int_equal(heard, sizeof sent);
}

static void xfr_block_without_data_is_an_error(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 0, 0x40, 0x02, 0));
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void a_failed_xfr_block_says_no_data_but_is_as_long_as_the_request(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 4, 1, 0, 0, 0), 0x00, 0xc1, 0x00, 0xc1); /* there is no such slot */
    ANSWERS(b, HEAD(0x80, 0, 1, 0x40, 0x01, 0), 0x00, 0xc1, 0x00, 0xc1);
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void xfr_block_needs_no_power_on(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc1, 0x00, 0xc1);
    ANSWERS(b, HEAD(0x80, 4, 0, 0x01, 0, 0), 0x00, 0xc1, 0x00, 0xc1);
    SEND(b, HEAD(0x63, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x01));
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc1, 0x00, 0xc1); /* now the card has no power */
    ANSWERS(b, HEAD(0x80, 0, 0, 0x01, 0, 0));
    assert_int_equal(b->now_us - begin, 60 * SECOND);
}

static void an_ifs_request_for_254_is_answered_with_32_and_not_by_the_card(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x00, 0xc1, 0x01, 0xfe, 0x3e);
    ANSWERS(b, HEAD(0x80, 5, 0, 0, 0, 0), 0x00, 0xe1, 0x01, 0x20, 0xc0);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x21, 0xc1, 0x01, 0xfe, 0x3e); /* NAD and with it the LRC are not looked at */
    ANSWERS(b, HEAD(0x80, 5, 0, 0, 0, 0), 0x21, 0xe1, 0x01, 0x20, 0xe1);
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void every_other_ifs_request_goes_to_the_card(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x00, 0xc1, 0x01, 0x20, 0xe0);
    ANSWERS(b, HEAD(0x80, 5, 0, 0, 0, 0), 0x00, 0xc1, 0x01, 0x20, 0xe0);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x00, 0xc1, 0x01, 0xfd, 0x3d);
    ANSWERS(b, HEAD(0x80, 5, 0, 0, 0, 0), 0x00, 0xc1, 0x01, 0xfd, 0x3d);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x21, 0xc1, 0x01, 0xfe, 0x1f); /* right for its NAD */
    ANSWERS(b, HEAD(0x80, 5, 0, 0, 0, 0), 0x21, 0xc1, 0x01, 0xfe, 0x1f);
    assert_int_equal(icc_blocks(b->icc), 3);
}

static void silence_of_the_card_becomes_an_empty_success_after_60_s(void **state)
{
    struct bench *b = *state;
    power_on(b);
    fake_icc_script(b->icc, NULL, 0, 0);
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 0, 0, 0, 0, 0));
    assert_int_equal(b->now_us - begin, 60 * SECOND);
}

static void an_older_firmware_gives_up_after_30_s(void **state)
{
    struct bench *b = *state;
    struct storage_options options = storage_defaults;
    options.first_byte_limit_us = 30 * SECOND;
    device_free(b->device);
    b->device = storage_new(&HIGH_SPEED, b->icc, &options);
    device_advance(b->device, b->now_us);
    plug(b);
    advance(b, STARTED);
    power_on(b);
    fake_icc_script(b->icc, NULL, 0, 0);
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 0, 0, 0, 0, 0));
    assert_int_equal(b->now_us - begin, 30 * SECOND);
}

static void an_answer_in_the_last_moment_is_still_heard(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 60 * SECOND);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0x80, 0x00, 0x80);
}

static void an_answer_after_the_limit_is_not_given_to_anybody(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 60 * SECOND + 1);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    ANSWERS(b, HEAD(0x80, 0, 0, 0, 0, 0));
    assert_true(device_busy(b->device)); /* the card is */
    assert_silent(b);
}

static void the_limit_counts_though_the_clock_is_looked_at_late(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 61 * SECOND);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    device_advance(b->device, b->now_us += 200 * SECOND);
    ANSWERS(b, HEAD(0x80, 0, 0, 0, 0, 0));
}

static void parameters_announce_seven_bytes_and_give_none(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6c, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1));
    SEND(b, HEAD(0x6d, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1));
}

static void set_parameters_gives_back_what_was_sent(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x61, 7, 0, 1, 0, 0), 0x18, 0x10, 0xff, 0x75, 0x00, 0xfe, 0x00);
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), 0x18, 0x10, 0xff, 0x75, 0x00, 0xfe, 0x00);
    SEND(b, HEAD(0x61, 5, 0, 0, 0, 0), 0x18, 0x00, 0xff, 0x0a, 0x00);
    ANSWERS(b, HEAD(0x82, 7, 0, 0, 0, 1), 0x18, 0x00, 0xff, 0x0a, 0x00);
}

static void clock_and_abort_always_succeed(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6e, 0, 0, 1, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0x03));
    SEND(b, HEAD(0x72, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0x03));
}

static void what_it_does_not_know_comes_back_as_it_is(void **state)
{
    static const uint8_t types[] = { 0x69, 0x6a, 0x6b, 0x71, 0x73, 0x7e, 0x00, 0xff };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof types; i++) {
        SEND(b, HEAD(types[i], 3, 1, 7, 8, 9), 0x01, 0x02, 0x03);
        ANSWERS(b, HEAD(types[i], 3, 1, 7, 8, 9), 0x01, 0x02, 0x03);
    }
}

static void what_serves_the_card_refuses_another_slot(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x62, 0, 1, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 1, 0, 0, 0)); /* nothing but the type says so */
    SEND(b, HEAD(0x63, 0, 1, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 1, 0x01, 0, 0x01)); /* this one lies */
    SEND(b, HEAD(0x65, 0, 1, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 1, 0x40, 0x01, 0x03));
    SEND(b, HEAD(0x6f, 0, 1, 0, 0, 0));
    ANSWERS(b, HEAD(0x80, 0, 1, 0x40, 0x01, 0));
    assert_int_equal(icc_resets(b->icc), 1 + 1);
    assert_true(fake_icc_powered(b->icc));
}

/* ---- packets ---- */

static void the_longest_request_is_270_bytes(void **state)
{
    struct bench *b = *state;
    size_t heard;
    uint8_t message[270] = { HEAD(0x6f, 260, 0, 0, 0, 0) };
    power_on(b);
    memset(message + 10, 0x5a, 260);
    send_message(b, message, sizeof message);
    assert_int_equal(read_answer(b), 270); /* the card repeats it */
    assert_int_equal(b->answer[0], 0x80);
    assert_memory_equal(b->answer + 10, message + 10, 260);
    assert_memory_equal(fake_icc_heard(b->icc, &heard), message + 10, 260);
    assert_int_equal(heard, 260);
}

static void a_longer_request_is_dropped_and_an_answer_made_of_nothing_comes(void **state)
{
    struct bench *b = *state;
    const uint8_t message[271] = { HEAD(0x6f, 261, 0, 0, 0, 0) };
    power_on(b);
    send_message(b, message, sizeof message);
    ANSWERS(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(icc_blocks(b->icc), 0);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0x03));
}

static void a_request_that_only_says_it_is_long_comes_back_unanswered(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 271, 0, 0, 0, 0), 0xaa);
    assert_int_equal(read_answer(b), 281);
    const uint8_t begin[] = { HEAD(0x6f, 271, 0, 0, 0, 0), 0xaa, 0x00 };
    assert_memory_equal(b->answer, begin, sizeof begin);
    assert_int_equal(icc_blocks(b->icc), 0);
}

static void a_command_sent_while_another_runs_is_lost(void **state)
{
    struct bench *b = *state;
    const uint8_t message[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    power_on(b);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    assert_int_equal(device_out(b->device, OUT, message, sizeof message), HANDSHAKE_NAK); /* there is one bank */
    ANSWERS(b, HEAD(0x80, 1, 0, 0, 0, 0), 0x00);
    assert_silent(b);
}

static void a_command_sent_before_the_answer_is_read_is_served_after_it(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    SEND(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x55);
    advance(b, 79 * MS);
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0x03));
    ANSWERS(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x55);
}

static void an_answer_that_nobody_reads_is_written_over_after_80_ms(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    SEND(b, HEAD(0x6b, 0, 0, 0, 0, 0));
    advance(b, 80 * MS);
    ANSWERS(b, HEAD(0x6b, 0, 0, 0, 0, 0));
    assert_silent(b);
}

static void an_older_firmware_waits_for_ever_for_its_answer_to_be_read(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    SEND(b, HEAD(0x6b, 0, 0, 0, 0, 0));
    advance(b, 1000 * SECOND);
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0x03));
    ANSWERS(b, HEAD(0x6b, 0, 0, 0, 0, 0));
}

static void a_zero_length_packet_is_a_message_of_zeros(void **state)
{
    struct bench *b = *state;
    assert_int_equal(device_out(b->device, OUT, (const uint8_t *)"", 0), HANDSHAKE_ACK);
    ANSWERS(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

static void nothing_is_left_in_the_buffer_after_an_answer(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6b, 4, 0, 0, 0, 0)); /* four bytes announced, none sent */
    ANSWERS(b, HEAD(0x6b, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
}

/* As a host does: it asks again until the packet is taken. */
static void send_patiently(struct bench *b, const uint8_t *message, size_t length)
{
    for (size_t at = 0; at < length; at += 64)
        while (device_out(b->device, OUT, message + at, length - at < 64 ? length - at : 64) == HANDSHAKE_NAK)
            advance(b, device_next_us(b->device) - b->now_us);
}

static void firmware_of_2015_takes_a_message_of_several_packets_whole(void **state)
{
    struct bench *b = *state;
    size_t heard;
    uint8_t message[200] = { HEAD(0x6f, 190, 0, 0, 0, 0) };
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 };
    memset(message + 10, 0x5a, 190);
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 0);
    send_patiently(b, message, sizeof message);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0x80, 0x00, 0x80);
    assert_memory_equal(fake_icc_heard(b->icc, &heard), message + 10, 190);
    assert_int_equal(heard, 190);
}

static void at_full_speed_the_first_packet_is_executed_and_the_third_is_the_next_message(void **state)
{
    struct bench *b = *state;
    size_t heard;
    uint8_t message[138] = { HEAD(0x6f, 118, 0, 0, 0, 0) };
    const uint8_t block[] = { 0x00, 0x80, 0x00, 0x80 }, status[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    memset(message + 10, 0x5a, 118);
    memcpy(message + 128, status, sizeof status);
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 0);
    send_patiently(b, message, sizeof message);
    ANSWERS(b, HEAD(0x80, 4, 0, 0, 0, 0), 0x00, 0x80, 0x00, 0x80);
    memset(message + 64, 0, 64);
    assert_memory_equal(fake_icc_heard(b->icc, &heard), message + 10, 118);
    assert_int_equal(heard, 118);
    ANSWERS(b, HEAD(0x81, 0, 0, 0, 0, 0x03));
    assert_silent(b);
}

static void at_full_speed_only_the_first_packet_of_an_answer_comes(void **state)
{
    struct bench *b = *state;
    uint8_t block[60];
    memset(block, 0x5a, sizeof block);
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 0);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    assert_int_equal(read_answer(b), 64);
    assert_int_equal(b->answer[1], 60);
    assert_silent(b); /* nor an empty packet, by which a host would know */
}

/* ---- life ---- */

static bool presence_is(struct bench *b, enum handshake expected)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    if (device_in(b->device, INTERRUPT, packet, &length) != expected)
        return false;
    return expected != HANDSHAKE_ACK || (length == 2 && packet[0] == 0x50 && packet[1] == 0x03);
}

static void presence_is_told_once_2_3_s_after_plugging_in(void **state)
{
    struct bench *b = *state;
    assert_true(presence_is(b, HANDSHAKE_ACK));
    assert_true(presence_is(b, HANDSHAKE_NAK));
    device_reset(b->device);
    set_configuration(b);
    advance(b, 10 * SECOND);
    assert_true(presence_is(b, HANDSHAKE_NAK)); /* never another */
    device_power(b->device, false);
    plug(b);
    advance(b, 300 * MS); /* it powers the card on */
    advance(b, 2 * SECOND - 1);
    assert_true(presence_is(b, HANDSHAKE_NAK));
    advance(b, 1);
    assert_true(presence_is(b, HANDSHAKE_ACK));
}

static void until_then_nothing_is_served_but_one_command_waits(void **state)
{
    struct bench *b = *state;
    const uint8_t message[] = { HEAD(0x65, 0, 0, 0, 0, 0) };
    device_power(b->device, false);
    plug(b);
    const int64_t begin = b->now_us;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    assert_int_equal(device_out(b->device, OUT, message, sizeof message), HANDSHAKE_NAK);
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
    assert_int_equal(b->now_us - begin, 2300 * MS);
}

static void a_bus_reset_ends_neither_card_nor_command(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    device_reset(b->device);
    assert_true(in_is(b, IN, HANDSHAKE_NONE));
    set_configuration(b);
    ANSWERS(b, HEAD(0x80, 1, 0, 0, 0, 0), 0x00);
    assert_int_equal(icc_resets(b->icc), 1 + 1);
    assert_true(fake_icc_powered(b->icc));
}

static void what_is_on_its_way_is_lost_at_a_bus_reset(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    device_reset(b->device);
    set_configuration(b);
    assert_silent(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    device_reset(b->device);
    set_configuration(b);
    assert_silent(b);
}

static void what_is_on_its_way_is_lost_when_a_halt_is_cleared_and_an_interface_set(void **state)
{
    struct bench *b = *state;
    uint8_t none[1];
    size_t length = 0;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    assert_int_equal(control(b, 0x02, 1, 0, IN, none, &length), HANDSHAKE_ACK);
    assert_silent(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    assert_int_equal(control(b, 0x01, 11, 0, 1, none, &length), HANDSHAKE_ACK);
    assert_silent(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    advance(b, SECOND);
    set_configuration(b);
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03)); /* but not by SET_CONFIGURATION */
}

static void unplugging_ends_everything(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    device_power(b->device, false);
    assert_false(fake_icc_powered(b->icc));
    plug(b);
    assert_false(device_busy(b->device));
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
}

static void ccid_control_requests_are_refused(void **state)
{
    struct bench *b = *state;
    uint8_t data[4];
    size_t length = 0;
    assert_int_equal(control(b, 0x21, 1, 0x4200, 1, data, &length), HANDSHAKE_STALL); /* ABORT */
    length = 4;
    assert_int_equal(control(b, 0xa1, 2, 0, 1, data, &length), HANDSHAKE_NAK); /* GET_CLOCK_FREQUENCIES: for ever */
    length = 4;
    assert_int_equal(control(b, 0xa1, 3, 0, 1, data, &length), HANDSHAKE_STALL); /* GET_DATA_RATES */
    length = 1;
    assert_int_equal(control(b, 0xa1, 0xfe, 0, 1, data, &length), HANDSHAKE_STALL); /* one of the disk's */
}

static void the_hid_interface_says_nothing(void **state)
{
    struct bench *b = *state;
    power_on(b);
    advance(b, 10 * SECOND);
    assert_true(in_is(b, HID_IN, HANDSHAKE_NAK));
}

static void a_hid_command_resets_the_card_500_ms_after_the_last_command(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 2 * SECOND);
    SEND(b, HEAD(0x6f, 1, 0, 0, 0, 0), 0x00);
    advance(b, SECOND);
    device_reset_by_sibling(b->device);
    ANSWERS(b, HEAD(0x80, 1, 0, 0, 0, 0), 0x00);
    const int64_t answered = b->now_us;
    while (icc_resets(b->icc) == 1 + 1)
        advance(b, device_next_us(b->device) - b->now_us);
    assert_in_range(b->now_us - answered, 500 * MS, 550 * MS); /* it looks each 50 ms */
}

static void a_hid_command_resets_the_card_100_ms_after_a_look_at_the_slot(void **state)
{
    struct bench *b = *state;
    power_on(b);
    advance(b, SECOND);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    assert_int_equal(read_answer(b), 10);
    const int64_t answered = b->now_us;
    device_reset_by_sibling(b->device);
    while (icc_resets(b->icc) == 1 + 1)
        advance(b, device_next_us(b->device) - b->now_us);
    assert_in_range(b->now_us - answered, 100 * MS, 150 * MS);
}

/* What HID sends: a block of its own, with N(S). */
static void assert_heard_of_hid(struct bench *b, uint8_t pcb)
{
    size_t heard;
    const uint8_t block[] = { 0x00, pcb, 0x05, 0x00, 0xca, 0x00, 0xc4, 0x00 };
    assert_memory_equal(fake_icc_heard(b->icc, &heard), block, sizeof block);
    assert_int_equal(heard, 9);
}

static const uint8_t HID_APDU[] = { 0x00, 0xca, 0x00, 0xc4, 0x00 };

static void hid_goes_on_with_the_hosts_sequence(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x00, 0x02, 0x90, 0x00, 0x92 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 5 * MS);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x00, 0x00, 0x01, 0x55, 0x54); /* N(S) 0 */
    assert_int_equal(read_answer(b), 16);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(device_sibling_apdu(b->device, HID_APDU, sizeof HID_APDU));
        assert_int_equal(device_sibling_answer(b->device), DEVICE_SIBLING_WAITS);
        advance(b, SECOND);
        assert_heard_of_hid(b, i % 2 == 0 ? 0x40 : 0x00);
        assert_int_equal(device_sibling_answer(b->device), 0);
    }
    power_on(b);
    advance(b, SECOND);
    assert_true(device_sibling_apdu(b->device, HID_APDU, sizeof HID_APDU));
    advance(b, 0);
    assert_heard_of_hid(b, 0x00);
}

static void older_firmware_does_not_count_the_hosts_blocks(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, HEAD(0x6f, 5, 0, 0, 0, 0), 0x00, 0x00, 0x01, 0x55, 0x54);
    assert_int_equal(read_answer(b), 15);
    assert_true(device_sibling_apdu(b->device, HID_APDU, sizeof HID_APDU));
    advance(b, SECOND);
    assert_heard_of_hid(b, 0x00);
}

static void hid_sends_its_block_six_times_when_the_card_does_not_take_it(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x92, 0x00, 0x92 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 5 * MS);
    assert_true(device_sibling_apdu(b->device, HID_APDU, sizeof HID_APDU));
    advance(b, 2 * SECOND);
    while (device_sibling_answer(b->device) == DEVICE_SIBLING_WAITS)
        advance(b, device_next_us(b->device) - b->now_us);
    assert_int_equal(device_sibling_answer(b->device), 0);
    assert_int_equal(icc_blocks(b->icc), 6);
}

static void after_30_s_hid_uses_the_card_and_takes_bytes_of_its_answer(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05 };
    power_on(b);
    fake_icc_script(b->icc, block, sizeof block, 40 * SECOND);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0x00, 0x00, 0x00);
    assert_true(device_sibling_apdu(b->device, HID_APDU, sizeof HID_APDU));
    advance(b, 30 * SECOND - 1);
    assert_int_equal(icc_blocks(b->icc), 1);
    fake_icc_script(b->icc, block, sizeof block, 10 * SECOND);
    advance(b, SECOND);
    assert_int_equal(icc_blocks(b->icc), 2);
    ANSWERS(b, HEAD(0x80, 3, 0, 0, 0, 0), 0x00, 0x02, 0x04);
}

static void a_swallowed_answer_never_comes_and_the_next_command_is_taken(void **state)
{
    struct bench *b = *state;
    b->device->faults.answer = ANSWER_SWALLOWED;
    b->device->faults.answers = 1;
    SEND(b, HEAD(0x6b, 0, 0, 0, 0, 0));
    assert_silent(b);
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
}

static void a_repeated_answer_comes_before_the_new_one(void **state)
{
    struct bench *b = *state;
    SEND(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x11);
    ANSWERS(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x11);
    b->device->faults.answer = ANSWER_REPEATED;
    b->device->faults.answers = 1;
    SEND(b, HEAD(0x65, 0, 0, 0, 0, 0));
    ANSWERS(b, HEAD(0x6b, 1, 0, 0, 0, 0), 0x11);
    ANSWERS(b, HEAD(0x81, 0, 0, 0x01, 0, 0x03));
}

/* ---- the disk ---- */

#define TAG 0x01, 0x02, 0x03, 0x04
/* A command wrapper for command bytes of ten; length below 65536. */
#define WRAPPED(length, flags, ...) \
    'U', 'S', 'B', 'C', TAG, (length) & 0xff, (length) >> 8, 0, 0, flags, 0, 10, __VA_ARGS__, 0, 0, 0, 0, 0, 0

static void disk_command(struct bench *b, const uint8_t wrapper[31])
{
    assert_int_equal(device_out(b->device, STORAGE_DISK_OUT, wrapper, 31), HANDSHAKE_ACK);
}

#define DISK(b, length, flags, ...)                                          \
    do {                                                                     \
        const uint8_t wrapper_[31] = { WRAPPED(length, flags, __VA_ARGS__) }; \
        disk_command(b, wrapper_);                                           \
    } while (0)

/* Reads length bytes of a data stage. */
static void disk_data(struct bench *b, uint8_t *bytes, size_t length)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t got = 0, size;
    while (got < length) {
        assert_int_equal(device_in(b->device, STORAGE_DISK_IN, packet, &size), HANDSHAKE_ACK);
        assert_true(size > 0 && got + size <= length);
        memcpy(bytes + got, packet, size);
        got += size;
    }
}

/* Reads the status wrapper; residue below 65536. */
static void disk_status(struct bench *b, uint16_t residue, uint8_t status)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    const uint8_t expected[13] = { 'U', 'S', 'B', 'S', TAG, (uint8_t)residue, (uint8_t)(residue >> 8), 0, 0, status };
    assert_int_equal(device_in(b->device, STORAGE_DISK_IN, packet, &length), HANDSHAKE_ACK);
    assert_int_equal(length, sizeof expected);
    assert_memory_equal(packet, expected, sizeof expected);
}

/* Reads two blocks from the given one on, and compares. */
static void read_disk(struct bench *b, uint8_t block)
{
    uint8_t bytes[2 * MASS_STORAGE_BLOCK];
    DISK(b, sizeof bytes, 0x80, 0x28, 0, 0, 0, 0, block, 0, 0, 2, 0);
    disk_data(b, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], mass_storage_byte((uint64_t)block * MASS_STORAGE_BLOCK + i));
    disk_status(b, 0, 0);
}

static void assert_sense(struct bench *b, uint8_t key, uint8_t code)
{
    uint8_t bytes[18];
    DISK(b, 18, 0x80, 0x03, 0, 0, 0, 18, 0, 0, 0, 0, 0);
    disk_data(b, bytes, sizeof bytes);
    disk_status(b, 0, 0);
    assert_int_equal(bytes[0], 0x70);
    assert_int_equal(bytes[2], key);
    assert_int_equal(bytes[12], code);
}

static void the_disk_introduces_itself(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[36];
    size_t length = 1;
    const uint8_t capacity[8] = { 0, 0, 0, MASS_STORAGE_BLOCKS - 1, 0, 0, 2, 0 };
    assert_int_equal(control(b, 0xa1, 0xfe, 0, 0, bytes, &length), HANDSHAKE_ACK); /* Get Max LUN */
    assert_int_equal(length, 1);
    assert_int_equal(bytes[0], 0);
    DISK(b, 36, 0x80, 0x12, 0, 0, 0, 36, 0, 0, 0, 0, 0);
    disk_data(b, bytes, 36);
    disk_status(b, 0, 0);
    assert_memory_equal(bytes + 8, "NitrokeyNitrokey Storage", 24);
    DISK(b, 0, 0x00, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    disk_status(b, 0, 0);
    DISK(b, 8, 0x80, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    disk_data(b, bytes, 8);
    disk_status(b, 0, 0);
    assert_memory_equal(bytes, capacity, 8);
}

static void the_disk_is_read_block_by_block(void **state)
{
    struct bench *b = *state;
    assert_true(in_is(b, STORAGE_DISK_IN, HANDSHAKE_NAK));
    read_disk(b, 0);
    read_disk(b, MASS_STORAGE_BLOCKS - 2);
    assert_true(in_is(b, STORAGE_DISK_IN, HANDSHAKE_NAK));
}

static void the_disk_fills_up_what_it_does_not_have(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[100];
    DISK(b, 100, 0x80, 0x12, 0, 0, 0, 100, 0, 0, 0, 0, 0);
    disk_data(b, bytes, 100);
    disk_status(b, 64, 0);
    assert_int_equal(bytes[99], 0);
    DISK(b, 20, 0x80, 0x12, 0, 0, 0, 36, 0, 0, 0, 0, 0); /* the host wants less than there is */
    disk_data(b, bytes, 20);
    disk_status(b, 0, 0);
}

static void the_disk_refuses_with_a_reason(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[MASS_STORAGE_BLOCK] = { 0 };
    DISK(b, MASS_STORAGE_BLOCK, 0x80, 0x28, 0, 0, 0, 0, MASS_STORAGE_BLOCKS, 0, 0, 1, 0);
    disk_data(b, bytes, sizeof bytes);
    disk_status(b, MASS_STORAGE_BLOCK, 1);
    assert_sense(b, 0x05, 0x21);
    assert_sense(b, 0x00, 0x00);
    DISK(b, MASS_STORAGE_BLOCK, 0x00, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0);
    assert_int_equal(device_out(b->device, STORAGE_DISK_OUT, bytes, sizeof bytes), HANDSHAKE_ACK);
    disk_status(b, MASS_STORAGE_BLOCK, 1);
    assert_sense(b, 0x07, 0x27);
    DISK(b, 0, 0x80, 0x1a, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    disk_status(b, 0, 1);
    assert_sense(b, 0x05, 0x20);
}

static void what_is_no_disk_command_stalls_until_the_disk_is_reset(void **state)
{
    struct bench *b = *state;
    uint8_t none[1];
    size_t length = 0;
    const uint8_t rubbish[31] = { 'U', 'S', 'B', 'X' };
    disk_command(b, rubbish);
    assert_true(in_is(b, STORAGE_DISK_IN, HANDSHAKE_STALL));
    assert_int_equal(device_out(b->device, STORAGE_DISK_OUT, rubbish, 31), HANDSHAKE_STALL);
    assert_int_equal(control(b, 0x21, 0xff, 0, 0, none, &length), HANDSHAKE_ACK);
    read_disk(b, 0);
}

static void the_disk_is_read_while_the_card_works(void **state)
{
    struct bench *b = *state;
    const uint8_t block[] = { 0x00, 0xc3, 0x01, 0x64, 0xa6 };
    SEND(b, HEAD(0x62, 0, 0, 0, 0, 0));
    read_disk(b, 1);
    assert_int_equal(read_answer(b), 10 + sizeof ATR);
    fake_icc_script(b->icc, block, sizeof block, 10 * SECOND);
    SEND(b, HEAD(0x6f, 4, 0, 0, 0, 0), 0x00, 0xc1, 0x00, 0xc1);
    for (uint8_t second = 0; second < 9; second++) {
        advance(b, SECOND);
        assert_true(in_is(b, IN, HANDSHAKE_NAK));
        read_disk(b, second);
    }
    advance(b, 2 * SECOND);
    read_disk(b, 9); /* and before the answer is read */
    ANSWERS(b, HEAD(0x80, 5, 0, 0, 0, 0), 0x00, 0xc3, 0x01, 0x64, 0xa6);
    const struct storage_disturbances seen = storage_disturbances(b->device);
    assert_int_equal(seen.bus_resets, 1); /* of the enumeration */
    assert_int_equal(seen.configurations, 1);
}

static void what_disturbs_a_mounted_disk_is_counted(void **state)
{
    struct bench *b = *state;
    device_reset(b->device);
    assert_int_equal(storage_disturbances(b->device).bus_resets, 2);
    assert_int_equal(storage_disturbances(b->device).configurations, 1);
    set_configuration(b);
    assert_int_equal(storage_disturbances(b->device).configurations, 2);
    set_configuration(b); /* the same value again counts too */
    assert_int_equal(storage_disturbances(b->device).configurations, 3);
    advance(b, SECOND);
    assert_int_equal(storage_disturbances(b->device).configurations, 3);
    device_halt(b->device, IN);
    uint8_t none[1];
    size_t length = 0;
    assert_int_equal(control(b, 0x02, 1, 0, IN, none, &length), HANDSHAKE_ACK); /* a halt that is cleared does not */
    advance(b, SECOND);
    assert_int_equal(storage_disturbances(b->device).configurations, 3);
}

static void a_reset_in_the_middle_of_a_transfer_loses_it_but_not_the_disk(void **state)
{
    struct bench *b = *state;
    DISK(b, 1024, 0x80, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0);
    assert_true(in_is(b, STORAGE_DISK_IN, HANDSHAKE_ACK));
    device_reset(b->device);
    set_configuration(b);
    assert_true(in_is(b, STORAGE_DISK_IN, HANDSHAKE_NAK));
    read_disk(b, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_FULL_SPEED(name) cmocka_unit_test_setup_teardown(name, set_up_full_speed, tear_down)
#define TEST_0_43(name) cmocka_unit_test_setup_teardown(name, set_up_0_43, tear_down) /* at full speed, as the next */
#define TEST_0_29(name) cmocka_unit_test_setup_teardown(name, set_up_0_29, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_on_takes_400_ms_and_tells_ta1_18),
        TEST(power_on_echoes_bytes_7_to_9),
        TEST(every_power_on_resets_the_card),
        TEST_0_43(power_on_of_an_active_card_resets_nothing_in_older_firmware),
        TEST(power_on_of_a_mute_card_succeeds_without_an_atr_after_ten_tries),
        TEST(power_off_takes_the_power_from_the_card),
        TEST(slot_status_tells_whether_the_card_has_power),
        TEST(xfr_block_takes_bytes_to_the_card_and_back),
        TEST(xfr_block_without_data_is_an_error),
        TEST(a_failed_xfr_block_says_no_data_but_is_as_long_as_the_request),
        TEST(xfr_block_needs_no_power_on),
        TEST(an_ifs_request_for_254_is_answered_with_32_and_not_by_the_card),
        TEST(every_other_ifs_request_goes_to_the_card),
        TEST(silence_of_the_card_becomes_an_empty_success_after_60_s),
        TEST(an_older_firmware_gives_up_after_30_s),
        TEST(an_answer_in_the_last_moment_is_still_heard),
        TEST(an_answer_after_the_limit_is_not_given_to_anybody),
        TEST(the_limit_counts_though_the_clock_is_looked_at_late),
        TEST(parameters_announce_seven_bytes_and_give_none),
        TEST(set_parameters_gives_back_what_was_sent),
        TEST(clock_and_abort_always_succeed),
        TEST(what_it_does_not_know_comes_back_as_it_is),
        TEST(what_serves_the_card_refuses_another_slot),
        TEST(the_longest_request_is_270_bytes),
        TEST(a_longer_request_is_dropped_and_an_answer_made_of_nothing_comes),
        TEST(a_request_that_only_says_it_is_long_comes_back_unanswered),
        TEST(a_command_sent_while_another_runs_is_lost),
        TEST(a_command_sent_before_the_answer_is_read_is_served_after_it),
        TEST(an_answer_that_nobody_reads_is_written_over_after_80_ms),
        TEST_0_43(an_older_firmware_waits_for_ever_for_its_answer_to_be_read),
        TEST(a_zero_length_packet_is_a_message_of_zeros),
        TEST(nothing_is_left_in_the_buffer_after_an_answer),
        TEST_0_29(firmware_of_2015_takes_a_message_of_several_packets_whole),
        TEST_FULL_SPEED(at_full_speed_the_first_packet_is_executed_and_the_third_is_the_next_message),
        TEST_0_43(at_full_speed_the_first_packet_is_executed_and_the_third_is_the_next_message),
        TEST_FULL_SPEED(at_full_speed_only_the_first_packet_of_an_answer_comes),
        TEST(presence_is_told_once_2_3_s_after_plugging_in),
        TEST(until_then_nothing_is_served_but_one_command_waits),
        TEST(a_bus_reset_ends_neither_card_nor_command),
        TEST(what_is_on_its_way_is_lost_at_a_bus_reset),
        TEST(what_is_on_its_way_is_lost_when_a_halt_is_cleared_and_an_interface_set),
        TEST(unplugging_ends_everything),
        TEST(ccid_control_requests_are_refused),
        TEST(the_hid_interface_says_nothing),
        TEST(a_hid_command_resets_the_card_500_ms_after_the_last_command),
        TEST(a_hid_command_resets_the_card_100_ms_after_a_look_at_the_slot),
        TEST(hid_goes_on_with_the_hosts_sequence),
        TEST_0_43(older_firmware_does_not_count_the_hosts_blocks),
        TEST(hid_sends_its_block_six_times_when_the_card_does_not_take_it),
        TEST(after_30_s_hid_uses_the_card_and_takes_bytes_of_its_answer),
        TEST(a_swallowed_answer_never_comes_and_the_next_command_is_taken),
        TEST(a_repeated_answer_comes_before_the_new_one),
        TEST(the_disk_introduces_itself),
        TEST(the_disk_is_read_block_by_block),
        TEST(the_disk_fills_up_what_it_does_not_have),
        TEST(the_disk_refuses_with_a_reason),
        TEST(what_is_no_disk_command_stalls_until_the_disk_is_reset),
        TEST(the_disk_is_read_while_the_card_works),
        TEST(what_disturbs_a_mounted_disk_is_counted),
        TEST(a_reset_in_the_middle_of_a_transfer_loses_it_but_not_the_disk),
        TEST_FULL_SPEED(the_disk_is_read_block_by_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
