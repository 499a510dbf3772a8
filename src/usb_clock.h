/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usb_clock.h - the clock by which a libusb context waits. */
#pragma once
#include <stdint.h>

struct libusb_context;

/* Milliseconds; never goes back. Every context of the real libusb has the system's clock, a virtual one its own. */
int64_t usb_clock_ms(struct libusb_context *context);
