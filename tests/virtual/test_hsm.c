/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_hsm.c - the Pro's firmware in a key that has only a CCID interface, and the ATR it does not tell as it is. */
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

/* The first firmware: the only interface has number 1, and wTotalLength counts a HID interface that is not there. */
static const uint8_t CONFIGURATION[] = {
    0x09, 0x02, 0x76, 0x00, 0x01, 0x01, 0x00, 0x80, 0x32,
    0x09, 0x04, 0x01, 0x00, 0x03, 0x0b, 0x00, 0x00, 0x00,
    0x36, 0x21, 0x10, 0x01, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0x00, 0x10, 0x0e, 0x00, 0x00,
    0x00, 0xcd, 0x25, 0x00, 0x00, 0xa1, 0xc5, 0x01, 0x00, 0x00, 0xfe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xba, 0x04, 0x01, 0x00, 0x0f, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x07, 0x05, 0x81, 0x03, 0x40, 0x00, 0x18,
    0x07, 0x05, 0x02, 0x02, 0x40, 0x00, 0x00,
    0x07, 0x05, 0x82, 0x02, 0x40, 0x00, 0x00,
};
static const uint8_t DEVICE_DESCRIPTOR[18] = { 0x12, 0x01, 0x10, 0x01, 0x00, 0x00, 0x00, 0x40, 0xa0, 0x20,
                                               0x30, 0x42, 0x00, 0x01, 0x01, 0x02, 0x03, 0x01 };
static const uint8_t ATR_96[] = { 0x3b, 0xde, 0x96, 0xff, 0x81, 0x91, 0xfe, 0x1f, 0xc3, 0x80, 0x31, 0x81,
                                  0x54, 0x48, 0x53, 0x4d, 0x31, 0x73, 0x80, 0x21, 0x40, 0x81, 0x07, 0x92 };
static const uint8_t ATR_98[] = { 0x3b, 0xde, 0x98, 0xff, 0x81, 0x91, 0xfe, 0x1f, 0xc3, 0x80, 0x31, 0x81,
                                  0x54, 0x48, 0x53, 0x4d, 0x31, 0x73, 0x80, 0x21, 0x40, 0x81, 0x07, 0x92 };
static const uint8_t ATR_18[] = { 0x3b, 0xde, 0x18, 0xff, 0x81, 0x91, 0xfe, 0x1f, 0xc3, 0x80, 0x31, 0x81,
                                  0x54, 0x48, 0x53, 0x4d, 0x31, 0x73, 0x80, 0x21, 0x40, 0x81, 0x07, 0x1c };

static const struct identity HSM = {
    .name = "hsm", .device = DEVICE_DESCRIPTOR, .configuration = CONFIGURATION,
    .configuration_len = sizeof CONFIGURATION, .strings = { NULL, "Nitrokey", "Nitrokey HSM", "DENK0100001" },
    .ccid_interface = 1, .bulk_out = OUT, .bulk_in = IN, .interrupt_in = 0x81,
};

struct key {
    struct icc *icc;
    struct device *device;
};

static struct key plug(const uint8_t *atr, size_t atr_len, bool raises_ta1)
{
    const struct icc_options card = { .atr = atr, .atr_len = atr_len };
    const struct pro_options options = { .first_byte_limit_us = 120000000, .raises_ta1 = raises_ta1 };
    const struct setup set_configuration = { .request = 9, .value = 1 };
    struct key key = { .icc = icc_new(&card) };
    uint8_t none[1];
    size_t length;
    key.device = pro_new(&HSM, key.icc, &options);
    device_power(key.device, true);
    device_reset(key.device);
    assert_int_equal(device_control(key.device, &set_configuration, none, &length), HANDSHAKE_ACK);
    return key;
}

static void unplug(struct key *key)
{
    device_free(key->device);
    icc_free(key->icc);
}

static void assert_told(const uint8_t *atr, bool raises_ta1, const uint8_t *told)
{
    static const uint8_t power_on[10] = { 0x62 };
    uint8_t packet[DEVICE_PACKET_MAX];
    size_t length;
    struct key key = plug(atr, sizeof ATR_96, raises_ta1);
    assert_int_equal(device_out(key.device, OUT, power_on, sizeof power_on), HANDSHAKE_ACK);
    device_advance(key.device, device_next_us(key.device));
    assert_int_equal(device_in(key.device, IN, packet, &length), HANDSHAKE_ACK);
    assert_int_equal(length, 10 + sizeof ATR_96);
    assert_memory_equal(packet + 10, told, sizeof ATR_96);
    unplug(&key);
}

static void the_atr_is_the_cards_own(void **state)
{
    (void)state;
    assert_told(ATR_96, false, ATR_96);
}

static void ta1_96_is_told_as_98_with_the_checksum_of_96(void **state)
{
    (void)state;
    assert_told(ATR_96, true, ATR_98);
}

static void another_ta1_is_told_as_it_is(void **state)
{
    (void)state;
    assert_told(ATR_18, true, ATR_18);
}

static void without_a_hid_interface_there_is_no_report_descriptor(void **state)
{
    const struct setup get_report_descriptor = { 0x81, 6, 0x2200, 0, 64 };
    uint8_t data[64];
    size_t length;
    struct key key = plug(ATR_96, sizeof ATR_96, false);
    (void)state;
    assert_int_equal(device_control(key.device, &get_report_descriptor, data, &length), HANDSHAKE_STALL);
    unplug(&key);
}

static void the_total_length_may_count_what_is_not_there(void **state)
{
    uint8_t bytes[DEVICE_CONFIGURATION_MAX];
    struct key key = plug(ATR_96, sizeof ATR_96, false);
    (void)state;
    assert_int_equal(device_configuration(key.device, bytes), sizeof CONFIGURATION);
    assert_int_equal(bytes[2], 118);
    unplug(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_atr_is_the_cards_own),
        cmocka_unit_test(ta1_96_is_told_as_98_with_the_checksum_of_96),
        cmocka_unit_test(another_ta1_is_told_as_it_is),
        cmocka_unit_test(without_a_hid_interface_there_is_no_report_descriptor),
        cmocka_unit_test(the_total_length_may_count_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
