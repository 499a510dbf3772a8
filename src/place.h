/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* place.h - the device name that pcscd gives a driver, read. Pure. */
#pragma once
#include <stdbool.h>
#include "usb.h"

/*
 * Reads "usb:VVVV/PPPP:libudev:1:/dev/bus/usb/001/002" (pcscd with libudev: interface, node) or
 * "usb:VVVV/PPPP:libusb-1.0:1:2:1" (pcscd with libusb: bus, address, interface), with the identifiers of vendor and
 * product in hexadecimal. False when it is neither.
 */
bool place_parse(const char *name, struct usb_place *place);
