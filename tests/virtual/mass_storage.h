/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mass_storage.h - a small write-protected disk behind USB Mass Storage, Bulk-Only Transport 1.0 (BOT).
 *
 * It knows the SCSI commands TEST UNIT READY, REQUEST SENSE, INQUIRY, READ CAPACITY(10) and READ(10), answers at once
 * and never halts an endpoint for a command it refuses: it fills up what the host wants to read, and swallows what
 * the host wants to write. Not thread safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "device.h"

#define MASS_STORAGE_BLOCK 512
#define MASS_STORAGE_BLOCKS 128

enum mass_storage_stage { MASS_STORAGE_COMMAND, MASS_STORAGE_DATA, MASS_STORAGE_STATUS, MASS_STORAGE_LOST };

/* All fields belong to mass_storage.c. Zeros are a disk that waits for its first command. */
struct mass_storage {
    enum mass_storage_stage stage;
    bool to_host;              /* direction of the data stage */
    bool failed;               /* the command is refused */
    uint8_t sense, sense_code; /* sense key and additional sense code of the last refusal */
    uint32_t tag;
    uint32_t left, useful;     /* bytes of the data stage still to move; how many of them mean something */
    uint32_t residue;          /* of the bytes that the host wanted to move, how many meant nothing */
    bool reading;              /* the data come from the disk, otherwise from data */
    uint64_t position;         /* reading: of the next byte on the disk */
    const uint8_t *data;
    uint8_t small[18];         /* data that are made for the occasion */
};

/* BOT §3.1, also what a bus reset does: it waits for a command. What it had to say of the last refusal is kept. */
void mass_storage_reset(struct mass_storage *disk);

/* One packet of the host. HANDSHAKE_STALL: after something that was no command, until mass_storage_reset(). */
enum handshake mass_storage_out(struct mass_storage *disk, const uint8_t *packet, size_t length);

/* One packet to the host, of at most packet_size bytes; HANDSHAKE_NAK: it has not been asked for anything. */
enum handshake mass_storage_in(struct mass_storage *disk, uint8_t *packet, size_t packet_size, size_t *length);

/* What the disk holds at this place: every byte is made from its address. */
uint8_t mass_storage_byte(uint64_t position);
