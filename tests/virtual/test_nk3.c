/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_nk3.c - the firmware of Nitrokey 3 and Passkey, packet by packet, with an application that obeys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "device.h"
#include "fake_openpgp.h"
#include "icc.h"
#include "identity.h"
#include "nk3.h"

#define OUT 0x01
#define IN 0x81
#define HEADER 10
#define PACKET 64
#define PART 54 /* data bytes in a message of 64 */
#define LONGEST_MESSAGE 3072
#define MS INT64_C(1000)
#define SECOND (1000 * MS)

/* ---- the key: CCID without an interrupt endpoint, CTAPHID ---- */

static const uint8_t CONFIGURATION[] = {
    0x09, 0x02, 0x76, 0x00, 0x02, 0x01, 0x00, 0x80, 0x32,
    0x09, 0x04, 0x00, 0x00, 0x02, 0x0b, 0x00, 0x00, 0x04,
    0x36, 0x21, 0x10, 0x01, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0xfc, 0x0d, 0x00, 0x00, 0xfc, 0x0d, 0x00, 0x00,
    0x00, 0x80, 0x25, 0x00, 0x00, 0x80, 0x25, 0x00, 0x00, 0x00, 0xfe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x40, 0x08, 0x04, 0x00, 0x00, 0x0c, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
    0x07, 0x05, 0x81, 0x02, 0x40, 0x00, 0x00,
    0x07, 0x05, 0x01, 0x02, 0x40, 0x00, 0x00,
    0x09, 0x04, 0x01, 0x00, 0x02, 0x03, 0x00, 0x00, 0x00,
    0x09, 0x21, 0x11, 0x01, 0x00, 0x01, 0x22, 0x22, 0x00,
    0x07, 0x05, 0x02, 0x03, 0x40, 0x00, 0x05,
    0x07, 0x05, 0x82, 0x03, 0x40, 0x00, 0x05,
};
static uint8_t device_descriptor[18] = { 0x12, 0x01, 0x10, 0x02, 0xef, 0x02, 0x01, 0x40, 0xa0, 0x20,
                                         0xb2, 0x42, 0x08, 0x01, 0x01, 0x02, 0x00, 0x01 };
static const uint8_t ATR[] = { 0x3b, 0x8f, 0x01, 0x80, 0x5d, 0x4e, 0x69, 0x74, 0x72, 0x6f,
                               0x6b, 0x65, 0x79, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6a };

static const struct identity NK3 = {
    .firmware = "nk3", .name = "nk3", .device = device_descriptor, .configuration = CONFIGURATION,
    .configuration_len = sizeof CONFIGURATION,
    .strings = { NULL, "Nitrokey", "Nitrokey 3", NULL, "CCID/ICCD Interface" }, .bulk_out = OUT, .bulk_in = IN,
    .atr = ATR, .atr_len = sizeof ATR,
};

/* Commands of the application, see fake_openpgp.h: what they are called is how long they take. */
enum { QUICK = 0x01, THREE_SECONDS_AND_A_HALF = 0x2a, FIVE_SECONDS_AND_A_HALF = 0x47 };

static const struct icc_options CARD = {
    .atr = ATR, .atr_len = sizeof ATR, .other = { .work_us = 10 * MS }, .sign = { .work_us = 3500 * MS },
    .generate = { { .work_us = 5500 * MS } }, .generate_count = 1,
};

