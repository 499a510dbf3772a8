/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* err.h - the one error enumeration of the driver's core. ifdhandler.c alone maps it to IFD codes. */
#pragma once
#include <stdint.h>

enum err {
    ERR_NONE = 0,
    ERR_NOT_CCID,      /* the interface is no CCID interface we can speak to */
    ERR_NO_DEVICE,     /* there is nothing at the place pcscd named */
    ERR_ACCESS,        /* the node may not be opened by this process */
    ERR_BUSY,          /* the interface is claimed by another program or a kernel driver */
    ERR_GONE,          /* unplugged */
    ERR_CANCELLED,     /* the channel is being closed */
    ERR_INTERRUPTED,   /* somebody else wants the key; what was waited for is still to come */
    ERR_DEAD,          /* the firmware serves no command any more, until the key is unplugged */
    ERR_HELD,          /* the key may be at work for a program that is gone; a command could kill it */
    ERR_TIMEOUT,       /* the patience for this command has ended */
    ERR_IO,            /* a USB transfer failed */
    ERR_PROTOCOL,      /* an answer breaks the rules of CCID or T=1 beyond recovery */
    ERR_CARD,          /* the card (or the firmware for it) refused, or is mute */
    ERR_CARD_RESET,    /* the card had to be reset to recover: its PIN state is gone */
    ERR_NOT_POWERED,   /* no ATR has been seen since the last power off */
    ERR_TOO_LONG,      /* a command or an answer does not fit */
    ERR_UNSUPPORTED,
    ERR_NO_MEMORY,
    ERR_LUN_TAKEN,     /* pcscd has another reader under this Lun */
};

/* What it means for people who read the log, to stand behind a colon. Static. */
const char *err_in_words(enum err err);

#define CCID_ERROR_SIZE 48

/* bError of a command that has failed, CCID 1.1 table 6.2-2; text has the words if they must be made. */
const char *ccid_error_in_words(uint8_t error, char text[CCID_ERROR_SIZE]);
