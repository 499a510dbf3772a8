/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_pins.c - VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (SP 800-73-4 part 2, §3.2.1 ... §3.2.3). */
#include "piv_card.h"

enum { GLOBAL_PIN = 0x00, PIN = 0x80, PUK = 0x81 };

/* 6 to 8 digits, the rest FF. */
static bool is_pin(const uint8_t *value)
{
    size_t digits = 0;
    while (digits < PIV_PIN_LENGTH && value[digits] >= '0' && value[digits] <= '9')
        digits++;
    for (size_t i = digits; i < PIV_PIN_LENGTH; i++)
        if (value[i] != 0xff)
            return false;
    return digits >= 6;
}

static uint16_t tries_left(const struct piv *card)
{
    return (uint16_t)(0x63c0 | card->memory.pin.tries);
}

static uint16_t log_in(struct piv *card, const uint8_t *value)
{
    card->pin_verified = card->just_verified = piv_pin_try(&card->memory.pin, value);
    piv_save(card);
    if (card->pin_verified)
        return SW_OK;
    return card->memory.pin.tries == 0 ? SW_BLOCKED : tries_left(card);
}

/* P1 FF: log out. Without data: is it verified, and if not, how many tries are left? */
uint16_t piv_verify(struct piv *card, const struct command *command)
{
    if (command->p1 != 0x00 && command->p1 != 0xff)
        return SW_WRONG_P1_P2;
    if (command->p2 == GLOBAL_PIN)
        return SW_NOT_SUPPORTED;
    if (command->p2 != PIN)
        return SW_NO_REFERENCE;
    if (command->p1 == 0xff) {
        if (command->length > 0)
            return SW_WRONG_DATA;
        card->pin_verified = card->just_verified = false;
        return SW_OK;
    }
    if (command->length == 0)
        return card->pin_verified ? SW_OK : tries_left(card);
    if (command->length != PIV_PIN_LENGTH || !is_pin(command->data))
        return SW_WRONG_DATA;
    return log_in(card, command->data);
}

uint16_t piv_change(struct piv *card, const struct command *command)
{
    if (command->p1 != 0x00)
        return SW_NOT_SUPPORTED;
    if (command->p2 == GLOBAL_PIN)
        return SW_NOT_SUPPORTED;
    if (command->p2 != PIN && command->p2 != PUK)
        return SW_NO_REFERENCE;
    if (command->length != 2 * PIV_PIN_LENGTH)
        return SW_WRONG_DATA;
    const uint8_t *const old = command->data, *const new = old + PIV_PIN_LENGTH;
    if (command->p2 == PIN && (!is_pin(old) || !is_pin(new)))
        return SW_WRONG_DATA;
    struct piv_pin *const pin = command->p2 == PIN ? &card->memory.pin : &card->memory.puk;
    const bool right = piv_pin_try(pin, old);
    if (right)
        piv_pin_set(pin, new);
    piv_save(card);
    if (command->p2 == PIN && right)
        card->pin_verified = true;
    return right ? SW_OK : SW_VERIFICATION_FAILED;
}

/* PUK and a new PIN. */
uint16_t piv_reset_retry(struct piv *card, const struct command *command)
{
    if (command->p1 != 0x00 || command->p2 != PIN)
        return SW_NOT_SUPPORTED;
    if (command->length != 2 * PIV_PIN_LENGTH || !is_pin(command->data + PIV_PIN_LENGTH))
        return SW_WRONG_DATA;
    const bool right = piv_pin_try(&card->memory.puk, command->data);
    if (right)
        piv_pin_set(&card->memory.pin, command->data + PIV_PIN_LENGTH);
    piv_save(card);
    return right ? SW_OK : SW_VERIFICATION_FAILED;
}
