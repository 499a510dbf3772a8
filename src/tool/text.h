/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.h - text that comes from devices and files, made fit for a terminal, for JSON and for comparison. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Copies as much as fits, and makes '?' of what is not printable ASCII: a terminal obeys control characters. */
void text_clean(char *to, size_t size, const char *from);

/* Reads the first line of a file, cleaned, without trailing blanks. false, and "": there is no such file, or it is
 * empty or not for us (errno). */
bool text_read_line(const char *path, char *line, size_t size);

/* Reads a whole file, but at most size - 1 bytes, and ends it by a NUL. Returns its length, -1 with errno. */
long text_read_file(const char *path, char *text, size_t size);

/* Prints a JSON string with its quotation marks. */
void text_json(FILE *stream, const char *text);

/* What gpgconf prints: each %XX becomes the character that it stands for, in place. */
void text_unescape(char *text);
