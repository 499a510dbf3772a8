/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_icc.h - stands in for icc.c where a test looks at what is around the card: it says what the test scripts. */
#pragma once
#include "icc.h"

/* The answer to each of the next blocks heard, and when it begins after that. Until it is scripted, the card repeats
 * what it heard after options.other.work_us. length 0: it stays silent. Bytes are copied, at most 260. */
void fake_icc_script(struct icc *icc, const uint8_t *bytes, size_t length, int64_t delay_us);

/* The block heard last. */
const uint8_t *fake_icc_heard(const struct icc *icc, size_t *length);

bool fake_icc_powered(const struct icc *icc);
