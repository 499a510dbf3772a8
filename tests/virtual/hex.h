/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hex.h - bytes as a test writes them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Hexadecimal digits with any spaces between; returns how many bytes. More than size, or anything else, fails the test. */
size_t parse_hex(const char *text, uint8_t *bytes, size_t size);
