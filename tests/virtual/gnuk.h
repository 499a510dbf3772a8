/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gnuk.h - the firmware of Nitrokey Start and other Gnuk tokens: CCID at short APDU level, the application inside. */
#pragma once
#include <stdbool.h>
#include "device.h"
#include "icc.h"

struct gnuk_options {
    bool extension_at_once; /* since Gnuk 1.2.14: the first time extension comes with the command, not 1.95 s later */
};

/* Makes an unplugged key. The card and the identity stay the caller's and must live as long as the device; of the card
 * only whole APDUs are used, not T=1. End it with device_free(). NULL: out of memory. */
struct device *gnuk_new(const struct identity *identity, struct icc *icc, const struct gnuk_options *options);
