/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pro.h - the firmware of Nitrokey Pro and Pro 2: a card behind CCID at TPDU level, beside a HID interface.
 *
 * It is also that of Crypto Stick, Librem Key and Nitrokey HSM. What their descriptors say, and so whether there is a
 * HID interface and which number the CCID interface has, is in the identity.
 */
#pragma once
#include "device.h"
#include "icc.h"

struct pro_options {
    int64_t first_byte_limit_us; /* how long it listens for the first byte of the card's answer */
    uint32_t line_rate;          /* bits a second between firmware and card; 0: bytes take no time */
    bool stale_packet;           /* after each bus reset the bulk IN endpoint first gives 64 bytes of old memory */
    bool raises_ta1;             /* tells TA1 96h in the card's ATR as 98h, with the card's TCK: Nitrokey HSM with the
                                    fourth version of its card */
};

extern const struct pro_options pro_defaults; /* 120 s; with the stale packet; the card's own ATR */

/* Makes an unplugged key. The card and the identity stay the caller's and must live as long as the device; end it
 * with device_free(). NULL: out of memory. */
struct device *pro_new(const struct identity *identity, struct icc *icc, const struct pro_options *options);
