/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_nuisances.c - keys that fail again and again, chatter, or fall silent at the worst moment: each wait has an end,
 * and what a key says counts for what it is.
 */
#include "bench.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <PCSC/reader.h>
#include "scripted_key.h"

#define TPDU "nitrokey-pro-2"
#define SHORT "nitrokey-start-rtm13"
#define EXTENDED "nitrokey-3"

static const char *const LEVELS[] = { TPDU, SHORT, EXTENDED };

/* ---- the log ---- */

static char said[65536];

/* In pcscd's place. */
extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    const size_t length = strlen(said);
    va_list arguments;
    (void)priority;
    va_start(arguments, format);
    vsnprintf(said + length, sizeof said - length, format, arguments);
    va_end(arguments);
}

static unsigned times(const char *words)
{
    unsigned count = 0;
    for (const char *at = said; (at = strstr(at, words)); at++)
        count++;
    return count;
}

/* ---- what pcscd does ---- */

static struct scripted_key *opened(const char *model)
{
    struct scripted_key *const key = scripted_new(model);
    setenv("IFD_NITROKEY_RUN", "/nonexistent", 1);
    scripted_plug(key);
    assert_int_equal(scripted_open(key), IFD_SUCCESS);
    return key;
}

static struct scripted_key *started(const char *model)
{
    struct scripted_key *const key = opened(model);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    return key;
}

static void end(struct scripted_key *key)
{
    IFDHCloseChannel(LUN);
    scripted_free(key);
}

static uint8_t received[70000];
static DWORD received_length;

static RESPONSECODE get(void)
{
    static UCHAR apdu[] = { 0x00, 0xca, 0x00, 0x4f, 0x00 };
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    SCARD_IO_HEADER got = { .Protocol = 0 };
    received_length = sizeof received;
    return IFDHTransmitToICC(LUN, pci, apdu, sizeof apdu, received, &received_length, &got);
}

static void serves(struct scripted_key *key)
{
    key->answer = scripted_honest;
    key->endless = false;
    key->fails_in = HANDSHAKE_ACK;
    key->spent = 0;
    for (int i = 0; i < 8; i++) {
        if (get() == IFD_SUCCESS)
            return;
        for (int round = 0; round < 2 && IFDHICCPresence(LUN) == IFD_ICC_NOT_PRESENT; round++)
            (void)bench_event_thread();
    }
    fail_msg("%s does not serve any more", key->identity.name);
}

/* ---- what has no end ---- */

static void a_line_that_does_not_heal_is_one_error(void **state)
{
    static const enum handshake WAYS[] = { HANDSHAKE_BABBLE, HANDSHAKE_NONE, HANDSHAKE_STALL };
    (void)state;
    for (size_t level = 0; level < 3; level++)
        for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++) {
            struct scripted_key *const key = started(LEVELS[level]);
            key->fails_in = WAYS[i];
            assert_int_not_equal(get(), IFD_SUCCESS);
            assert_in_range(key->spent, 1, 40);
            serves(key);
            end(key);
        }
}

static size_t is_of_another_number(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t honest = scripted_honest(key, command, length, answer);
    answer[6] = (uint8_t)(answer[6] + 100);
    return honest;
}

static void messages_without_end_that_answer_nothing_are_one_error(void **state)
{
    (void)state;
    for (size_t level = 0; level < 3; level++) {
        struct scripted_key *const key = started(LEVELS[level]);
        key->answer = is_of_another_number;
        key->endless = true;
        assert_int_not_equal(get(), IFD_SUCCESS);
        assert_in_range(key->spent, 1, SCRIPTED_ENDLESS - 1);
        serves(key);
        end(key);
    }
}

/* It is not sent again; what became of it is found out at once. */
static void a_message_that_a_halted_endpoint_refuses_is_not_waited_for(void **state)
{
    (void)state;
    for (size_t level = 0; level < 3; level++) {
        struct scripted_key *const key = started(LEVELS[level]);
        const int64_t begun = virtual_now_us(key->slot);
        device_halt(&key->device, key->identity.bulk_out);
        (void)get();
        assert_true(virtual_now_us(key->slot) - begun < 5 * SECOND);
        serves(key);
        end(key);
    }
}

