/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_gnuk.c - the firmware of Nitrokey Start and other Gnuks, packet by packet, with an application that obeys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "device.h"
#include "fake_openpgp.h"
#include "gnuk.h"
#include "gnuk_2010.h"
#include "icc.h"
#include "identity.h"

#define OUT 0x01
#define IN 0x81
#define INTERRUPT 0x82
#define HEADER 10
#define PACKET 64
#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define EXTENSION_US (1950 * MS)

/* ---- the key ---- */

static const uint8_t CONFIGURATION[] = {
    0x09, 0x02, 0x5d, 0x00, 0x01, 0x01, 0x00, 0x80, 0x32,
    0x09, 0x04, 0x00, 0x00, 0x03, 0x0b, 0x00, 0x00, 0x00,
    0x36, 0x21, 0x10, 0x01, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0xa0, 0x0f, 0x00, 0x00, 0xa0, 0x0f, 0x00, 0x00,
    0x00, 0x80, 0x25, 0x00, 0x00, 0x80, 0x25, 0x00, 0x00, 0x00, 0xfe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x7a, 0x04, 0x02, 0x00, 0x0f, 0x01, 0x00, 0x00, 0xff, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x07, 0x05, 0x81, 0x02, 0x40, 0x00, 0x00,
    0x07, 0x05, 0x01, 0x02, 0x40, 0x00, 0x00,
    0x07, 0x05, 0x82, 0x03, 0x04, 0x00, 0xff,
};
static const uint8_t DEVICE_DESCRIPTOR[18] = { 0x12, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00, 0x40, 0xa0, 0x20,
                                               0x11, 0x42, 0x00, 0x02, 0x01, 0x02, 0x03, 0x01 };
static const uint8_t ATR[] = { 0x3b, 0xda, 0x11, 0xff, 0x81, 0xb1, 0xfe, 0x55, 0x1f, 0x03, 0x00,
                               0x31, 0x84, 0x73, 0x80, 0x01, 0x80, 0x05, 0x90, 0x00, 0xe1 };

static const struct identity START = {
    .firmware = "gnuk", .name = "start", .device = DEVICE_DESCRIPTOR, .configuration = CONFIGURATION,
    .configuration_len = sizeof CONFIGURATION,
    .strings = { NULL, "Nitrokey", "Nitrokey Start", "FSIJ-1.2.19-12345678" },
    .bulk_out = OUT, .bulk_in = IN, .interrupt_in = INTERRUPT, .atr = ATR, .atr_len = sizeof ATR,
};

/* Commands of the application, see fake_openpgp.h: what they are called is how long they take. */
enum { QUICK = 0x01, FIVE_SECONDS = 0x2a, A_MINUTE = 0x47 };

static const struct icc_options CARD = {
    .atr = ATR, .atr_len = sizeof ATR, .other = { .work_us = 10 * MS }, .sign = { .work_us = 5 * SECOND },
    .generate = { { .work_us = 60 * SECOND } }, .generate_count = 1,
};

struct bench {
    struct icc *icc;
    struct device *device;
    int64_t now_us;
    uint8_t seq;                    /* of the message sent last */
    bool one_packet_ends;           /* a message that fills one packet has no empty one behind it */
    uint8_t got[DEVICE_PACKET_MAX]; /* the message read last */
};

/* Time passes; what the key does on its own happens at its own time. */
static void advance(struct bench *b, int64_t us)
{
    const int64_t until_us = b->now_us + us;
    int64_t next_us;
    while ((next_us = device_next_us(b->device)) > b->now_us && next_us < until_us) {
        b->now_us = next_us;
        device_advance(b->device, next_us);
    }
    b->now_us = until_us;
    device_advance(b->device, until_us);
}

static enum handshake control(struct bench *b, const struct setup *setup, uint8_t *data, size_t *length)
{
    const enum handshake answer = device_control(b->device, setup, data, length);
    advance(b, 0);
    return answer;
}

static enum handshake request(struct bench *b, uint8_t type, uint8_t number, uint16_t value)
{
    const struct setup setup = { type, number, value, 0, 0 };
    uint8_t none[1];
    size_t length;
    return control(b, &setup, none, &length);
}

static void set_configuration(struct bench *b)
{
    assert_int_equal(request(b, 0x00, 9, 1), HANDSHAKE_ACK);
}

static void plug(struct bench *b)
{
    device_power(b->device, true);
    device_reset(b->device);
    set_configuration(b);
}

static struct bench *new_bench(void **state)
{
    static struct bench bench;
    bench = (struct bench){ .icc = icc_new(&CARD), .now_us = SECOND };
    assert_non_null(bench.icc);
    *state = &bench;
    return &bench;
}

static void insert(struct bench *b, struct device *device)
{
    assert_non_null(device);
    b->device = device;
    device_advance(device, b->now_us);
    plug(b);
}

static int set_up(void **state)
{
    const struct gnuk_options options = { .extension_at_once = true };
    struct bench *const b = new_bench(state);
    b->one_packet_ends = true;
    insert(b, gnuk_new(&START, b->icc, &options));
    return 0;
}

static int set_up_older(void **state)
{
    const struct gnuk_options options = { .extension_at_once = false };
    struct bench *const b = new_bench(state);
    b->one_packet_ends = true;
    insert(b, gnuk_new(&START, b->icc, &options));
    return 0;
}

static int set_up_2010(void **state)
{
    struct bench *const b = new_bench(state);
    insert(b, gnuk_2010_new(&START, b->icc));
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    device_free(b->device);
    icc_free(b->icc);
    return 0;
}

/* ---- the host ---- */

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { ACTIVE = 0x00, INACTIVE = 0x01, NO_CARD = 0x02, FAILED = 0x40, EXTENSION = 0x80 };
enum { UNSUPPORTED = 0x00, BAD_LENGTH = 0x01, BAD_LEVEL = 0x08, TOUCH_ME = 0xff };

static enum handshake out(struct bench *b, const uint8_t *packet, size_t length)
{
    const enum handshake answer = device_out(b->device, OUT, packet, length);
    advance(b, 0);
    return answer;
}

/* Sends a message in packets, none of them empty. */
static void send_bytes(struct bench *b, const uint8_t *message, size_t length)
{
    for (size_t sent = 0; sent < length; sent += PACKET) {
        const size_t left = length - sent;
        assert_int_equal(out(b, message + sent, left < PACKET ? left : PACKET), HANDSHAKE_ACK);
    }
}

