/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run_copy.h - pcscd's run directory as it is at one moment, for when pcscd is killed then. */
#pragma once
#include <stdbool.h>

/* Afterwards TO has the files that FROM has, and no other. Both are directories. false: a file cannot be copied. */
bool run_copy(const char *from, const char *to);

/* Removes the files in a directory. */
void run_empty(const char *directory);
