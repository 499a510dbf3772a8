/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_data.c - GET DATA and PUT DATA (SP 800-73-4 part 2, §3.1.2 and §3.3.2). */
#include "piv_card.h"

#define TAG_LIST 0x5c
#define TAG_DATA 0x53

static uint32_t number(struct tlv_view tag)
{
    uint32_t value = 0;
    if (tag.length > 3)
        return 0;
    for (size_t i = 0; i < tag.length; i++)
        value = value << 8 | tag.bytes[i];
    return value;
}

/* Fingerprints, printed information, facial image, iris images, pairing code (part 1, table 2). */
static bool is_private(uint32_t tag)
{
    return tag == 0x5fc103 || tag == 0x5fc108 || tag == 0x5fc109 || tag == 0x5fc121 || tag == 0x5fc123;
}

/* How many retired keys there are whose certificates are on the card, and elsewhere. */
static void put_key_history(struct piv *card)
{
    unsigned keys = 0, certificates = 0;
    for (unsigned reference = 0x82; reference <= 0x95; reference++)
        keys += (unsigned)(card->memory.key[reference] != NULL);
    for (uint32_t tag = PIV_TAG_FIRST_RETIRED; tag <= PIV_TAG_LAST_RETIRED; tag++)
        certificates += (unsigned)(piv_memory_object(&card->memory, tag)->bytes != NULL);
    const unsigned off_card = keys > certificates ? keys - certificates : 0;
    const uint8_t history[] = { 0xc1, 0x01, (uint8_t)certificates, 0xc2, 0x01, (uint8_t)off_card, 0xfe, 0x00 };
    tlv_put(&card->answer.data, TAG_DATA, history, sizeof history);
}

uint16_t piv_get_data(struct piv *card, const struct command *command)
{
    struct tlv_view rest = { command->data, command->length }, tag;
    uint16_t list;
    if (!tlv_next(&rest, &list, &tag) || list != TAG_LIST)
        return SW_WRONG_DATA;
    const struct piv_object *const object = piv_memory_object(&card->memory, number(tag));
    if (!object)
        return SW_WRONG_DATA;
    if (is_private(object->tag) && !card->pin_verified)
        return SW_SECURITY_STATUS;
    if (object->tag == PIV_TAG_KEY_HISTORY) {
        put_key_history(card);
        return SW_OK;
    }
    if (!object->bytes)
        return SW_NO_FILE;
    tlv_put(&card->answer.data, object->tag > 0xffff ? TAG_DATA : (uint16_t)object->tag, object->bytes, object->length);
    return SW_OK;
}

/* The objects that have a tag of their own come in it, the others behind their name. */
static struct piv_object *find(struct piv *card, struct tlv_view data, struct tlv_view *value)
{
    uint16_t tag, content;
    struct tlv_view name;
    if (!tlv_next(&data, &tag, &name))
        return NULL;
    if (tag == PIV_TAG_DISCOVERY || tag == PIV_TAG_BIOMETRIC_GROUP) {
        *value = name;
        return piv_memory_object(&card->memory, tag);
    }
    if (tag != TAG_LIST || !tlv_next(&data, &content, value) || content != TAG_DATA)
        return NULL;
    return piv_memory_object(&card->memory, number(name));
}

uint16_t piv_put_data(struct piv *card, const struct command *command)
{
    struct tlv_view value;
    if (!card->administrator)
        return SW_SECURITY_STATUS;
    struct piv_object *const object = find(card, (struct tlv_view){ command->data, command->length }, &value);
    if (!object)
        return SW_WRONG_DATA;
    if (!piv_memory_store(object, value))
        return SW_NO_MEMORY;
    piv_save(card);
    return SW_OK;
}
