/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcsc.h - the readers as pcscd shows them to its clients. Never waits for a key that is at work. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "keys.h"

#define PCSC_READERS_MAX 16 /* as many as pcscd has room for */
#define PCSC_NAME_SIZE 160

struct pcsc_reader {
    char name[PCSC_NAME_SIZE];
    bool has_card; /* powered, with an ATR */
    bool in_use;   /* by a client, perhaps exclusively */
    uint8_t atr[36];
    size_t atr_length;
};

struct pcsc {
    bool silent;      /* pcscd has not answered within 10 s */
    bool answers;     /* it has answered well */
    const char *why;  /* what it answered otherwise, in words */
    struct pcsc_reader readers[PCSC_READERS_MAX];
    int count;
};

/* Asks pcscd. Starts it where systemd does so by its socket, as any client. */
void pcsc_ask(struct pcsc *pcsc);

/* The reader of a key: pcscd makes its name of the model's, the interface's and the serial number. *sure tells whether
 * it can only be this one: of two keys alike, and none with a serial number, that takes the driver's word. NULL: none. */
const struct pcsc_reader *pcsc_reader_of(const struct pcsc *pcsc, const struct key *key, bool *sure);
