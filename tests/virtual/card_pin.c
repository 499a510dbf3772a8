/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_pin.c - one password of an OpenPGP card: its value and its tries. */
#include "card_pin.h"
#include <string.h>
#include <openssl/crypto.h>

void card_pin_set(struct card_pin *pin, const uint8_t *value, size_t length)
{
    OPENSSL_cleanse(pin->value, sizeof pin->value);
    if (length > 0)
        memcpy(pin->value, value, length);
    pin->length = length;
    pin->tries = length > 0 ? CARD_PIN_TRIES : 0;
}

uint16_t card_pin_try(struct card_pin *pin, const uint8_t *value, size_t length)
{
    if (pin->tries == 0)
        return 0x6983;
    if (length == pin->length && CRYPTO_memcmp(value, pin->value, length) == 0) {
        pin->tries = CARD_PIN_TRIES;
        return 0x9000;
    }
    pin->tries--;
    return 0x6982;
}
