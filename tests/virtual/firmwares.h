/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* firmwares.h - the firmware that belongs to an identity. */
#pragma once
#include "device.h"
#include "icc.h"

struct firmware_options {
    int64_t first_byte_limit_us; /* how long it listens for the first byte of the card's answer; 0: as it is made */
    uint32_t line_rate;          /* bits a second between a chip and its firmware; 0: bytes take no time */
    bool no_stale_packet;        /* nothing old is in the endpoint after a bus reset */
};

/* Makes an unplugged key; see pro_new() and its like. NULL: out of memory, or no such firmware. */
struct device *firmware_new(const struct identity *identity, struct icc *icc, const struct firmware_options *options);
