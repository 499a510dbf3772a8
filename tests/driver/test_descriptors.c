/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_descriptors.c - which of a device's descriptors count, wherever they stand, and which device the driver refuses.
 *
 * Each configuration is tried twice: as libusb parses it, and with a length that libusb refuses, as one key has it, so
 * that the driver reads it itself.
 */
#include "bench.h"
#include <string.h>
#include "scripted_key.h"
#include "usb.h"

#define CCID 1 /* bInterfaceNumber */
#define CLASS_LENGTH 54

static const struct usb_place PLACE = { .vendor_id = 0x20a0, .product_id = 0x4108, .interface_number = CCID,
                                        .node = BENCH_NODE };

/* ---- configurations, descriptor by descriptor ---- */

static struct scripted_key *blank(void)
{
    struct scripted_key *const key = scripted_new("nitrokey-pro-2");
    key->identity.configuration_len = 9;
    key->configuration[4] = 0;
    return key;
}

static void append(struct scripted_key *key, const uint8_t *bytes, size_t length)
{
    memcpy(key->configuration + key->identity.configuration_len, bytes, length);
    key->identity.configuration_len += length;
}

static void add_interface(struct scripted_key *key, uint8_t number, uint8_t setting, uint8_t class)
{
    append(key, (const uint8_t[]){ 9, 4, number, setting, 2, class, 0, 0, 0 }, 9);
    key->configuration[4] = (uint8_t)(key->configuration[4] + (setting == 0));
}

static void add_endpoint(struct scripted_key *key, uint8_t address, uint8_t type, uint16_t size)
{
    append(key, (const uint8_t[]){ 7, 5, address, type, (uint8_t)size, (uint8_t)(size >> 8), 0 }, 7);
}

/* TPDU level, and a mark to tell it by. */
static void add_class(struct scripted_key *key, uint8_t mark)
{
    const uint8_t class[CLASS_LENGTH] = { CLASS_LENGTH, 0x21, 0x10, 0x01, 0, 2, 2, [10] = 0xa6, 0x0e, [42] = 1,
                                          [44] = 0x0f, 0x01, [52] = mark };
    append(key, class, sizeof class);
}

static void add_endpoints(struct scripted_key *key)
{
    add_endpoint(key, 0x02, 2, 64);
    add_endpoint(key, 0x82, 2, 64);
}

/* ---- what the driver makes of them ---- */

static struct usb_identity read_once(struct scripted_key *key, bool parsed_by_libusb)
{
    struct usb_port *port;
    struct usb_identity identity;
    const size_t said = key->identity.configuration_len + (parsed_by_libusb ? 0 : 25);
    key->configuration[2] = (uint8_t)said;
    key->configuration[3] = (uint8_t)(said >> 8);
    scripted_plug(key);
    assert_int_equal(usb_open(&port, &PLACE, &identity), ERR_NONE);
    usb_close(port);
    virtual_remove(key->slot);
    key->slot = NULL;
    return identity;
}

/* Frees the key. */
static void has(struct scripted_key *key, uint8_t mark)
{
    for (int i = 0; i < 2; i++) {
        const struct usb_identity found = read_once(key, i == 0);
        assert_int_equal(found.interface_class, 0x0b);
        assert_int_equal(found.bulk_out, 0x02);
        assert_int_equal(found.bulk_in, 0x82);
        assert_int_equal(found.packet_size, 64);
        assert_int_equal(found.class_descriptor_len, CLASS_LENGTH);
        assert_int_equal(found.class_descriptor[52], mark);
    }
    scripted_free(key);
}

static void the_class_descriptor_may_stand_anywhere_among_the_endpoints(void **state)
{
    (void)state;
    for (int before = 0; before <= 3; before++) { /* so many endpoints */
        struct scripted_key *const key = blank();
        add_interface(key, CCID, 0, 0x0b);
        key->configuration[key->identity.configuration_len - 5] = 3;
        for (int i = 0; i <= 3; i++) {
            if (i == before)
                add_class(key, 7);
            if (i < 3)
                add_endpoint(key, (const uint8_t[]){ 0x02, 0x82, 0x83 }[i], i < 2 ? 2 : 3, 64);
        }
        has(key, 7);
    }
}

