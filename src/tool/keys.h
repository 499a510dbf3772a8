/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keys.h - the Nitrokeys that are plugged in, as the kernel tells in sysfs. Needs no permission, asks no device. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "../model.h"

#define KEYS_MAX 32
#define KEY_NAME_SIZE 256

struct key {
    uint16_t vendor_id, product_id, release; /* release: bcdDevice */
    unsigned bus, address;                   /* as lsusb shows them */
    char port[32];                           /* "1-4.2": its directory in /sys/bus/usb/devices */
    char node[32];                           /* "/dev/bus/usb/001/002" */
    char manufacturer[64], product[64], serial[64]; /* what it calls itself; printable ASCII, "" when it does not say */
    int ccid_interface;                      /* bInterfaceNumber; -1: it has none */
    char interface_name[64];                 /* of the CCID interface */
    char driver[32];                         /* of the CCID interface: "usbfs" when a program has it, "" when nobody;
                                                of a device without interfaces: who has all of it, as "usbip-host" */
    bool has_disk;
    const struct model *model;               /* NULL: this driver does not know it */
};

/* All that the driver knows, and what else has Nitrokey's vendor_id, in the order of their ports. Returns how many, or
 * -1 with errno when there is no sysfs. */
int keys_find(struct key keys[KEYS_MAX]);

/* What it calls itself, with its maker unless the name says it; by the driver's table when it says nothing. */
void key_name(const struct key *key, char name[KEY_NAME_SIZE]);

/* The version of the firmware where the device tells, else "". */
void key_firmware(const struct key *key, char version[32]);

/* Reads an attribute such as "power/persist" of the device. */
bool key_attribute(const struct key *key, const char *name, char *value, size_t size);
