/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_openpgp.h - an application that does what the command itself says; linked instead of application.c.
 *
 * INS 47 is a generation, 2A uses a private key, 44, E6 and 80 50 erase all, all else is quick. The answer is
 * P1 << 8 | P2 bytes 00, 01 ... FF, 00 ... and 9000.
 */
#pragma once
#include "application.h"

struct fake_openpgp {
    bool computing;      /* set by the test: done() says that the answer is not there yet */
    bool untouched;      /* set by the test: the commands from now on wait for a touch, which resets it */
    unsigned waited;     /* finish() was called all the same, and had to wait */
    unsigned begun, resets, untouched_long; /* the last: a touch did not come in time */
    unsigned started, cancelled; /* as a task in the key's own processor */
    bool terminated; /* set by the test */
    size_t command_len;  /* of the last command */
    uint8_t command[APPLICATION_COMMAND_MAX];
};
extern struct fake_openpgp fake_openpgp;
