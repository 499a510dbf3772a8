/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbfs_claims.c - claims of interfaces as locks on the node. */
#include "usbfs_claims.h"
#include <fcntl.h>
#include <unistd.h>

#define FIRST_BYTE 0x10000 /* behind all descriptors */

static struct flock lock_of(unsigned interface, short type)
{
    return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = FIRST_BYTE + (off_t)interface, .l_len = 1 };
}

void usbfs_claims_init(struct usbfs_claims *claims, int node)
{
    *claims = (struct usbfs_claims){ .node = node };
    pthread_mutex_init(&claims->lock, NULL);
}

bool usbfs_claims_take(struct usbfs_claims *claims, unsigned interface)
{
    struct flock lock = lock_of(interface, F_WRLCK);
    pthread_mutex_lock(&claims->lock);
    const bool taken = fcntl(claims->node, F_OFD_SETLK, &lock) == 0;
    if (taken)
        claims->own |= UINT32_C(1) << interface;
    pthread_mutex_unlock(&claims->lock);
    return taken;
}

void usbfs_claims_drop(struct usbfs_claims *claims, unsigned interface)
{
    struct flock lock = lock_of(interface, F_UNLCK);
    pthread_mutex_lock(&claims->lock);
    claims->own &= ~(UINT32_C(1) << interface);
    (void)fcntl(claims->node, F_OFD_SETLK, &lock); /* to unlock does not fail */
    pthread_mutex_unlock(&claims->lock);
}

bool usbfs_claims_own(struct usbfs_claims *claims, unsigned interface)
{
    pthread_mutex_lock(&claims->lock);
    const bool own = claims->own >> interface & 1;
    pthread_mutex_unlock(&claims->lock);
    return own;
}

bool usbfs_claims_any(struct usbfs_claims *claims, unsigned interface)
{
    struct flock lock = lock_of(interface, F_WRLCK);
    if (usbfs_claims_own(claims, interface))
        return true;
    return fcntl(claims->node, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
