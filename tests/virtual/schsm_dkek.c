/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_dkek.c - IMPORT DKEK SHARE, WRAP KEY, UNWRAP KEY of the SmartCard-HSM. */
#include "schsm_blob.h"
#include "schsm_card.h"

/* The DKEK is all shares, one added to the other. It can be used when the last one is there. */
static uint16_t add_share(struct schsm_memory *memory, const struct command *command)
{
    if (command->length != SCHSM_DKEK_LENGTH)
        return SW_WRONG_LENGTH;
    if (memory->dkek_outstanding == 0)
        return SW_CONDITIONS;
    for (size_t i = 0; i < SCHSM_DKEK_LENGTH; i++)
        memory->dkek[i] ^= command->data[i];
    memory->dkek_outstanding--;
    return SW_OK;
}

/* Without data it only tells: shares, how many are missing, and the check value when none is. */
uint16_t schsm_import_dkek(struct schsm *card, const struct command *command)
{
    struct schsm_memory *const memory = &card->memory;
    uint8_t check[SCHSM_CHECK_LENGTH] = { 0 };
    if (command->p1 != 0x00 || command->p2 != 0x00)
        return SW_WRONG_P1_P2;
    if (memory->dkek_shares == SCHSM_NO_DKEK)
        return SW_NO_INSTRUCTION;
    if (command->length > 0) {
        const uint16_t status_word = add_share(memory, command);
        if (status_word != SW_OK)
            return status_word;
        schsm_save(card);
    }
    if (memory->dkek_outstanding == 0 && !schsm_check_value(memory->dkek, check))
        return SW_CONDITIONS;
    const uint8_t counts[] = { (uint8_t)memory->dkek_shares, (uint8_t)memory->dkek_outstanding };
    tlv_append(&card->data, counts, sizeof counts);
    tlv_append(&card->data, check, sizeof check);
    return SW_OK;
}

static uint16_t may_wrap(const struct schsm *card, const struct command *command, uint8_t p2)
{
    if (card->memory.dkek_shares == SCHSM_NO_DKEK)
        return SW_NO_INSTRUCTION;
    if (!schsm_may_use(card))
        return SW_SECURITY_STATUS;
    if (command->p1 == 0x00 || command->p2 != p2)
        return SW_WRONG_P1_P2;
    return card->memory.dkek_outstanding > 0 ? SW_CONDITIONS : SW_OK;
}

uint16_t schsm_wrap(struct schsm *card, const struct command *command)
{
    const uint16_t may = may_wrap(card, command, 0x92);
    if (may != SW_OK)
        return may;
    EVP_PKEY *const key = card->memory.key[command->p1];
    if (!key)
        return SW_NO_REFERENCE;
    return schsm_blob_wrap(&card->data, key, card->memory.dkek) ? SW_OK : SW_CONDITIONS;
}

/* The wrapped key is the command's data, or in a file if there are none: a command may be too short for it. */
uint16_t schsm_unwrap(struct schsm *card, const struct command *command)
{
    struct tlv_view blob = { command->data, command->length };
    struct schsm_file *const file = blob.length > 0 ? NULL : schsm_memory_file(&card->memory, SCHSM_WRAPPED_KEY);
    const uint16_t may = may_wrap(card, command, 0x93);
    if (may != SW_OK)
        return may;
    if (card->memory.key[command->p1])
        return SW_EXISTS;
    if (file)
        blob = (struct tlv_view){ file->bytes, file->length };
    EVP_PKEY *key = schsm_blob_unwrap(blob, card->memory.dkek, card->profile->curve_max);
    if (file)
        schsm_memory_delete(&card->memory, file);
    if (!key)
        return SW_WRONG_DATA;
    schsm_memory_set_key(&card->memory, command->p1, key);
    schsm_save(card);
    return SW_OK;
}