struct bench {
    struct icc *icc;
    struct device *device;
    int64_t now_us;
    uint8_t seq;                      /* of the message sent last */
    uint8_t got[DEVICE_PACKET_MAX];   /* the packet read last */
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

static enum handshake control(struct bench *b, uint8_t type, uint8_t request, uint16_t value, uint8_t data[4],
                              size_t *length)
{
    const struct setup setup = { type, request, value, 0, (uint16_t)*length };
    return device_control(b->device, &setup, data, length);
}

static enum handshake set_configuration(struct bench *b)
{
    uint8_t none[4];
    size_t length = 0;
    const enum handshake answer = control(b, 0x00, 9, 1, none, &length);
    advance(b, 0);
    return answer;
}

static void plug(struct bench *b)
{
    device_power(b->device, true);
    device_reset(b->device);
    assert_int_equal(set_configuration(b), HANDSHAKE_ACK);
}

static int set_up_version(void **state, uint8_t minor)
{
    static struct bench bench;
    device_descriptor[12] = minor;
    bench = (struct bench){ .icc = icc_new(&CARD), .now_us = SECOND };
    assert_non_null(bench.icc);
    bench.device = nk3_new(&NK3, bench.icc);
    assert_non_null(bench.device);
    device_advance(bench.device, bench.now_us);
    plug(&bench);
    *state = &bench;
    return 0;
}

static int set_up(void **state)
{
    return set_up_version(state, 8);
}

static int set_up_1_5(void **state)
{
    return set_up_version(state, 5);
}

static int set_up_before_1_3(void **state)
{
    return set_up_version(state, 2);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    device_free(b->device);
    icc_free(b->icc);
    return 0;
}

/* ---- the host ---- */

/* wLevelParameter of a command and bChainParameter of an answer, CCID 1.1 §6.1.4 and §6.2.1. */
enum { WHOLE = 0x00, BEGIN = 0x01, END = 0x02, CONTINUE = 0x03, GO_ON = 0x10 };

static enum handshake out(struct bench *b, const uint8_t *packet, size_t length)
{
    const enum handshake answer = device_out(b->device, OUT, packet, length);
    advance(b, 0);
    return answer;
}

/* Sends a message with the next bSeq, in packets, none of them empty; xyz: the last three bytes of the header. */
static void send_message(struct bench *b, uint8_t type, const uint8_t xyz[3], const uint8_t *data, size_t length)
{
    uint8_t message[HEADER + APPLICATION_COMMAND_MAX] = { type, (uint8_t)length, (uint8_t)(length >> 8), 0, 0, 0, ++b->seq,
                                                      xyz[0], xyz[1], xyz[2] };
    assert_true(HEADER + length <= sizeof message);
    if (length > 0)
        memcpy(message + HEADER, data, length);
    for (size_t sent = 0; sent < HEADER + length; sent += PACKET) {
        const size_t left = HEADER + length - sent;
        assert_int_equal(out(b, message + sent, left < PACKET ? left : PACKET), HANDSHAKE_ACK);
    }
}

static void send_command(struct bench *b, uint8_t type)
{
    const uint8_t zeros[3] = { 0 };
    send_message(b, type, zeros, NULL, 0);
}

static void send_block(struct bench *b, uint16_t level, const uint8_t *data, size_t length)
{
    const uint8_t xyz[3] = { 0, (uint8_t)level, (uint8_t)(level >> 8) };
    send_message(b, 0x6f, xyz, data, length);
}

/* A command that is answered with n bytes and 9000. */
static void send_apdu(struct bench *b, uint8_t ins, size_t n)
{
    const uint8_t apdu[] = { 0x00, ins, (uint8_t)(n >> 8), (uint8_t)n, 0x00, 0x00, 0x00 };
    send_block(b, WHOLE, apdu, sizeof apdu);
}

static enum handshake in(struct bench *b, size_t *length)
{
    const enum handshake answer = device_in(b->device, IN, b->got, length);
    advance(b, 0);
    return answer;
}

/* Lets the clock jump from event to event until there is a packet in b->got; returns its length. */
static size_t read_packet(struct bench *b)
{
    size_t length;
    enum handshake answer;
    while ((answer = in(b, &length)) == HANDSHAKE_NAK) {
        const int64_t next = device_next_us(b->device);
        assert_true(next > b->now_us && next != DEVICE_NEVER);
        advance(b, next - b->now_us);
    }
    assert_int_equal(answer, HANDSHAKE_ACK);
    return length;
}

/* A message with this header comes; a full one has an empty packet behind it, which ends the host's transfer. */
static void assert_message(struct bench *b, uint8_t type, size_t length, uint8_t status, uint8_t error, uint8_t last)
{
    const uint8_t head[HEADER] = { type, (uint8_t)length, 0, 0, 0, 0, b->seq, status, error, last };
    assert_int_equal(read_packet(b), HEADER + length);
    assert_memory_equal(b->got, head, HEADER);
    if (HEADER + length == PACKET) {
        uint8_t empty[DEVICE_PACKET_MAX];
        size_t left;
        assert_int_equal(device_in(b->device, IN, empty, &left), HANDSHAKE_ACK);
        assert_int_equal(left, 0);
        advance(b, 0);
    }
}

static void assert_extension(struct bench *b)
{
    assert_message(b, 0x80, 0, 0x80, 0x01, 0x00);
}

/* One part of the answer to send_apdu(..., n): status word included, what comes after the first `from` bytes. */
static size_t assert_part(struct bench *b, size_t n, size_t from)
{
    const size_t left = n + 2 - from, length = left < PART ? left : PART;
    const uint8_t chain = from == 0 ? (length == left ? WHOLE : BEGIN) : (length == left ? END : CONTINUE);
    assert_message(b, 0x80, length, 0x00, 0x00, chain);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(b->got[HEADER + i], from + i < n ? (uint8_t)(from + i) : from + i == n ? 0x90 : 0x00);
    return length;
}

/* The whole answer to send_apdu(..., n), the host asking for one part after the other. */
static void assert_answered(struct bench *b, size_t n)
{
    size_t got = assert_part(b, n, 0);
    while (got < n + 2) {
        send_block(b, GO_ON, NULL, 0);
        got += assert_part(b, n, got);
    }
}

static void assert_nothing_yet(struct bench *b)
{
    size_t length;
    assert_int_equal(in(b, &length), HANDSHAKE_NAK);
}

/* Nothing is said for so long. */
static void assert_silent(struct bench *b, int64_t us)
{
    const int64_t until_us = b->now_us + us;
    assert_nothing_yet(b);
    while (b->now_us < until_us) {
        advance(b, 100 * MS);
        assert_nothing_yet(b);
    }
}

/* Nothing is said, and the next command finds the key idle. */
static void assert_silent_and_idle(struct bench *b)
{
    const unsigned begun = fake_openpgp.begun;
    assert_silent(b, 10 * SECOND);
    assert_int_equal(fake_openpgp.begun, begun);
    send_apdu(b, QUICK, 7);
    assert_answered(b, 7);
    assert_int_equal(fake_openpgp.begun, begun + 1);
}

static void power_on(struct bench *b)
{
    send_command(b, 0x62);
    assert_message(b, 0x80, sizeof ATR, 0x00, 0x00, 0x00);
    assert_memory_equal(b->got + HEADER, ATR, sizeof ATR);
}

/* An answer without data; its ninth byte means nothing here. */
static void assert_status(struct bench *b, uint8_t type, uint8_t status, uint8_t error)
{
    const uint8_t head[HEADER - 1] = { type, 0, 0, 0, 0, 0, b->seq, status, error };
    assert_int_equal(read_packet(b), HEADER);
    assert_memory_equal(b->got, head, sizeof head);
}

/* The task that calls the applications is no more: XfrBlocks are heard, and all else is answered, until replug. */
static void assert_task_is_dead(struct bench *b)
{
    const unsigned begun = fake_openpgp.begun;
    for (unsigned i = 0; i < 2; i++) {
        send_apdu(b, QUICK, 7);
        assert_silent(b, 10 * SECOND);
        send_command(b, 0x65);
        assert_status(b, 0x81, 0x00, 0x00);
        power_on(b);
        send_command(b, 0x6b);
        assert_status(b, 0x6c, 0x40, 0x00);
        device_reset(b->device);
        (void)set_configuration(b);
    }
    assert_int_equal(fake_openpgp.begun, begun);
    device_power(b->device, false);
    plug(b);
    power_on(b);
    assert_silent_and_idle(b);
}

/* ---- the table of messages ---- */

static void power_on_gives_the_atr_and_resets_the_card_of_a_fresh_key_once(void **state)
{
    struct bench *b = *state;
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1);
    const unsigned resets = fake_openpgp.resets;
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1);
    assert_int_equal(fake_openpgp.resets, resets);
}

static void power_off_says_yes_and_does_nothing(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const unsigned resets = fake_openpgp.resets;
    send_command(b, 0x63);
    assert_status(b, 0x81, 0x00, 0x00);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 1);
    assert_int_equal(fake_openpgp.resets, resets);
}

static void the_slot_is_always_active(void **state)
{
    struct bench *b = *state;
    send_command(b, 0x65);
    assert_status(b, 0x81, 0x00, 0x00);
    power_on(b);
    send_command(b, 0x65);
    assert_status(b, 0x81, 0x00, 0x00);
    send_command(b, 0x63);
    assert_status(b, 0x81, 0x00, 0x00);
    send_command(b, 0x65);
    assert_status(b, 0x81, 0x00, 0x00);
}

