/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbfs_descriptors.h - what usbfs has to know of a device's descriptors (USB 2.0 §9.5, §9.6). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As in the node: the device descriptor, then the configurations, of which only the first one counts. */
struct usbfs_descriptors {
    uint8_t bytes[4096];
    size_t length; /* up to the end of the first configuration */
};

/* Reads them from a node, whose file offset stays as it is. false: it has none. */
bool usbfs_descriptors_read(struct usbfs_descriptors *descriptors, int node);

uint8_t usbfs_configuration_value(const struct usbfs_descriptors *descriptors);

bool usbfs_has_interface(const struct usbfs_descriptors *descriptors, unsigned interface);

/* What a transfer has to know of an endpoint. */
struct usbfs_endpoint {
    int interface;      /* whose endpoint it is; -1: of none */
    uint8_t attributes; /* the bits 1..0 are the transfer type */
};

struct usbfs_endpoint usbfs_find_endpoint(const struct usbfs_descriptors *descriptors, uint8_t address);

/* The endpoints of an interface, as a set of usbip_client.h. */
uint32_t usbfs_interface_endpoints(const struct usbfs_descriptors *descriptors, unsigned interface);
