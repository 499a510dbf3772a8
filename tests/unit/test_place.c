/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_place.c - the device names of pcscd are understood, whichever way it looks for devices; nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "place.h"

static void a_name_of_pcscd_with_libudev(void **state)
{
    (void)state;
    struct usb_place place;
    assert_true(place_parse("usb:20a0/4108:libudev:1:/dev/bus/usb/001/002", &place));
    assert_int_equal(place.vendor_id, 0x20a0);
    assert_int_equal(place.product_id, 0x4108);
    assert_int_equal(place.interface_number, 1);
    assert_string_equal(place.node, "/dev/bus/usb/001/002");
}

static void a_name_of_pcscd_with_libusb(void **state)
{
    (void)state;
    struct usb_place place;
    assert_true(place_parse("usb:234b/0000:libusb-1.0:3:17:0", &place));
    assert_int_equal(place.vendor_id, 0x234b);
    assert_int_equal(place.product_id, 0);
    assert_int_equal(place.bus, 3);
    assert_int_equal(place.address, 17);
    assert_int_equal(place.interface_number, 0);
    assert_string_equal(place.node, "");
}

static void other_names_are_refused(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "", "usb", "usb:", "usb:20a0", "usb:20a0/", "usb:20a0/4108", "usb:20a0/4108:", "usb:20a0/4108:libudev",
        "usb:20a0/4108:libudev:", "usb:20a0/4108:libudev:1", "usb:20a0/4108:libudev:1:", "usb:20a0/4108:libudev:1:node",
        "usb:20a0/4108:libudev::/dev/bus/usb/001/002", "usb:20a0/4108:libudev:-1:/dev/bus/usb/001/002",
        "usb:20a0/4108:libudev:256:/dev/bus/usb/001/002", "usb:20a0/4108:libudev:1:2:/dev/bus/usb/001/002",
        "usb:120a0/4108:libudev:1:/dev/bus/usb/001/002", "usb:20a0/4108:libusb-1.0:1:2", "usb:20a0/4108:libusb-1.0:1:2:3:4",
        "usb:20a0/4108:libusb-1.0:1:2:3 ", "usb:20a0/4108:libusb-1.0:256:2:1", "usb:20a0/4108:libusb-1.0:1:256:1",
        "usb:20a0/4108:libhal:/org/freedesktop", "/dev/ttyS0", "USB:20a0/4108:libudev:1:/dev/bus/usb/001/002",
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        struct usb_place place;
        if (place_parse(NAMES[i], &place))
            fail_msg("\"%s\" was understood", NAMES[i]);
    }
}

static void a_node_that_is_too_long_is_refused_whole(void **state)
{
    (void)state;
    static const char HEAD[] = "usb:20a0/4108:libudev:1:/";
    struct usb_place place;
    char name[600];
    memset(name, 'x', sizeof name);
    memcpy(name, HEAD, sizeof HEAD - 1);
    for (size_t node_length = 1; node_length < 400; node_length++) {
        name[sizeof HEAD - 2 + node_length] = '\0';
        const bool fits = node_length < sizeof place.node;
        assert_int_equal(place_parse(name, &place), fits);
        if (fits)
            assert_int_equal(strlen(place.node), node_length);
        name[sizeof HEAD - 2 + node_length] = 'x';
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_of_pcscd_with_libudev),
        TEST(a_name_of_pcscd_with_libusb),
        TEST(other_names_are_refused),
        TEST(a_node_that_is_too_long_is_refused_whole),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
