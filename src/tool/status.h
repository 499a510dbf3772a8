/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status.h - the files in which the driver tells how long commands are getting on, read (see ../progress.h). */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define STATUS_MAX 16 /* as many readers as pcscd has room for */

/* One long command. Times are milliseconds of CLOCK_BOOTTIME. Texts hold printable ASCII only. */
struct status {
    char reader[64], class[16];
    int64_t bus, address; /* of the key, as lsusb shows them */
    int64_t pid;          /* of pcscd */
    int64_t begun, heard, signs;
    int64_t silence_ends, total_ends;   /* when the driver gives up: without a sign of life, and in any case */
    int64_t usually_from, usually_to;   /* how long such a command takes; 0: not known */
};

/* The commands that run, by bus and address; files that are stale or not understood are passed over. Returns how many,
 * or -1 with errno when the directory cannot be read. */
int status_read_all(const char *directory, struct status all[STATUS_MAX]);

/* Which number pcscd gives the reader of the key at this place, as the driver tells; -1: it does not. */
long status_reader_number(const char *directory, unsigned bus, unsigned address);

/* The clock of the files. */
int64_t status_now(void);