static void of_two_class_descriptors_the_first_counts(void **state)
{
    (void)state;
    struct scripted_key *const key = blank();
    add_interface(key, CCID, 0, 0x0b);
    add_class(key, 1);
    add_endpoint(key, 0x02, 2, 64);
    add_class(key, 2);
    add_endpoint(key, 0x82, 2, 64);
    has(key, 1);
}

static void another_setting_of_the_interface_does_not_count(void **state)
{
    (void)state;
    struct scripted_key *const key = blank();
    add_interface(key, CCID, 0, 0x0b);
    add_class(key, 1);
    add_endpoints(key);
    add_interface(key, CCID, 1, 0x0a);
    add_endpoint(key, 0x05, 2, 32);
    add_endpoint(key, 0x85, 2, 32);
    has(key, 1);
}

/* Where libusb parses, it is the first that it hands out. */
static void a_setting_that_stands_before_the_one_in_use_does_not_count(void **state)
{
    (void)state;
    struct scripted_key *const key = blank();
    add_interface(key, CCID, 1, 0x0a);
    add_endpoint(key, 0x05, 2, 32);
    add_endpoint(key, 0x85, 2, 32);
    add_interface(key, CCID, 0, 0x0b);
    add_class(key, 1);
    add_endpoints(key);
    const struct usb_identity found = read_once(key, false);
    assert_int_equal(found.interface_class, 0x0b);
    assert_int_equal(found.bulk_in, 0x82);
    assert_int_equal(found.packet_size, 64);
    scripted_free(key);
}

static void a_second_interface_of_the_same_number_does_not_count(void **state)
{
    (void)state;
    struct scripted_key *const key = blank();
    add_interface(key, CCID, 0, 0x0b);
    add_class(key, 1);
    add_endpoints(key);
    add_interface(key, 2, 0, 0x03);
    add_endpoint(key, 0x84, 3, 8);
    add_endpoint(key, 0x04, 3, 8);
    add_interface(key, CCID, 0, 0xff);
    add_endpoint(key, 0x05, 2, 32);
    add_endpoint(key, 0x85, 2, 32);
    has(key, 1);
}

/* ---- what the driver refuses ---- */

/* Frees the key. */
static void pcscd_gets(struct scripted_key *key, RESPONSECODE code)
{
    char name[] = BENCH_NAME;
    key->configuration[2] = (uint8_t)key->identity.configuration_len;
    scripted_plug(key);
    assert_int_equal(IFDHCreateChannelByName(LUN, name), code);
    IFDHCloseChannel(LUN);
    scripted_free(key);
}

static struct scripted_key *with_endpoints(uint8_t class, uint8_t out_type, uint8_t in_type, uint16_t in_size)
{
    struct scripted_key *const key = blank();
    add_interface(key, CCID, 0, class);
    add_class(key, 1);
    add_endpoint(key, 0x02, out_type, 64);
    add_endpoint(key, 0x82, in_type, in_size);
    return key;
}

static void an_interface_without_what_a_ccid_has_is_none(void **state)
{
    (void)state;
    pcscd_gets(with_endpoints(0x0b, 2, 2, 64), IFD_SUCCESS);
    pcscd_gets(with_endpoints(0x03, 2, 2, 64), IFD_NO_SUCH_DEVICE); /* the class of HID */
    pcscd_gets(with_endpoints(0x0b, 3, 2, 64), IFD_NO_SUCH_DEVICE); /* no bulk OUT endpoint */
    pcscd_gets(with_endpoints(0x0b, 2, 3, 64), IFD_NO_SUCH_DEVICE); /* no bulk IN endpoint */
    pcscd_gets(with_endpoints(0x0b, 2, 2, 0), IFD_NO_SUCH_DEVICE);  /* one whose packets are empty */
    pcscd_gets(with_endpoints(0x0b, 2, 2, 1025), IFD_NO_SUCH_DEVICE);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_class_descriptor_may_stand_anywhere_among_the_endpoints),
        TEST(of_two_class_descriptors_the_first_counts),
        TEST(another_setting_of_the_interface_does_not_count),
        TEST(a_setting_that_stands_before_the_one_in_use_does_not_count),
        TEST(a_second_interface_of_the_same_number_does_not_count),
        TEST(an_interface_without_what_a_ccid_has_is_none),
    };
    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
