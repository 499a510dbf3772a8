/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbip_stream.h - the connection to a USB/IP server: import of a device, then whole messages over a byte stream. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "usbip_wire.h"

/* Connects to the AF_UNIX socket and imports the device (OP_REQ_IMPORT), whose description it fills in as it is on
 * the wire. The blocking socket is the caller's; -1: errno says why, ENODEV if the server refused. */
int usbip_stream_open(const char *socket_path, const char *bus_id, struct usbip_device *device);

/* Reads exactly length bytes, however they are cut into segments. false: end of stream. */
bool usbip_stream_read(int fd, void *bytes, size_t length);

/* Writes a header and length bytes of data. false: the stream is broken, or the server has not taken it for long. */
bool usbip_stream_write(int fd, const struct usbip_header *header, const void *data, size_t length);
