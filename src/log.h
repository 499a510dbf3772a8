/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - what people see, through pcscd's own log.
 *
 * Never give these functions bytes of a command or an answer: they may be a PIN, a key or a plaintext.
 */
#pragma once
#include <stdbool.h>

/* Something went wrong, and what to do about it. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something a user may want to know in the ordinary course of things. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For those who look for a fault: shown when pcscd runs with --debug, or as information when IFD_NITROKEY_LOG=debug. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
