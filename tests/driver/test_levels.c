/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_levels.c - what goes over the wire for an APDU at short and at extended APDU level, message by message.
 *
 * A script is played against the driver from usb.h upwards, a line a message; sequence numbers are added:
 *
 *   > 6F 0000 00A40400     the driver sends this: bMessageType, wLevelParameter, abData
 *   < 80 00 00 9000        the device answers: bMessageType, bStatus, bChainParameter, abData
 *   silence                nothing comes until the driver's patience ends
 *   untaken                ... and the device has not even taken the message that the driver sent
 *   later N                N s pass before the next line
 *   failure                a transfer fails
 *   aborted                the device answers: failed, CMD_ABORTED
 *   interrupted            somebody calls usb_interrupt()
 *   abort                  the driver sends the control request ABORT, for the message that follows
 *   restart                the driver sends SET_CONFIGURATION
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "card.h"

/* ---- a device that plays a script ---- */

struct usb_port {
    const char *at; /* the next line */
    int64_t now_ms;
    uint8_t sequence, before, aborted; /* before: of the message before */
    uint8_t *in;
    size_t in_size, length; /* of the last message */
    bool sent;
};

static bool line_is(struct usb_port *port, const char *word)
{
    if (strncmp(port->at, word, strlen(word)) != 0)
        return false;
    port->at = strchr(port->at, '\n') + 1;
    return true;
}

static size_t hex_until_newline(const char *text, uint8_t *bytes, size_t size)
{
    size_t count = 0;
    unsigned byte;
    for (int used; *text != '\n' && sscanf(text, " %2x%n", &byte, &used) == 1; text += used) {
        assert_true(count < size);
        bytes[count++] = (uint8_t)byte;
        while (text[used] == ' ')
            text++;
    }
    return count;
}

int64_t usb_now_ms(const struct usb_port *port)
{
    return port->now_ms;
}

enum err usb_post_in(struct usb_port *port, uint8_t *buffer, size_t size)
{
    port->in = buffer;
    port->in_size = size;
    return ERR_NONE;
}

enum err usb_post_out(struct usb_port *port, const uint8_t *data, size_t length, uint32_t *moved)
{
    (void)moved;
    static uint8_t expected[70000];
    if (port->at[0] != '>')
        fail_msg("the driver sends %02x with %zu bytes instead of \"%.40s\"", data[0], length, port->at);
    const size_t count = hex_until_newline(port->at + 2, expected, sizeof expected);
    assert_int_equal(data[0], expected[0]);
    assert_int_equal(length, 10 + count - 3);
    assert_int_equal(data[1] | data[2] << 8, length - 10);
    assert_int_equal(data[8] | data[9] << 8, expected[1] << 8 | expected[2]);
    assert_memory_equal(data + 10, expected + 3, count - 3);
    port->before = port->sequence;
    port->sequence = data[6];
    if (data[0] == CCID_ABORT)
        assert_int_equal(data[6], port->aborted);
    port->at = strchr(port->at, '\n') + 1;
    port->sent = true;
    port->length = length;
    return ERR_NONE;
}

/* After so long the driver looks whether only the end of an answer is missing. It goes on waiting. */
#define LOOK_MS 5000

/* What comes instead of an answer. */
static struct usb_news no_answer(struct usb_port *port, int64_t deadline_ms)
{
    const bool goes_on = strncmp(port->at, "silence", 7) == 0 || strncmp(port->at, "untaken", 7) == 0;
    if (goes_on && deadline_ms - port->now_ms == LOOK_MS) {
        port->now_ms = deadline_ms;
        return (struct usb_news){ .event = USB_TIMEOUT };
    }
    if (line_is(port, "failure"))
        return (struct usb_news){ .event = USB_FAILED_OUT };
    if (line_is(port, "untaken")) {
        port->sent = false;
        port->sequence = port->before;
    } else if (!line_is(port, "silence"))
        fail_msg("the driver waits for an answer instead of \"%.40s\"", port->at);
    port->now_ms = deadline_ms;
    return (struct usb_news){ .event = USB_TIMEOUT };
}