/* A message with the next bSeq; level: the last two bytes of the header. */
static void send_message(struct bench *b, uint8_t type, uint16_t level, const uint8_t *data, size_t length)
{
    uint8_t message[400] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, 0, ++b->seq, 0, (uint8_t)level,
                             (uint8_t)(level >> 8) };
    assert_true(HEADER + length <= sizeof message);
    if (length > 0)
        memcpy(message + HEADER, data, length);
    send_bytes(b, message, HEADER + length);
}

static void send_command(struct bench *b, uint8_t type)
{
    send_message(b, type, 0, NULL, 0);
}

/* A command that is answered with n bytes and 9000. */
static void send_apdu(struct bench *b, uint8_t ins, size_t n)
{
    const uint8_t apdu[] = { 0x00, ins, (uint8_t)(n >> 8), (uint8_t)n, 0x00 };
    send_message(b, 0x6f, 0, apdu, sizeof apdu);
}

static enum handshake in(struct bench *b, uint8_t *packet, size_t *length)
{
    const enum handshake answer = device_in(b->device, IN, packet, length);
    advance(b, 0);
    return answer;
}

static void assert_nothing_to_read(struct bench *b)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    assert_int_equal(in(b, packet, &length), HANDSHAKE_NAK);
}

/* Lets the clock jump from event to event until there is a message, and reads it into b->got; returns its length. It
 * ends with a packet that is not full, or is all in one. */
static size_t read_message(struct bench *b)
{
    size_t got = 0, length;
    do {
        enum handshake answer;
        while ((answer = in(b, b->got + got, &length)) == HANDSHAKE_NAK) {
            const int64_t next = device_next_us(b->device);
            assert_true(got == 0 && next > b->now_us && next != DEVICE_NEVER);
            advance(b, next - b->now_us);
        }
        assert_int_equal(answer, HANDSHAKE_ACK);
        got += length;
        assert_true(got + PACKET <= sizeof b->got);
    } while (length == PACKET && !(b->one_packet_ends && b->got[1] == PACKET - HEADER));
    return got;
}

/* A message with these values comes, in slot 0 and with the bSeq of the last command. */
static void assert_message(struct bench *b, uint8_t type, size_t length, uint8_t status, uint8_t error, uint8_t last)
{
    const uint8_t head[HEADER] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, 0, b->seq, status, error,
                                   last };
    assert_int_equal(read_message(b), HEADER + length);
    assert_memory_equal(b->got, head, HEADER);
}

static void assert_status(struct bench *b, uint8_t status)
{
    assert_message(b, SLOT_STATUS, 0, status, 0, 0);
}

static void assert_refused(struct bench *b, uint8_t status, uint8_t error)
{
    assert_message(b, SLOT_STATUS, 0, FAILED | status, error, 0);
}

static void assert_extension(struct bench *b, uint8_t multiplier)
{
    assert_message(b, DATA_BLOCK, 0, EXTENSION, multiplier, 0);
}

/* The answer to send_apdu(..., n). */
static void assert_answer(struct bench *b, size_t n)
{
    assert_message(b, DATA_BLOCK, n + 2, ACTIVE, 0, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(b->got[HEADER + i], (uint8_t)i);
    assert_int_equal(b->got[HEADER + n], 0x90);
    assert_int_equal(b->got[HEADER + n + 1], 0x00);
}

static void power_on(struct bench *b)
{
    send_command(b, 0x62);
    assert_message(b, DATA_BLOCK, sizeof ATR, ACTIVE, 0, 0);
    assert_memory_equal(b->got + HEADER, ATR, sizeof ATR);
}

static void assert_serves(struct bench *b)
{
    send_apdu(b, QUICK, 3);
    assert_extension(b, 1);
    assert_answer(b, 3);
    assert_nothing_to_read(b);
}

/* What the interrupt endpoint says next. */
static void assert_presence(struct bench *b, uint8_t change)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    assert_int_equal(device_in(b->device, INTERRUPT, packet, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 2);
    assert_int_equal(packet[0], 0x50);
    assert_int_equal(packet[1], change);
}

static void assert_no_presence(struct bench *b)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    assert_int_equal(device_in(b->device, INTERRUPT, packet, &length), HANDSHAKE_NAK);
}

/* ---- power and slot ---- */

static void power_on_gives_the_atr(void **state)
{
    struct bench *b = *state;
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1);
    assert_serves(b);
}

static void power_on_of_an_active_card_leaves_it_as_it_is(void **state)
{
    struct bench *b = *state;
    power_on(b);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1);
    assert_serves(b);
}

static void power_off_ends_the_application(void **state)
{
    struct bench *b = *state;
    send_command(b, 0x63);
    assert_status(b, INACTIVE);
    power_on(b);
    const unsigned resets = fake_openpgp.resets;
    send_command(b, 0x63);
    assert_status(b, INACTIVE);
    assert_int_equal(fake_openpgp.resets, resets + 1);
    send_apdu(b, QUICK, 3);
    assert_refused(b, INACTIVE, UNSUPPORTED);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 2);
}

static void the_slot_status_tells_whether_the_card_is_active(void **state)
{
    struct bench *b = *state;
    send_command(b, 0x65);
    assert_status(b, INACTIVE);
    power_on(b);
    send_command(b, 0x65);
    assert_status(b, ACTIVE);
}

static void before_power_on_all_else_is_refused(void **state)
{
    static const uint8_t types[] = { 0x61, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x71, 0x72, 0x73, 0x7e, 0x00,
                                     0xff };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof types; i++) {
        send_command(b, types[i]);
        assert_refused(b, INACTIVE, UNSUPPORTED);
    }
    send_apdu(b, QUICK, 3);
    assert_refused(b, INACTIVE, UNSUPPORTED);
    assert_int_equal(fake_openpgp.begun, 0);
}

static void what_it_does_not_know_is_refused(void **state)
{
    static const uint8_t types[] = { 0x6a, 0x6b, 0x6e, 0x71, 0x72, 0x73, 0x7e, 0x00, 0xff };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof types; i++) {
        send_command(b, types[i]);
        assert_refused(b, ACTIVE, UNSUPPORTED);
    }
    assert_serves(b);
}

