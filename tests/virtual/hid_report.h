/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hid_report.h - the report descriptor of the HID interface beside the card. */
#pragma once
#include <stdint.h>

/* Reports of 64 bytes in each direction, of a vendor's own usage; 42 bytes as the HID descriptor says. */
static const uint8_t HID_REPORT_DESCRIPTOR[42] = {
    0x06, 0x00, 0xff,                               /* usage page: vendor defined */
    0x09, 0x01,                                     /* usage 1 */
    0xa1, 0x01,                                     /* collection: application */
    0x15, 0x00, 0x26, 0xff, 0x00,                   /*   logical values 0 ... 255 */
    0x09, 0x01, 0x75, 0x08, 0x96, 0x40, 0x00, 0x81, 0x02, /* 64 bytes of 8 bits: input */
    0x09, 0x01, 0x75, 0x08, 0x96, 0x40, 0x00, 0x91, 0x02, /* output */
    0x09, 0x01, 0x75, 0x08, 0x96, 0x40, 0x00, 0xb1, 0x02, /* feature */
    0xc0,
};
