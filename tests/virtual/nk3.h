/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nk3.h - the firmware of Nitrokey 3 and Nitrokey Passkey: CCID at extended APDU level, the applications inside. */
#pragma once
#include <stdbool.h>
#include "device.h"
#include "icc.h"

struct nk3_options {
    bool survives_abort; /* false: before firmware 1.3, which panics at a control ABORT */
};

/* Makes an unplugged key. The card and the identity stay the caller's and must live as long as the device; of the card
 * only whole APDUs are used, not T=1. A key whose firmware has panicked answers NAK to everything until it is unplugged.
 * End it with device_free(). NULL: out of memory. */
struct device *nk3_new(const struct identity *identity, struct icc *icc, const struct nk3_options *options);