static void parameters_are_those_of_t_1_whatever_is_set(void **state)
{
    static const uint8_t expected[] = { 0x11, 0x11, 0xfe, 0x55, 0x03, 0xfe, 0x00 };
    static const uint8_t others[] = { 0x18, 0x10, 0xff, 0x75, 0x00, 0x20, 0x00 };
    struct bench *b = *state;
    power_on(b);
    send_command(b, 0x6c);
    assert_message(b, PARAMETERS, sizeof expected, ACTIVE, 0, 1);
    assert_memory_equal(b->got + HEADER, expected, sizeof expected);
    send_message(b, 0x61, 0x0001, others, sizeof others);
    assert_message(b, PARAMETERS, sizeof expected, ACTIVE, 0, 1);
    assert_memory_equal(b->got + HEADER, expected, sizeof expected);
    send_command(b, 0x6d);
    assert_message(b, PARAMETERS, sizeof expected, ACTIVE, 0, 1);
}

static void the_slot_of_a_command_does_not_matter(void **state)
{
    static const uint8_t get_slot_status[HEADER] = { 0x65, 0, 0, 0, 0, 0x07, 0x2a };
    struct bench *b = *state;
    b->seq = get_slot_status[6];
    send_bytes(b, get_slot_status, HEADER);
    assert_status(b, INACTIVE);
}

/* ---- commands and time extensions ---- */

static void an_extension_comes_at_once_and_then_each_1950_ms(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, FIVE_SECONDS, 8);
    for (int64_t i = 0; i < 3; i++) {
        assert_extension(b, 1);
        assert_int_equal(b->now_us, begin_us + i * EXTENSION_US);
    }
    assert_answer(b, 8);
    assert_int_equal(b->now_us, begin_us + 5 * SECOND);
}

static void extensions_have_no_end(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, A_MINUTE, 8);
    for (int64_t i = 0; i * EXTENSION_US < 60 * SECOND; i++)
        assert_extension(b, 1);
    assert_answer(b, 8);
    assert_int_equal(b->now_us, begin_us + 60 * SECOND);
}

static void the_next_extension_comes_1950_ms_after_one_was_read(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, A_MINUTE, 8);
    advance(b, 20 * SECOND);
    assert_extension(b, 1);
    const int64_t read_us = b->now_us;
    assert_nothing_to_read(b);
    assert_extension(b, 1);
    assert_int_equal(b->now_us, read_us + EXTENSION_US);
}

static void the_answer_waits_behind_an_extension(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 8);
    advance(b, 10 * SECOND);
    assert_extension(b, 1);
    assert_answer(b, 8);
    assert_nothing_to_read(b);
}

static void the_next_command_is_not_taken_before_the_answer_is_read(void **state)
{
    static const uint8_t get_slot_status[HEADER] = { 0x65 };
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS, 8);
    assert_int_equal(out(b, get_slot_status, HEADER), HANDSHAKE_NAK);
    assert_extension(b, 1);
    assert_int_equal(out(b, get_slot_status, HEADER), HANDSHAKE_NAK);
    advance(b, SECOND);
    assert_int_equal(out(b, get_slot_status, HEADER), HANDSHAKE_NAK);
    assert_true(device_busy(b->device));
    assert_extension(b, 1);
    assert_extension(b, 1);
    advance(b, 3 * SECOND);
    assert_int_equal(out(b, get_slot_status, HEADER), HANDSHAKE_NAK);
    assert_answer(b, 8);
    assert_false(device_busy(b->device));
    assert_serves(b);
}

/* ---- chains and answers in parts ---- */

static void send_part(struct bench *b, uint8_t cla, uint8_t p2, size_t length)
{
    uint8_t apdu[300] = { cla, QUICK, 0x00, p2, (uint8_t)length };
    memset(apdu + 5, 0xa5, length);
    send_message(b, 0x6f, 0, apdu, 5 + length);
}

/* Data and the given status word. */
static void assert_part(struct bench *b, size_t n, uint16_t status_word)
{
    assert_message(b, DATA_BLOCK, n + 2, ACTIVE, 0, 0);
    assert_int_equal(b->got[HEADER + n] << 8 | b->got[HEADER + n + 1], status_word);
}

static void parts_of_a_chain_need_no_extension_and_reach_the_application_as_one(void **state)
{
    static const uint8_t part[] = { 0x10, QUICK, 0x00, 0x02, 0x03, 0x01, 0x02, 0x03 };
    static const uint8_t last[] = { 0x00, QUICK, 0x00, 0x02, 0x01, 0x04, 0x00 };
    static const uint8_t whole[] = { 0x00, QUICK, 0x00, 0x02, 0x04, 0x01, 0x02, 0x03, 0x04, 0x00 };
    struct bench *b = *state;
    power_on(b);
    send_message(b, 0x6f, 0, part, sizeof part);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.begun, 0);
    send_message(b, 0x6f, 0, last, sizeof last);
    assert_extension(b, 1);
    assert_answer(b, 2);
    assert_int_equal(fake_openpgp.begun, 1);
    assert_int_equal(fake_openpgp.command_len, sizeof whole);
    assert_memory_equal(fake_openpgp.command, whole, sizeof whole);
}

/* ... and their last part is put behind the parts that came before, whoever sent them. */
static void a_chain_stays_open_until_another_command_comes(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_part(b, 0x10, 0x00, 255);
    assert_answer(b, 0);
    send_command(b, 0x65);
    assert_status(b, ACTIVE);
    send_part(b, 0x00, 0x00, 5);
    assert_extension(b, 1);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.command_len, 7 + 260);
    send_part(b, 0x10, 0x00, 255);
    assert_answer(b, 0);
    send_part(b, 0x00, 0x01, 5);
    assert_extension(b, 1);
    assert_part(b, 0, 0x6101);
    assert_int_equal(fake_openpgp.command_len, 5 + 5);
    send_part(b, 0x10, 0x00, 255);
    assert_answer(b, 0);
    power_on(b);
    send_part(b, 0x00, 0x00, 5);
    assert_extension(b, 1);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.command_len, 5 + 5);
}

static void a_chain_of_more_than_540_bytes_is_refused_and_forgotten(void **state)
{
    struct bench *b = *state;
    power_on(b);
    for (size_t surplus = 0; surplus <= 1; surplus++) {
        send_part(b, 0x10, 0x00, 255);
        assert_answer(b, 0);
        send_part(b, 0x10, 0x00, 255);
        assert_answer(b, 0);
        send_part(b, 0x00, 0x00, 30 + surplus);
        if (surplus)
            break;
        assert_extension(b, 1);
        assert_answer(b, 0);
        assert_int_equal(fake_openpgp.command_len, 7 + 540);
    }
    assert_refused(b, ACTIVE, BAD_LENGTH);
    assert_int_equal(fake_openpgp.begun, 1);
    send_part(b, 0x00, 0x00, 5);
    assert_extension(b, 1);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.command_len, 5 + 5);
}

