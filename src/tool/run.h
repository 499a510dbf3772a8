/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run.h - another program's output. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs a program found in PATH, and in the directories of system programs, without a shell, its input and its errors
 * empty. Its output, as much as fits, is in text. Ends it after 10 s. False if there is no such program, or it failed. */
bool run(const char *const argv[], char *text, size_t size);
/* ... after so many ms. */
bool run_within(const char *const argv[], char *text, size_t size, int64_t limit_ms);

/* Where a program is, in PATH or the directories of system programs. */
bool run_find(const char *name, char *path, size_t size);