struct usb_news usb_wait(struct usb_port *port, int64_t deadline_ms)
{
    int seconds, used;
    if (sscanf(port->at, "later %d\n%n", &seconds, &used) == 1) {
        port->at += used;
        port->now_ms += seconds * 1000;
    }
    if (line_is(port, "interrupted"))
        return (struct usb_news){ .event = USB_INTERRUPTED };
    if (line_is(port, "aborted")) {
        memcpy(port->in, (const uint8_t[]){ 0x80, 0, 0, 0, 0, 0, port->sequence, 0x40, 0xff, 0 }, 10);
        return (struct usb_news){ .event = USB_RECEIVED, .length = 10 };
    }
    if (port->at[0] != '<')
        return no_answer(port, deadline_ms);
    uint8_t said[1024];
    const size_t count = hex_until_newline(port->at + 2, said, sizeof said), length = count - 3;
    const uint8_t header[10] = { said[0], (uint8_t)length, (uint8_t)(length >> 8), 0, 0, 0, port->sequence, said[1],
                                 said[1] == 0x80 ? 1 : 0, said[2] };
    assert_true(10 + length <= port->in_size);
    memcpy(port->in, header, sizeof header);
    memcpy(port->in + 10, said + 3, length);
    port->at = strchr(port->at, '\n') + 1;
    port->now_ms += 10;
    return (struct usb_news){ .event = USB_RECEIVED, .length = 10 + length };
}

size_t usb_take_back_out(struct usb_port *port, int64_t deadline_ms)
{
    (void)deadline_ms;
    return port->sent ? port->length : 0;
}

size_t usb_take_back_in(struct usb_port *port)
{
    (void)port;
    return 0;
}

enum err usb_clear_halt(struct usb_port *port, uint8_t endpoint)
{
    (void)port, (void)endpoint;
    return ERR_NONE;
}

enum err usb_abort(struct usb_port *port, uint8_t slot, uint8_t sequence)
{
    assert_int_equal(slot, 0);
    assert_true(line_is(port, "abort"));
    port->aborted = sequence;
    return ERR_NONE;
}

enum err usb_set_configuration(struct usb_port *port)
{
    assert_true(line_is(port, "restart"));
    return ERR_NONE;
}

/* ---- a card behind it ---- */

struct bench {
    struct usb_port port;
    struct exchange exchange;
    struct card card;
    uint8_t answer[66000];
    size_t length;
    size_t size; /* of the client's buffer */
};

static const struct model MODEL = { .ifsd = 32 };
static const struct model ABORTS = { .ifsd = 32, .cut_message = CUT_ABORT };
static const struct model RESTARTS = { .ifsd = 32, .set_configuration = true };

static struct bench *powered(enum ccid_level level, size_t max_message, const struct model *model)
{
    static struct bench b;
    static const struct usb_identity identity = { .bulk_in = 0x81, .bulk_out = 0x01, .packet_size = 64 };
    const struct ccid_class class = { .level = level, .clock_khz = 3580, .max_message = (uint32_t)max_message };
    b = (struct bench){ .size = sizeof b.answer };
    b.port.at = "> 65 0000\n< 81 00 00\n"
                "> 62 0000\n< 80 00 00 3B8F01805D4E6974726F6B657900000000006A\n";
    assert_int_equal(exchange_open(&b.exchange, &b.port, &identity, max_message), ERR_NONE);
    exchange_set_model(&b.exchange, model, level);
    card_init(&b.card, &b.exchange, model, &class, &patience_defaults);
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_POWER, 0);
    assert_int_equal(card_power_on(&b.card, &vigil), ERR_NONE);
    return &b;
}

