/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pending.h - what is pending at a key: what has left of a message, which parts the key holds, which answer it owes.
 *
 * exchange.c and the levels write it, before a packet leaves. It lies in a page that is shared with a file in pcscd's run
 * directory where that can be written: plain stores, no system call, and the kernel keeps the page when pcscd is killed.
 * So the next pcscd knows what it cannot see. It holds no byte of a command or of an answer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pending_phase {
    PENDING_UNKNOWN, /* nobody knows: the key was plugged in just now, or another driver has had it */
    PENDING_NOTHING,
    PENDING_MESSAGE, /* an XfrBlock has begun to leave; how much of it has arrived is not certain */
    PENDING_ANSWER,  /* the whole XfrBlock has left: the key may be at work, and owes the answer */
    PENDING_FOR_GOOD, /* a part of an XfrBlock, which only unplugging takes away */
};

/* Times are those of usb_now_ms(). */
struct pending {
    uint32_t phase;  /* enum pending_phase */
    uint32_t class;  /* enum patience_class of the command */
    uint32_t length; /* bytes of the XfrBlock ... */
    uint32_t sent;   /* ... and how many of them are known to have arrived, when it has failed */
    uint32_t chain;  /* the key holds parts of a command, by CCID or by ISO 7816-4 */
    uint32_t rest;   /* the key holds parts of an answer */
    int64_t begun_ms, heard_ms;
};

/* Which key a file is of: an address is used again. */
struct pending_key {
    uint64_t node; /* differs each time that a key is plugged in; 0: not known, and nothing is kept */
    uint16_t vendor_id, product_id, bcd_device;
    uint8_t bus, address;
};

/* All fields belong to pending.c but now, which is never NULL. */
struct pending_store {
    struct pending *now;
    struct pending memory; /* where there is no file */
    void *page;
    struct pending_key key;
};

/* Opens the file of this key, or makes it; what another process has left there stands in store->now then. Without a
 * directory that can be written, store->now is in memory, PENDING_UNKNOWN. The store must stay where it is. */
void pending_open(struct pending_store *store, const struct pending_key *key);

/* The file is removed, unless something is pending at a key that is still there. */
void pending_close(struct pending_store *store, bool unplugged);
