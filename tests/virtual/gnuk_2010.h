/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gnuk_2010.h - the firmware of Gnuk's first year: CCID at extended APDU level, messages of one packet. */
#pragma once
#include "device.h"
#include "icc.h"

/* As gnuk_new(). */
struct device *gnuk_2010_new(const struct identity *identity, struct icc *icc);