static void an_answer_longer_than_le_is_fetched_in_parts(void **state)
{
    static const uint8_t without_le[] = { 0x00, QUICK, 0x00, 0x64 }, get_60[] = { 0x00, 0xc0, 0x00, 0x00, 60 };
    static const uint8_t get[] = { 0x00, 0xc0, 0x00, 0x00, 0x00 };
    struct bench *b = *state;
    power_on(b);
    send_message(b, 0x6f, 0, without_le, sizeof without_le);
    assert_extension(b, 1);
    assert_part(b, 0, 0x6164);
    send_message(b, 0x6f, 0, get_60, sizeof get_60);
    assert_part(b, 60, 0x6128);
    assert_int_equal(b->got[HEADER], 0);
    send_message(b, 0x6f, 0, get, sizeof get);
    assert_part(b, 40, 0x9000);
    assert_int_equal(b->got[HEADER], 60);
    assert_int_equal(fake_openpgp.begun, 1);
    send_message(b, 0x6f, 0, get, sizeof get); /* there is no more: the application is asked */
    assert_extension(b, 1);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.begun, 2);
}

/* The next message is behind it without a gap: a host that waits for a short packet waits for that. */
static void an_answer_that_fills_one_packet_has_no_empty_one_behind_it(void **state)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    struct bench *b = *state;
    size_t length;
    power_on(b);
    send_apdu(b, QUICK, PACKET - HEADER - 2);
    assert_extension(b, 1);
    advance(b, 10 * MS);
    assert_int_equal(in(b, packet, &length), HANDSHAKE_ACK);
    assert_int_equal(length, PACKET);
    advance(b, 100 * SECOND);
    assert_nothing_to_read(b);
    assert_false(device_busy(b->device));
    assert_serves(b);
}

static void a_longer_answer_that_fills_its_packets_has_an_empty_one_behind_it(void **state)
{
    uint8_t packet[DEVICE_PACKET_MAX];
    struct bench *b = *state;
    size_t length;
    power_on(b);
    for (size_t packets = 2; packets <= 4; packets++) {
        send_apdu(b, QUICK, packets * PACKET - HEADER - 2);
        assert_extension(b, 1);
        advance(b, 10 * MS);
        for (size_t i = 0; i < packets; i++) {
            assert_int_equal(in(b, packet, &length), HANDSHAKE_ACK);
            assert_int_equal(length, PACKET);
        }
        assert_int_equal(in(b, packet, &length), HANDSHAKE_ACK);
        assert_int_equal(length, 0);
        assert_nothing_to_read(b);
    }
    send_apdu(b, QUICK, 256);
    assert_extension(b, 1);
    assert_answer(b, 256);
}

/* ---- what ends a command ---- */

static void assert_ended(struct bench *b)
{
    assert_true(device_next_us(b->device) == DEVICE_NEVER);
    assert_false(device_busy(b->device));
    advance(b, 100 * SECOND);
    assert_nothing_to_read(b);
    send_command(b, 0x65);
    assert_status(b, INACTIVE);
    power_on(b);
    assert_serves(b);
}

static void set_configuration_ends_a_command_and_tells_presence(void **state)
{
    struct bench *b = *state;
    assert_presence(b, 0x03);
    for (int unread = 0; unread <= 1; unread++) {
        power_on(b);
        send_apdu(b, A_MINUTE, 8);
        if (!unread)
            assert_extension(b, 1);
        const unsigned resets = fake_openpgp.resets, cancelled = fake_openpgp.cancelled;
        set_configuration(b);
        assert_int_equal(fake_openpgp.resets, resets); /* PINs stay verified */
        assert_int_equal(fake_openpgp.cancelled, cancelled + 1);
        assert_presence(b, 0x03);
        assert_ended(b);
    }
}

/* ... and IccPowerOff neither, as long as no application has been started again. */
static void verified_pins_survive_set_configuration_until_a_new_application_has_ended(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const unsigned resets = fake_openpgp.resets;
    set_configuration(b);
    send_command(b, 0x63);
    assert_status(b, INACTIVE);
    power_on(b);
    assert_int_equal(fake_openpgp.resets, resets);
    assert_int_equal(fake_openpgp.started, 2);
    send_command(b, 0x63);
    assert_status(b, INACTIVE);
    assert_int_equal(fake_openpgp.resets, resets + 1);
}

static void set_configuration_takes_an_unread_answer_away(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 200);
    assert_extension(b, 1);
    advance(b, SECOND);
    set_configuration(b);
    assert_ended(b);
}

static void set_configuration_forgets_half_a_message(void **state)
{
    const uint8_t half[PACKET] = { 0x6f, 100 };
    struct bench *b = *state;
    power_on(b);
    assert_int_equal(out(b, half, sizeof half), HANDSHAKE_ACK);
    set_configuration(b);
    assert_ended(b);
}

static void a_bus_reset_ends_a_command(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, A_MINUTE, 8);
    device_reset(b->device);
    set_configuration(b);
    assert_presence(b, 0x03);
    assert_ended(b);
}

static void set_interface_ends_a_command_too(void **state)
{
    struct bench *b = *state;
    assert_presence(b, 0x03);
    power_on(b);
    send_apdu(b, A_MINUTE, 8);
    assert_int_equal(request(b, 0x01, 11, 0), HANDSHAKE_ACK);
    assert_presence(b, 0x03);
    assert_ended(b);
}

static void unplugging_ends_everything(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, A_MINUTE, 8);
    device_power(b->device, false);
    assert_true(device_next_us(b->device) == DEVICE_NEVER);
    advance(b, SECOND);
    plug(b);
    assert_presence(b, 0x03);
    assert_ended(b);
}

static void abort_stalls_and_ends_nothing(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS, 8);
    assert_int_equal(request(b, 0x21, 1, (uint16_t)(b->seq << 8)), HANDSHAKE_STALL);
    for (int i = 0; i < 3; i++)
        assert_extension(b, 1);
    assert_answer(b, 8);
}

/* ---- messages that are wrong ---- */

#define SEND(b, ...)                                                \
    do {                                                            \
        const uint8_t bytes_[] = { __VA_ARGS__ };                   \
        send_bytes(b, bytes_, sizeof bytes_);                       \
    } while (0)
