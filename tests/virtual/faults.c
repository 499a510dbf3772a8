/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* faults.c - spoils answers and descriptors of a virtual key on request. */
#include "faults.h"
#include <string.h>

#define HEADER 10
#define CLASS_DESCRIPTOR_LENGTH 54
#define CLASS_DESCRIPTOR_CUT 10
#define MISSING_TOTAL 25

enum answer_fault faults_next_answer(struct faults *faults)
{
    if (faults->answers == 0)
        return ANSWER_RIGHT;
    faults->answers--;
    return faults->answer;
}

enum packet_fault_kind faults_packet_due(const struct faults *faults, uint8_t endpoint)
{
    const struct packet_fault *const packet = &faults->packet;
    return packet->endpoint == endpoint && packet->nth <= 1 ? packet->kind : PACKET_RIGHT;
}

void faults_strike_packet(struct faults *faults, int64_t now_us)
{
    const struct packet_fault packet = faults->packet;
    faults->packet = (struct packet_fault){ .kind = PACKET_RIGHT };
    faults->packets_struck++;
    if (packet.kind == PACKET_NAKED) {
        faults->naked_endpoint = packet.endpoint;
        faults->naked_until_us = now_us + packet.naked_us;
    }
    faults->paused = faults->paused || packet.kind == PACKET_PAUSED;
    if (packet.struck)
        packet.struck(packet.context);
}

void faults_count_packet(struct faults *faults, uint8_t endpoint, bool empty)
{
    struct packet_fault *const packet = &faults->packet;
    if (packet->endpoint == endpoint && packet->nth > 1 && (empty || packet->kind != PACKET_NO_ZLP))
        packet->nth--;
}

size_t faults_spoil_answer(enum answer_fault fault, uint8_t *message, size_t length)
{
    switch (fault) {
    case ANSWER_RIGHT:
    case ANSWER_REPEATED:
        break;
    case ANSWER_WRONG_SEQUENCE:
        message[6] ^= 0x55;
        break;
    case ANSWER_WRONG_SLOT:
        message[5] ^= 0x01;
        break;
    case ANSWER_WRONG_TYPE:
        message[0] ^= 0x03;
        break;
    case ANSWER_TOO_LONG:
        message[1] = (uint8_t)(message[1] + 16);
        message[2] = (uint8_t)(message[2] + (message[1] < 16));
        break;
    case ANSWER_TOO_SHORT:
        if (length > HEADER && message[1]-- == 0)
            message[2]--;
        break;
    case ANSWER_CUT:
        return length > HEADER ? HEADER + (length - HEADER) / 2 : HEADER / 2;
    case ANSWER_SWALLOWED:
        return 0;
    }
    return length;
}

static void set_total(uint8_t *bytes, size_t total)
{
    bytes[2] = (uint8_t)total;
    bytes[3] = (uint8_t)(total >> 8);
}

/* Where the CCID class descriptor begins; length: there is none. */
static size_t find_class_descriptor(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at + 2 <= length && bytes[at] >= 2) {
        if (bytes[at] == CLASS_DESCRIPTOR_LENGTH && bytes[at + 1] == 0x21 && at + bytes[at] <= length)
            return at;
        at += bytes[at];
    }
    return length;
}

size_t faults_spoil_configuration(enum descriptor_fault fault, uint8_t *bytes, size_t length)
{
    const size_t at = find_class_descriptor(bytes, length);
    switch (fault) {
    case DESCRIPTORS_RIGHT:
        break;
    case DESCRIPTORS_CLASS_CUT:
        if (at < length) {
            const size_t end = at + CLASS_DESCRIPTOR_LENGTH;
            bytes[at] = CLASS_DESCRIPTOR_LENGTH - CLASS_DESCRIPTOR_CUT;
            memmove(bytes + end - CLASS_DESCRIPTOR_CUT, bytes + end, length - end);
            length -= CLASS_DESCRIPTOR_CUT;
            set_total(bytes, length);
        }
        break;
    case DESCRIPTORS_CLASS_GARBAGE:
        if (at < length)
            memset(bytes + at + 2, 0xff, CLASS_DESCRIPTOR_LENGTH - 2);
        break;
    case DESCRIPTORS_TOTAL_LONG:
        set_total(bytes, length + MISSING_TOTAL);
        break;
    case DESCRIPTORS_TOTAL_SHORT:
        length -= 3;
        set_total(bytes, length);
        break;
    case DESCRIPTORS_NEVER_END:
        bytes[9] = 0;
        break;
    }
    return length;
}