static void get_parameters_gives_those_of_t_1(void **state)
{
    static const uint8_t parameters[] = { 0x11, 0x10, 0x00, 0x15, 0x00, 0xfe, 0x00 };
    struct bench *b = *state;
    send_command(b, 0x6c);
    assert_message(b, 0x82, sizeof parameters, 0x00, 0x00, 0x01);
    assert_memory_equal(b->got + HEADER, parameters, sizeof parameters);
}

static void what_it_does_not_know_is_refused_as_if_it_were_get_parameters(void **state)
{
    static const uint8_t types[] = { 0x61, 0x6d, 0x6b, 0x7e, 0x69, 0x6a, 0x71, 0x73, 0x55 };
    static const uint8_t zeros[8] = { 0 };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof types; i++) {
        send_command(b, types[i]);
        assert_status(b, 0x6c, 0x40, 0x00);
        send_message(b, types[i], zeros, zeros, sizeof zeros);
        assert_status(b, 0x6c, 0x40, 0x00);
    }
}

static void bseq_is_echoed_whatever_it_is(void **state)
{
    struct bench *b = *state;
    b->seq = 0xfe;
    send_command(b, 0x65);
    assert_status(b, 0x81, 0x00, 0x00);
    assert_int_equal(b->got[6], 0xff);
    send_command(b, 0x6b);
    assert_status(b, 0x6c, 0x40, 0x00);
    assert_int_equal(b->got[6], 0x00);
}

/* ---- answers in parts ---- */

static void a_short_answer_comes_whole(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 0);
    assert_answered(b, 0);
    send_apdu(b, QUICK, 51);
    assert_answered(b, 51);
    send_apdu(b, QUICK, 52);
    assert_answered(b, 52);
    assert_silent_and_idle(b);
}

static void a_longer_answer_comes_in_parts_of_54_bytes(void **state)
{
    static const size_t lengths[] = { 53, 105, 106, 107, 160, 161, 254, 3070 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        send_apdu(b, QUICK, lengths[i]);
        assert_answered(b, lengths[i]);
    }
    assert_silent_and_idle(b);
}

/* Reads an answer to its end; returns its length, and its last two bytes in *status. */
static size_t read_answer(struct bench *b, unsigned *status)
{
    size_t total = 0;
    uint8_t chain = CONTINUE;
    while (chain == BEGIN || chain == CONTINUE) {
        const size_t length = read_packet(b) - HEADER;
        assert_int_equal(b->got[0], 0x80);
        chain = b->got[9];
        *status = (unsigned)(b->got[HEADER + length - 2] << 8 | b->got[HEADER + length - 1]);
        total += length;
        size_t left;
        if (length == PART) {
            assert_int_equal(in(b, &left), HANDSHAKE_ACK);
            assert_int_equal(left, 0);
        }
        if (chain == BEGIN || chain == CONTINUE)
            send_block(b, GO_ON, NULL, 0);
    }
    return total;
}

static void more_than_was_asked_for_or_than_3070_bytes_waits_for_get_response(void **state)
{
    static const uint8_t no_le[] = { 0x00, QUICK, 0x00, 0x05 }, five[] = { 0x00, 0xc0, 0x00, 0x00, 0x05 };
    static const uint8_t all[] = { 0x00, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00 };
    unsigned status;
    struct bench *b = *state;
    power_on(b);
    send_block(b, WHOLE, no_le, sizeof no_le);
    assert_int_equal(read_answer(b, &status), 2);
    assert_int_equal(status, 0x6105);
    send_block(b, WHOLE, five, sizeof five);
    assert_answered(b, 5);
    send_apdu(b, QUICK, 3500);
    assert_int_equal(read_answer(b, &status), 3072);
    assert_int_equal(status, 0x6100);
    send_block(b, WHOLE, all, sizeof all);
    assert_int_equal(read_answer(b, &status), 432);
    assert_int_equal(status, 0x9000);
    assert_silent_and_idle(b);
}

static void what_is_no_apdu_is_refused_before_the_application_hears_of_it(void **state)
{
    static const struct {
        uint8_t length, apdu[9];
    } none[] = {
        { 0, { 0 } }, { 3, { 0x00, QUICK, 0x00 } }, { 4, { 0xff, QUICK, 0x00, 0x05 } },
        { 6, { 0x00, QUICK, 0x00, 0x05, 0x00, 0x00 } }, { 6, { 0x00, QUICK, 0x00, 0x05, 0x09, 0x01 } },
        { 9, { 0x00, QUICK, 0x00, 0x05, 0x01, 0x01, 0x02, 0x03, 0x04 } },
        { 8, { 0x00, QUICK, 0x00, 0x05, 0x00, 0x00, 0x02, 0x01 } },
    };
    struct bench *b = *state;
    power_on(b);
    const unsigned begun = fake_openpgp.begun;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        send_block(b, WHOLE, none[i].apdu, none[i].length);
        assert_message(b, 0x80, 2, 0x00, 0x00, WHOLE);
        assert_memory_equal(b->got + HEADER, "\x6f\x00", 2);
    }
    assert_int_equal(fake_openpgp.begun, begun);
    assert_silent_and_idle(b);
}

static void the_next_part_comes_only_when_it_is_asked_for(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 200);
    const size_t got = assert_part(b, 200, 0);
    assert_silent(b, 100 * SECOND);
    send_block(b, GO_ON, NULL, 0);
    (void)assert_part(b, 200, got);
    assert_silent(b, 100 * SECOND);
}

static void a_command_instead_of_the_next_part_ends_the_exchange_without_a_word(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 200);
    (void)assert_part(b, 200, 0);
    send_apdu(b, QUICK, 3);
    assert_silent(b, SECOND);
    send_block(b, GO_ON, NULL, 0);
    assert_silent_and_idle(b);
}

/* ---- long commands ---- */

/* A command of at least 20 bytes, with extended lengths, that is answered with 5 bytes and 9000. */
static const uint8_t *long_command(size_t length)
{
    static uint8_t command[APPLICATION_COMMAND_MAX];
    const size_t lc = length - 9;
    const uint8_t head[] = { 0x00, QUICK, 0x00, 0x05, 0x00, (uint8_t)(lc >> 8), (uint8_t)lc };
    assert_in_range(length, 20, sizeof command);
    for (size_t i = 0; i < length; i++)
        command[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(command, head, sizeof head);
    memset(command + length - 2, 0, 2); /* Le */
    return command;
}

static void assert_executed(struct bench *b, const uint8_t *command, size_t length)
{
    assert_answered(b, 5);
    assert_int_equal(fake_openpgp.command_len, length);
    assert_memory_equal(fake_openpgp.command, command, length);
}

static void a_command_may_fill_a_message_of_3072_bytes(void **state)
{
    static const size_t lengths[] = { 53, 54, 55, 117, 118, 119, 261, 3061, LONGEST_MESSAGE - HEADER };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) { /* 54, 118, 3062: the last packet is full */
        const uint8_t *const command = long_command(lengths[i]);
        send_block(b, WHOLE, command, lengths[i]);
        assert_executed(b, command, lengths[i]);
    }
}