/* One lost packet at open is no reason to have no reader. */
static void the_first_question_is_asked_again(void **state)
{
    (void)state;
    for (size_t level = 0; level < 3; level++) {
        struct scripted_key *const key = scripted_new(LEVELS[level]);
        key->device.faults.packet =
            (struct packet_fault){ .kind = PACKET_LOST, .endpoint = key->identity.bulk_out, .nth = 1 };
        scripted_plug(key);
        assert_int_equal(scripted_open(key), IFD_SUCCESS);
        assert_int_equal(key->device.faults.packets_struck, 1);
        assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
        assert_int_equal(get(), IFD_SUCCESS);
        end(key);
    }
}

static size_t serves_no_command(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    return command[0] == XFR_BLOCK ? 0 : scripted_honest(key, command, length, answer);
}

/* This firmware gives signs of life, so its silence tells; what it still answers comes from another part of it. */
static void a_firmware_that_has_stopped_is_asked_nothing_more(void **state)
{
    (void)state;
    struct scripted_key *const key = started(EXTENDED);
    const int64_t begun = virtual_now_us(key->slot);
    key->answer = serves_no_command;
    said[0] = '\0';
    assert_int_equal(get(), IFD_COMMUNICATION_ERROR);
    assert_in_range(virtual_now_us(key->slot) - begun, 5 * SECOND, 8 * SECOND);
    const unsigned before = key->commands;
    assert_int_equal(get(), IFD_COMMUNICATION_ERROR);
    assert_int_not_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    assert_int_equal(key->commands, before);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    end(key);
}

/* ---- signs of life ---- */

static size_t says_touch_me(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    if (command[0] != XFR_BLOCK)
        return scripted_honest(key, command, length, answer);
    const size_t whole = scripted_frame(command, NULL, 0, answer);
    answer[7] = 0x80;
    answer[8] = 0xff;
    return whole;
}

/* FFh is no multiplier: the class's silence counts, 30 s, not 255 times the card's. */
static void a_touch_that_is_asked_for_once_is_no_wish_for_minutes(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    const int64_t begun = virtual_now_us(key->slot);
    key->answer = says_touch_me;
    assert_int_equal(get(), IFD_RESPONSE_TIMEOUT);
    assert_in_range(virtual_now_us(key->slot) - begun, 30 * SECOND, 31 * SECOND);
    end(key);
}

static size_t asks_for_more_time(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t whole = says_touch_me(key, command, length, answer);
    if (command[0] == XFR_BLOCK)
        answer[8] = 100; /* times the card's block waiting time */
    return whole;
}

/* The more the card's ATR says that it may take, but not for ever. */
static void a_key_that_asks_for_minutes_once_gets_one_of_silence(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    const int64_t begun = virtual_now_us(key->slot);
    key->answer = asks_for_more_time;
    assert_int_equal(get(), IFD_RESPONSE_TIMEOUT);
    assert_in_range(virtual_now_us(key->slot) - begun, 60 * SECOND, 61 * SECOND);
    end(key);
}

/* A halted endpoint says nothing of the firmware: one that is as good as dead is started anew after 3 minutes. */
static void a_stall_is_no_sign_of_life(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    const unsigned before = key->configurations;
    for (int i = 0; i < 8 && key->configurations == before; i++) {
        device_halt(&key->device, key->identity.bulk_in);
        key->delay_us = DEVICE_NEVER / 2;
        (void)get();
    }
    assert_true(key->configurations > before);
    assert_in_range(virtual_now_us(key->slot), 3 * MINUTE, 4 * MINUTE);
    end(key);
}

