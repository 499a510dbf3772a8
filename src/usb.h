/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usb.h - one CCID interface of one USB device: open, claim, one IN and one OUT transfer, one wait.
 *
 * usb.c implements it by libusb-1.0 and is the only file that knows libusb. How long to wait for a key is measured by
 * usb_now_ms() alone, so that tests, whose libusb is a virtual one with virtual keys and clocks, need not wait. The times in
 * files for others, and the sleep of pcscd's polling thread, are of the system's clocks.
 *
 * One thread at a time uses a port; only usb_cancel() and usb_interrupt() may be called from any other thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "err.h"

struct usb_port; /* one opened device; holds everything that libusb needs, shared with no other port */

/* Where pcscd says the interface is. */
struct usb_place {
    uint16_t vendor_id, product_id;
    uint8_t interface_number;
    uint8_t bus, address; /* used when node is empty: look for the device on the bus */
    char node[256];       /* "/dev/bus/usb/001/002", or "" */
};

/* What the descriptors of the device say about the interface. Bytes from the device, not yet believed. */
struct usb_identity {
    uint16_t vendor_id, product_id, bcd_device;
    uint8_t bus, address;
    uint8_t interface_number, interface_class;
    uint8_t class_descriptor[54]; /* CCID 1.1 table 5.1-1; valid when class_descriptor_len == 54 */
    size_t class_descriptor_len;
    uint8_t bulk_out, bulk_in;    /* endpoint addresses, 0 = there is none */
    uint16_t packet_size;         /* wMaxPacketSize of bulk_in, 1 ... 1024; 0 without one */
    uint64_t node;                /* differs each time that a key is plugged in; 0: not known */
};

/*
 * Opens the device at the place and reads its descriptors into *identity; claims nothing, sends nothing to
 * the interface. Errors: ERR_NO_DEVICE, ERR_ACCESS, ERR_NOT_CCID (no such interface, or another device than
 * the place names), ERR_GONE (unplugged meanwhile), ERR_IO, ERR_NO_MEMORY. On success the caller owns *port and
 * ends it with usb_close().
 */
enum err usb_open(struct usb_port **port, const struct usb_place *place, struct usb_identity *identity);

/* Claims the interface. ERR_BUSY while another program has it; may be tried again at any time. */
enum err usb_claim(struct usb_port *port);

/* Takes back what is posted, releases, closes, frees. port may be NULL. */
void usb_close(struct usb_port *port);

/* Milliseconds of a clock that never goes back. */
int64_t usb_now_ms(const struct usb_port *port);

/*
 * Posts the IN transfer: the next message goes to buffer[0 ... size), which stays the port's until the
 * transfer has ended (USB_RECEIVED or a failure), usb_take_back_in() or usb_close(). size is a multiple of
 * packet_size. Does nothing when one is posted already.
 */
enum err usb_post_in(struct usb_port *port, uint8_t *buffer, size_t size);

/*
 * Posts the OUT transfer: one message, one transfer, never followed by a zero-length packet. At most one is
 * posted at a time (ERR_IO). data stays the port's until the transfer has ended, which usb_take_back_out() sees to, and
 * so does *moved, which may be NULL: the bytes that are known to have arrived are stored there as soon as that is known.
 */
enum err usb_post_out(struct usb_port *port, const uint8_t *data, size_t length, uint32_t *moved);

enum usb_event {
    USB_TIMEOUT,     /* the deadline has passed */
    USB_RECEIVED,    /* the IN transfer has ended with news.length bytes (0 is possible) */
    USB_OVERRUN,     /* the IN transfer has ended: the device sent more than fits */
    USB_STALLED_IN,  /* the IN endpoint is halted, the IN transfer has ended */
    USB_STALLED_OUT, /* the OUT endpoint is halted, the OUT transfer has ended */
    USB_FAILED_IN,   /* the IN transfer has ended with another error */
    USB_FAILED_OUT,  /* the OUT transfer has, or nothing can be waited for */
    USB_GONE,        /* the device was unplugged: for good */
    USB_CANCELLED,   /* usb_cancel(): for good */
    USB_INTERRUPTED, /* usb_interrupt(); what is posted stays posted */
};

struct usb_news {
    enum usb_event event;
    size_t length; /* USB_RECEIVED: bytes in the IN buffer */
};

/* Waits for both posted transfers at once; returns when the IN transfer has ended, the OUT transfer has
 * failed, the deadline has passed, or there is nothing to wait for any more. A complete OUT transfer alone
 * does not end the wait. */
struct usb_news usb_wait(struct usb_port *port, int64_t deadline_ms);

/*
 * Ends the OUT transfer. One that has begun to move is completed if that is possible by deadline_ms. When none is posted
 * any more, tells of the last one. Returns how many bytes of it the device is known to have: all of them, or fewer when
 * it has failed or was taken back, and then it may have a packet more.
 */
size_t usb_take_back_out(struct usb_port *port, int64_t deadline_ms);

/* Ends the IN transfer, if one is posted. Returns how many bytes it had received, as far as the kernel tells: by USB/IP
 * it says 0, whatever there was. */
size_t usb_take_back_in(struct usb_port *port);

/* Ends the present wait and every later one with USB_CANCELLED, at once. From any thread. */
void usb_cancel(struct usb_port *port);

/* Ends the present wait, or else the next one, with USB_INTERRUPTED. From any thread. */
void usb_interrupt(struct usb_port *port);

/* Lets go of what libusb keeps until somebody waits: it tells each context, also one that discovers no devices, of every
 * device of the computer that comes or goes. To be called now and then while nobody waits; takes no time. */
void usb_forget_others(struct usb_port *port);

/* CLEAR_FEATURE(ENDPOINT_HALT) for an endpoint address from the identity. */
enum err usb_clear_halt(struct usb_port *port, uint8_t endpoint);

/* The control half of CCID's Abort (CCID 1.1 §5.3.1); the other half is the message of the same slot and number.
 * ERR_UNSUPPORTED: the device refuses it. */
enum err usb_abort(struct usb_port *port, uint8_t slot, uint8_t sequence);

/*
 * Ends whatever the device does by SET_CONFIGURATION with the configuration it has, and claims the interface again.
 * Only for devices without any other interface: it would end what those do as well.
 */
enum err usb_set_configuration(struct usb_port *port);

enum usb_string { USB_STRING_MANUFACTURER, USB_STRING_PRODUCT, USB_STRING_SERIAL };

/* Reads a string descriptor as ASCII, without the NULs that some firmwares append. Writes at most size bytes
 * with the terminating NUL and returns the length without it; 0 = the device has none. Asks the device twice, each time for
 * 1 s at most: it should not be at work. */
size_t usb_string(struct usb_port *port, enum usb_string which, char *text, size_t size);
