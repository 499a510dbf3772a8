/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_data.c - SELECT DATA, GET DATA, PUT DATA and key import (OpenPGP card 3.4 §4.4, §7.2.5 ... §7.2.8). */
#include <string.h>
#include <openssl/crypto.h>
#include "openpgp_card.h"

const uint8_t OPENPGP_AID[OPENPGP_AID_LENGTH] = {
    0xd2, 0x76, 0x00, 0x01, 0x24, 0x01, 0x03, 0x04, /* OpenPGP card 3.4 */
    0x00, 0x05,                                     /* manufacturer */
    0x12, 0x34, 0x56, 0x78, 0x00, 0x00,             /* serial number */
};
/* GET CHALLENGE, key import, PW status changeable, private objects, algorithm attributes changeable; no secure
 * messaging; lengths of challenge, certificate and other objects; no PIN block 2, no MSE. */
static const uint8_t EXTENDED_CAPABILITIES[] = { 0x7c, 0x00, 0x00, 0xff, 0x06, 0x00, 0x06, 0x00, 0x00, 0x00 };
static const uint8_t EXTENDED_LENGTH[] = { 0x02, 0x02, 0x08, 0x00, 0x02, 0x02, 0x08, 0x00 };
static const uint8_t FEATURES[] = { 0x81, 0x01, 0x00 }; /* no button, no keypad, no display */

/* ---- objects that are made on the fly ---- */

static void put_stored(struct openpgp *card, struct tlv_writer *writer, uint16_t tag)
{
    const struct card_object *object = card_memory_object(&card->memory, tag);
    tlv_put(writer, tag, object->bytes, object->length);
}

/* The values of a row of objects, one after the other. */
static void append_row(struct openpgp *card, struct tlv_writer *writer, uint16_t first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct card_object *object = card_memory_object(&card->memory, (uint16_t)(first + i));
        tlv_append(writer, object->bytes, object->length);
    }
}

static void append_pin_status(struct openpgp *card, struct tlv_writer *writer)
{
    const struct card_pin *pin = card->memory.pin;
    const uint8_t status[] = { card->memory.pin_lasts, CARD_PIN_MAX, CARD_PIN_MAX, CARD_PIN_MAX,
                               (uint8_t)pin[PIN_PW1].tries, (uint8_t)pin[PIN_RC].tries, (uint8_t)pin[PIN_PW3].tries };
    tlv_append(writer, status, sizeof status);
}

/* As in the ATR, but for the life cycle: clients reset a card only if that says it can be (OpenPGP card 3.4 §6). */
static void append_historical_bytes(struct openpgp *card, struct tlv_writer *writer)
{
    const uint8_t life_cycle = card->memory.terminated ? 0x03 : 0x05;
    const uint8_t bytes[] = { 0x00, 0x31, 0xf5, 0x73, 0xc0, 0x01, 0x60, life_cycle, 0x90, 0x00 };
    tlv_append(writer, bytes, sizeof bytes);
}

static void append_key_information(struct openpgp *card, struct tlv_writer *writer)
{
    for (uint8_t id = 0; id < KEY_COUNT; id++) {
        const uint8_t entry[] = { (uint8_t)(id + 1), (uint8_t)card->memory.origin[id] };
        tlv_append(writer, entry, sizeof entry);
    }
}

static void append_algorithms(struct tlv_writer *writer)
{
    for (uint16_t tag = 0xc1; tag <= 0xc3; tag++)
        for (uint16_t bits = 2048; bits <= 4096; bits = (uint16_t)(bits + 1024)) {
            const uint8_t rsa[] = { 0x01, (uint8_t)(bits >> 8), (uint8_t)bits, 0x00, 0x20, 0x00 };
            tlv_put(writer, tag, rsa, sizeof rsa);
        }
}

static void append_signatures(struct openpgp *card, struct tlv_writer *writer)
{
    const uint32_t n = card->memory.signatures;
    const uint8_t bytes[] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
    tlv_append(writer, bytes, sizeof bytes);
}

static bool append_computed(struct openpgp *card, struct tlv_writer *writer, uint16_t tag);

