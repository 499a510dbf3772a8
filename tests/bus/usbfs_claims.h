/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbfs_claims.h - who has claimed which interface of a node.
 *
 * USB/IP knows no claims, and the openers of a node are different processes: an interface is a byte of the node's
 * file, to be locked. Like a claim such a lock belongs to the open file, and ends with it (fcntl(2), open file
 * description locks). May be called from any thread. An interface is a number below USBFS_INTERFACES_MAX.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define USBFS_INTERFACES_MAX 32

struct usbfs_claims {
    int node;
    pthread_mutex_t lock;
    uint32_t own; /* a bit an interface */
};

/* node stays the caller's. */
void usbfs_claims_init(struct usbfs_claims *claims, int node);

/* Again is no error. false: another opener has it. */
bool usbfs_claims_take(struct usbfs_claims *claims, unsigned interface);

void usbfs_claims_drop(struct usbfs_claims *claims, unsigned interface);

bool usbfs_claims_own(struct usbfs_claims *claims, unsigned interface);

/* Whether this or another opener has it. */
bool usbfs_claims_any(struct usbfs_claims *claims, unsigned interface);
