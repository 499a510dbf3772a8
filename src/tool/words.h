/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* words.h - commands and status words in words: ISO 7816-4/-8/-9, OpenPGP card 3.4, SmartCard-HSM. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define WORDS_SIZE 96

/* Of an APDU of which nothing but the first four bytes must be there. Printable, and without quotation marks. */
const char *command_in_words(const uint8_t *apdu, size_t length, char text[WORDS_SIZE]);
const char *status_in_words(uint8_t sw1, uint8_t sw2, char text[WORDS_SIZE]);