static size_t has_no_power_when_it_was_started_anew(struct scripted_key *key, const uint8_t *command, size_t length,
                                                    uint8_t *answer)
{
    const size_t whole = scripted_honest(key, command, length, answer);
    if (command[0] == SLOT_STATUS)
        answer[7] = 1;
    return command[0] == XFR_BLOCK ? 0 : whole;
}

/* PINs and the selected application are gone with the power, so it is told as a card that is taken out. */
static void everybody_learns_that_a_key_was_started_anew(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    const unsigned before = key->configurations;
    key->answer = has_no_power_when_it_was_started_anew;
    for (int i = 0; i < 8 && key->configurations == before; i++) {
        assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
        assert_int_not_equal(get(), IFD_SUCCESS);
    }
    assert_true(key->configurations > before);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    key->answer = scripted_honest;
    assert_int_equal(get(), IFD_COMMUNICATION_ERROR);
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    assert_int_equal(get(), IFD_SUCCESS);
    end(key);
}

/* Its silences do not add up, or a key that is only slow would be started anew, and its PINs be forgotten. */
static void a_key_that_answers_late_each_time_is_alive(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    const unsigned before = key->configurations;
    for (int i = 0; i < 10; i++) {
        key->delay_us = 35 * SECOND;
        assert_int_equal(get(), IFD_RESPONSE_TIMEOUT);
        key->delay_us = MS;
        assert_int_equal(get(), IFD_SUCCESS);
    }
    assert_int_equal(key->configurations, before);
    end(key);
}

/* ---- waiting time extensions ---- */

#define MULTIPLIER 40 /* of 1.6 s or so */

static bool has_asked;
static uint8_t bbwi_of_block, bbwi_of_response;

static size_t asks_for_time(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    if (command[0] != XFR_BLOCK)
        return scripted_honest(key, command, length, answer);
    if (has_asked && command[11] == 0xe3) { /* S(WTX response): goes on, for 50 s */
        bbwi_of_response = command[7];
        key->delay_us = 50 * SECOND;
        return scripted_frame(command, key->block, key->block_length, answer);
    }
    key->delay_us = MS;
    const size_t honest = scripted_honest(key, command, length, answer);
    if (has_asked || command[11] & 0x80)
        return honest;
    has_asked = true;
    bbwi_of_block = command[7];
    return scripted_block(command, 0xc3, 1, (const uint8_t[]){ MULTIPLIER }, 1, answer);
}

/* CCID 1.1 6.1.4: bBWI extends the time for this block. A card that asks for more than its command's class has gets it. */
static void a_card_that_asks_for_a_minute_gets_it_and_the_reader_is_told(void **state)
{
    (void)state;
    struct scripted_key *const key = started(TPDU);
    has_asked = false;
    key->answer = asks_for_time;
    assert_int_equal(get(), IFD_SUCCESS);
    assert_int_equal(bbwi_of_block, 0);
    assert_int_equal(bbwi_of_response, MULTIPLIER);
    end(key);
}

/* ---- ends that are left out ---- */

/* A message of one full packet. */
static size_t fills_a_packet(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    uint8_t data[54] = { 0xa5 };
    const bool tpdu = strcmp(key->identity.name, TPDU) == 0;
    const size_t size = tpdu ? 50 : 54;
    if (command[0] != XFR_BLOCK || (tpdu && command[11] & 0x80))
        return scripted_honest(key, command, length, answer);
    memcpy(data + size - 2, "\x90\0", 2);
    if (!tpdu)
        return scripted_frame(command, data, size, answer);
    key->ns = !key->ns;
    return scripted_block(command, key->ns ? 0 : 0x40, (uint8_t)size, data, size, answer);
}

