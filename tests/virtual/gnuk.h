/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gnuk.h - the firmware of Nitrokey Start and other Gnuk tokens: CCID at short APDU level, the application inside. */
#pragma once
#include "device.h"
#include "icc.h"

/* Makes an unplugged key. The card and the identity stay the caller's and must live as long as the device; of the card
 * only whole APDUs are used, not T=1. End it with device_free(). NULL: out of memory. */
struct device *gnuk_new(const struct identity *identity, struct icc *icc);
