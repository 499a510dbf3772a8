/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pcap.h - USB traffic as a capture file: LINKTYPE_USB_LINUX_MMAPPED, as Linux's usbmon and Wireshark have it.
 *
 * Everything is little-endian, which the file says of itself. Pure: no I/O, no allocation.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "usb.h"

#define PCAP_FILE_HEADER 24
#define PCAP_PACKET_HEADER (16 + 64) /* pcap's own, then usbmon's */
#define PCAP_LINKTYPE 220
#define PCAP_SNAPLEN 65535
#define PCAP_DESCRIPTORS_MAX 512

void pcap_write_file_header(uint8_t bytes[PCAP_FILE_HEADER]);

/* One transfer on a bulk endpoint. */
struct pcap_packet {
    uint8_t bus, address, endpoint;
    uint64_t id;             /* of the transfer */
    int64_t time_ms;         /* since 1970 */
    size_t length, original; /* of the data that follows, and that there was */
};
void pcap_write_packet_header(uint8_t bytes[PCAP_PACKET_HEADER], const struct pcap_packet *packet);

/* The packets in which a host reads the device's descriptors, as far as the driver knows them: by these a reader of the
 * file sees that the endpoints speak CCID. No strings, so no serial number. Returns the length. */
size_t pcap_write_descriptors(uint8_t bytes[PCAP_DESCRIPTORS_MAX], const struct usb_identity *key, int64_t time_ms);