/* Its transfer does not end without the empty packet behind it; when patience does, the answer is there. */
static void an_answer_whose_end_is_left_out_is_there_all_the_same(void **state)
{
    (void)state;
    for (size_t level = 0; level < 2; level++) { /* a key that gives signs of life is asked before */
        struct scripted_key *const key = started(LEVELS[level]);
        const int64_t begun = virtual_now_us(key->slot);
        key->answer = fills_a_packet;
        key->device.faults.packet =
            (struct packet_fault){ .kind = PACKET_NO_ZLP, .endpoint = key->identity.bulk_in, .nth = 1 };
        assert_int_equal(get(), IFD_SUCCESS);
        assert_int_equal(received_length, level == 0 ? 50 : 54);
        assert_true(virtual_now_us(key->slot) - begun <= 31 * SECOND);
        assert_int_equal(get(), IFD_SUCCESS);
        assert_int_equal(received_length, level == 0 ? 50 : 54);
        end(key);
    }
}

/* ---- what a driver before has left ---- */

#define STALE 64

/* A full packet of an older answer, and in the same transfer the longest answer that T=1 has. */
static size_t is_glued(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    uint8_t inf[254];
    if (command[0] != XFR_BLOCK || (command[11] & 0x80))
        return scripted_honest(key, command, length, answer);
    memset(answer, 0, STALE);
    memset(inf, 0xa5, sizeof inf - 2);
    memcpy(inf + sizeof inf - 2, "\x90\0", 2);
    const uint8_t pcb = key->ns ? 0x40 : 0;
    key->ns = !key->ns;
    return STALE + scripted_block(command, pcb, sizeof inf, inf, sizeof inf, answer + STALE);
}

static void the_longest_answer_has_room_behind_a_stale_packet(void **state)
{
    (void)state;
    struct scripted_key *const key = started(TPDU);
    const unsigned before = key->commands;
    key->answer = is_glued;
    assert_int_equal(get(), IFD_SUCCESS);
    assert_int_equal(received_length, 254);
    assert_int_equal(received[0], 0xa5);
    assert_int_equal(key->commands, before + 1);
    end(key);
}

static uint8_t first_number;
static bool first_seen;

static size_t notes_the_first_number(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    if (!first_seen)
        first_number = command[6];
    first_seen = true;
    return scripted_honest(key, command, length, answer);
}

/* Other drivers begin at 0; an answer that one of them has left should not look like ours. */
static void numbers_begin_anywhere(void **state)
{
    (void)state;
    bool all_the_same = true;
    uint8_t before = 0;
    for (int i = 0; i < 8; i++) {
        struct scripted_key *const key = scripted_new(SHORT);
        key->answer = notes_the_first_number;
        first_seen = false;
        scripted_plug(key);
        assert_int_equal(scripted_open(key), IFD_SUCCESS);
        assert_true(first_seen);
        all_the_same = all_the_same && (i == 0 || first_number == before);
        before = first_number;
        end(key);
    }
    assert_false(all_the_same);
}

/* ---- when the card is to agree to larger blocks ---- */

static bool is_ifs_request(const uint8_t *command)
{
    return command[0] == XFR_BLOCK && command[11] == 0xc1;
}

static size_t is_silent_at_ifs(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    return is_ifs_request(command) ? 0 : scripted_honest(key, command, length, answer);
}

static size_t is_dead_at_ifs(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    return command[0] == XFR_BLOCK ? scripted_frame(command, (const uint8_t *)"\1\2\3\4", 4, answer)
                                   : scripted_honest(key, command, length, answer);
}

/* Opening is bounded, since all that pcscd serves waits for it. */
static void a_card_that_is_silent_then_costs_2_s(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(TPDU);
    key->answer = is_silent_at_ifs;
    const int64_t begun = virtual_now_us(key->slot);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    assert_in_range(virtual_now_us(key->slot) - begun, 2 * SECOND, 2 * SECOND + 100 * MS);
    end(key);
}

static void a_card_that_is_dead_then_has_no_power(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(TPDU);
    key->answer = is_dead_at_ifs;
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_ERROR_POWER_ACTION);
    assert_int_equal(get(), IFD_COMMUNICATION_ERROR);
    end(key);
}

static void unplug(void *slot)
{
    virtual_unplug(slot);
}