static void put_computed(struct openpgp *card, struct tlv_writer *writer, uint16_t tag)
{
    uint8_t bytes[512];
    struct tlv_writer value = { .bytes = bytes, .size = sizeof bytes };
    append_computed(card, &value, tag);
    tlv_put(writer, tag, bytes, value.length);
}

static void append_discretionary(struct openpgp *card, struct tlv_writer *writer)
{
    put_computed(card, writer, 0xc0);
    for (uint16_t tag = 0xc1; tag <= 0xc3; tag++)
        put_stored(card, writer, tag);
    for (uint16_t tag = 0xc4; tag <= 0xc6; tag++)
        put_computed(card, writer, tag);
    put_computed(card, writer, 0xcd);
    put_computed(card, writer, 0xde);
}

static void append_application(struct openpgp *card, struct tlv_writer *writer)
{
    put_computed(card, writer, 0x4f);
    put_computed(card, writer, 0x5f52);
    put_computed(card, writer, 0x7f66);
    put_computed(card, writer, 0x7f74);
    put_computed(card, writer, 0x73);
}

static void append_holder(struct openpgp *card, struct tlv_writer *writer)
{
    put_stored(card, writer, 0x5b);
    put_stored(card, writer, 0x5f2d);
    put_stored(card, writer, 0x5f35);
}

/* The value of an object that is not stored as it is; false: there is no such object. */
static bool append_computed(struct openpgp *card, struct tlv_writer *writer, uint16_t tag)
{
    switch (tag) {
    case 0x4f: return tlv_append(writer, OPENPGP_AID, OPENPGP_AID_LENGTH), true;
    case 0x5f52: return append_historical_bytes(card, writer), true;
    case 0x65: return append_holder(card, writer), true;
    case 0x6e: return append_application(card, writer), true;
    case 0x73: return append_discretionary(card, writer), true;
    case 0x7a: return put_computed(card, writer, 0x93), true;
    case 0x7f66: return tlv_append(writer, EXTENDED_LENGTH, sizeof EXTENDED_LENGTH), true;
    case 0x7f74: return tlv_append(writer, FEATURES, sizeof FEATURES), true;
    case 0x93: return append_signatures(card, writer), true;
    case 0xc0: return tlv_append(writer, EXTENDED_CAPABILITIES, sizeof EXTENDED_CAPABILITIES), true;
    case 0xc4: return append_pin_status(card, writer), true;
    case 0xc5: return append_row(card, writer, 0xc7, 3), true;
    case 0xc6: return append_row(card, writer, 0xca, 3), true;
    case 0xcd: return append_row(card, writer, 0xce, 3), true;
    case 0xde: return append_key_information(card, writer), true;
    case 0xfa: return append_algorithms(writer), true;
    default: return false;
    }
}

/* ---- SELECT DATA ---- */

/* The object that GET DATA and PUT DATA mean by a tag. */
static struct card_object *addressed(struct openpgp *card, uint16_t tag)
{
    return card_memory_occurrence(&card->memory, tag, tag == 0x7f21 ? card->certificate : 0);
}

/* P1 is the occurrence of the object that the data names, a tag list 5C in a template 60. */
uint16_t openpgp_select_data(struct openpgp *card, const struct command *command)
{
    struct tlv_view template, tags;
    if (command->p2 != 0x04)
        return SW_WRONG_P1_P2;
    if (!tlv_find((struct tlv_view){ command->data, command->length }, 0x60, &template) ||
        !tlv_find(template, 0x5c, &tags) || tags.length != 2)
        return SW_WRONG_DATA;
    const uint16_t tag = (uint16_t)(tags.bytes[0] << 8 | tags.bytes[1]);
    if (tag != 0x7f21 || !card_memory_occurrence(&card->memory, tag, command->p1))
        return SW_NO_REFERENCE;
    card->certificate = command->p1;
    return SW_OK;
}

/* ---- GET DATA ---- */

/* Constructed objects come with their own tag and length (OpenPGP card 3.4 §7.2.6). */
static bool comes_with_tag(uint16_t tag)
{
    return tag == 0x65 || tag == 0x6e || tag == 0x7a || tag == 0xfa;
}

