/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbfs_log.h - the shim's own log: the file named by USBFS_SHIM_LOG, or nothing. */
#pragma once

/* Opens the log; before it, and without USBFS_SHIM_LOG, usbfs_log() does nothing. */
void usbfs_log_open(void);

/* Writes one line (no line feed in format), after the time in milliseconds. Thread safe. */
void usbfs_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