static void a_longer_message_is_dropped_without_a_word(void **state)
{
    uint8_t data[LONGEST_MESSAGE - HEADER + 1]; /* all FFh: no packet of them can pass for a message either */
    struct bench *b = *state;
    power_on(b);
    const unsigned begun = fake_openpgp.begun;
    memset(data, 0xff, sizeof data);
    send_block(b, WHOLE, data, sizeof data);
    assert_silent(b, 10 * SECOND);
    assert_int_equal(fake_openpgp.begun, begun);
}

static void a_length_is_looked_at_with_all_its_four_bytes(void **state)
{
    static const uint8_t headers[][HEADER] = { { 0x65, 0xf7, 0x0b }, { 0x65, 0, 0, 0x01 }, { 0x65, 0, 0, 0, 0x01 } };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        assert_int_equal(out(b, headers[i], HEADER), HANDSHAKE_ACK);
        assert_silent(b, 10 * SECOND);
        device_power(b->device, false); /* how it goes on after a message that was not finished is not known */
        plug(b);
    }
}

static void assert_acknowledged(struct bench *b)
{
    assert_message(b, 0x80, 0, 0x00, 0x00, GO_ON);
}

static void a_command_comes_in_two_parts_and_the_first_is_acknowledged(void **state)
{
    struct bench *b = *state;
    const uint8_t *const command = long_command(20);
    power_on(b);
    send_block(b, BEGIN, command, 12);
    assert_acknowledged(b);
    assert_silent(b, 100 * SECOND);
    send_block(b, END, command + 12, 8);
    assert_executed(b, command, 20);
}

static void a_command_in_parts_may_have_3072_bytes(void **state)
{
    const size_t part = 1000, total = LONGEST_MESSAGE;
    struct bench *b = *state;
    const uint8_t *const command = long_command(total);
    power_on(b);
    send_block(b, BEGIN, command, part);
    assert_acknowledged(b);
    for (size_t sent = part; sent < 3 * part; sent += part) {
        send_block(b, CONTINUE, command + sent, part);
        assert_acknowledged(b);
    }
    send_block(b, END, command + 3 * part, total - 3 * part);
    assert_executed(b, command, total);
}

static void the_part_that_makes_it_longer_loses_it_without_a_word(void **state)
{
    static const uint16_t levels[] = { CONTINUE, END };
    const size_t most = LONGEST_MESSAGE - HEADER;
    struct bench *b = *state;
    const uint8_t *const command = long_command(LONGEST_MESSAGE + 1);
    power_on(b);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        const unsigned begun = fake_openpgp.begun;
        send_block(b, BEGIN, command, most);
        assert_acknowledged(b);
        send_block(b, levels[i], command + most, LONGEST_MESSAGE + 1 - most);
        assert_int_equal(fake_openpgp.begun, begun);
        assert_silent_and_idle(b);
    }
}

static void a_command_in_parts_may_be_answered_in_parts(void **state)
{
    const uint8_t command[] = { 0x00, QUICK, 0x01, 0x2c, 0x00, 0x00, 0x00 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof command - 1; i++) {
        send_block(b, i == 0 ? BEGIN : CONTINUE, command + i, 1);
        assert_acknowledged(b);
    }
    send_block(b, END, command + 6, 1);
    assert_answered(b, 300);
}

/* ---- time ---- */

static void an_extension_comes_after_a_second_and_then_each_second(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    for (int64_t second = 1; second <= 3; second++) {
        assert_nothing_yet(b);
        advance(b, begin_us + second * SECOND - 1 - b->now_us);
        assert_nothing_yet(b);
        assert_extension(b);
        assert_int_equal(b->now_us, begin_us + second * SECOND);
    }
    assert_answered(b, 9);
    assert_int_equal(b->now_us, begin_us + 3500 * MS);
    assert_silent_and_idle(b);
}

static void the_timer_of_the_extensions_runs_on_from_the_command_before(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, QUICK, 9);
    assert_answered(b, 9);
    advance(b, begin_us + 700 * MS - b->now_us);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    for (int64_t second = 1; second <= 4; second++) {
        assert_extension(b);
        assert_int_equal(b->now_us, begin_us + second * SECOND);
    }
    assert_answered(b, 9);
    assert_int_equal(b->now_us, begin_us + 4200 * MS);
}

static void answers_bear_the_bseq_of_the_message_heard_last(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    assert_extension(b);
    advance(b, 500 * MS);
    send_command(b, 0x65); /* b->seq is its own from now on */
    assert_status(b, 0x81, 0x00, 0x00);
    assert_extension(b);
    assert_extension(b);
    assert_answered(b, 9);
    assert_silent_and_idle(b);
}

static void an_extension_read_late_does_not_delay_the_next(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    advance(b, 1900 * MS);
    assert_extension(b);
    assert_nothing_yet(b);
    assert_extension(b);
    assert_int_equal(b->now_us, begin_us + 2 * SECOND);
}

static void extensions_have_no_end(void **state)
{
    const struct icc_timing half_an_hour = { .work_us = 1800 * SECOND + 500 * MS };
    struct bench *b = *state;
    power_on(b);
    icc_set_generate(b->icc, &half_an_hour, 1);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 300);
    for (unsigned second = 0; second < 1800; second++)
        assert_extension(b);
    assert_answered(b, 300);
}

static void a_quick_answer_needs_no_extension(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 9);
    advance(b, 10 * SECOND);
    assert_answered(b, 9);
}

static void an_answer_waits_behind_one_unread_extension(void **state)
{
    const struct icc_timing short_work = { .work_us = 1500 * MS };
    struct bench *b = *state;
    power_on(b);
    icc_set_generate(b->icc, &short_work, 1);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 9);
    advance(b, 60 * SECOND);
    assert_extension(b);
    assert_answered(b, 9);
}

