/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nk3.h - the firmware of Nitrokey 3 and Nitrokey Passkey: CCID at extended APDU level, the applications inside. */
#pragma once
#include "device.h"
#include "icc.h"

/* Makes an unplugged key with the firmware of its bcdDevice. The card and the identity stay the caller's and must live
 * as long as the device; of the card only whole APDUs are used, not T=1. A key whose USB interrupt has panicked answers
 * NAK to everything until it is unplugged; one whose task of the applications has panicked answers all but XfrBlocks.
 * End it with device_free(). NULL: out of memory. */
struct device *nk3_new(const struct identity *identity, struct icc *icc);

/* One of both has panicked, or will when the command that it works at has ended. */
bool nk3_is_dead(const struct device *device);