static void a_key_that_goes_then_is_gone(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(TPDU);
    key->answer = is_silent_at_ifs;
    assert_true(virtual_at(key->slot, virtual_now_us(key->slot) + SECOND, unplug, key->slot));
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHICCPresence(LUN), IFD_COMMUNICATION_ERROR);
    end(key);
}

static void *power_up(void *code)
{
    *(RESPONSECODE *)code = bench_power(IFD_POWER_UP);
    return NULL;
}

static void a_channel_that_closes_then_has_no_card(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(TPDU);
    RESPONSECODE code = IFD_SUCCESS;
    pthread_t thread;
    key->answer = is_silent_at_ifs;
    virtual_hold_at(key->slot, virtual_now_us(key->slot) + SECOND);
    assert_int_equal(pthread_create(&thread, NULL, power_up, &code), 0);
    assert_true(virtual_await_hold(key->slot));
    assert_int_equal(IFDHCloseChannel(LUN), IFD_SUCCESS);
    pthread_join(thread, NULL);
    virtual_release(key->slot);
    assert_int_equal(code, IFD_COMMUNICATION_ERROR);
    scripted_free(key);
}

/* ---- what the log says ---- */

static size_t is_mute(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t whole = scripted_honest(key, command, length, answer);
    if (command[0] != POWER_ON)
        return whole;
    answer[1] = 0;
    answer[7] = 0x41;
    answer[8] = 0xfe;
    return 10;
}

static void what_led_to_a_mute_card_is_told(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(SHORT);
    key->answer = is_mute;
    said[0] = '\0';
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_ERROR_POWER_ACTION);
    assert_int_equal(times("the card does not answer to power on: the card is mute"), 1);
    assert_int_equal(times("the last messages"), 1);
    assert_true(times("> ") >= 1 && times("41fe") == 1);
    end(key);
}

static size_t fails_with_an_atr(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t whole = scripted_honest(key, command, length, answer);
    if (command[0] == POWER_ON)
        answer[7] = 0x41;
    return whole;
}

static void a_power_on_that_has_failed_has_no_atr_whatever_comes_with_it(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(SHORT);
    key->answer = fails_with_an_atr;
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_ERROR_POWER_ACTION);
    assert_int_not_equal(get(), IFD_SUCCESS);
    end(key);
}

static size_t refuses_to_power_off(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const size_t whole = scripted_honest(key, command, length, answer);
    if (command[0] == POWER_OFF)
        answer[7] = 0x40;
    return whole;
}

/* PINs may be verified still. */
static void a_power_off_that_is_refused_is_an_error(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    key->answer = refuses_to_power_off;
    assert_int_equal(bench_power(IFD_POWER_DOWN), IFD_ERROR_POWER_ACTION);
    assert_int_equal(bench_power(IFD_RESET), IFD_ERROR_POWER_ACTION);
    key->answer = scripted_honest;
    assert_int_equal(bench_power(IFD_RESET), IFD_SUCCESS);
    end(key);
}

/* A card that fails in use comes anew, so that programs get it; a mute one does not, or they would go round in circles. */
static void only_a_card_that_was_usable_comes_anew(void **state)
{
    (void)state;
    struct scripted_key *const key = opened(SHORT);
    key->answer = is_mute;
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_ERROR_POWER_ACTION);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    key->answer = scripted_honest;
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    key->answer = is_mute;
    assert_int_equal(bench_power(IFD_RESET), IFD_ERROR_POWER_ACTION);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_NOT_PRESENT);
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
    assert_int_equal(bench_event_thread(), IFD_ICC_PRESENT);
    end(key);
}

static size_t says_nothing(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    (void)key;
    (void)command;
    (void)length;
    (void)answer;
    return 0;
}

static RESPONSECODE vendor_name(void)
{
    UCHAR name[300];
    DWORD length = sizeof name;
    return IFDHGetCapabilities(LUN, SCARD_ATTR_VENDOR_NAME, &length, name);
}