/* Sends an APDU of so many bytes; the script must be played to its end. */
static enum err transmit_bytes(struct bench *b, const uint8_t *apdu, size_t length, const char *script)
{
    b->port.at = script;
    const enum err err = card_transmit(&b->card, apdu, length, b->answer, b->size, &b->length);
    if (*b->port.at)
        fail_msg("left of the script: %.60s", b->port.at);
    return err;
}

static enum err transmit(struct bench *b, const char *apdu, const char *script)
{
    uint8_t bytes[600];
    char line[1300];
    snprintf(line, sizeof line, "%s\n", apdu);
    return transmit_bytes(b, bytes, hex_until_newline(line, bytes, sizeof bytes), script);
}

static void answer_is(const struct bench *b, const char *hex)
{
    uint8_t expected[1024];
    char line[2100];
    snprintf(line, sizeof line, "%s\n", hex);
    const size_t length = hex_until_newline(line, expected, sizeof expected);
    assert_int_equal(b->length, length);
    assert_memory_equal(b->answer, expected, length);
}

static void end(struct bench *b)
{
    exchange_close(&b->exchange, true);
}

/* ---- extended APDU level ---- */

static struct bench *extended(void)
{
    return powered(CCID_EXTENDED_APDU, 3072, &MODEL);
}

static void an_apdu_is_one_message_each_way(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA004F00", "> 6F 0000 00CA004F00\n< 80 00 00 D2769000\n"), ERR_NONE);
    answer_is(b, "D2769000");
    end(b);
}

static void parts_of_an_answer_are_asked_for_and_joined(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 01 0102\n> 6F 0010\n< 80 00 03 0304\n"
                                               "> 6F 0010\n< 80 00 03 05\n> 6F 0010\n< 80 00 02 9000\n"), ERR_NONE);
    answer_is(b, "01020304059000");
    end(b);
}

static void parts_in_the_wrong_order_are_an_error_and_the_next_command_is_right(void **state)
{
    (void)state;
    static const char *const WRONG[] = {
        "> 6F 0000 00CA006E00\n< 80 00 03 0102\n", "> 6F 0000 00CA006E00\n< 80 00 02 0102\n",
        "> 6F 0000 00CA006E00\n< 80 00 10\n", "> 6F 0000 00CA006E00\n< 80 00 77 9000\n",
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct bench *b = extended();
        assert_int_equal(transmit(b, "00CA006E00", WRONG[i]), ERR_PROTOCOL);
        assert_int_equal(b->length, 0);
        assert_int_equal(transmit(b, "00CA004F00", "> 6F 0000 00CA004F00\n< 80 00 00 9000\n"), ERR_NONE);
        end(b);
    }
}

static void what_is_left_of_an_answer_after_an_error_is_fetched_before_the_next_command(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 01 0102\n> 6F 0010\nsilence\n"),
                     ERR_TIMEOUT);
    assert_int_equal(transmit(b, "00CA004F00", "< 80 00 03 0304\n> 6F 0010\n< 80 00 02 9000\n"
                                               "> 6F 0000 00CA004F00\n< 80 00 00 6A88\n"), ERR_NONE);
    answer_is(b, "6A88");
    /* the last part is the one that comes late */
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 01 0102\n> 6F 0010\nsilence\n"),
                     ERR_TIMEOUT);
    assert_int_equal(transmit(b, "00CA004F00", "< 80 00 02 9000\n> 6F 0000 00CA004F00\n< 80 00 00 6A88\n"), ERR_NONE);
    /* the first one is */
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\nsilence\n"), ERR_TIMEOUT);
    assert_int_equal(transmit(b, "00CA004F00", "< 80 00 01 0102\n> 6F 0010\n< 80 00 02 9000\n"
                                               "> 6F 0000 00CA004F00\n< 80 00 00 6A88\n"), ERR_NONE);
    end(b);
}

