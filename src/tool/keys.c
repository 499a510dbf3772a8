/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keys.c - the Nitrokeys that are plugged in, as the kernel tells in sysfs. */
#include "keys.h"
#include <dirent.h>
#include <fnmatch.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../ccid.h"
#include "text.h"

#define DEVICES "/sys/bus/usb/devices"
#define MASS_STORAGE_CLASS 0x08

static unsigned attribute_number(const char *directory, const char *name, int base)
{
    char path[PATH_MAX], text[32];
    snprintf(path, sizeof path, DEVICES "/%s/%s", directory, name);
    return text_read_line(path, text, sizeof text) ? (unsigned)strtoul(text, NULL, base) : 0;
}

static void attribute_text(const char *directory, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, DEVICES "/%s/%s", directory, name);
    (void)text_read_line(path, text, size);
}

bool key_attribute(const struct key *key, const char *name, char *value, size_t size)
{
    attribute_text(key->port, name, value, size);
    return value[0] != '\0';
}

/* ---- interfaces ---- */

static void driver_of(const char *interface, char *driver, size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];
    snprintf(path, sizeof path, DEVICES "/%s/driver", interface);
    const ssize_t length = readlink(path, target, sizeof target - 1);
    driver[0] = '\0';
    if (length <= 0)
        return;
    target[length] = '\0';
    text_clean(driver, size, basename(target));
}

static void look_at_interface(struct key *key, const char *interface)
{
    const unsigned class = attribute_number(interface, "bInterfaceClass", 16);
    key->has_disk = key->has_disk || class == MASS_STORAGE_CLASS;
    if (class != CCID_INTERFACE_CLASS || key->ccid_interface >= 0)
        return;
    key->ccid_interface = (int)attribute_number(interface, "bInterfaceNumber", 16);
    attribute_text(interface, "interface", key->interface_name, sizeof key->interface_name);
    driver_of(interface, key->driver, sizeof key->driver);
}

static void look_at_interfaces(struct key *key)
{
    char pattern[64];
    struct dirent **entries;
    const int count = scandir(DEVICES, &entries, NULL, alphasort);
    snprintf(pattern, sizeof pattern, "%s:*", key->port);
    for (int i = 0; i < count; i++) {
        if (fnmatch(pattern, entries[i]->d_name, 0) == 0)
            look_at_interface(key, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* ---- devices ---- */

/* The kernel's own driver for devices gives them their interfaces. */
static void look_for_holder(struct key *key)
{
    driver_of(key->port, key->driver, sizeof key->driver);
    if (strcmp(key->driver, "usb") == 0)
        key->driver[0] = '\0';
}

static bool look_at(const char *port, struct key *key)
{
    *key = (struct key){ .ccid_interface = -1 };
    key->vendor_id = (uint16_t)attribute_number(port, "idVendor", 16);
    key->product_id = (uint16_t)attribute_number(port, "idProduct", 16);
    key->model = model_find(key->vendor_id, key->product_id);
    if (!key->model && key->vendor_id != model_main_vendor())
        return false;
    text_clean(key->port, sizeof key->port, port);
    key->release = (uint16_t)attribute_number(port, "bcdDevice", 16);
    key->bus = attribute_number(port, "busnum", 10);
    key->address = attribute_number(port, "devnum", 10);
    snprintf(key->node, sizeof key->node, "/dev/bus/usb/%03u/%03u", key->bus, key->address);
    attribute_text(port, "manufacturer", key->manufacturer, sizeof key->manufacturer);
    attribute_text(port, "product", key->product, sizeof key->product);
    attribute_text(port, "serial", key->serial, sizeof key->serial);
    look_at_interfaces(key);
    if (key->ccid_interface < 0)
        look_for_holder(key);
    return key->address > 0;
}

static int is_device(const struct dirent *entry)
{
    return fnmatch("[0-9]*-*", entry->d_name, 0) == 0 && !strchr(entry->d_name, ':');
}

int keys_find(struct key keys[KEYS_MAX])
{
    struct dirent **entries;
    const int there = scandir(DEVICES, &entries, is_device, versionsort);
    int count = there < 0 ? -1 : 0;
    for (int i = 0; i < there; i++) {
        if (count < KEYS_MAX && look_at(entries[i]->d_name, &keys[count]))
            count++;
        free(entries[i]);
    }
    if (there >= 0)
        free(entries);
    return count;
}

/* ---- what it says of itself ---- */

void key_name(const struct key *key, char name[KEY_NAME_SIZE])
{
    const bool needs_maker =
        key->manufacturer[0] && strncmp(key->product, key->manufacturer, strlen(key->manufacturer)) != 0;
    if (!key->product[0])
        snprintf(name, KEY_NAME_SIZE, "%s", key->model ? key->model->name : "a device of Nitrokey's");
    else
        snprintf(name, KEY_NAME_SIZE, "%s%s%s", needs_maker ? key->manufacturer : "", needs_maker ? " " : "",
                 key->product);
}

/* Some serial numbers begin with the version of the firmware. Keys that have it for bcdDevice can be told by the version
 * from which they have the Abort command. The others' bcdDevice is no version of the firmware. */
void key_firmware(const struct key *key, char version[32])
{
    int major, minor, patch;
    version[0] = '\0';
    if (sscanf(key->serial, "%*[A-Z]-%3d.%3d.%3d-", &major, &minor, &patch) == 3)
        snprintf(version, 32, "%d.%d.%d", major, minor, patch);
    else if (key->model && key->model->cut_message == CUT_ABORT)
        snprintf(version, 32, "%u.%u", (unsigned)key->release >> 8, key->release & 0xffu);
}
