/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usb_clock.c - the clock by which libusb waits: the system's. */
#include "usb_clock.h"
#include <time.h>

int64_t usb_clock_ms(struct libusb_context *context)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