static void an_answer_too_long_for_the_client_is_fetched_to_its_end(void **state)
{
    (void)state;
    struct bench *b = extended();
    b->size = 3;
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 01 0102\n> 6F 0010\n< 80 00 02 039000\n"),
                     ERR_TOO_LONG);
    assert_int_equal(transmit(b, "00CA004F00", "> 6F 0000 00CA004F00\n< 80 00 00 9000\n"), ERR_NONE);
    end(b);
}

static void a_long_command_goes_in_parts(void **state)
{
    (void)state;
    struct bench *b = powered(CCID_EXTENDED_APDU, 271, &MODEL); /* parts of 261 bytes */
    static char script[2000];
    static uint8_t apdu[600];
    char hex[1201] = "";
    for (size_t i = 0; i < sizeof apdu; i++) {
        apdu[i] = (uint8_t)(i * 7);
        snprintf(hex + 2 * i, 3, "%02X", apdu[i]);
    }
    snprintf(script, sizeof script, "> 6F 0001 %.522s\n< 80 00 10\n> 6F 0003 %.522s\n< 80 00 10\n> 6F 0002 %.156s\n"
             "< 80 00 00 9000\n", hex, hex + 522, hex + 1044);
    assert_int_equal(transmit_bytes(b, apdu, sizeof apdu, script), ERR_NONE);
    answer_is(b, "9000");
    end(b);
}

static void a_part_of_a_command_that_is_not_asked_on_for_is_an_error(void **state)
{
    (void)state;
    static const char *const WRONG[] = { "\n< 80 40 00\n", "\n< 80 00 00\n", "\n< 80 00 10 9000\n" };
    for (size_t n = 0; n < sizeof WRONG / sizeof WRONG[0]; n++) {
        struct bench *b = powered(CCID_EXTENDED_APDU, 271, &MODEL);
        static uint8_t apdu[300];
        char script[700] = "> 6F 0001 ";
        for (int i = 0; i < 261; i++)
            strcat(script, "00");
        strcat(script, WRONG[n]);
        assert_int_equal(transmit_bytes(b, apdu, sizeof apdu, script), ERR_CARD_RESET); /* nothing less forgets it */
        end(b);
    }
}

static void time_extensions_are_waited_for(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 80 00\n< 80 80 00\n< 80 00 01 01\n> 6F 0010\n"
                                               "< 80 80 00\n< 80 00 02 9000\n"), ERR_NONE);
    answer_is(b, "019000");
    end(b);
}

static void a_time_extension_may_answer_any_command(void **state)
{
    (void)state;
    struct bench *b = extended();
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_POWER, b->port.now_ms);
    b->port.at = "> 63 0000\n< 81 80 00\n< 81 00 00\n"
                 "> 62 0000\n< 80 80 00\n< 80 80 00\n< 80 00 00 3B8F01805D4E6974726F6B657900000000006A\n";
    assert_int_equal(card_power_off(&b->card, &vigil), ERR_NONE);
    assert_int_equal(card_power_on(&b->card, &vigil), ERR_NONE);
    assert_int_equal(*b->port.at, '\0');
    end(b);
}

static void endless_time_extensions_on_power_on_end_at_the_total(void **state)
{
    (void)state;
    struct bench *b = extended();
    const int64_t begun = b->port.now_ms;
    struct vigil vigil = vigil_begin(&patience_defaults, PATIENCE_POWER, begun);
    b->port.at = "> 62 0000\nlater 9\n< 80 80 00\nlater 9\n< 80 80 00\nlater 9\n< 80 80 00\nlater 9\n< 80 80 00\n"
                 "later 9\n< 80 80 00\nlater 9\n< 80 80 00\nsilence\n";
    assert_int_equal(card_power_on(&b->card, &vigil), ERR_TIMEOUT);
    assert_int_equal(*b->port.at, '\0');
    assert_int_equal(b->port.now_ms - begun, 60000);
    end(b);
}

