/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcap.c - USB traffic as a capture file. */
#include "pcap.h"
#include <string.h>

enum { CONTROL = 2, BULK = 3 };             /* usbmon's numbers */
enum { DEVICE = 1, CONFIGURATION = 2 };     /* descriptors, USB 2.0 table 9-5 */
enum { SETUP_AT = 40, IN = 0x80, IN_PROGRESS = -115 };

static void put(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

void pcap_write_file_header(uint8_t bytes[PCAP_FILE_HEADER])
{
    memset(bytes, 0, PCAP_FILE_HEADER);
    put(bytes, 4, 0xa1b2c3d4);
    put(bytes + 4, 2, 2); /* version 2.4 */
    put(bytes + 6, 2, 4);
    put(bytes + 16, 4, PCAP_SNAPLEN);
    put(bytes + 20, 4, PCAP_LINKTYPE);
}

/* A transfer's data is in its submission when it goes out, in its completion when it comes in. */
static void write_header(uint8_t *bytes, uint8_t type, const struct pcap_packet *p)
{
    uint8_t *const mon = bytes + 16;
    const bool in = p->endpoint & IN;
    const uint64_t s = (uint64_t)p->time_ms / 1000, us = (uint64_t)p->time_ms % 1000 * 1000;
    memset(bytes, 0, PCAP_PACKET_HEADER);
    put(bytes, 4, s);
    put(bytes + 4, 4, us);
    put(bytes + 8, 4, 64 + p->length);
    put(bytes + 12, 4, 64 + p->original);
    put(mon, 8, p->id);
    mon[8] = in ? 'C' : 'S';
    mon[9] = type;
    mon[10] = p->endpoint;
    mon[11] = p->address;
    put(mon + 12, 2, p->bus);
    mon[14] = '-'; /* no setup packet */
    put(mon + 16, 8, s);
    put(mon + 24, 4, us);
    put(mon + 28, 4, in ? 0 : (uint32_t)IN_PROGRESS);
    put(mon + 32, 4, p->original);
    put(mon + 36, 4, p->length);
}

void pcap_write_packet_header(uint8_t bytes[PCAP_PACKET_HEADER], const struct pcap_packet *packet)
{
    write_header(bytes, BULK, packet);
}

/* ---- descriptors ---- */

/* GET_DESCRIPTOR, and what it brings. */
static size_t write_descriptor(uint8_t *bytes, struct pcap_packet packet, uint8_t kind, const uint8_t *data,
                               uint8_t length)
{
    uint8_t *const mon = bytes + 16, *const answer = bytes + PCAP_PACKET_HEADER;
    write_header(bytes, CONTROL, &packet);
    mon[8] = 'S';
    mon[14] = 0; /* a setup packet, and no data: */
    mon[15] = '<';
    put(mon + 28, 4, (uint32_t)IN_PROGRESS);
    put(mon + 32, 4, length);
    memcpy(mon + SETUP_AT, (const uint8_t[]){ IN, 6, 0, kind, 0, 0, length, 0 }, 8);
    packet.length = packet.original = length;
    write_header(answer, CONTROL, &packet);
    memcpy(answer + PCAP_PACKET_HEADER, data, length);
    return 2u * PCAP_PACKET_HEADER + length;
}

static uint8_t write_configuration(uint8_t *bytes, const struct usb_identity *key)
{
    const uint8_t total = (uint8_t)(9 + 9 + key->class_descriptor_len + 7 + 7);
    const uint8_t head[] = {
        9, CONFIGURATION, total, 0, 1, 1, 0, 0x80, 50,
        9, 4, key->interface_number, 0, 2, key->interface_class, 0, 0, 0,
    };
    const uint8_t low = (uint8_t)key->packet_size, high = (uint8_t)(key->packet_size >> 8);
    const uint8_t tail[] = { 7, 5, key->bulk_out, 2, low, high, 0, 7, 5, key->bulk_in, 2, low, high, 0 };
    memcpy(bytes, head, sizeof head);
    memcpy(bytes + sizeof head, key->class_descriptor, key->class_descriptor_len);
    memcpy(bytes + sizeof head + key->class_descriptor_len, tail, sizeof tail);
    return total;
}

size_t pcap_write_descriptors(uint8_t bytes[PCAP_DESCRIPTORS_MAX], const struct usb_identity *key, int64_t time_ms)
{
    const struct pcap_packet packet = { .bus = key->bus, .address = key->address, .endpoint = IN, .time_ms = time_ms };
    uint8_t device[18] = { 18, DEVICE, 0, 2, 0, 0, 0, 64 }, configuration[128];
    put(device + 8, 2, key->vendor_id);
    put(device + 10, 2, key->product_id);
    put(device + 12, 2, key->bcd_device);
    device[17] = 1;
    const size_t length = write_descriptor(bytes, packet, DEVICE, device, sizeof device);
    const uint8_t total = write_configuration(configuration, key);
    return length + write_descriptor(bytes + length, packet, CONFIGURATION, configuration, total);
}
