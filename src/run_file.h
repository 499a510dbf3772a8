/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run_file.h - small files in pcscd's run directory, one of a kind for each key, by which the driver tells ifd-nitrokey
 * what else only pcscd would know. They hold no byte of a command or of an answer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_FILE_NAME 48

/* The name of a key's file of this kind: "ifd-nitrokey-001-002" and the kind. */
void run_file_name(char name[RUN_FILE_NAME], uint8_t bus, uint8_t address, const char *kind);

/* A descriptor of the directory, for the caller to close; -1: there is none. */
int run_directory(void);

/* The clock of the files: milliseconds of CLOCK_BOOTTIME. */
int64_t run_file_clock_ms(void);

/* Whole or not at all: whoever reads it never sees half of it. Links are not followed. */
bool run_file_write(int directory, const char *name, const char *text, size_t length);