static void the_third_unread_extension_costs_the_answer(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 9);
    advance(b, 3 * SECOND);
    assert_extension(b); /* in the endpoint */
    assert_extension(b); /* in the outbox */
    assert_silent_and_idle(b);
}

static void two_unread_extensions_cost_nothing(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 9);
    advance(b, 3 * SECOND - 1);
    for (unsigned second = 1; second <= 5; second++)
        assert_extension(b);
    assert_answered(b, 9);
}

static void an_answer_that_finds_the_outbox_full_is_lost(void **state)
{
    const struct icc_timing two_seconds_and_a_half = { .work_us = 2500 * MS };
    struct bench *b = *state;
    power_on(b);
    icc_set_generate(b->icc, &two_seconds_and_a_half, 1);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 9);
    advance(b, 60 * SECOND);
    assert_extension(b); /* in the endpoint; the other one went with the answer */
    assert_silent_and_idle(b);
}

static void after_unread_extensions_a_command_kills_while_the_application_works_on(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 9);
    advance(b, 3 * SECOND);
    assert_extension(b);
    assert_extension(b);
    send_apdu(b, QUICK, 3);
    assert_task_is_dead(b);
}

static void waiting_for_a_touch_is_work_like_any_other(void **state)
{
    struct bench *b = *state;
    power_on(b);
    fake_openpgp.untouched = true;
    send_apdu(b, QUICK, 9);
    for (unsigned second = 1; second <= 4; second++)
        assert_extension(b);
    advance(b, 500 * MS);
    assert_nothing_yet(b);
    icc_touch(b->icc, b->now_us);
    assert_answered(b, 9);
}

static void nobody_touches_it_for_15_s_and_it_answers(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const int64_t begin_us = b->now_us;
    fake_openpgp.untouched = true;
    send_apdu(b, QUICK, 9);
    for (unsigned second = 1; second <= 14; second++)
        assert_extension(b);
    advance(b, SECOND - 1);
    assert_true(icc_waits_for_touch(b->icc));
    while (read_packet(b) == HEADER)
        continue; /* an extension of the same moment, perhaps */
    assert_int_equal(b->now_us, begin_us + 15 * SECOND);
    assert_int_equal(b->got[7], 0x00);
    assert_silent_and_idle(b);
}

/* ---- what ends an exchange without a word ---- */

static void a_command_before_the_answer_kills_the_task_when_the_application_ends(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    advance(b, 500 * MS);
    const unsigned begun = fake_openpgp.begun;
    send_apdu(b, QUICK, 3);
    assert_silent(b, 2 * SECOND); /* no extension either */
    assert_int_equal(fake_openpgp.begun, begun);
    assert_task_is_dead(b);
}

static void so_does_asking_for_the_next_part(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    send_block(b, GO_ON, NULL, 0);
    assert_task_is_dead(b);
}

static void so_does_a_packet_shorter_than_a_header(void **state)
{
    const uint8_t slot_status[HEADER] = { 0x65 };
    struct bench *b = *state;
    power_on(b);
    for (size_t length = 0; length < HEADER; length += HEADER - 1) {
        send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
        advance(b, 500 * MS);
        assert_int_equal(out(b, slot_status, length), HANDSHAKE_ACK);
        assert_task_is_dead(b);
    }
}

static void so_does_a_class_request_in_the_wrong_direction_and_no_other(void **state)
{
    static const struct {
        uint8_t type, request;
        bool kills;
    } requests[] = {
        { 0x21, 2, true }, { 0x21, 3, true }, { 0xa1, 1, true },
        { 0xa1, 2, false }, { 0xa1, 4, false }, { 0x21, 4, false }, { 0xc0, 1, false }, { 0x40, 1, false },
    };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        uint8_t data[4];
        size_t length = requests[i].type & 0x80 ? sizeof data : 0;
        advance(b, SECOND); /* the timer of the extensions ends */
        send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
        const enum handshake said = control(b, requests[i].type, requests[i].request, 0, data, &length);
        assert_int_equal(said, requests[i].request == 2 && !requests[i].kills ? HANDSHAKE_ACK : HANDSHAKE_STALL);
        if (requests[i].kills) {
            assert_task_is_dead(b);
        } else {
            for (unsigned second = 1; second <= 3; second++)
                assert_extension(b);
            assert_answered(b, 9);
        }
    }
}

static void all_but_xfr_block_is_answered_while_the_application_works_and_harms_nothing(void **state)
{
    static const uint8_t types[][2] = {
        { 0x65, 0x81 }, { 0x62, 0x80 }, { 0x63, 0x81 }, { 0x6b, 0x6c }, { 0x6c, 0x82 },
    };
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    advance(b, 500 * MS);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        send_command(b, types[i][0]);
        (void)read_packet(b);
        assert_int_equal(b->got[0], types[i][1]);
        assert_int_equal(b->got[6], b->seq);
    }
    for (unsigned second = 1; second <= 3; second++)
        assert_extension(b);
    assert_answered(b, 9);
    assert_silent_and_idle(b);
}

static void asking_for_the_next_part_of_nothing_has_no_answer(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_block(b, GO_ON, NULL, 0);
    assert_silent_and_idle(b);
    send_apdu(b, QUICK, 60);
    assert_answered(b, 60);
    send_block(b, GO_ON, NULL, 0); /* all parts have been given */
    assert_silent_and_idle(b);
}

static void a_part_that_continues_nothing_has_no_answer(void **state)
{
    static const uint16_t levels[] = { CONTINUE, END };
    const uint8_t command[] = { 0x00, QUICK, 0x00, 0x03 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        send_block(b, levels[i], command, sizeof command);
        assert_silent_and_idle(b);
    }
}

static void a_chain_parameter_that_does_not_exist_has_no_answer(void **state)
{
    static const uint16_t levels[] = { 0x0004, 0x0011, 0x00ff, 0x0100, 0x1000 };
    const uint8_t command[] = { 0x00, QUICK, 0x00, 0x03 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        send_block(b, levels[i], command, sizeof command);
        assert_silent_and_idle(b);
    }
}

static void a_wrong_part_of_a_command_loses_the_parts_before(void **state)
{
    static const uint16_t levels[] = { WHOLE, BEGIN, GO_ON };
    const uint8_t command[] = { 0x00, QUICK, 0x00, 0x03 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        const unsigned begun = fake_openpgp.begun;
        send_block(b, BEGIN, command, sizeof command);
        assert_acknowledged(b);
        send_block(b, levels[i], command, levels[i] == GO_ON ? 0 : sizeof command);
        assert_silent(b, SECOND);
        send_block(b, END, command, sizeof command);
        assert_silent(b, SECOND);
        assert_int_equal(fake_openpgp.begun, begun);
        assert_silent_and_idle(b);
    }
}

