/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_import.c - key import, PUT DATA of 4D (OpenPGP card 3.4 §4.4.3.12). */
#include <openssl/err.h>
#include "card_ecc.h"
#include "card_rsa.h"
#include "openpgp_card.h"

/* Tags 91 ... 99; 92 is p of RSA, or the private number of an elliptic curve. */
enum { PART_E, PART_P, PART_Q, PART_QINV, PART_DP, PART_DQ, PART_N, PART_UNUSED, PART_POINT, PART_COUNT };
#define PART_NUMBER PART_P
#define FORMAT_WITH_N 1 /* bits of the import format, the last byte of RSA attributes */
#define FORMAT_CRT 2

/* Cuts 5F48 into the parts that the headers in 7F48 name. */
static bool cut_parts(struct tlv_view headers, struct tlv_view values, struct tlv_view part[PART_COUNT])
{
    uint16_t tag;
    size_t length;
    while (tlv_next_header(&headers, &tag, &length)) {
        if (length > values.length || tag < 0x91 || tag >= 0x91 + PART_COUNT)
            return false;
        part[tag - 0x91] = (struct tlv_view){ values.bytes, length };
        values.bytes += length;
        values.length -= length;
    }
    return headers.length == 0;
}

static bool has_all(const struct tlv_view part[PART_COUNT], uint8_t format)
{
    const int needed = 1 << PART_E | 1 << PART_P | 1 << PART_Q |
                       (format & FORMAT_CRT ? 1 << PART_QINV | 1 << PART_DP | 1 << PART_DQ : 0) |
                       (format & FORMAT_WITH_N ? 1 << PART_N : 0);
    for (int i = 0; i < PART_COUNT; i++)
        if ((needed >> i & 1) && part[i].length == 0)
            return false;
    return true;
}

static bool find_reference(struct tlv_view list, enum card_key_id *id)
{
    static const uint16_t REFERENCE[KEY_COUNT] = { 0xb6, 0xb8, 0xa4 };
    struct tlv_view reference;
    for (*id = KEY_SIGNATURE; *id < KEY_COUNT; (*id)++)
        if (tlv_find(list, REFERENCE[*id], &reference))
            return true;
    return false;
}

/* What follows from the private numbers is computed anew, whatever came with them. */
static EVP_PKEY *import_parts(const struct tlv_view part[PART_COUNT], const struct card_algorithm *algorithm)
{
    EVP_PKEY *key = NULL;
    if (algorithm->curve)
        key = card_ecc_import(algorithm->curve, part[PART_NUMBER]);
    else if (has_all(part, algorithm->format))
        key = card_rsa_import(part[PART_E], part[PART_P], part[PART_Q], algorithm->bits);
    ERR_clear_error();
    return key;
}

uint16_t openpgp_import(struct openpgp *card, const struct command *command)
{
    struct tlv_view list, headers, values, part[PART_COUNT] = { 0 };
    enum card_key_id id;
    if (command->p1 != 0x3f || command->p2 != 0xff)
        return SW_WRONG_P1_P2;
    if (!card->verified[VERIFIED_83])
        return SW_SECURITY_STATUS;
    if (!tlv_find((struct tlv_view){ command->data, command->length }, 0x4d, &list) || !find_reference(list, &id) ||
        !tlv_find(list, 0x7f48, &headers) || !tlv_find(list, 0x5f48, &values) || !cut_parts(headers, values, part))
        return SW_WRONG_DATA;
    const struct card_algorithm algorithm = card_memory_algorithm(&card->memory, id);
    EVP_PKEY *key = import_parts(part, &algorithm);
    if (!key)
        return SW_WRONG_DATA;
    card_memory_set_key(&card->memory, id, key, KEY_IMPORTED);
    openpgp_save(card);
    return SW_OK;
}
