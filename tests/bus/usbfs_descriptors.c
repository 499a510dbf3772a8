/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbfs_descriptors.c - walks over the descriptors of a node. */
#include "usbfs_descriptors.h"
#include <unistd.h>
#include "usbip_client.h"

enum { DEVICE_LENGTH = 18, CONFIGURATION_LENGTH = 9 };
enum { DESCRIPTOR_DEVICE = 1, DESCRIPTOR_CONFIGURATION = 2, DESCRIPTOR_INTERFACE = 4, DESCRIPTOR_ENDPOINT = 5 };

bool usbfs_descriptors_read(struct usbfs_descriptors *descriptors, int node)
{
    const ssize_t n = pread(node, descriptors->bytes, sizeof descriptors->bytes, 0);
    const uint8_t *configuration = descriptors->bytes + DEVICE_LENGTH;
    if (n < DEVICE_LENGTH + CONFIGURATION_LENGTH || descriptors->bytes[1] != DESCRIPTOR_DEVICE
        || configuration[1] != DESCRIPTOR_CONFIGURATION)
        return false;
    descriptors->length = DEVICE_LENGTH + (size_t)(configuration[2] | configuration[3] << 8);
    return descriptors->length <= (size_t)n;
}

uint8_t usbfs_configuration_value(const struct usbfs_descriptors *descriptors)
{
    return descriptors->bytes[DEVICE_LENGTH + 5];
}

/* The descriptor at offset *at, which moves behind it. NULL: there is none, or it is broken. */
static const uint8_t *next(const struct usbfs_descriptors *descriptors, size_t *at)
{
    const uint8_t *found = descriptors->bytes + *at;
    const size_t left = descriptors->length - *at;
    if (left < 2 || found[0] < 2 || found[0] > left)
        return NULL;
    *at += found[0];
    return found;
}

static bool is_interface(const uint8_t *descriptor)
{
    return descriptor[1] == DESCRIPTOR_INTERFACE && descriptor[0] >= 9;
}

static bool is_endpoint(const uint8_t *descriptor)
{
    return descriptor[1] == DESCRIPTOR_ENDPOINT && descriptor[0] >= 7;
}

bool usbfs_has_interface(const struct usbfs_descriptors *descriptors, unsigned interface)
{
    size_t at = DEVICE_LENGTH;
    const uint8_t *found;
    while ((found = next(descriptors, &at)) != NULL)
        if (is_interface(found) && found[2] == interface)
            return true;
    return false;
}

/* An interface's endpoints follow it. Alternate settings are not told apart. */
struct usbfs_endpoint usbfs_find_endpoint(const struct usbfs_descriptors *descriptors, uint8_t address)
{
    int interface = -1;
    size_t at = DEVICE_LENGTH;
    const uint8_t *found;
    while ((found = next(descriptors, &at)) != NULL) {
        if (is_interface(found))
            interface = found[2];
        else if (is_endpoint(found) && found[2] == address)
            return (struct usbfs_endpoint){ interface, found[3] };
    }
    return (struct usbfs_endpoint){ .interface = -1 };
}

uint32_t usbfs_interface_endpoints(const struct usbfs_descriptors *descriptors, unsigned interface)
{
    uint32_t endpoints = 0;
    bool inside = false;
    size_t at = DEVICE_LENGTH;
    const uint8_t *found;
    while ((found = next(descriptors, &at)) != NULL) {
        if (is_interface(found))
            inside = found[2] == interface;
        else if (inside && is_endpoint(found))
            endpoints |= USBIP_ENDPOINT_BIT(found[2]);
    }
    return endpoints;
}