/* Nothing at all: a control request may be what its firmware does not survive. */
static void a_key_that_may_be_at_work_is_not_asked_for_its_name(void **state)
{
    (void)state;
    struct scripted_key *const key = started(SHORT);
    assert_int_equal(vendor_name(), IFD_SUCCESS);
    key->answer = says_nothing;
    assert_int_equal(get(), IFD_RESPONSE_TIMEOUT);
    assert_int_equal(vendor_name(), IFD_ERROR_TAG);
    serves(key);
    assert_int_equal(vendor_name(), IFD_SUCCESS);
    end(key);
}

static void a_mistake_in_the_environment_is_told_once(void **state)
{
    (void)state;
    said[0] = '\0';
    setenv("IFD_NITROKEY_PATIENCE", "generate=soon", 1);
    for (int i = 0; i < 3; i++)
        end(started(SHORT));
    unsetenv("IFD_NITROKEY_PATIENCE");
    assert_int_equal(times("IFD_NITROKEY_PATIENCE is ignored, because this is not understood: \"generate=soon\""), 1);
}

/* ---- mute answers ---- */

static size_t gives_up_at_once(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    return command[0] == XFR_BLOCK ? scripted_frame(command, (const uint8_t *)"\xa5\xa5", 2, answer)
                                   : scripted_honest(key, command, length, answer);
}

/* Before the card's block waiting time is over it has not waited for it. */
static void a_firmware_that_gives_up_at_once_is_not_listened_to(void **state)
{
    (void)state;
    struct scripted_key *const key = started(TPDU);
    const unsigned before = key->commands;
    const int64_t begun = virtual_now_us(key->slot);
    key->answer = gives_up_at_once;
    said[0] = '\0';
    assert_int_equal(get(), IFD_COMMUNICATION_ERROR);
    assert_int_equal(times("a command of class \"ordinary\" has failed: the card has to be reset"), 1);
    assert_int_equal(times("the last messages"), 1);
    assert_in_range(key->commands - before, 1, 20);
    assert_true(virtual_now_us(key->slot) - begun < SECOND);
    serves(key);
    end(key);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_that_does_not_heal_is_one_error),
        TEST(messages_without_end_that_answer_nothing_are_one_error),
        TEST(a_message_that_a_halted_endpoint_refuses_is_not_waited_for),
        TEST(the_first_question_is_asked_again),
        TEST(a_firmware_that_has_stopped_is_asked_nothing_more),
        TEST(a_touch_that_is_asked_for_once_is_no_wish_for_minutes),
        TEST(a_key_that_asks_for_minutes_once_gets_one_of_silence),
        TEST(a_stall_is_no_sign_of_life),
        TEST(everybody_learns_that_a_key_was_started_anew),
        TEST(a_key_that_answers_late_each_time_is_alive),
        TEST(a_card_that_asks_for_a_minute_gets_it_and_the_reader_is_told),
        TEST(an_answer_whose_end_is_left_out_is_there_all_the_same),
        TEST(the_longest_answer_has_room_behind_a_stale_packet),
        TEST(numbers_begin_anywhere),
        TEST(a_card_that_is_silent_then_costs_2_s),
        TEST(a_card_that_is_dead_then_has_no_power),
        TEST(a_key_that_goes_then_is_gone),
        TEST(a_channel_that_closes_then_has_no_card),
        TEST(what_led_to_a_mute_card_is_told),
        TEST(a_power_on_that_has_failed_has_no_atr_whatever_comes_with_it),
        TEST(a_power_off_that_is_refused_is_an_error),
        TEST(only_a_card_that_was_usable_comes_anew),
        TEST(a_key_that_may_be_at_work_is_not_asked_for_its_name),
        TEST(a_mistake_in_the_environment_is_told_once),
        TEST(a_firmware_that_gives_up_at_once_is_not_listened_to),
    };
    return cmocka_run_group_tests_name("nuisances", tests, NULL, NULL);
}
