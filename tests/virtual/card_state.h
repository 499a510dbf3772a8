/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_state.h - the memory of a card in a file: lines of text, keys as PKCS #8 in hexadecimal. */
#pragma once
#include <stdbool.h>
#include "card_memory.h"

/* Reads the file into a formatted memory; a file that does not exist changes nothing. false, with a message on stderr
 * that names file and line: not a whole state file, or what it says can be true of no card. */
bool card_state_load(const char *path, struct card_memory *memory);

/* Replaces the file at once and whole, mode 0600. false, with a message on stderr: it could not, the old file stays. */
bool card_state_save(const char *path, struct card_memory *memory);
