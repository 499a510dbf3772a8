/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ccid.c - CCID 1.1 messages and the class descriptor, bytes <-> structs. */
#include "ccid.h"
#include <string.h>

#define PROTOCOLS_KNOWN 3u /* T=0 and T=1 */

static uint32_t read_le32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static enum ccid_level exchange_level(uint32_t features)
{
    if (features & 0x00040000)
        return CCID_EXTENDED_APDU;
    if (features & 0x00020000)
        return CCID_SHORT_APDU;
    if (features & 0x00010000)
        return CCID_TPDU;
    return CCID_CHARACTER;
}

enum err ccid_parse_class(const uint8_t *bytes, size_t length, struct ccid_class *class)
{
    if (length != CCID_DESCRIPTOR_LENGTH || bytes[0] != CCID_DESCRIPTOR_LENGTH || bytes[1] != 0x21)
        return ERR_NOT_CCID;
    *class = (struct ccid_class){
        .level = exchange_level(read_le32(bytes + 40)),
        .protocols = read_le32(bytes + 6),
        .clock_khz = read_le32(bytes + 10),
        .max_message = read_le32(bytes + 44),
        .max_ifsd = read_le32(bytes + 28),
    };
    return class->protocols & ~PROTOCOLS_KNOWN ? ERR_NOT_CCID : ERR_NONE; /* reserved bits: this is garbage */
}

enum ccid_type ccid_answer_type(enum ccid_type command)
{
    return command == CCID_ICC_POWER_ON || command == CCID_XFR_BLOCK ? CCID_DATA_BLOCK : CCID_SLOT_STATUS;
}

size_t ccid_write(uint8_t *message, size_t capacity, uint8_t slot, uint8_t sequence,
                  const struct ccid_command *command)
{
    if (capacity < CCID_HEADER || command->length > capacity - CCID_HEADER || command->length > UINT32_MAX)
        return 0;
    const uint32_t length = (uint32_t)command->length;
    const uint8_t header[CCID_HEADER] = {
        (uint8_t)command->type,
        (uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), (uint8_t)(length >> 24),
        slot, sequence, command->parameter[0], command->parameter[1], command->parameter[2],
    };
    memcpy(message, header, sizeof header);
    if (length)
        memcpy(message + CCID_HEADER, command->data, length);
    return CCID_HEADER + length;
}

uint64_t ccid_message_length(const uint8_t header[CCID_HEADER])
{
    return CCID_HEADER + (uint64_t)read_le32(header + 1);
}

bool ccid_goes_on(const struct ccid_answer *answer)
{
    return answer->parameter == CCID_CHAIN_BEGINS || answer->parameter == CCID_CHAIN_GOES_ON;
}

/* The view of the message at bytes; the caller has checked that a header is there. */
static struct ccid_answer view(const uint8_t *bytes, size_t length)
{
    const uint32_t said = read_le32(bytes + 1);
    const size_t there = length - CCID_HEADER;
    return (struct ccid_answer){
        .type = bytes[0], .slot = bytes[5], .sequence = bytes[6],
        .status = (enum ccid_status)(bytes[7] >> 6), .powered = (bytes[7] & 3) == 0,
        .error = bytes[8], .parameter = bytes[9],
        .complete = said <= there,
        .data = bytes + CCID_HEADER,
        .length = said <= there ? said : there,
    };
}

static bool belongs(const struct ccid_answer *answer, const struct ccid_expectation *expected)
{
    if (answer->slot != expected->slot || (answer->sequence != expected->sequence && !expected->any_sequence))
        return false;
    switch (answer->status) {
    case CCID_OK:
        return answer->type == expected->type;
    case CCID_TIME_EXTENSION: /* it can answer any command, and some firmwares know one type for it */
        return answer->type == expected->type || answer->type == CCID_DATA_BLOCK;
    case CCID_FAILED: /* the request's type, 6Ch or 81h instead of the right one: seen in three firmwares */
        return true;
    case CCID_RESERVED:
        break;
    }
    return false;
}

bool ccid_find_answer(const uint8_t *bytes, size_t length, size_t packet_size,
                      const struct ccid_expectation *expected, struct ccid_answer *answer)
{
    if (packet_size == 0)
        return false;
    for (size_t at = 0; at + CCID_HEADER <= length; at += packet_size) {
        *answer = view(bytes + at, length - at);
        /* the first whole one counts, whatever its data look like; behind something stale it must fit */
        if (belongs(answer, expected) && answer->complete && (at == 0 || answer->length == length - at - CCID_HEADER))
            return true;
    }
    if (length < CCID_HEADER)
        return false;
    /* An answer that says another length than it has is still the end of the command. */
    *answer = view(bytes, length);
    return belongs(answer, expected);
}