/* Packets of fewer than 10 bytes where a message should begin. */
static const size_t TOO_SHORT[] = { 0, 1, HEADER - 1 };

static void a_packet_shorter_than_a_header_has_no_answer(void **state)
{
    const uint8_t slot_status[HEADER] = { 0x65 };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof TOO_SHORT / sizeof TOO_SHORT[0]; i++) {
        assert_int_equal(out(b, slot_status, TOO_SHORT[i]), HANDSHAKE_ACK);
        assert_silent_and_idle(b);
    }
}

static void a_packet_shorter_than_a_header_loses_the_parts_before(void **state)
{
    const uint8_t command[HEADER] = { 0x00, QUICK, 0x00, 0x03 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < sizeof TOO_SHORT / sizeof TOO_SHORT[0]; i++) {
        send_block(b, BEGIN, command, 2);
        assert_acknowledged(b);
        assert_int_equal(out(b, command, TOO_SHORT[i]), HANDSHAKE_ACK);
        send_block(b, END, command + 2, 2);
        assert_silent_and_idle(b);
    }
}

/* ---- ABORT ---- */

static void request_abort(struct bench *b, uint8_t seq)
{
    uint8_t none[4];
    size_t length = 0;
    assert_int_equal(control(b, 0x21, 1, (uint16_t)(seq << 8), none, &length), HANDSHAKE_ACK);
    advance(b, 0);
}

static void abort_on_the_bulk_endpoint_alone_has_no_answer(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_command(b, 0x72);
    assert_silent(b, 100 * SECOND);
}

static void abort_is_a_pair_and_what_comes_between_is_refused(void **state)
{
    static const uint8_t types[] = { 0x62, 0x63, 0x65, 0x6c, 0x6f };
    struct bench *b = *state;
    power_on(b);
    const uint8_t aborted = (uint8_t)(b->seq + 50);
    const unsigned begun = fake_openpgp.begun;
    request_abort(b, aborted);
    for (size_t i = 0; i < sizeof types; i++) {
        send_command(b, types[i]);
        assert_status(b, 0x6c, 0x40, 0xff);
    }
    send_apdu(b, QUICK, 3);
    assert_status(b, 0x6c, 0x40, 0xff);
    send_command(b, 0x6b); /* what it does not know is refused as ever */
    assert_status(b, 0x6c, 0x40, 0x00);
    send_command(b, 0x72); /* of another bSeq */
    assert_status(b, 0x6c, 0x40, 0xff);
    b->seq = (uint8_t)(aborted - 1);
    send_command(b, 0x72);
    assert_status(b, 0x81, 0x00, 0x00);
    assert_int_equal(b->got[6], aborted);
    assert_int_equal(fake_openpgp.begun, begun);
    assert_silent_and_idle(b);
}

static void abort_ends_the_exchange_but_not_the_application(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    advance(b, 500 * MS);
    request_abort(b, (uint8_t)(b->seq + 1));
    send_command(b, 0x72);
    assert_status(b, 0x81, 0x00, 0x00);
    advance(b, 0);
    assert_true(device_busy(b->device));
    assert_silent_and_idle(b); /* in the end it was there, and nobody was told */
}

static void a_command_after_an_abort_kills_while_the_application_works_on(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    advance(b, 500 * MS);
    request_abort(b, (uint8_t)(b->seq + 1));
    send_command(b, 0x72);
    assert_status(b, 0x81, 0x00, 0x00);
    send_apdu(b, QUICK, 3);
    assert_task_is_dead(b);
}

static void abort_ends_an_answer_in_parts(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, QUICK, 200);
    (void)assert_part(b, 200, 0);
    request_abort(b, (uint8_t)(b->seq + 1));
    send_command(b, 0x72);
    assert_status(b, 0x81, 0x00, 0x00);
    assert_silent_and_idle(b);
}

/* ---- panic ---- */

/* Nothing is accepted, refused or answered, until the key is unplugged. */
static void assert_panicked(struct bench *b)
{
    const uint8_t slot_status[HEADER] = { 0x65 };
    for (unsigned i = 0; i < 2; i++) {
        uint8_t data[4];
        size_t length = sizeof data;
        const enum handshake sent = out(b, slot_status, sizeof slot_status);
        const enum handshake read = in(b, &(size_t){ 0 });
        const enum handshake asked = control(b, 0xa1, 2, 0, data, &length);
        assert_true(sent == HANDSHAKE_NAK || sent == HANDSHAKE_NONE);
        assert_true(read == HANDSHAKE_NAK || read == HANDSHAKE_NONE);
        assert_true(asked == HANDSHAKE_NAK || asked == HANDSHAKE_NONE);
        advance(b, 100 * SECOND);
        device_reset(b->device);
        (void)set_configuration(b);
    }
}

static void assert_alive_when_plugged_again(struct bench *b)
{
    device_power(b->device, false);
    plug(b);
    power_on(b);
    assert_silent_and_idle(b);
}

static void a_short_message_in_two_packets_is_a_panic(void **state)
{
    static const size_t said[] = { 1, 5, PART };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        const uint8_t header[PACKET] = { 0x6f, (uint8_t)said[i] };
        (void)out(b, header, HEADER + said[i] - 1);
        assert_panicked(b);
        assert_alive_when_plugged_again(b);
    }
}

static void a_header_alone_may_promise_more_than_54_bytes(void **state)
{
    struct bench *b = *state;
    const uint8_t *const command = long_command(PART + 1);
    uint8_t message[HEADER + PART + 1] = { 0x6f, PART + 1 };
    power_on(b);
    message[6] = ++b->seq;
    memcpy(message + HEADER, command, PART + 1);
    assert_int_equal(out(b, message, PACKET), HANDSHAKE_ACK);
    assert_silent(b, 100 * SECOND);
    assert_int_equal(out(b, message + PACKET, 1), HANDSHAKE_ACK);
    assert_executed(b, command, PART + 1);
}

