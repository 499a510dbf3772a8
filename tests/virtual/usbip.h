/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbip.h - a USB/IP server (protocol 1.1.1) that exports the one device of a host controller.
 *
 * Two ways to share it:
 *   exclusive   for `usbip attach`: an import plugs the device in, the end of the connection unplugs it; one client
 *               at a time. The client's kernel is the host: it configures the device.
 *   shared      the server plays the host: the device stays plugged in and configured whether or not anybody is
 *               connected. A connection is like one open file of usbfs; when it ends its transfers are cancelled.
 * The rules are those of Linux, Documentation/usb/usbip_protocol and drivers/usb/usbip.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "host_controller.h"
#include "loop.h"

struct usbip_server;

/* Serves on the loop, whose settle hook it takes. bus_id ("1-1", at most 31 characters) is copied; the host
 * controller and the loop stay the caller's. The device is in its port from the start. NULL: out of memory. */
struct usbip_server *usbip_new(struct loop *loop, struct host_controller *host, const char *bus_id, bool shared);

/* Drops all clients and unplugs. NULL is allowed. */
void usbip_free(struct usbip_server *server);

/* Takes new clients from a listening socket (listener.h), which it closes at the end. */
bool usbip_listen(struct usbip_server *server, int fd);

/* Takes a client that is connected already; owns fd from now on, whatever comes of it. */
void usbip_add_client(struct usbip_server *server, int fd);

/* Puts the device into its port, takes it out: transfers end with -ESHUTDOWN, then clients lose their connection. */
void usbip_plug(struct usbip_server *server);
void usbip_unplug(struct usbip_server *server);
