/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile_client.h - what pcscd and a client do with a hostile device, always the same: open, power on, transmit at the
 * reader's level, control, reset, power off, close; then again when the device has become honest.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <winscard.h>
#include <ifdhandler.h>

/* The entry points of a driver. */
struct ifd {
    RESPONSECODE (*create)(DWORD lun, LPSTR name);
    RESPONSECODE (*close)(DWORD lun);
    RESPONSECODE (*capabilities)(DWORD lun, DWORD tag, PDWORD length, PUCHAR value);
    RESPONSECODE (*power)(DWORD lun, DWORD action, PUCHAR atr, PDWORD length);
    RESPONSECODE (*transmit)(DWORD lun, SCARD_IO_HEADER send, PUCHAR tx, DWORD tx_length, PUCHAR rx, PDWORD rx_length,
                             PSCARD_IO_HEADER receive);
    RESPONSECODE (*control)(DWORD lun, DWORD code, PUCHAR tx, DWORD tx_length, PUCHAR rx, DWORD rx_length,
                            LPDWORD returned);
    RESPONSECODE (*presence)(DWORD lun);
};

/* What went wrong. */
enum {
    WRONG_ANSWER = 1,  /* a client was given what the device has not sent for its command */
    WRONG_AGAIN = 2,   /* a command was sent twice */
    WRONG_TIME = 4,    /* a call took longer than it may */
    WRONG_CODE = 8,    /* pcscd was told what it must not be told */
    WRONG_LEFT = 16,   /* the channel is closed and something was not given back */
    WRONG_DEAD = 32,   /* the device has become honest, and is not served in the same channel */
    WRONG_NEXT = 64,   /* an honest device that was plugged in afterwards is not served */
};

struct outcome {
    unsigned wrong;
    const char *why; /* the last thing */
    bool opened;
    unsigned answers; /* that were delivered */
};

/* Tells every call and every message on stderr: to look at a script. */
extern bool hostile_verbose;

/* patient: until the script has ended and the device, honest then, is served, and once more after it was plugged in
 * anew. */
struct outcome hostile_run(const struct ifd *ifd, const uint8_t *script, size_t length, bool patient);