/* The third answer has no room, and takes the place of the exchange. */
static void three_status_requests_that_nobody_reads_end_an_exchange_in_parts(void **state)
{
    const uint8_t part[PART] = { 0x00, QUICK, 0x00, 0x04 };
    struct bench *b = *state;
    power_on(b);
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            send_apdu(b, QUICK, 160);
        else
            send_block(b, BEGIN, part, sizeof part);
        if (read_packet(b) == PACKET)
            assert_int_equal(read_packet(b), 0);
        for (unsigned j = 0; j < 3; j++)
            send_command(b, 0x65);
        assert_int_equal(read_packet(b), HEADER);
        assert_int_equal(read_packet(b), HEADER);
        assert_nothing_yet(b);
        send_apdu(b, QUICK, 8);
        assert_answered(b, 8);
    }
}

static void before_1_3_the_request_to_abort_is_a_panic(void **state)
{
    struct bench *b = *state;
    uint8_t none[4];
    size_t length = 0;
    power_on(b);
    (void)control(b, 0x21, 1, (uint16_t)(b->seq << 8), none, &length);
    assert_panicked(b);
    assert_alive_when_plugged_again(b);
}

static void before_1_3_so_is_the_message(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_command(b, 0x72);
    assert_panicked(b);
    assert_alive_when_plugged_again(b);
}

/* What 0.3 of the class drops without a word. */
static void break_a_rule(struct bench *b, unsigned which)
{
    const uint8_t command[] = { 0x00, QUICK, 0x00, 0x05, 0x00 };
    uint8_t data[4];
    size_t length = 0;
    power_on(b);
    switch (which) {
    case 0: (void)out(b, command, 0); break;
    case 1: (void)out(b, command, sizeof command); break;
    case 2: send_block(b, END, command, sizeof command); break;
    case 3: send_block(b, 0x0100, command, sizeof command); break;
    case 4: (void)control(b, 0x21, 2, 0, data, &length); break;
    case 5:
        send_apdu(b, QUICK, 200);
        (void)assert_part(b, 200, 0);
        send_apdu(b, QUICK, 5);
        break;
    case 6:
        send_block(b, BEGIN, command, 2);
        assert_message(b, 0x80, 0, 0x00, 0x00, GO_ON);
        send_block(b, WHOLE, command, sizeof command);
        break;
    case 7:
        send_apdu(b, THREE_SECONDS_AND_A_HALF, 5);
        advance(b, 500 * MS);
        send_apdu(b, QUICK, 5);
        break;
    default:
        send_apdu(b, THREE_SECONDS_AND_A_HALF, 5);
        advance(b, 60 * SECOND); /* nobody reads: not the extensions, but the answer meets a full outbox */
        (void)out(b, command, 0);
    }
}

static void before_1_6_whoever_breaks_a_rule_makes_it_panic_at_once(void **state)
{
    struct bench *b = *state;
    for (unsigned which = 0; which <= 8; which++) {
        break_a_rule(b, which);
        assert_panicked(b);
        device_power(b->device, false);
        plug(b);
    }
    assert_alive_when_plugged_again(b);
}

static void before_1_6_an_answer_that_finds_the_outbox_full_is_a_panic(void **state)
{
    const struct icc_timing two_seconds_and_a_half = { .work_us = 2500 * MS };
    struct bench *b = *state;
    power_on(b);
    icc_set_generate(b->icc, &two_seconds_and_a_half, 1);
    send_apdu(b, FIVE_SECONDS_AND_A_HALF, 9);
    advance(b, 60 * SECOND);
    assert_panicked(b);
    assert_alive_when_plugged_again(b);
}

static void before_1_6_all_else_is_the_same(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 300);
    for (unsigned second = 1; second <= 3; second++)
        assert_extension(b);
    assert_answered(b, 300);
    assert_silent_and_idle(b);
}

/* ---- the control endpoint, and what the bus does ---- */

static void clock_and_data_rate_can_be_asked_for(void **state)
{
    static const uint8_t values[][4] = { { 0xfc, 0x0d, 0x00, 0x00 }, { 0x80, 0x25, 0x00, 0x00 } };
    struct bench *b = *state;
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t data[4];
        size_t length = sizeof data;
        assert_int_equal(control(b, 0xa1, (uint8_t)(2 + i), 0, data, &length), HANDSHAKE_ACK);
        assert_int_equal(length, sizeof data);
        assert_memory_equal(data, values[i], sizeof data);
    }
    power_on(b);
}

static void reset_the_bus(struct bench *b)
{
    device_reset(b->device);
    assert_int_equal(set_configuration(b), HANDSHAKE_ACK);
}

static void configure_again(struct bench *b)
{
    assert_int_equal(set_configuration(b), HANDSHAKE_ACK);
}

/* What the host may do to the bus, which means nothing to the pipe and to the application. */
static void (*const DISTURBANCES[])(struct bench *b) = { reset_the_bus, configure_again };
#define DISTURBANCE_COUNT (sizeof DISTURBANCES / sizeof DISTURBANCES[0])

static void neither_bus_reset_nor_configuration_resets_the_application(void **state)
{
    struct bench *b = *state;
    power_on(b);
    const unsigned resets = fake_openpgp.resets;
    for (size_t i = 0; i < DISTURBANCE_COUNT; i++) {
        DISTURBANCES[i](b);
        power_on(b);
        assert_silent_and_idle(b);
    }
    assert_int_equal(icc_resets(b->icc), 1);
    assert_int_equal(fake_openpgp.resets, resets);
}

static void neither_bus_reset_nor_configuration_ends_an_exchange(void **state)
{
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < DISTURBANCE_COUNT; i++) {
        advance(b, SECOND); /* the timer of the extensions ends */
        send_apdu(b, THREE_SECONDS_AND_A_HALF, 300);
        assert_extension(b);
        advance(b, 500 * MS);
        DISTURBANCES[i](b);
        assert_extension(b);
        assert_extension(b);
        assert_answered(b, 300);
    }
}

static void neither_bus_reset_nor_configuration_forgets_the_parts_before(void **state)
{
    const uint8_t command[] = { 0x00, QUICK, 0x00, 0x03, 0x00 };
    struct bench *b = *state;
    power_on(b);
    for (size_t i = 0; i < DISTURBANCE_COUNT; i++) {
        send_block(b, BEGIN, command, 2);
        assert_acknowledged(b);
        DISTURBANCES[i](b);
        send_block(b, END, command + 2, 3);
        assert_answered(b, 3);
    }
}

static void what_waits_in_the_outbox_comes_after_a_bus_reset(void **state)
{
    struct bench *b = *state;
    size_t length;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    const uint8_t seq = b->seq;
    advance(b, 2500 * MS); /* one in the endpoint, which a reset may empty, one in the outbox */
    reset_the_bus(b);
    assert_int_equal(in(b, &length), HANDSHAKE_ACK);
    assert_int_equal(length, HEADER);
    assert_int_equal(b->got[6], seq);
    assert_int_equal(b->got[7], 0x80);
}