#define XFR_BLOCK(b, length) 0x6f, length, 0, 0, 0, 0, ++(b)->seq, 0, 0, 0

static void a_message_of_another_length_than_it_says_is_refused(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, XFR_BLOCK(b, 5), 0x00, QUICK, 0x00, 0x00);
    assert_refused(b, ACTIVE, BAD_LENGTH);
    SEND(b, XFR_BLOCK(b, 3), 0x00, QUICK, 0x00, 0x00);
    assert_refused(b, ACTIVE, BAD_LENGTH);
    SEND(b, 0x6f, 4, 0, 1, 0, 0, ++b->seq, 0, 0, 0, 0x00, QUICK, 0x00, 0x00);
    assert_refused(b, ACTIVE, BAD_LENGTH);
    SEND(b, 0x6f, 4, 0, 0, 1, 0, ++b->seq, 0, 0, 0, 0x00, QUICK, 0x00, 0x00);
    assert_refused(b, ACTIVE, BAD_LENGTH);
    assert_int_equal(fake_openpgp.begun, 0);
    assert_serves(b);
}

static void the_length_is_looked_at_before_the_state(void **state)
{
    struct bench *b = *state;
    SEND(b, XFR_BLOCK(b, 5), 0x00, QUICK, 0x00, 0x00);
    assert_refused(b, INACTIVE, BAD_LENGTH);
}

static void what_is_no_short_apdu_is_refused(void **state)
{
    struct bench *b = *state;
    power_on(b);
    SEND(b, XFR_BLOCK(b, 3), 0x00, QUICK, 0x00);
    assert_refused(b, ACTIVE, BAD_LENGTH);
    SEND(b, XFR_BLOCK(b, 7), 0x00, QUICK, 0x00, 0x00, 0x03, 0x01, 0x02); /* a byte of the data is missing */
    assert_refused(b, ACTIVE, BAD_LENGTH);
    SEND(b, XFR_BLOCK(b, 8), 0x00, QUICK, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00); /* something is behind Le */
    assert_refused(b, ACTIVE, BAD_LENGTH);
    SEND(b, XFR_BLOCK(b, 7), 0x00, QUICK, 0x00, 0x00, 0x00, 0x00, 0x00); /* Le of three bytes */
    assert_refused(b, ACTIVE, BAD_LENGTH);
    assert_int_equal(fake_openpgp.begun, 0);
    assert_serves(b);
}

/* Without its data: those of the command before were overwritten by its answer. */
static void a_header_without_an_apdu_runs_the_one_before_once_more(void **state)
{
    static const uint8_t apdu[] = { 0x00, QUICK, 0x00, 0x00, 0x02, 0x01, 0x02 };
    struct bench *b = *state;
    power_on(b);
    send_message(b, 0x6f, 0, apdu, sizeof apdu);
    assert_extension(b, 1);
    assert_answer(b, 0);
    send_message(b, 0x6f, 0, NULL, 0);
    b->seq--; /* answered with the bSeq of the one before */
    assert_extension(b, 1);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.begun, 2);
    assert_int_equal(fake_openpgp.command_len, 4);
    assert_memory_equal(fake_openpgp.command, apdu, 4);
    b->seq++;
    assert_serves(b);
}

static void every_kind_of_short_apdu_is_taken(void **state)
{
    static const uint8_t apdu[] = { 0x00, QUICK, 0x00, 0x00, 0x02, 0x01, 0x02, 0x00 };
    static const size_t lengths[] = { 4, 5, 7, 8 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        send_message(b, 0x6f, 0, apdu, lengths[i]);
        assert_extension(b, 1);
        assert_answer(b, 0);
        assert_int_equal(fake_openpgp.command_len, lengths[i]);
        assert_memory_equal(fake_openpgp.command, apdu, lengths[i]);
    }
}

static void the_longest_message_has_271_bytes(void **state)
{
    uint8_t apdu[300] = { 0x00, QUICK, 0x00, 0x02, 0xff };
    struct bench *b = *state;
    power_on(b);
    send_message(b, 0x6f, 0, apdu, 261);
    assert_extension(b, 1);
    assert_answer(b, 2);
    send_message(b, 0x6f, 0, apdu, 262);
    assert_refused(b, ACTIVE, BAD_LENGTH);
    assert_serves(b);
}

static void a_level_parameter_is_refused(void **state)
{
    static const uint8_t apdu[] = { 0x00, QUICK, 0x00, 0x00 };
    static const uint16_t levels[] = { 0x0001, 0x0002, 0x0003, 0x0010, 0x0100 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        send_message(b, 0x6f, levels[i], apdu, sizeof apdu);
        assert_refused(b, ACTIVE, BAD_LEVEL);
    }
    assert_int_equal(fake_openpgp.begun, 0);
    assert_serves(b);
}

static void packets_shorter_than_a_header_add_up_to_one(void **state)
{
    const uint8_t get_slot_status[HEADER] = { 0x65 };
    struct bench *b = *state;
    assert_int_equal(out(b, get_slot_status, 0), HANDSHAKE_ACK);
    assert_int_equal(out(b, get_slot_status, 4), HANDSHAKE_ACK);
    assert_int_equal(out(b, get_slot_status, 0), HANDSHAKE_ACK);
    assert_nothing_to_read(b);
    assert_int_equal(out(b, get_slot_status + 4, HEADER - 4), HANDSHAKE_ACK);
    assert_status(b, INACTIVE);
    power_on(b);
}

static void an_empty_packet_behind_a_message_is_swallowed(void **state)
{
    uint8_t apdu[2 * PACKET - HEADER] = { 0x00, QUICK, 0x00, 0x00, 2 * PACKET - HEADER - 5 };
    struct bench *b = *state;
    power_on(b);
    send_message(b, 0x6f, 0, apdu, sizeof apdu); /* two packets, both full */
    assert_int_equal(out(b, apdu, 0), HANDSHAKE_NAK);
    assert_extension(b, 1);
    assert_answer(b, 0);
    assert_int_equal(fake_openpgp.command_len, sizeof apdu);
    assert_int_equal(out(b, apdu, 0), HANDSHAKE_ACK);
    assert_serves(b);
}

/* ---- the other endpoints ---- */

