/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader.h - one plugged-in key: open, close, lock, presence; and the table of Luns.
 *
 * pcscd calls from many threads: for one reader Transmit, power, presence and control one at a time, but the polling
 * and stop functions at any moment beside them, and close even while Transmit runs. Every call therefore takes a
 * reference by reader_acquire() and gives it back by reader_release(); reader_close() ends running calls and waits.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "atr.h"
#include "ccid.h"
#include "err.h"
#include "model.h"
#include "presence.h"
#include "usb.h"

#define READER_MAX 64 /* pcscd has room for 16 */

struct reader;

/*
 * Opens the key that pcscd's device name tells and enters it under the Lun. Bounded to 2 s even when the key is busy.
 * A key whose interface another program holds is opened without a card; the claim is tried again when that program
 * lets go of it. On failure nothing is left: pcscd calls no close then.
 */
enum err reader_open(unsigned long lun, const char *device_name);

/* Ends everything that runs on the reader, waits for it, and frees it. ERR_NO_DEVICE: no such Lun. */
enum err reader_close(unsigned long lun);

/* The reader of a Lun with a reference, or NULL. */
struct reader *reader_acquire(unsigned long lun);
void reader_release(struct reader *reader);

/* Cold reset and ATR. The first one after open is bounded so that open, presence and power on take 5 s in all.
 * After ERR_TIMEOUT, and when a card that was in use fails, it is reported absent once, so that pcscd tries again. */
enum err reader_power_on(struct reader *reader, struct atr *atr);
/* Power off, then on: some firmwares keep a verified PIN over a mere power on. */
enum err reader_reset(struct reader *reader, struct atr *atr);
enum err reader_power_off(struct reader *reader);

/* See card_transmit(). After ERR_CARD_RESET the card is reported absent once, so that every program learns that its
 * state is gone and pcscd powers it on again. */
enum err reader_transmit(struct reader *reader, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                         size_t *length);

/* Known without asking the key. */
enum presence reader_presence(struct reader *reader);

/* true once after the opening. */
bool reader_first_asked_for_poll(struct reader *reader);

/* Sleeps until something about presence changes, a stop, or the time-out. ERR_GONE at once after an unplug. */
enum err reader_poll(struct reader *reader, int timeout_ms);
/* Ends exactly one poll: the one that runs, or else the next. */
void reader_stop_poll(struct reader *reader);

/* What part10.c tells clients. All of it is known without asking the key, except the strings. */
struct reader_facts {
    uint16_t vendor_id, product_id, bcd_device;
    uint8_t bus, address;
    struct ccid_class class;
};
struct reader_facts reader_facts(const struct reader *reader);
/* A copy of the ATR; false when there is no powered card: also after an unplug, without the claim, after a reset. */
bool reader_atr(struct reader *reader, struct atr *atr);
/* See usb_string(). A key that may be at work is not asked: 0. */
size_t reader_string(struct reader *reader, enum usb_string which, char *text, size_t size);
