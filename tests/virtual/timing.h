/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timing.h - reads how long a command of the card takes from text. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "icc.h"

/* What timing_parse() does not find in the text: an S(WTX request) each 10 s with multiplier 100. */
extern const struct icc_timing timing_defaults;

/*
 * "SECONDS[,silent=SECONDS][,wtx=SECONDS][,multiplier=N][,signs=N]": the work; no sign of life before so much of it; an
 * S(WTX request) each time so much has passed (0: never); the multiplier it asks for, 1 ... 255; so many of them and no
 * more (0: no limit). Seconds are decimal with up to six places, at most a day. false: it is something else.
 */
bool timing_parse(const char *text, struct icc_timing *timing);

/* Seconds alone, as above. */
bool timing_parse_seconds(const char *text, int64_t *us);
