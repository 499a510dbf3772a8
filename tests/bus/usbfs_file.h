/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbfs_file.h - one open usbfs node: the ioctls, with their meaning in Linux (drivers/usb/core/devio.c).
 *
 * Every function may be called from any thread, but usbfs_file_close() only when no other one is running.
 * Not there: isochronous transfers and bulk streams, USBDEVFS_BULK, signals, mmap, devices with several
 * configurations or alternate settings.
 */
#pragma once

struct usbfs_file;

/* Attaches to the device behind a node, which is open for reading and writing and stays the caller's.
 * NULL: errno says why. */
struct usbfs_file *usbfs_file_open(int node, const char *socket_path);

/* Cancels what is pending, then gives up the claims. */
void usbfs_file_close(struct usbfs_file *file);

/* At least 0, or a negative errno value. */
int usbfs_file_ioctl(struct usbfs_file *file, unsigned long request, void *argument);

/* To poll instead of the node: POLLIN means that a URB can be reaped, POLLHUP that the device is unplugged. */
int usbfs_file_ready_fd(const struct usbfs_file *file);
