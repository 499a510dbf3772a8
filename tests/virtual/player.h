/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * player.h - plays a recording of running firmware to a virtual key and compares; recordings/README.md has the language.
 *
 * Each program that plays is linked with one of player_chip.c and player_apdu.c, which say what the card is.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "icc.h"

#define PLAYER_WORDS 16384 /* of a line; a long message is a line */

/* A statement in words; the array is the caller's. */
struct player_words {
    char **at;
    size_t count;
};

/* What stands for bytes: value, and false in known where any byte will do. */
struct player_bytes {
    uint8_t value[70000];
    bool known[70000];
    size_t length;
};

/* Reads words as bytes, as README.md says, up to the end or a word "...". Returns how many words were read, or
 * SIZE_MAX: no bytes. */
size_t player_read_bytes(struct player_words words, struct player_bytes *bytes);

/* Whether bytes are those that the words say, up to a hash after "...". */
bool player_are_bytes(struct player_words words, const uint8_t *found, size_t length);

/* ---- the card behind the firmware ---- */

/* A "card" statement, the words after "card". Returns what is wrong, NULL: nothing. */
const char *player_card(struct icc *icc, struct player_words words);