/* A driver that only looked at the clock while it waits would go on with a card that is quick enough. */
static void nothing_is_sent_when_the_total_has_passed(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 80 00\nlater 301\n< 80 00 01 01\n"),
                     ERR_TIMEOUT);
    assert_int_equal(transmit(b, "00CA004F00", "> 6F 0010\n< 80 00 02 9000\n" /* the rest of that answer */
                                               "> 6F 0000 00CA004F00\n< 80 00 00 9000\n"), ERR_NONE);
    end(b);
}

static void the_patience_for_the_status_is_what_the_table_says(void **state)
{
    (void)state;
    struct bench *b = extended();
    b->exchange.status = (struct patience){ 7000, 9000 };
    const int64_t begun = b->port.now_ms;
    b->exchange.synchronised = false;
    assert_int_equal(transmit(b, "00CA006E00", "> 65 0000\nsilence\n> 65 0000\nlater 6\n< 81 80 00\nsilence\n"
                                               "> 65 0000\n< 81 00 00\n> 6F 0000 00CA006E00\n< 80 00 00 9000\n"),
                     ERR_NONE);
    assert_int_equal(b->port.now_ms - begun, 7000 + 9000 + 20);
    end(b);
}

static void a_command_that_waited_for_anothers_answer_has_its_own_silence_from_then_on(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\nsilence\n"), ERR_TIMEOUT);
    const int64_t begun = b->port.now_ms;
    assert_int_equal(transmit(b, "00CA004F00", "later 29\n< 80 00 00 6F00\n> 6F 0000 00CA004F00\nsilence\n"),
                     ERR_TIMEOUT);
    assert_int_equal(b->port.now_ms - begun, 29010 + 30000);
    end(b);
}

/* ---- a command that is given up ---- */

/* The other thread that called it may have come too late for the wait that it meant. */
static void an_interruption_that_is_meant_for_nobody_changes_nothing(void **state)
{
    (void)state;
    struct bench *b = powered(CCID_SHORT_APDU, 271, &MODEL);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\ninterrupted\n< 80 00 00 9000\n"), ERR_NONE);
    answer_is(b, "9000");
    end(b);
}

/* It refuses all until it has heard both halves of the pair. */
static void a_device_that_has_heard_half_an_abort_hears_the_pair_before_another_command(void **state)
{
    (void)state;
    struct bench *b = powered(CCID_EXTENDED_APDU, 271, &ABORTS);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\naborted\nabort\n> 72 0000\n< 81 00 00\n"),
                     ERR_PROTOCOL);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 00 9000\n"), ERR_NONE);
    answer_is(b, "9000");
    end(b);
}

static void a_device_without_abort_is_waited_for(void **state)
{
    (void)state;
    struct bench *b = extended();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\nsilence\n"), ERR_TIMEOUT);
    assert_int_equal(transmit(b, "00CA004F00", "< 80 00 00 6F00\n> 6F 0000 00CA004F00\n< 80 00 00 9000\n"), ERR_NONE);
    answer_is(b, "9000");
    end(b);
}

/* After SET_CONFIGURATION a new application finds the PINs verified; it takes them with it when it ends. */
#define PINS_FORGOTTEN "> 65 0000\n< 81 01 00\n> 62 0000\n< 80 00 00 3B00\n> 63 0000\n< 81 01 00\n"

static void a_device_that_is_silent_for_3_minutes_is_started_anew_where_that_is_possible(void **state)
{
    (void)state;
    struct bench *b = powered(CCID_SHORT_APDU, 271, &RESTARTS);
    assert_int_equal(transmit(b, "00478000 02 B600 00",
                              "> 6F 0000 0047800002B60000\nsilence\nrestart\n" PINS_FORGOTTEN), ERR_TIMEOUT);
    end(b);
}

