/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbip_wire.h - the messages of USB/IP 1.1.1 (Linux, Documentation/usb/usbip_protocol). All numbers big endian. */
#pragma once
#include <stdint.h>

enum { USBIP_VERSION = 0x0111, USBIP_BUS_ID = 32, USBIP_SPEED_FULL = 2, USBIP_SPEED_HIGH = 3 };
enum { OP_REQ_DEVLIST = 0x8005, OP_REP_DEVLIST = 0x0005, OP_REQ_IMPORT = 0x8003, OP_REP_IMPORT = 0x0003 };
enum { OP_STATUS_OK = 0, OP_STATUS_BUSY = 2, OP_STATUS_NO_DEVICE = 4, OP_STATUS_ERROR = 5 };
enum { USBIP_CMD_SUBMIT = 1, USBIP_CMD_UNLINK = 2, USBIP_RET_SUBMIT = 3, USBIP_RET_UNLINK = 4 };
enum { USBIP_DIRECTION_OUT = 0, USBIP_DIRECTION_IN = 1 };
#define USBIP_FLAG_ZERO_PACKET UINT32_C(0x40)
#define USBIP_NOT_ISOCHRONOUS UINT32_C(0xffffffff) /* number_of_packets; 0 is sent as well */

struct usbip_op {
    uint16_t version, code;
    uint32_t status;
};

struct usbip_device {
    char path[256];
    char bus_id[USBIP_BUS_ID];
    uint32_t bus, address, speed;
    uint16_t vendor_id, product_id, bcd_device;
    uint8_t device_class, subclass, protocol, configuration, configurations, interfaces;
};

/* Precedes the data of an OUT transfer (CMD_SUBMIT) and of an IN transfer (RET_SUBMIT). */
struct usbip_header {
    uint32_t command, sequence, device, direction, endpoint;
    union {
        struct { uint32_t flags, length, start_frame, packets, interval; uint8_t setup[8]; } submit;
        struct { uint32_t status, actual, start_frame, packets, errors; uint8_t setup[8]; } submitted;
        struct { uint32_t sequence; uint8_t padding[24]; } unlink;
        struct { uint32_t status; uint8_t padding[24]; } unlinked;
    };
};

_Static_assert(sizeof(struct usbip_op) == 8, "as on the wire");
_Static_assert(sizeof(struct usbip_device) == 312, "as on the wire");
_Static_assert(sizeof(struct usbip_header) == 48, "as on the wire");