uint16_t openpgp_get_data(struct openpgp *card, const struct command *command)
{
    const uint16_t tag = (uint16_t)(command->p1 << 8 | command->p2);
    if (command->length > 0)
        return SW_WRONG_LENGTH;
    if (comes_with_tag(tag)) {
        put_computed(card, &card->data, tag);
        return SW_OK;
    }
    if (append_computed(card, &card->data, tag))
        return SW_OK;
    const struct card_object *object = addressed(card, tag);
    if (!object)
        return SW_NO_REFERENCE;
    if (!openpgp_allowed(card, object->rule->read))
        return SW_SECURITY_STATUS;
    tlv_append(&card->data, object->bytes, object->length);
    return SW_OK;
}

/* ---- PUT DATA ---- */

static uint16_t put_pin_status(struct openpgp *card, const struct command *command)
{
    if (command->length != 1) /* the longer form chooses PIN blocks, which C0 denies */
        return SW_WRONG_LENGTH;
    if (command->data[0] > 1)
        return SW_WRONG_DATA;
    card->memory.pin_lasts = command->data[0] == 1;
    return SW_OK;
}

static uint16_t put_resetting_code(struct openpgp *card, const struct command *command)
{
    struct card_pin *const rc = &card->memory.pin[PIN_RC];
    if (command->length > CARD_PIN_MAX || (command->length > 0 && command->length < rc->minimum))
        return SW_WRONG_DATA;
    card_pin_set(rc, command->data, command->length);
    return SW_OK;
}

static uint16_t put_object(struct openpgp *card, struct card_object *object, const struct command *command)
{
    if (command->length < object->rule->least || command->length > object->rule->most)
        return SW_WRONG_LENGTH;
    if (!card_memory_acceptable(object, command->data, command->length))
        return SW_WRONG_DATA;
    const bool changed = object->rule->tag >= 0xc1 && object->rule->tag <= 0xc3 &&
                         memcmp(object->bytes, command->data, command->length) != 0;
    if (!card_memory_store(object, command->data, command->length))
        return SW_NO_MEMORY;
    if (changed) /* the key does not fit its attributes any more */
        card_memory_set_key(&card->memory, (enum card_key_id)(object->rule->tag - 0xc1), NULL, KEY_NONE);
    return SW_OK;
}

uint16_t openpgp_put_data(struct openpgp *card, const struct command *command)
{
    const uint16_t tag = (uint16_t)(command->p1 << 8 | command->p2);
    struct card_object *const object = addressed(card, tag);
    if (!object && tag != 0xc4 && tag != 0xd3)
        return SW_NO_REFERENCE;
    if (!openpgp_allowed(card, object ? object->rule->write : ACCESS_PW3))
        return SW_SECURITY_STATUS;
    uint16_t status_word;
    if (object)
        status_word = put_object(card, object, command);
    else
        status_word = tag == 0xc4 ? put_pin_status(card, command) : put_resetting_code(card, command);
    if (status_word == SW_OK)
        openpgp_save(card);
    return status_word;
}

/* ---- key import ---- */

enum { PART_E, PART_P, PART_Q, PART_QINV, PART_DP, PART_DQ, PART_N, PART_COUNT }; /* tags 91 ... 97 */
#define FORMAT_WITH_N 1 /* bits of the import format, the last byte of the algorithm attributes */
#define FORMAT_CRT 2

/* Cuts 5F48 into the parts that the headers in 7F48 name. */
static bool cut_parts(struct tlv_view headers, struct tlv_view values, struct tlv_view part[PART_COUNT])
{
    uint16_t tag;
    size_t length;
    while (tlv_next_header(&headers, &tag, &length)) {
        if (length > values.length || tag < 0x91 || tag > 0x97)
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

/* What follows from e, p and q is computed anew, whatever came with them. */
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
    const struct card_object *attributes = card_memory_object(&card->memory, (uint16_t)(0xc1 + id));
    if (!has_all(part, attributes->bytes[attributes->length - 1]))
        return SW_WRONG_DATA;
    EVP_PKEY *key = card_key_import(part[PART_E], part[PART_P], part[PART_Q], card_memory_key_bits(&card->memory, id));
    if (!key)
        return SW_WRONG_DATA;
    card_memory_set_key(&card->memory, id, key, KEY_IMPORTED);
    openpgp_save(card);
    return SW_OK;
}
