/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_pins.c - VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (OpenPGP card 3.4 §7.2.2 ... §7.2.4). */
#include <openssl/crypto.h>
#include "openpgp_card.h"

/* P2 of VERIFY: 81 and 82 are the same PIN for different uses. */
static bool which(uint8_t p2, enum openpgp_verified *verified, enum card_pin_id *pin)
{
    if (p2 < 0x81 || p2 > 0x83)
        return false;
    *verified = (enum openpgp_verified)(p2 - 0x81);
    *pin = p2 == 0x83 ? PIN_PW3 : PIN_PW1;
    return true;
}

uint16_t openpgp_verify(struct openpgp *card, const struct command *command)
{
    enum openpgp_verified verified;
    enum card_pin_id id;
    if ((command->p1 != 0x00 && command->p1 != 0xff) || !which(command->p2, &verified, &id))
        return SW_WRONG_P1_P2;
    struct card_pin *const pin = &card->memory.pin[id];
    if (command->p1 == 0xff) {
        if (command->length > 0)
            return SW_WRONG_LENGTH;
        card->verified[verified] = false;
        return SW_OK;
    }
    if (command->length == 0)
        return card->verified[verified] ? SW_OK : (uint16_t)(0x63c0 | pin->tries);
    if (command->length > CARD_PIN_MAX)
        return SW_WRONG_LENGTH;
    const uint16_t status_word = card_pin_try(pin, command->data, command->length);
    card->verified[verified] = status_word == SW_OK;
    openpgp_save(card);
    return status_word;
}

/* Old and new PIN come without a mark between them: the old one is as long as it was set. Less than that is a wrong
 * PIN, not a wrong length, which would tell how long the right one is. */
static uint16_t try_old(struct openpgp *card, struct card_pin *pin, const struct command *command)
{
    if (command->length == 0)
        return SW_WRONG_LENGTH;
    const size_t old = command->length < pin->length ? command->length : pin->length;
    const uint16_t status_word = card_pin_try(pin, command->data, old);
    openpgp_save(card);
    return status_word;
}

static uint16_t set_pin(struct openpgp *card, enum card_pin_id id, const uint8_t *value, size_t length)
{
    if (length < card->memory.pin[id].minimum || length > CARD_PIN_MAX)
        return SW_WRONG_DATA;
    card_pin_set(&card->memory.pin[id], value, length);
    openpgp_save(card);
    return SW_OK;
}

uint16_t openpgp_change(struct openpgp *card, const struct command *command)
{
    if (command->p1 != 0x00 || (command->p2 != 0x81 && command->p2 != 0x83))
        return SW_WRONG_P1_P2;
    const enum card_pin_id id = command->p2 == 0x81 ? PIN_PW1 : PIN_PW3;
    struct card_pin *const pin = &card->memory.pin[id];
    const uint16_t status_word = try_old(card, pin, command);
    if (status_word != SW_OK)
        return status_word;
    return set_pin(card, id, command->data + pin->length, command->length - pin->length);
}

uint16_t openpgp_reset_retry(struct openpgp *card, const struct command *command)
{
    if ((command->p1 != 0x00 && command->p1 != 0x02) || command->p2 != 0x81)
        return SW_WRONG_P1_P2;
    size_t code = 0; /* bytes of the resetting code before the new PIN */
    if (command->p1 == 0x02) {
        if (!card->verified[VERIFIED_83])
            return SW_SECURITY_STATUS;
    } else {
        struct card_pin *const rc = &card->memory.pin[PIN_RC];
        const uint16_t status_word = try_old(card, rc, command);
        if (status_word != SW_OK)
            return status_word;
        code = rc->length;
    }
    card->verified[VERIFIED_81] = card->verified[VERIFIED_82] = false;
    return set_pin(card, PIN_PW1, command->data + code, command->length - code);
}
