/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_pin.h - one password of an OpenPGP card: its value and its tries. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARD_PIN_MAX 64
#define CARD_PIN_TRIES 3

struct card_pin {
    uint8_t value[CARD_PIN_MAX];
    size_t length, minimum; /* length 0: there is none (resetting code) */
    unsigned tries;
};

void card_pin_set(struct card_pin *pin, const uint8_t *value, size_t length);

/* Compares and counts: 9000, 6982 wrong, 6983 blocked. */
uint16_t card_pin_try(struct card_pin *pin, const uint8_t *value, size_t length);