/* Neither taking a command nor saying anything: a device like that would stay so until it is plugged in again. */
static void a_device_that_takes_nothing_for_3_minutes_is_started_anew_where_that_is_possible(void **state)
{
    (void)state;
    struct bench *b = powered(CCID_SHORT_APDU, 271, &RESTARTS);
    char script[2000] = "";
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\nuntaken\n"), ERR_TIMEOUT);
    for (int i = 0; i < 50; i++) /* the end of that message is not taken either, and nothing else is sent before */
        strcat(script, "silence\n> 65 0000\nuntaken\n");
    for (int i = 0; i < 5; i++) {
        b->port.now_ms += 3600000; /* when nothing is asked of it, it need not say anything */
        assert_int_equal(transmit(b, "00CA006E00", script), ERR_TIMEOUT);
    }
    strcat(script, "restart\n" PINS_FORGOTTEN);
    assert_int_equal(transmit(b, "00CA006E00", script), ERR_TIMEOUT);
    assert_int_equal(transmit(b, "00CA006E00", ""), ERR_NOT_POWERED);
    end(b);
}

/* ---- short APDU level ---- */

static struct bench *short_level(void)
{
    return powered(CCID_SHORT_APDU, 271, &MODEL);
}

static void a_clients_short_apdu_passes_as_it_is(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 00 01026110\n"), ERR_NONE);
    answer_is(b, "01026110"); /* the client asks for the rest itself */
    assert_int_equal(transmit(b, "00C0000010", "> 6F 0000 00C0000010\n< 80 00 00 6C05\n"), ERR_NONE);
    answer_is(b, "6C05");
    assert_int_equal(transmit(b, "10DA0101 02 AABB", "> 6F 0000 10DA010102AABB\n< 80 00 00 9000\n"), ERR_NONE);
    end(b);
}

static void an_extended_apdu_that_fits_becomes_a_short_one(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "00DA0101 000002 AABB", "> 6F 0000 00DA010102AABB\n< 80 00 00 9000\n"), ERR_NONE);
    assert_int_equal(transmit(b, "00CA006E 000010", "> 6F 0000 00CA006E10\n< 80 00 00 019000\n"), ERR_NONE);
    answer_is(b, "019000");
    assert_int_equal(transmit(b, "00478000 000002 B600 0000", "> 6F 0000 0047800002B60000\n< 80 00 00 7F496103\n"
                                                              "> 6F 0000 00C0000003\n< 80 00 00 0102039000\n"), ERR_NONE);
    answer_is(b, "7F490102039000");
    end(b);
}

static void no_more_is_asked_for_than_the_client_wants(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "00CA006E 000003", "> 6F 0000 00CA006E03\n< 80 00 00 0102036110\n"), ERR_NONE);
    answer_is(b, "0102036110");
    assert_int_equal(transmit(b, "00CA006E 000005", "> 6F 0000 00CA006E05\n< 80 00 00 0102036110\n"
                                                    "> 6F 0000 00C0000002\n< 80 00 00 0405610E\n"), ERR_NONE);
    answer_is(b, "0102030405610E");
    end(b);
}

static void a_card_that_promises_more_for_ever_is_an_error(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "00CA006E 000000", "> 6F 0000 00CA006E00\n< 80 00 00 6105\n> 6F 0000 00C0000005\n"
                                                    "< 80 00 00 6105\n"), ERR_PROTOCOL);
    end(b);
}

static size_t long_put(uint8_t *apdu, size_t data_length, char *hex)
{
    const uint8_t head[] = { 0x00, 0xda, 0x01, 0x03, 0x00, (uint8_t)(data_length >> 8), (uint8_t)data_length };
    memcpy(apdu, head, sizeof head);
    hex[0] = '\0';
    for (size_t i = 0; i < data_length; i++) {
        apdu[sizeof head + i] = (uint8_t)i;
        snprintf(hex + 2 * i, 3, "%02X", (unsigned)(i & 0xff));
    }
    return sizeof head + data_length;
}

