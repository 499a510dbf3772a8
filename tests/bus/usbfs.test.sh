#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usbfs.test.sh - what stands for usbfs on the test bus behaves as usbfs, by ioctls and through Debian's libusb.
. "$(dirname "$0")/lib.sh"
on_bus "$@"

start_key one || exit
printf -v node '/dev/bus/usb/001/%03d' "$(<"/sys/devices/usb1/1-${key_ports[one]}/devnum")"
LD_PRELOAD=$usbfs_shim USBFS_SHIM_LOG=$work/shim.log "$(built bus_test)" "$node" "$work/one/control"
status=$?
[ "$status" = 0 ] || keep_work
exit "$status"
