/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhci_attach.c - plugs the virtual key that listens on a Unix socket into a port of the kernel's USB/IP host controller:
 * what "usbip attach" does by TCP.
 *
 * Usage: vhci_attach SOCKET PORT
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include "../bus/usbip_stream.h"

int main(int argc, char **argv)
{
    static const char attach[] = "/sys/devices/platform/vhci_hcd.0/attach";
    struct usbip_device device;
    if (argc != 3) {
        (void)fprintf(stderr, "Usage: vhci_attach SOCKET PORT\n");
        return 2;
    }
    const int fd = usbip_stream_open(argv[1], "1-1", &device);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    const uint32_t id = ntohl(device.bus) << 16 | ntohl(device.address);
    FILE *file = fopen(attach, "w");
    if (!file || fprintf(file, "%s %d %u %u", argv[2], fd, id, ntohl(device.speed)) < 0 || fclose(file) != 0) {
        perror(attach);
        return 1;
    }
    return 0;
}
