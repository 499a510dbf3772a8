/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage.h - the firmware of Nitrokey Storage and Storage 2: a card behind CCID at TPDU level, beside a disk.
 *
 * Interface 0 is the disk (mass_storage.h) on endpoints 81h and 02h, and serves whatever the card does; the CCID
 * interface is where the identity says; the HID interface has commands for the card when a test says so, see
 * device_sibling_apdu(). Whether packets have 512 bytes (high speed) or 64 (full speed, and high speed before 2017) is
 * a matter of the identity's endpoint descriptors.
 */
#pragma once
#include "device.h"
#include "icc.h"

#define STORAGE_DISK_IN 0x81
#define STORAGE_DISK_OUT 0x02

enum storage_version {
    STORAGE_0_57, /* 2018 and later; what is asked here is the same since V0.48 */
    STORAGE_0_43, /* 2016 and 2017 */
    STORAGE_0_29, /* 2015 */
};

struct storage_options {
    enum storage_version version;
    int64_t first_byte_limit_us; /* how long it listens for the first byte of the card's answer: 60 s, before 2016-08
                                    30 s. A mute card costs IccPowerOn twenty times as long */
};

extern const struct storage_options storage_defaults; /* the latest; 60 s */

/* What a mounted file system would have had to live through since the device was made. */
struct storage_disturbances {
    size_t bus_resets;     /* with the one that belongs to each enumeration */
    size_t configurations; /* SET_CONFIGURATIONs, with the one of each enumeration; two in a row may count as one */
};
struct storage_disturbances storage_disturbances(const struct device *device);

/* Makes an unplugged key. The card and the identity stay the caller's and must live as long as the device; end it
 * with device_free(). NULL: out of memory. */
struct device *storage_new(const struct identity *identity, struct icc *icc, const struct storage_options *options);