static void clock_and_data_rate_can_be_asked_for(void **state)
{
    static const uint8_t clock[] = { 0xa0, 0x0f, 0x00, 0x00 }, rate[] = { 0x80, 0x25, 0x00, 0x00 };
    struct setup setup = { 0xa1, 2, 0, 0, 4 };
    struct bench *b = *state;
    uint8_t data[4];
    size_t length;
    assert_int_equal(control(b, &setup, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 4);
    assert_memory_equal(data, clock, 4);
    setup.request = 3;
    assert_int_equal(control(b, &setup, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 4);
    assert_memory_equal(data, rate, 4);
    setup.length = 2;
    assert_int_equal(control(b, &setup, data, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 2);
    setup.index = 1; /* an interface that does not exist */
    assert_int_equal(control(b, &setup, data, &length), HANDSHAKE_STALL);
    setup = (struct setup){ 0xa1, 4, 0, 0, 4 };
    assert_int_equal(control(b, &setup, data, &length), HANDSHAKE_STALL);
}

static void presence_is_told_once_after_each_configuration(void **state)
{
    struct bench *b = *state;
    assert_presence(b, 0x03);
    assert_no_presence(b);
    set_configuration(b);
    assert_presence(b, 0x03);
    assert_no_presence(b);
    power_on(b);
    assert_serves(b);
    assert_no_presence(b);
}

enum { INSERT = 0, REMOVE = 1, TOGGLE = 2 };

static enum handshake card_change(struct bench *b, uint16_t how)
{
    return request(b, 0x40, 3, how);
}

static void card_change_takes_the_card_out_and_puts_it_in(void **state)
{
    struct bench *b = *state;
    assert_presence(b, 0x03);
    power_on(b);
    assert_int_equal(card_change(b, INSERT), HANDSHAKE_ACK); /* it is there */
    assert_no_presence(b);
    assert_serves(b);
    assert_int_equal(card_change(b, REMOVE), HANDSHAKE_ACK);
    assert_presence(b, 0x02);
    send_command(b, 0x65);
    assert_status(b, NO_CARD);
    send_command(b, 0x62);
    assert_refused(b, NO_CARD, UNSUPPORTED);
    send_command(b, 0x63);
    assert_refused(b, NO_CARD, UNSUPPORTED);
    assert_int_equal(card_change(b, REMOVE), HANDSHAKE_ACK); /* it is not */
    assert_no_presence(b);
    assert_int_equal(card_change(b, TOGGLE), HANDSHAKE_ACK);
    assert_presence(b, 0x03);
    send_command(b, 0x65);
    assert_status(b, INACTIVE);
    assert_int_equal(card_change(b, 3), HANDSHAKE_STALL);
}

/* Its answer is lost, and no command is taken any more. */
static void card_change_in_a_command_waits_for_its_end_and_leaves_the_key_deaf(void **state)
{
    static const uint8_t get_slot_status[HEADER] = { 0x65 };
    struct bench *b = *state;
    assert_presence(b, 0x03);
    power_on(b);
    send_apdu(b, QUICK, 8);
    assert_extension(b, 1);
    assert_int_equal(card_change(b, TOGGLE), HANDSHAKE_ACK);
    assert_no_presence(b);
    advance(b, 10 * MS);
    assert_presence(b, 0x02);
    advance(b, 100 * SECOND);
    assert_nothing_to_read(b);
    assert_int_equal(out(b, get_slot_status, HEADER), HANDSHAKE_NAK);
    assert_int_equal(card_change(b, TOGGLE), HANDSHAKE_ACK);
    assert_presence(b, 0x03);
    assert_int_equal(out(b, get_slot_status, HEADER), HANDSHAKE_NAK);
    set_configuration(b);
    assert_ended(b);
}

static void an_unread_answer_does_not_keep_the_card(void **state)
{
    struct bench *b = *state;
    assert_presence(b, 0x03);
    send_command(b, 0x65);
    assert_int_equal(card_change(b, REMOVE), HANDSHAKE_ACK);
    assert_presence(b, 0x02);
    assert_status(b, INACTIVE);
    send_command(b, 0x65);
    assert_status(b, NO_CARD);
}

static void the_atr_tells_that_the_card_is_terminated(void **state)
{
    struct bench *b = *state;
    fake_openpgp.terminated = true;
    send_command(b, 0x62);
    assert_message(b, DATA_BLOCK, sizeof ATR, ACTIVE, 0, 0);
    assert_int_equal(b->got[HEADER + sizeof ATR - 4], 0x03);
    assert_int_equal(b->got[HEADER + sizeof ATR - 1], 0xe7);
}

static void pin_entry_fails_without_a_pinpad(void **state)
{
    static const uint8_t verify[] = { 0x00, 0x00, 0x82 }, nonsense[] = { 0x02, 0x00, 0x82 };
    struct bench *b = *state;
    power_on(b);
    send_message(b, 0x69, 0, verify, sizeof verify);
    assert_extension(b, 1);
    assert_part(b, 0, 0x6f00);
    send_message(b, 0x69, 0, nonsense, sizeof nonsense);
    assert_refused(b, ACTIVE, 0x0a);
    assert_serves(b);
}

static void set_configuration_puts_the_card_in_again(void **state)
{
    struct bench *b = *state;
    assert_int_equal(card_change(b, REMOVE), HANDSHAKE_ACK);
    set_configuration(b);
    assert_presence(b, 0x03);
    assert_no_presence(b);
    power_on(b);
    send_apdu(b, QUICK, 8);
    assert_int_equal(card_change(b, REMOVE), HANDSHAKE_ACK); /* not yet done */
    set_configuration(b);
    assert_presence(b, 0x03);
    assert_no_presence(b);
    power_on(b);
}

/* ---- touch ---- */

static void send_untouched(struct bench *b, uint8_t ins, size_t n)
{
    fake_openpgp.untouched = true;
    send_apdu(b, ins, n);
}

static void touch(struct bench *b)
{
    icc_touch(b->icc, b->now_us);
    advance(b, 0);
}

static void a_touch_is_asked_for_at_once_and_then_each_1950_ms(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_untouched(b, FIVE_SECONDS, 8);
    assert_extension(b, 1); /* of every command */
    assert_extension(b, TOUCH_ME);
    assert_int_equal(b->now_us, begin_us);
    for (int64_t i = 1; i < 6; i++) {
        assert_extension(b, TOUCH_ME);
        assert_int_equal(b->now_us, begin_us + i * EXTENSION_US);
    }
}

static void a_touch_starts_the_work(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_untouched(b, FIVE_SECONDS, 8);
    assert_extension(b, 1);
    for (int i = 0; i < 5; i++)
        assert_extension(b, TOUCH_ME);
    advance(b, SECOND);
    touch(b);
    const int64_t touch_us = b->now_us;
    for (int i = 0; i < 3; i++)
        assert_extension(b, 1); /* the seventh is among them */
    assert_answer(b, 8);
    assert_int_equal(b->now_us, touch_us + 5 * SECOND);
    assert_int_equal(fake_openpgp.untouched_long, 0);
}

static void without_a_touch_it_gives_up_when_an_extension_is_due_for_the_seventh_time(void **state)
{
    struct bench *b = *state;
    power_on(b);
    for (unsigned times = 1; times <= 2; times++) {
        const int64_t begin_us = b->now_us;
        send_untouched(b, FIVE_SECONDS, 8);
        assert_extension(b, 1);
        for (int i = 0; i < 6; i++)
            assert_extension(b, TOUCH_ME);
        assert_int_equal(fake_openpgp.untouched_long, times - 1);
        assert_answer(b, 8);
        assert_int_equal(fake_openpgp.untouched_long, times);
        assert_int_equal(b->now_us, begin_us + 6 * EXTENSION_US);
    }
    assert_serves(b);
}

static void a_touch_nobody_waits_for_is_nothing(void **state)
{
    struct bench *b = *state;
    touch(b);
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, FIVE_SECONDS, 8);
    assert_extension(b, 1);
    advance(b, SECOND);
    touch(b);
    assert_extension(b, 1);
    assert_extension(b, 1);
    assert_answer(b, 8);
    assert_int_equal(b->now_us, begin_us + 5 * SECOND);
}

static void set_configuration_ends_the_wait_for_a_touch(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_untouched(b, FIVE_SECONDS, 8);
    assert_extension(b, 1);
    assert_extension(b, TOUCH_ME);
    set_configuration(b);
    touch(b);
    fake_openpgp.untouched = false;
    assert_ended(b);
}

/* ---- Gnuk before 1.2.14 ---- */

static void older_no_extension_comes_at_once(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 8);
    assert_answer(b, 8);
    const int64_t begin_us = b->now_us;
    send_apdu(b, FIVE_SECONDS, 8);
    assert_nothing_to_read(b);
    for (int64_t i = 1; i <= 2; i++) {
        assert_extension(b, 1);
        assert_int_equal(b->now_us, begin_us + i * EXTENSION_US);
    }
    assert_answer(b, 8);
    assert_int_equal(b->now_us, begin_us + 5 * SECOND);
}

static void older_a_touch_is_asked_for_at_once(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_untouched(b, FIVE_SECONDS, 8);
    assert_extension(b, TOUCH_ME);
    assert_int_equal(b->now_us, begin_us);
    assert_extension(b, TOUCH_ME);
    assert_int_equal(b->now_us, begin_us + EXTENSION_US);
    touch(b);
    assert_extension(b, 1);
    assert_extension(b, 1);
    assert_answer(b, 8);
}

/* ---- Gnuk of 2010 ---- */

#define PART (PACKET - HEADER)
enum { WHOLE = 0x00, BEGIN = 0x01, END = 0x02, CONTINUE = 0x03, MORE = 0x10 };

static void in_2010_extensions_came_each_1950_ms_and_said_0(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, FIVE_SECONDS, 8);
    for (int64_t i = 1; i <= 2; i++) {
        assert_extension(b, 0);
        assert_int_equal(b->now_us, begin_us + i * EXTENSION_US);
    }
    assert_answer(b, 8);
}

