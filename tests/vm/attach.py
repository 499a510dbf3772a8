#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""attach.py SOCKET PORT: plugs the virtual key that listens on SOCKET into a port of the kernel's USB/IP host controller.

What "usbip attach" does by TCP, Documentation/usb/usbip_protocol.rst, by a Unix socket.
"""
import socket
import struct
import sys

VERSION, REQUEST_IMPORT, BUS_ID = 0x0111, 0x8003, b"1-1"
ATTACH = "/sys/devices/platform/vhci_hcd.0/attach"


def read(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            sys.exit("the virtual key has closed the connection")
        data += part
    return data


def main():
    path, port = sys.argv[1], int(sys.argv[2])
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    connection.sendall(struct.pack(">HHI32s", VERSION, REQUEST_IMPORT, 0, BUS_ID))
    status = struct.unpack(">HHI", read(connection, 8))[2]
    if status != 0:
        sys.exit(f"the virtual key refuses: status {status}")
    bus, address, speed = struct.unpack(">III", read(connection, 312)[288:300])
    with open(ATTACH, "w", encoding="ascii") as file:
        file.write(f"{port} {connection.fileno()} {bus << 16 | address} {speed}")


if __name__ == "__main__":
    main()
