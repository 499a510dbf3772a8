/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_on.h - the ATR of a key that no driver of pcscd serves. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "../err.h"
#include "keys.h"

/* Claims the CCID interface, powers the card on and off, and lets go. ERR_BUSY, ERR_ACCESS, ERR_IO and so on when that
 * fails, ERR_NOT_CCID when the interface has not both bulk endpoints, ERR_TIMEOUT when the card says nothing for 5 s;
 * *length is 0 then. atr has room for 33 bytes (ISO 7816-3 §8.1). */
enum err power_on(const struct key *key, uint8_t atr[33], size_t *length);
