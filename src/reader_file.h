/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader_file.h - tells which of pcscd's readers is which key's: pcscd gives equal keys without serial numbers names that
 * differ by a number only, the upper half of the Lun, which nobody else can assign to a place on the bus.
 */
#pragma once
#include <stdint.h>

/* Writes the file of the key at this place. When that fails nobody is told, and nothing else changes. */
void reader_file_write(uint8_t bus, uint8_t address, unsigned long lun);
void reader_file_remove(uint8_t bus, uint8_t address);