static void unplugging_ends_everything(void **state)
{
    struct bench *b = *state;
    power_on(b);
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    advance(b, 2500 * MS);
    const unsigned resets = fake_openpgp.resets;
    device_power(b->device, false);
    assert_false(device_busy(b->device));
    plug(b);
    assert_silent(b, 10 * SECOND);
    power_on(b);
    assert_int_equal(icc_resets(b->icc), 2);
    assert_true(fake_openpgp.resets > resets);
    assert_silent_and_idle(b);
}

static void it_is_busy_from_the_command_to_the_end_of_the_answer(void **state)
{
    struct bench *b = *state;
    power_on(b);
    assert_false(device_busy(b->device));
    send_apdu(b, THREE_SECONDS_AND_A_HALF, 9);
    assert_true(device_busy(b->device));
    for (unsigned second = 1; second <= 3; second++) {
        assert_extension(b);
        assert_true(device_busy(b->device));
    }
    advance(b, SECOND);
    assert_true(device_busy(b->device));
    assert_answered(b, 9);
    assert_false(device_busy(b->device));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_1_5(name) cmocka_unit_test_setup_teardown(name, set_up_1_5, tear_down)
#define TEST_BEFORE_1_3(name) cmocka_unit_test_setup_teardown(name, set_up_before_1_3, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_on_gives_the_atr_and_resets_the_card_of_a_fresh_key_once),
        TEST(power_off_says_yes_and_does_nothing),
        TEST(the_slot_is_always_active),
        TEST(get_parameters_gives_those_of_t_1),
        TEST(what_it_does_not_know_is_refused_as_if_it_were_get_parameters),
        TEST(bseq_is_echoed_whatever_it_is),
        TEST(a_short_answer_comes_whole),
        TEST(a_longer_answer_comes_in_parts_of_54_bytes),
        TEST(more_than_was_asked_for_or_than_3070_bytes_waits_for_get_response),
        TEST(what_is_no_apdu_is_refused_before_the_application_hears_of_it),
        TEST(the_next_part_comes_only_when_it_is_asked_for),
        TEST(a_command_instead_of_the_next_part_ends_the_exchange_without_a_word),
        TEST(a_command_may_fill_a_message_of_3072_bytes),
        TEST(a_longer_message_is_dropped_without_a_word),
        TEST(a_length_is_looked_at_with_all_its_four_bytes),
        TEST(a_command_comes_in_two_parts_and_the_first_is_acknowledged),
        TEST(a_command_in_parts_may_have_3072_bytes),
        TEST(the_part_that_makes_it_longer_loses_it_without_a_word),
        TEST(a_command_in_parts_may_be_answered_in_parts),
        TEST(an_extension_comes_after_a_second_and_then_each_second),
        TEST(the_timer_of_the_extensions_runs_on_from_the_command_before),
        TEST(answers_bear_the_bseq_of_the_message_heard_last),
        TEST(an_extension_read_late_does_not_delay_the_next),
        TEST(extensions_have_no_end),
        TEST(a_quick_answer_needs_no_extension),
        TEST(an_answer_waits_behind_one_unread_extension),
        TEST(the_third_unread_extension_costs_the_answer),
        TEST(two_unread_extensions_cost_nothing),
        TEST(an_answer_that_finds_the_outbox_full_is_lost),
        TEST(after_unread_extensions_a_command_kills_while_the_application_works_on),
        TEST(waiting_for_a_touch_is_work_like_any_other),
        TEST(nobody_touches_it_for_15_s_and_it_answers),
        TEST(a_command_before_the_answer_kills_the_task_when_the_application_ends),
        TEST(so_does_asking_for_the_next_part),
        TEST(so_does_a_packet_shorter_than_a_header),
        TEST(so_does_a_class_request_in_the_wrong_direction_and_no_other),
        TEST(all_but_xfr_block_is_answered_while_the_application_works_and_harms_nothing),
        TEST(asking_for_the_next_part_of_nothing_has_no_answer),
        TEST(a_part_that_continues_nothing_has_no_answer),
        TEST(a_chain_parameter_that_does_not_exist_has_no_answer),
        TEST(a_wrong_part_of_a_command_loses_the_parts_before),
        TEST(a_packet_shorter_than_a_header_has_no_answer),
        TEST(a_packet_shorter_than_a_header_loses_the_parts_before),
        TEST(abort_on_the_bulk_endpoint_alone_has_no_answer),
        TEST(abort_is_a_pair_and_what_comes_between_is_refused),
        TEST(abort_ends_the_exchange_but_not_the_application),
        TEST(a_command_after_an_abort_kills_while_the_application_works_on),
        TEST(abort_ends_an_answer_in_parts),
        TEST(a_short_message_in_two_packets_is_a_panic),
        TEST(a_header_alone_may_promise_more_than_54_bytes),
        TEST(three_status_requests_that_nobody_reads_end_an_exchange_in_parts),
        TEST_1_5(three_status_requests_that_nobody_reads_end_an_exchange_in_parts),
        TEST_BEFORE_1_3(three_status_requests_that_nobody_reads_end_an_exchange_in_parts),
        TEST_BEFORE_1_3(before_1_3_the_request_to_abort_is_a_panic),
        TEST_BEFORE_1_3(before_1_3_so_is_the_message),
        TEST_1_5(before_1_6_whoever_breaks_a_rule_makes_it_panic_at_once),
        TEST_BEFORE_1_3(before_1_6_whoever_breaks_a_rule_makes_it_panic_at_once),
        TEST_1_5(before_1_6_an_answer_that_finds_the_outbox_full_is_a_panic),
        TEST_1_5(before_1_6_all_else_is_the_same),
        TEST_1_5(abort_is_a_pair_and_what_comes_between_is_refused),
        TEST_BEFORE_1_3(before_1_6_all_else_is_the_same),
        TEST(clock_and_data_rate_can_be_asked_for),
        TEST(neither_bus_reset_nor_configuration_resets_the_application),
        TEST(neither_bus_reset_nor_configuration_ends_an_exchange),
        TEST(neither_bus_reset_nor_configuration_forgets_the_parts_before),
        TEST(what_waits_in_the_outbox_comes_after_a_bus_reset),
        TEST(unplugging_ends_everything),
        TEST(it_is_busy_from_the_command_to_the_end_of_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
