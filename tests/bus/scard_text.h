/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scard_text.h - PC/SC's numbers as the names that programs are written with. */
#pragma once
#include <stddef.h>
#include <winscard.h>

#define SCARD_STATE_TEXT_SIZE 128
#define SCARD_HEX_SIZE(length) (2 * (size_t)(length) + 1)

/* "SCARD_E_NOT_TRANSACTED"; the number in hex, in a buffer of its own that the next call uses again, if unknown. */
const char *scard_error_name(LONG code);

/* The state of SCardGetStatusChange: "PRESENT,INUSE", or "UNAWARE" for none. Returns text. */
const char *scard_state_text(DWORD state, char text[SCARD_STATE_TEXT_SIZE]);

/* Upper-case hex digits; text has SCARD_HEX_SIZE(length) bytes. Returns text. */
const char *scard_hex(const BYTE *bytes, size_t length, char *text);
