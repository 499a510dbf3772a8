/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* place.c - the device name that pcscd gives a driver, read. */
#include "place.h"
#include <stdio.h>
#include <string.h>

static bool read_udev(const char *rest, struct usb_place *place)
{
    unsigned interface;
    int at = 0;
    if (sscanf(rest, "libudev:%3u:%n", &interface, &at) != 1 || at == 0 || interface > UINT8_MAX)
        return false;
    const size_t length = strlen(rest + at);
    if (rest[at] != '/' || length >= sizeof place->node)
        return false;
    place->interface_number = (uint8_t)interface;
    memcpy(place->node, rest + at, length + 1);
    return true;
}

static bool read_libusb(const char *rest, struct usb_place *place)
{
    unsigned bus, address, interface;
    int at = 0;
    if (sscanf(rest, "libusb-1.0:%3u:%3u:%3u%n", &bus, &address, &interface, &at) != 3 || rest[at] != '\0' ||
        bus > UINT8_MAX || address > UINT8_MAX || interface > UINT8_MAX)
        return false;
    place->bus = (uint8_t)bus;
    place->address = (uint8_t)address;
    place->interface_number = (uint8_t)interface;
    return true;
}

bool place_parse(const char *name, struct usb_place *place)
{
    unsigned vendor, product;
    int at = 0;
    *place = (struct usb_place){ 0 };
    if (sscanf(name, "usb:%4x/%4x:%n", &vendor, &product, &at) != 2 || at == 0)
        return false;
    place->vendor_id = (uint16_t)vendor;
    place->product_id = (uint16_t)product;
    return read_udev(name + at, place) || read_libusb(name + at, place);
}