static void a_long_extended_apdu_goes_as_a_chain_of_short_ones(void **state)
{
    (void)state;
    struct bench *b = short_level();
    static uint8_t apdu[700];
    static char hex[1400], script[2000];
    const size_t length = long_put(apdu, 520, hex);
    snprintf(script, sizeof script, "> 6F 0000 10DA0103FF%.510s\n< 80 00 00 9000\n> 6F 0000 10DA0103FF%.510s\n"
             "< 80 00 00 9000\n> 6F 0000 00DA01030A%.20s\n< 80 00 00 6A80\n", hex, hex + 510, hex + 1020);
    assert_int_equal(transmit_bytes(b, apdu, length, script), ERR_NONE);
    answer_is(b, "6A80");
    end(b);
}

static void a_part_that_is_not_accepted_ends_the_chain_with_its_status_word(void **state)
{
    (void)state;
    struct bench *b = short_level();
    static uint8_t apdu[700];
    static char hex[1400], script[2000];
    const size_t length = long_put(apdu, 520, hex);
    snprintf(script, sizeof script, "> 6F 0000 10DA0103FF%.510s\n< 80 00 00 6700\n", hex);
    assert_int_equal(transmit_bytes(b, apdu, length, script), ERR_NONE);
    answer_is(b, "6700");
    end(b);
}

/* The card may wait for more; whatever else comes ends that (ISO 7816-4 5.3.3), and no client's command is to be that. */
#define IS_ENDED "> 65 0000\n< 81 00 00\n> 6F 0000 00C0000000\n< 80 00 00 6985\n"

static void a_chain_that_breaks_is_ended_before_another_command(void **state)
{
    (void)state;
    struct bench *b = short_level();
    static uint8_t apdu[700];
    static char hex[1400], script[2000];
    const size_t length = long_put(apdu, 520, hex);
    snprintf(script, sizeof script, "> 6F 0000 10DA0103FF%.510s\n< 80 00 00 9000\n> 6F 0000 10DA0103FF%.510s\nfailure\n"
             IS_ENDED, hex, hex + 510);
    assert_int_equal(transmit_bytes(b, apdu, length, script), ERR_IO);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 00 9000\n"), ERR_NONE);
    end(b);
}

static void a_clients_own_chain_that_breaks_is_ended_too(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "10DA0103020102", "> 6F 0000 10DA0103020102\nfailure\n" IS_ENDED), ERR_IO);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 00 9000\n"), ERR_NONE);
    end(b);
}

static void a_chain_of_exactly_full_parts_has_no_empty_one(void **state)
{
    (void)state;
    struct bench *b = short_level();
    static uint8_t apdu[700];
    static char hex[1400], script[2000];
    const size_t length = long_put(apdu, 510, hex);
    snprintf(script, sizeof script, "> 6F 0000 10DA0103FF%.510s\n< 80 00 00 AA9000\n> 6F 0000 00DA0103FF%.510s\n"
             "< 80 00 00 9000\n", hex, hex + 510);
    assert_int_equal(transmit_bytes(b, apdu, length, script), ERR_NONE);
    answer_is(b, "9000");
    end(b);
}

static void secure_messaging_is_refused_rather_than_cut(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "0CDA0101 000002 AABB", ""), ERR_UNSUPPORTED);
    assert_int_equal(transmit(b, "0CDA0101 02 AABB", "> 6F 0000 0CDA010102AABB\n< 80 00 00 9000\n"), ERR_NONE);
    end(b);
}

static void an_extended_apdu_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    struct bench *b = short_level();
    static uint8_t apdu[300] = { 0x00, 0xda, 0x01, 0x01, 0x00, 0xff, 0xff };
    assert_int_equal(transmit_bytes(b, apdu, sizeof apdu, ""), ERR_UNSUPPORTED);
    end(b);
}