static void in_2010_an_answer_came_in_messages_of_one_packet(void **state)
{
    static const uint8_t chain[] = { BEGIN, CONTINUE, END };
    const size_t n = 2 * PART + 10, total = n + 2;
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, n);
    for (size_t i = 0; i < sizeof chain; i++) {
        const size_t from = i * PART, length = total - from < PART ? total - from : PART;
        assert_message(b, DATA_BLOCK, length, ACTIVE, 0, chain[i]);
        for (size_t j = 0; j < length; j++)
            assert_int_equal(b->got[HEADER + j], from + j < n ? from + j : from + j == n ? 0x90 : 0x00);
        if (chain[i] != END)
            send_message(b, 0x6f, MORE, NULL, 0);
    }
    assert_nothing_to_read(b);
}

static void in_2010_a_command_came_in_messages_of_one_packet(void **state)
{
    uint8_t apdu[2 * PART + 3] = { 0x00, QUICK, 0x00, 0x04, 2 * PART - 2 };
    struct bench *b = *state;
    power_on(b);
    for (size_t from = 0; from < sizeof apdu; from += PART) {
        const size_t left = sizeof apdu - from;
        const bool last = left <= PART;
        if (from > 0)
            assert_message(b, DATA_BLOCK, 0, ACTIVE, 0, MORE);
        send_message(b, 0x6f, from == 0 ? BEGIN : last ? END : CONTINUE, apdu + from, last ? left : PART);
    }
    assert_answer(b, 4);
    assert_int_equal(fake_openpgp.command_len, sizeof apdu);
    assert_memory_equal(fake_openpgp.command, apdu, sizeof apdu);
}

static void in_2010_it_heard_and_refused_commands_at_work(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS, 8);
    send_command(b, 0x65);
    assert_status(b, ACTIVE);
    send_apdu(b, QUICK, 8);
    assert_refused(b, ACTIVE, UNSUPPORTED);
    assert_int_equal(fake_openpgp.begun, 1);
}

static void in_2010_what_it_heard_at_work_put_off_the_extension(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS, 8);
    advance(b, SECOND);
    send_command(b, 0x65);
    assert_status(b, ACTIVE);
    const int64_t heard_us = b->now_us;
    assert_extension(b, 0);
    assert_int_equal(b->now_us, heard_us + EXTENSION_US);
}

static void in_2010_a_message_that_was_refused_ended_a_chain(void **state)
{
    struct bench *b = *state;
    const uint8_t part[PART] = { 0x00, QUICK, 0x00, 0x04 };
    power_on(b);
    for (unsigned i = 0; i < 2; i++) {
        send_message(b, 0x6f, BEGIN, part, sizeof part);
        assert_message(b, DATA_BLOCK, 0, ACTIVE, 0, MORE);
        send_command(b, i == 0 ? 0x72 : 0x62);
        assert_refused(b, ACTIVE, UNSUPPORTED);
        send_apdu(b, QUICK, 8);
        assert_answer(b, 8);
    }
    send_apdu(b, QUICK, 2 * PART);
    assert_message(b, DATA_BLOCK, PART, ACTIVE, 0, BEGIN);
    send_command(b, 0x72);
    assert_refused(b, ACTIVE, UNSUPPORTED);
    send_apdu(b, QUICK, 8);
    assert_answer(b, 8);
}

