/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status.h - the files in which the driver tells how long commands are getting on, read (see ../progress.h). */
#pragma once
#include <stdbool.h>
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

/* What the driver tells of the reader of the key at a place. */
struct status_reader {
    long number;    /* that pcscd gives it */
    char state[16]; /* see ../reader_file.h; "" when this driver does not tell */
    int64_t until;  /* when one that is held back will be served at the latest */
};

/* false: no driver tells anything of it; *reader says so then, too. */
bool status_reader(const char *directory, unsigned bus, unsigned address, struct status_reader *reader);

#define STATUS_WORDS 256

/* Why a key is not served as ever, and what to do; NULL when it is. */
const char *status_reader_in_words(const struct status_reader *reader, char words[STATUS_WORDS]);

/* The clock of the files. */
int64_t status_now(void);
