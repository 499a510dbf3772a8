/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* play.h - plays a sequence, and sees whether all is as it must be: after each step, and when no more goes wrong. */
#pragma once
#include "sequence.h"
#include "world.h"

/* For a process of its own. What is wrong stands in tally->wrong. */
void play(const struct sequence *sequence, struct tally *tally, const char *directory, bool verbose);
