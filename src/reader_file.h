/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader_file.h - tells which of pcscd's readers is which key's, and why one is not served: pcscd gives equal keys
 * without serial numbers names that differ by a number only, the upper half of the Lun, which nobody else can assign to
 * a place on the bus; and it shows all that is wrong as a missing card.
 */
#pragma once
#include <stdint.h>

enum reader_state {
    READER_SERVED,
    READER_SILENT, /* it has not answered to power on, and is asked until it answers */
    READER_LATE, /* a command was given up, and the key may still be at work for it */
    READER_HELD, /* ... by another process: no command is sent until then */
    READER_DEAD, /* no command is sent until it is plugged in anew */
};

/* Writes the file of the key at this place; held_ms: for so long at most, from now. When that fails nobody is told, and
 * nothing else changes. */
void reader_file_write(uint8_t bus, uint8_t address, unsigned long lun, enum reader_state state, int64_t held_ms);
void reader_file_remove(uint8_t bus, uint8_t address);
