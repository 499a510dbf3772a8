/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h - a virtual USB device, packet by packet, on an explicit clock.
 *
 * device.c does what is the same in every device (USB 2.0 chapter 9: descriptors, configuration, halted endpoints);
 * what makes a model is its firmware, one file behind the operations below. Nothing here looks at a real clock:
 * device_advance() says what time it is, and all that follows happens then. Times are microseconds.
 * What goes wrong with a packet on its way goes wrong here, whatever moves the packets (faults.h).
 * Not thread safe: one thread at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "faults.h"
#include "identity.h"

#define DEVICE_NEVER INT64_MAX
#define DEVICE_PACKET_MAX 512
#define DEVICE_CONFIGURATION_MAX 512

/* What a device says to a token of the host (USB 2.0 §8.4.5). */
enum handshake {
    HANDSHAKE_ACK,
    HANDSHAKE_NAK,   /* not now: ask again */
    HANDSHAKE_STALL, /* endpoint halted, or control request refused */
    HANDSHAKE_NONE,  /* no such endpoint, no device, or the packet got lost: silence on the bus */
    HANDSHAKE_BABBLE, /* it sends more than it may */
};

/* A setup packet (USB 2.0 §9.3). */
struct setup {
    uint8_t request_type, request;
    uint16_t value, index, length;
};

struct device;

/* What a model does. Called only for a device that has power, is not frozen and, for packets, is configured, and
 * for endpoints of its descriptors that are not halted. */
struct firmware {
    void (*power)(struct device *device, bool on);
    void (*reset)(struct device *device); /* bus reset */
    void (*configured)(struct device *device); /* SET_CONFIGURATION, also with the value it has; may be NULL */
    void (*interface_set)(struct device *device); /* SET_INTERFACE; may be NULL */
    void (*halt_cleared)(struct device *device, uint8_t endpoint); /* CLEAR_FEATURE(ENDPOINT_HALT); may be NULL */
    /* Class and vendor requests, and what is asked of an interface. data has room for setup->length bytes and holds
     * them when the host sends; *length: bytes of the data stage, set when the host receives. */
    enum handshake (*control)(struct device *device, const struct setup *setup, uint8_t *data, size_t *length);
    enum handshake (*out)(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length);
    enum handshake (*in)(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length);
    void (*advance)(struct device *device);              /* device->now_us has moved */
    int64_t (*next_us)(const struct device *device);     /* when it will change on its own; may be past, or never */
    bool (*busy)(const struct device *device);           /* a command runs, or an answer has not been read */
    void (*reset_by_sibling)(struct device *device);     /* another interface's command resets the card */
    /* Another interface's command is an APDU for the card; both may be NULL. */
    void (*sibling_apdu)(struct device *device, const uint8_t *apdu, size_t length);
    size_t (*sibling_answer)(const struct device *device);
    void (*free)(struct device *device);
};

struct device {
    const struct firmware *firmware;
    const struct identity *identity; /* not owned; as long-lived as the device */
    struct faults faults;            /* may be changed by a test at any time */
    int64_t now_us;
    bool powered;
    uint8_t configuration; /* bConfigurationValue the host has set; 0 = not configured */
    uint32_t halted;       /* one bit an endpoint */
};

/* Frees the device and what its firmware holds; not the card, not the identity. NULL is allowed. */
void device_free(struct device *device);

/* Plugged in (or the port switched on) and unplugged. Switching on is followed by a bus reset of the host. */
void device_power(struct device *device, bool on);

/* A bus reset: not configured, no endpoint halted. What else it ends is the firmware's business. */
void device_reset(struct device *device);

/* SET_CONFIGURATION by the host: 0 or the one configuration there is. false: refused. */
bool device_configure(struct device *device, unsigned value);

/* The clock: never goes back. Whatever is due by now happens. */
void device_advance(struct device *device, int64_t now_us);
int64_t device_next_us(const struct device *device);

/* One control transfer, whole. data as in struct firmware. HANDSHAKE_NAK: nothing has happened, ask again. */
enum handshake device_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length);

/* One OUT packet of 0 ... wMaxPacketSize bytes; HANDSHAKE_ACK: the device has it. */
enum handshake device_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length);

/* One IN packet; HANDSHAKE_ACK: *length bytes, 0 is possible. packet has room for DEVICE_PACKET_MAX. */
enum handshake device_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length);

/* wMaxPacketSize of an endpoint address; 0: there is no such endpoint. */
size_t device_packet_size(const struct device *device, uint8_t endpoint);

/* The configuration descriptor as the host reads it, faults included; returns its length. */
size_t device_configuration(const struct device *device, uint8_t bytes[DEVICE_CONFIGURATION_MAX]);

/* Halts an endpoint until the host clears it, as a device does that is not pleased. */
void device_halt(struct device *device, uint8_t endpoint);

bool device_busy(const struct device *device);
void device_reset_by_sibling(struct device *device);

/* An APDU of another interface for the card, which does not reset it. Several wait for one another. false: the model
 * has no such interface. */
bool device_sibling_apdu(struct device *device, const uint8_t *apdu, size_t length);

/* How many bytes came to the last one, without the status word; 0: it failed, or there was none. */
#define DEVICE_SIBLING_WAITS SIZE_MAX
size_t device_sibling_answer(const struct device *device);