/* Not even its first part is sent: a firmware that drops the last one would be left waiting, or worse. */
static void a_command_longer_than_the_firmware_takes_is_refused_and_nothing_is_sent(void **state)
{
    static const uint8_t apdu[101] = { 0x00, 0xda, 0x01, 0x01, 0x5e };
    (void)state;
    struct bench *b = powered(CCID_EXTENDED_APDU, 90, &MODEL);
    b->card.max_command = 99;
    assert_int_equal(transmit_bytes(b, apdu, 100, ""), ERR_UNSUPPORTED);
    assert_int_equal(b->length, 0);
    b->card.max_command = 100;
    assert_int_equal(transmit_bytes(b, apdu, 101, ""), ERR_UNSUPPORTED);
    assert_int_equal(transmit(b, "00CA004F00", "> 6F 0000 00CA004F00\n< 80 00 00 9000\n"), ERR_NONE);
    answer_is(b, "9000");
    end(b);
}

static void errors_come_as_slot_status_and_are_errors(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 81 40 00\n"), ERR_PROTOCOL);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 00 90\n"), ERR_PROTOCOL);
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 80 00 00\n"), ERR_PROTOCOL);
    end(b);
}

static void a_card_that_has_lost_its_power_is_told_to_everybody(void **state)
{
    (void)state;
    struct bench *b = short_level();
    assert_int_equal(transmit(b, "00CA006E00", "> 6F 0000 00CA006E00\n< 81 41 00\n"), ERR_CARD_RESET);
    assert_int_equal(transmit(b, "00CA006E00", ""), ERR_NOT_POWERED);
    end(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_apdu_is_one_message_each_way),
        TEST(parts_of_an_answer_are_asked_for_and_joined),
        TEST(parts_in_the_wrong_order_are_an_error_and_the_next_command_is_right),
        TEST(what_is_left_of_an_answer_after_an_error_is_fetched_before_the_next_command),
        TEST(an_answer_too_long_for_the_client_is_fetched_to_its_end),
        TEST(a_long_command_goes_in_parts),
        TEST(a_part_of_a_command_that_is_not_asked_on_for_is_an_error),
        TEST(time_extensions_are_waited_for),
        TEST(a_time_extension_may_answer_any_command),
        TEST(endless_time_extensions_on_power_on_end_at_the_total),
        TEST(nothing_is_sent_when_the_total_has_passed),
        TEST(the_patience_for_the_status_is_what_the_table_says),
        TEST(a_command_that_waited_for_anothers_answer_has_its_own_silence_from_then_on),
        TEST(an_interruption_that_is_meant_for_nobody_changes_nothing),
        TEST(a_device_that_has_heard_half_an_abort_hears_the_pair_before_another_command),
        TEST(a_device_without_abort_is_waited_for),
        TEST(a_device_that_is_silent_for_3_minutes_is_started_anew_where_that_is_possible),
        TEST(a_device_that_takes_nothing_for_3_minutes_is_started_anew_where_that_is_possible),
        TEST(a_clients_short_apdu_passes_as_it_is),
        TEST(an_extended_apdu_that_fits_becomes_a_short_one),
        TEST(no_more_is_asked_for_than_the_client_wants),
        TEST(a_card_that_promises_more_for_ever_is_an_error),
        TEST(a_long_extended_apdu_goes_as_a_chain_of_short_ones),
        TEST(a_part_that_is_not_accepted_ends_the_chain_with_its_status_word),
        TEST(a_chain_that_breaks_is_ended_before_another_command),
        TEST(a_clients_own_chain_that_breaks_is_ended_too),
        TEST(a_chain_of_exactly_full_parts_has_no_empty_one),
        TEST(secure_messaging_is_refused_rather_than_cut),
        TEST(a_command_longer_than_the_firmware_takes_is_refused_and_nothing_is_sent),
        TEST(an_extended_apdu_that_contradicts_itself_is_refused),
        TEST(errors_come_as_slot_status_and_are_errors),
        TEST(a_card_that_has_lost_its_power_is_told_to_everybody),
    };
    return cmocka_run_group_tests_name("levels", tests, NULL, NULL);
}