static void in_2010_a_part_that_was_refused_for_its_level_was_taken_all_the_same(void **state)
{
    struct bench *b = *state;
    const uint8_t apdu[8] = { 0x00, QUICK, 0x00, 0x04, 0x03, 'a', 'b', 'c' };
    power_on(b);
    send_message(b, 0x6f, BEGIN, apdu, 5);
    assert_message(b, DATA_BLOCK, 0, ACTIVE, 0, MORE);
    send_message(b, 0x6f, WHOLE, apdu + 5, 1);
    assert_refused(b, ACTIVE, BAD_LEVEL);
    send_message(b, 0x6f, END, apdu + 6, 2);
    assert_answer(b, 4);
    assert_int_equal(fake_openpgp.command_len, sizeof apdu);
    assert_memory_equal(fake_openpgp.command, apdu, sizeof apdu);
}

static void in_2010_power_off_did_not_end_a_command_and_the_next_one_got_its_answer(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS, 8);
    send_command(b, 0x63);
    assert_status(b, ACTIVE); /* as it was when it heard that */
    power_on(b);
    advance(b, 4 * SECOND);
    send_apdu(b, QUICK, 20);
    assert_answer(b, 8);
    advance(b, SECOND);
    assert_nothing_to_read(b);
    assert_int_equal(fake_openpgp.begun, 2);
}

static void in_2010_a_bus_reset_ended_nothing_but_an_unread_packet_and_then_it_was_mute(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS, 8);
    device_reset(b->device);
    set_configuration(b);
    assert_extension(b, 0);
    advance(b, 5 * SECOND);
    device_reset(b->device);
    set_configuration(b);
    send_command(b, 0x65);
    assert_nothing_to_read(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_OLDER(name) cmocka_unit_test_setup_teardown(name, set_up_older, tear_down)
#define TEST_2010(name) cmocka_unit_test_setup_teardown(name, set_up_2010, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_on_gives_the_atr),
        TEST(power_on_of_an_active_card_leaves_it_as_it_is),
        TEST(power_off_ends_the_application),
        TEST(the_slot_status_tells_whether_the_card_is_active),
        TEST(before_power_on_all_else_is_refused),
        TEST(what_it_does_not_know_is_refused),
        TEST(parameters_are_those_of_t_1_whatever_is_set),
        TEST(the_slot_of_a_command_does_not_matter),
        TEST(an_extension_comes_at_once_and_then_each_1950_ms),
        TEST(extensions_have_no_end),
        TEST(the_next_extension_comes_1950_ms_after_one_was_read),
        TEST(the_answer_waits_behind_an_extension),
        TEST(the_next_command_is_not_taken_before_the_answer_is_read),
        TEST(parts_of_a_chain_need_no_extension_and_reach_the_application_as_one),
        TEST(a_chain_stays_open_until_another_command_comes),
        TEST(a_chain_of_more_than_540_bytes_is_refused_and_forgotten),
        TEST(an_answer_longer_than_le_is_fetched_in_parts),
        TEST(an_answer_that_fills_one_packet_has_no_empty_one_behind_it),
        TEST(a_longer_answer_that_fills_its_packets_has_an_empty_one_behind_it),
        TEST(set_configuration_ends_a_command_and_tells_presence),
        TEST(verified_pins_survive_set_configuration_until_a_new_application_has_ended),
        TEST(set_configuration_takes_an_unread_answer_away),
        TEST(set_configuration_forgets_half_a_message),
        TEST(a_bus_reset_ends_a_command),
        TEST(set_interface_ends_a_command_too),
        TEST(unplugging_ends_everything),
        TEST(abort_stalls_and_ends_nothing),
        TEST(a_message_of_another_length_than_it_says_is_refused),
        TEST(the_length_is_looked_at_before_the_state),
        TEST(what_is_no_short_apdu_is_refused),
        TEST(a_header_without_an_apdu_runs_the_one_before_once_more),
        TEST(every_kind_of_short_apdu_is_taken),
        TEST(the_longest_message_has_271_bytes),
        TEST(a_level_parameter_is_refused),
        TEST(packets_shorter_than_a_header_add_up_to_one),
        TEST(an_empty_packet_behind_a_message_is_swallowed),
        TEST(clock_and_data_rate_can_be_asked_for),
        TEST(presence_is_told_once_after_each_configuration),
        TEST(card_change_takes_the_card_out_and_puts_it_in),
        TEST(card_change_in_a_command_waits_for_its_end_and_leaves_the_key_deaf),
        TEST(an_unread_answer_does_not_keep_the_card),
        TEST(the_atr_tells_that_the_card_is_terminated),
        TEST(pin_entry_fails_without_a_pinpad),
        TEST(set_configuration_puts_the_card_in_again),
        TEST(a_touch_is_asked_for_at_once_and_then_each_1950_ms),
        TEST(a_touch_starts_the_work),
        TEST(without_a_touch_it_gives_up_when_an_extension_is_due_for_the_seventh_time),
        TEST(a_touch_nobody_waits_for_is_nothing),
        TEST(set_configuration_ends_the_wait_for_a_touch),
        TEST_OLDER(older_no_extension_comes_at_once),
        TEST_OLDER(older_a_touch_is_asked_for_at_once),
        TEST_2010(in_2010_extensions_came_each_1950_ms_and_said_0),
        TEST_2010(in_2010_an_answer_came_in_messages_of_one_packet),
        TEST_2010(in_2010_a_command_came_in_messages_of_one_packet),
        TEST_2010(in_2010_it_heard_and_refused_commands_at_work),
        TEST_2010(in_2010_what_it_heard_at_work_put_off_the_extension),
        TEST_2010(in_2010_a_message_that_was_refused_ended_a_chain),
        TEST_2010(in_2010_a_part_that_was_refused_for_its_level_was_taken_all_the_same),
        TEST_2010(in_2010_power_off_did_not_end_a_command_and_the_next_one_got_its_answer),
        TEST_2010(in_2010_a_bus_reset_ended_nothing_but_an_unread_packet_and_then_it_was_mute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
