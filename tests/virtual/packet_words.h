/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packet_words.h - a packet fault (faults.h) in words:
 *
 *   lost | unacknowledged | babble | halt | no-zlp | pause   in | out | control   [N]
 *   nak   in | out | control   N SECONDS
 *   cancels reported | unreported
 *   go        ends a pause
 *   none      takes back what has not happened yet, and what lasts
 *
 * N: the Nth packet of the bulk endpoint from now on, or the Nth control transfer; 1, if it is not said.
 */
#pragma once
#include <stdbool.h>
#include "device.h"

#define PACKET_WORDS_MAX 4

/* false: the words make no sense, and nothing has changed. */
bool packet_words_apply(struct device *device, int count, char *const words[]);

/* The same in one text, with commas between the words; text is not changed. */
bool packet_words_parse(struct device *device, const char *text);

/* How far the fault is: none, waiting, struck (so it has happened), or paused. */
const char *packet_words_state(const struct device *device);
