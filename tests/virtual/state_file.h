/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state_file.h - the memory of a card in a file of text.
 *
 * The first line says whose memory it is. Each line after it is a word, two numbers and bytes in hexadecimal, "-" for
 * none. The last one, "end 0 0 -", tells a whole file from one that was cut.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <openssl/evp.h>

void state_print(FILE *file, const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length);
/* A private key, as PKCS #8. false: it cannot be written. */
bool state_print_key(FILE *file, unsigned first, unsigned second, EVP_PKEY *key);
/* A key from such bytes; NULL: it is none. */
EVP_PKEY *state_key(const uint8_t *bytes, size_t length);

/* Prints all lines but the first and the last. */
typedef bool state_printer(FILE *file, void *memory);
/* Replaces the file at once and whole, mode 0600. false, with a message on stderr: it could not, the old file stays. */
bool state_file_save(const char *path, const char *header, state_printer *print, void *memory);

/* Takes a line; the last one, too, when all others were right. false: it can be true of no such card. */
typedef bool state_reader(const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length,
                          void *memory);
/* A file that does not exist changes nothing. false, with a message on stderr that names file and line: not a whole
 * state file, or a line was not taken. */
bool state_file_load(const char *path, const char *header, state_reader *read, void *memory);
