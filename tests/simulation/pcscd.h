/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pcscd.h - what pcscd makes of its clients' calls and of a key that comes and goes: a model of pcsc-lite, read from its
 * winscard.c, eventhandler.c, readerfactory.c and hotplug_libudev.c. One reader, and calls one at a time.
 *
 * Transmit and the like exclude each other in pcscd, too. The polling thread is one of its own; each of its turns is one
 * return of the driver's polling function and what follows.
 * Return codes are those of winscard.h.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <winscard.h>

#define PCSCD_HANDLES 4

bool pcscd_runs(void);
bool pcscd_has_reader(void);

/* After a fork(): the polling thread is to be begun anew. */
void pcscd_is_another_process(void);

/* It looks for keys. Nothing happens if it runs. */
void pcscd_start(void);

/* It is gone without a call of the driver; its handles are, too. */
void pcscd_forget(void);

/* udev tells it what has come and gone meanwhile. */
void pcscd_hear_udev(void);

/* A turn of the polling thread, of so many milliseconds at most; sooner where pcscd itself looks sooner. */
void pcscd_poll(int most_ms);

/* pcscd stops the polling function, as at an SCardDisconnect; may be called while that runs. */
void pcscd_stop_poll(void);

LONG pcscd_connect(unsigned handle, bool exclusive);
LONG pcscd_reconnect(unsigned handle, DWORD initialization);
LONG pcscd_disconnect(unsigned handle, DWORD disposition);
bool pcscd_is_connected(unsigned handle);

/* *sent: the driver was called. */
LONG pcscd_transmit(unsigned handle, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                    size_t *length, bool *sent);

/* SCardGetAttrib of the serial number, SCardControl for the features. */
void pcscd_ask_reader(unsigned handle);

/* For the count of states: the card's power and how many have it. */
unsigned pcscd_state(void);
