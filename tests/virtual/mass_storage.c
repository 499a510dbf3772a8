/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mass_storage.c - Bulk-Only Transport and the few SCSI commands of a virtual disk. */
#include "mass_storage.h"
#include <string.h>

#define COMMAND_WRAPPER 31 /* bytes; BOT §5.1 */
#define STATUS_WRAPPER 13  /* BOT §5.2 */

enum { TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, READ_CAPACITY = 0x25, READ_10 = 0x28,
       WRITE_10 = 0x2a };
enum { ILLEGAL_REQUEST = 0x05, DATA_PROTECT = 0x07 };                         /* sense keys */
enum { UNKNOWN_COMMAND = 0x20, OUT_OF_RANGE = 0x21, WRITE_PROTECTED = 0x27 }; /* additional sense codes */

static uint32_t little_endian(const uint8_t *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static void put_little_endian(uint8_t *b, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(value >> 8 * i);
}

uint8_t mass_storage_byte(uint64_t position)
{
    return (uint8_t)(position + 3 * (position / MASS_STORAGE_BLOCK));
}

void mass_storage_reset(struct mass_storage *disk)
{
    disk->stage = MASS_STORAGE_COMMAND;
}

/* ---- commands (SPC-4, SBC-3) ---- */

static void refuse(struct mass_storage *disk, uint8_t sense, uint8_t code)
{
    disk->failed = true;
    disk->sense = sense;
    disk->sense_code = code;
}

static void give(struct mass_storage *disk, const uint8_t *data, size_t length)
{
    disk->data = data;
    disk->useful = (uint32_t)length;
}

static void inquiry(struct mass_storage *disk)
{
    /* a removable disk, SPC-2; 31 bytes follow; vendor, product, revision */
    static const char answer[] = "\x00\x80\x04\x02\x1f\0\0\0" "Nitrokey" "Nitrokey Storage" "1.00";
    give(disk, (const uint8_t *)answer, sizeof answer - 1);
}

static void request_sense(struct mass_storage *disk)
{
    memset(disk->small, 0, sizeof disk->small);
    disk->small[0] = 0x70; /* current error, fixed format */
    disk->small[2] = disk->sense;
    disk->small[7] = 10;   /* bytes that follow */
    disk->small[12] = disk->sense_code;
    disk->sense = disk->sense_code = 0;
    give(disk, disk->small, 18);
}

static void read_capacity(struct mass_storage *disk)
{
    static const uint8_t answer[8] = { 0, 0, 0, MASS_STORAGE_BLOCKS - 1, 0, 0, MASS_STORAGE_BLOCK >> 8, 0 };
    give(disk, answer, sizeof answer);
}

static void read_blocks(struct mass_storage *disk, const uint8_t *command)
{
    const uint64_t first = big_endian(command + 2);
    const uint32_t count = (uint32_t)(command[7] << 8 | command[8]);
    if (first + count > MASS_STORAGE_BLOCKS) {
        refuse(disk, ILLEGAL_REQUEST, OUT_OF_RANGE);
        return;
    }
    disk->reading = true;
    disk->position = first * MASS_STORAGE_BLOCK;
    disk->useful = count * MASS_STORAGE_BLOCK;
}

static void run_command(struct mass_storage *disk, const uint8_t *command)
{
    switch (command[0]) {
    case TEST_UNIT_READY:
        break;
    case REQUEST_SENSE:
        request_sense(disk);
        break;
    case INQUIRY:
        inquiry(disk);
        break;
    case READ_CAPACITY:
        read_capacity(disk);
        break;
    case READ_10:
        read_blocks(disk, command);
        break;
    case WRITE_10:
        refuse(disk, DATA_PROTECT, WRITE_PROTECTED);
        break;
    default:
        refuse(disk, ILLEGAL_REQUEST, UNKNOWN_COMMAND);
    }
}

/* ---- transport ---- */

/* BOT §6.2.1, §6.2.2 */
static bool is_command(const uint8_t *packet, size_t length)
{
    return length == COMMAND_WRAPPER && memcmp(packet, "USBC", 4) == 0 && packet[13] == 0 && packet[14] >= 1
           && packet[14] <= 16;
}

static enum handshake take_command(struct mass_storage *disk, const uint8_t *packet, size_t length)
{
    if (!is_command(packet, length)) {
        disk->stage = MASS_STORAGE_LOST;
        return HANDSHAKE_ACK;
    }
    disk->tag = little_endian(packet + 4);
    disk->left = little_endian(packet + 8);
    disk->to_host = packet[12] & 0x80;
    disk->failed = disk->reading = false;
    disk->useful = 0;
    disk->stage = disk->left > 0 ? MASS_STORAGE_DATA : MASS_STORAGE_STATUS;
    run_command(disk, packet + 15);
    if (!disk->to_host)
        disk->useful = 0;
    disk->residue = disk->left - (disk->useful < disk->left ? disk->useful : disk->left);
    return HANDSHAKE_ACK;
}

enum handshake mass_storage_out(struct mass_storage *disk, const uint8_t *packet, size_t length)
{
    if (disk->stage == MASS_STORAGE_LOST)
        return HANDSHAKE_STALL;
    if (disk->stage == MASS_STORAGE_COMMAND)
        return take_command(disk, packet, length);
    if (disk->stage != MASS_STORAGE_DATA || disk->to_host)
        return HANDSHAKE_NAK;
    disk->left -= length < disk->left ? (uint32_t)length : disk->left; /* swallowed */
    if (disk->left == 0)
        disk->stage = MASS_STORAGE_STATUS;
    return HANDSHAKE_ACK;
}

static uint8_t next_byte(struct mass_storage *disk)
{
    if (disk->useful == 0)
        return 0; /* BOT §6.7.2: filled up to what the host wants */
    disk->useful--;
    return disk->reading ? mass_storage_byte(disk->position++) : *disk->data++;
}

static enum handshake give_data(struct mass_storage *disk, uint8_t *packet, size_t packet_size, size_t *length)
{
    *length = disk->left < packet_size ? disk->left : packet_size;
    for (size_t i = 0; i < *length; i++)
        packet[i] = next_byte(disk);
    disk->left -= (uint32_t)*length;
    if (disk->left == 0)
        disk->stage = MASS_STORAGE_STATUS;
    return HANDSHAKE_ACK;
}

static enum handshake give_status(struct mass_storage *disk, uint8_t *packet, size_t *length)
{
    memcpy(packet, "USBS", 4);
    put_little_endian(packet + 4, disk->tag);
    put_little_endian(packet + 8, disk->residue);
    packet[12] = disk->failed;
    *length = STATUS_WRAPPER;
    disk->stage = MASS_STORAGE_COMMAND;
    return HANDSHAKE_ACK;
}

enum handshake mass_storage_in(struct mass_storage *disk, uint8_t *packet, size_t packet_size, size_t *length)
{
    switch (disk->stage) {
    case MASS_STORAGE_COMMAND:
        return HANDSHAKE_NAK;
    case MASS_STORAGE_DATA:
        return disk->to_host ? give_data(disk, packet, packet_size, length) : HANDSHAKE_NAK;
    case MASS_STORAGE_STATUS:
        return give_status(disk, packet, length);
    case MASS_STORAGE_LOST:
        return HANDSHAKE_STALL;
    }
    return HANDSHAKE_NAK;
}
