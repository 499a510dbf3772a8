/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbip_client.h - one imported device of a USB/IP server: transfers go out, ended ones are taken back.
 *
 * The protocol is that of Linux, Documentation/usb/usbip_protocol. Errors are negative errno values, and so is the
 * status of a transfer, with the meaning it has in Linux (Documentation/driver-api/usb/error-codes): -ENOENT
 * cancelled, -ESHUTDOWN unplugged, -EPIPE stalled, ...
 * Every function may be called from any thread, but usbip_detach() only when no other one is running.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USBIP_TRANSFER_MAX ((size_t)128 * 1024) /* bytes; libccid asks for 65556 */

struct usbip_client;

/* What is to be moved. */
struct usbip_transfer {
    uint8_t endpoint;  /* its address; 0x00 or 0x80 for a control transfer, the direction being that of the data */
    uint8_t setup[8];  /* control transfers only */
    const void *out;   /* OUT: length bytes, needed only during the call */
    size_t length;     /* at most USBIP_TRANSFER_MAX */
    bool zero_packet;  /* OUT: close full packets by an empty one */
    void *owner;       /* who asked for it, comes back with its end; must not be NULL */
};

/* What becomes of a transfer that ended: private, see usbip_client.c. */
enum usbip_disposal { USBIP_QUEUED, USBIP_AWAITED, USBIP_ABANDONED };

/* A transfer. Public is what of it counts when it has ended: */
struct usbip_request {
    void *owner;
    int status;
    size_t actual;     /* bytes moved; also of one that was cancelled or failed */
    /* private */
    struct usbip_request *next;
    enum usbip_disposal disposal;
    bool in;
    uint8_t endpoint;
    uint32_t sequence, unlink_sequence;
    size_t length;
    /* public: the bytes of an IN transfer */
    uint8_t data[];
};

/* Connects to the AF_UNIX socket and imports the device. NULL: errno says why. */
struct usbip_client *usbip_attach(const char *socket_path, const char *bus_id);

/* Ends the connection, which cancels all transfers, and frees those not taken back. NULL is allowed. */
void usbip_detach(struct usbip_client *client);

/* 1 low, 2 full, 3 high: the same numbers in USB/IP and in usbfs. */
uint32_t usbip_speed(const struct usbip_client *client);

/* Whether the device is unplugged (or the server dead). */
bool usbip_gone(struct usbip_client *client);

/* A descriptor to poll: readable (POLLIN) while usbip_take_ended() has something, hung up (POLLHUP) when the device
 * is gone. Belongs to the client. */
int usbip_ready_fd(const struct usbip_client *client);

/* -ENODEV, -ENOMEM, -EINVAL (too long). */
int usbip_submit(struct usbip_client *client, const struct usbip_transfer *transfer);

/* The transfer that ended first, to be freed by free(). NULL: there is none. */
struct usbip_request *usbip_take_ended(struct usbip_client *client);

/* Ends a transfer with -ENOENT; when the call returns it can be taken. A server that does not answer in a quarter of
 * a second is not waited for. -EINVAL: it has ended before (or never was). -ENODEV. */
int usbip_cancel(struct usbip_client *client, const void *owner);

/* A set of endpoints: the bit of an endpoint's address. */
#define USBIP_ENDPOINT_BIT(address) (UINT32_C(1) << (((address) & 0x0f) | ((address) & 0x80 ? 0x10 : 0)))
#define USBIP_ALL_ENDPOINTS UINT32_MAX

/* usbip_cancel() for each transfer on one of the endpoints. */
void usbip_cancel_endpoints(struct usbip_client *client, uint32_t endpoints);

/* A whole control transfer; data has room for, or holds, what the setup packet says. timeout_ms 0: no limit.
 * Returns the bytes moved, or the status; -ETIMEDOUT. */
int usbip_control(struct usbip_client *client, const uint8_t setup[8], void *data, unsigned timeout_ms);
