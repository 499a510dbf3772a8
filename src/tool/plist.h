/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plist.h - a driver bundle's Info.plist, read as pcscd reads it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLIST_IDS_MAX 2048

struct plist {
    size_t vendors, products, names;              /* how many there are; pcscd wants them to be equal */
    uint16_t vendor_ids[PLIST_IDS_MAX], product_ids[PLIST_IDS_MAX];
    char executable[256];                         /* CFBundleExecutable */
    bool is_class_driver;                         /* CFBundleName: gives way to a driver that names the device */
};

/* False when the file cannot be read. */
bool plist_read(const char *path, struct plist *plist);

bool plist_names(const struct plist *plist, uint16_t vendor_id, uint16_t product_id);
