/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - what people see, through pcscd's own log.
 *
 * key, in all of them: the one that the line is about, such as "MODEL (001/005)", with bus and address. It
 * stands before what is said. NULL: the line is about no key, or says itself about which.
 *
 * Never give these functions bytes of a command or an answer: they may be a PIN, a key or a plaintext. With
 * IFD_NITROKEY_LOG=debug in pcscd's environment all lines are shown, as errors are, however pcscd was started.
 */
#pragma once

/* Something went wrong, and what to do about it. */
void log_error(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Something a user may want to know in the ordinary course of things: shown when pcscd runs with --info or --debug. */
void log_info(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For those who look for a fault: shown when pcscd runs with --debug. */
void log_debug(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));
