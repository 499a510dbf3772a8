/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_data.c - SELECT DATA, GET DATA and PUT DATA (OpenPGP card 3.4 §4.4, §7.2.5 ... §7.2.8). */
#include <string.h>
#include <openssl/crypto.h>
#include "openpgp_card.h"

/* ---- objects that are made on the fly ---- */

/* Some objects came with version 3, or with a button. */
static bool has(const struct openpgp *card, uint16_t tag)
{
    const struct openpgp_profile *const profile = card->profile;
    switch (tag) {
    case 0x7f66: return profile->extended_length != 0;
    case 0x7f74: return profile->button || openpgp_is_version_3(profile);
    case 0xde: return openpgp_is_version_3(profile);
    case 0xfa: return profile->curves != 0 || openpgp_is_version_3(profile);
    default: return true;
    }
}

static void put_stored(struct openpgp *card, struct tlv_writer *writer, uint16_t tag)
{
    const struct card_object *object = card_memory_object(&card->memory, tag);
    if (object->length == 0 && card->profile->gnuk)
        return;
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
    const bool gnuk = card->profile->gnuk;
    const uint8_t most = gnuk ? 127 : CARD_PIN_MAX;
    const unsigned rc = gnuk && pin[PIN_RC].length == 0 ? CARD_PIN_TRIES : pin[PIN_RC].tries;
    const uint8_t status[] = { card->memory.pin_lasts, most, most, most, (uint8_t)pin[PIN_PW1].tries, (uint8_t)rc,
                               (uint8_t)pin[PIN_PW3].tries };
    tlv_append(writer, status, sizeof status);
}

/* As in the ATR, but for the life cycle: clients reset a card only if that says it can be (OpenPGP card 3.4 §6). */
static void append_historical_bytes(struct openpgp *card, struct tlv_writer *writer)
{
    const uint8_t life_cycle = card->memory.terminated ? 0x03 : 0x05;
    const uint8_t *const bytes = card->profile->historical_bytes;
    tlv_append(writer, bytes, 7);
    tlv_append(writer, &life_cycle, 1);
    tlv_append(writer, bytes + 8, 2);
}

static void append_key_information(struct openpgp *card, struct tlv_writer *writer)
{
    for (uint8_t id = 0; id < KEY_COUNT; id++) {
        const uint8_t entry[] = { (uint8_t)(id + 1), (uint8_t)card->memory.origin[id] };
        tlv_append(writer, entry, sizeof entry);
    }
}

static void append_algorithms(const struct openpgp *card, struct tlv_writer *writer)
{
    uint8_t attributes[CARD_ATTRIBUTES_MAX];
    struct card_algorithm algorithm;
    for (enum card_key_id id = KEY_SIGNATURE; id < KEY_COUNT; id++)
        for (size_t i = 0; openpgp_algorithm(card->profile, i, &algorithm); i++) {
            const size_t length = card_algorithm_write(id, &algorithm, attributes);
            if (length > 0)
                tlv_put(writer, (uint16_t)(0xc1 + id), attributes, length);
        }
}

/* The longest command and answer, with all that belongs to an APDU. */
static void append_extended_length(const struct openpgp *card, struct tlv_writer *writer)
{
    const uint16_t most = card->profile->extended_length;
    const uint8_t length[] = { (uint8_t)(most >> 8), (uint8_t)most };
    tlv_put(writer, 0x02, length, sizeof length);
    tlv_put(writer, 0x02, length, sizeof length);
}

/* A button, perhaps; no keypad, no display. */
static void append_features(const struct openpgp *card, struct tlv_writer *writer)
{
    const uint8_t features = card->profile->button ? 0x20 : 0x00;
    tlv_put(writer, 0x81, &features, 1);
}

static void append_signatures(struct openpgp *card, struct tlv_writer *writer)
{
    const uint32_t n = card->memory.signatures;
    const uint8_t bytes[] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
    tlv_append(writer, bytes, sizeof bytes);
}

static bool append_computed(struct openpgp *card, struct tlv_writer *writer, uint16_t tag);

static bool put_computed(struct openpgp *card, struct tlv_writer *writer, uint16_t tag)
{
    uint8_t bytes[512];
    struct tlv_writer value = { .bytes = bytes, .size = sizeof bytes };
    if (!append_computed(card, &value, tag))
        return false;
    tlv_put(writer, tag, bytes, value.length);
    return true;
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
    for (uint16_t tag = 0xd6; tag <= 0xd8 && card->profile->button; tag++)
        put_stored(card, writer, tag);
}

static void append_application(struct openpgp *card, struct tlv_writer *writer)
{
    put_computed(card, writer, 0x4f);
    put_computed(card, writer, 0x5f52);
    put_computed(card, writer, 0x7f66);
    if (!card->profile->gnuk)
        put_computed(card, writer, 0x7f74);
    put_computed(card, writer, 0x73);
    if (card->profile->gnuk)
        put_computed(card, writer, 0x7f74);
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
    const struct openpgp_profile *const profile = card->profile;
    if (!has(card, tag))
        return false;
    switch (tag) {
    case 0x4f: return tlv_append(writer, profile->aid, sizeof profile->aid), true;
    case 0x5f52: return append_historical_bytes(card, writer), true;
    case 0x65: return append_holder(card, writer), true;
    case 0x6e: return append_application(card, writer), true;
    case 0x73: return append_discretionary(card, writer), true;
    case 0x7a: return put_computed(card, writer, 0x93);
    case 0x7f66: return append_extended_length(card, writer), true;
    case 0x7f74: return append_features(card, writer), true;
    case 0x93: return append_signatures(card, writer), true;
    case 0xc0: return tlv_append(writer, profile->capabilities, sizeof profile->capabilities), true;
    case 0xc4: return append_pin_status(card, writer), true;
    case 0xc5: return append_row(card, writer, 0xc7, 3), true;
    case 0xc6: return append_row(card, writer, 0xca, 3), true;
    case 0xcd: return append_row(card, writer, 0xce, 3), true;
    case 0xde: return append_key_information(card, writer), true;
    case 0xfa: return append_algorithms(card, writer), true;
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
    if (!openpgp_is_version_3(card->profile))
        return SW_NO_INSTRUCTION;
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

/* Constructed objects come with their own tag and length (OpenPGP card 3.4 §7.2.6), but not from Gnuk. */
static bool comes_with_tag(const struct openpgp *card, uint16_t tag)
{
    if (card->profile->gnuk)
        return false;
    return tag == 0x65 || tag == 0x6e || tag == 0x7a || tag == 0xfa;
}

uint16_t openpgp_get_data(struct openpgp *card, const struct command *command)
{
    const uint16_t tag = (uint16_t)(command->p1 << 8 | command->p2);
    if (command->length > 0)
        return SW_WRONG_LENGTH;
    if (comes_with_tag(card, tag))
        return put_computed(card, &card->answer.data, tag) ? SW_OK : SW_NO_REFERENCE;
    if (append_computed(card, &card->answer.data, tag))
        return SW_OK;
    const struct card_object *object = addressed(card, tag);
    if (!object)
        return SW_NO_REFERENCE;
    if (!openpgp_allowed(card, object->rule.read))
        return SW_SECURITY_STATUS;
    tlv_append(&card->answer.data, object->bytes, object->length);
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

/* The initial hashes are the new PINs. With keys it is refused: the factory's PINs would open them. */
static uint16_t put_kdf(struct openpgp *card, struct card_object *object, const struct command *command)
{
    static const uint8_t OFF[] = { 0x81, 0x01, 0x00 };
    const uint8_t *const bytes = command->length > 0 ? command->data : OFF;
    for (enum card_key_id id = KEY_SIGNATURE; id < KEY_COUNT; id++)
        if (card->memory.key[id])
            return SW_CONDITIONS;
    if (!card_memory_store(&card->memory, object, bytes, command->length > 0 ? command->length : sizeof OFF))
        return SW_NO_MEMORY;
    card_memory_reset_pins(&card->memory);
    memset(card->verified, 0, sizeof card->verified);
    return SW_OK;
}

static uint16_t put_object(struct openpgp *card, struct card_object *object, const struct command *command)
{
    const uint16_t tag = object->rule.tag;
    if (command->length > object->rule.most && card->profile->gnuk && tag != 0x7f21) { /* the old one goes first */
        (void)card_memory_store(&card->memory, object, NULL, 0);
        openpgp_save(card);
        return SW_MEMORY_FAILURE;
    }
    if (command->length < object->rule.least || command->length > object->rule.most)
        return SW_WRONG_LENGTH;
    if (!card_memory_acceptable(&card->memory, object, command->data, command->length))
        return SW_WRONG_DATA;
    if (tag == 0xf9)
        return put_kdf(card, object, command);
    if (tag >= 0xd6 && tag <= 0xd8 && object->bytes[0] == CARD_INTERACTION_FOREVER)
        return SW_CONDITIONS;
    const bool changed = tag >= 0xc1 && tag <= 0xc3 &&
                         (command->length != object->length ||
                          memcmp(object->bytes, command->data, command->length) != 0);
    if (!card_memory_store(&card->memory, object, command->data, command->length))
        return SW_NO_MEMORY;
    if (changed) /* the key does not fit its attributes any more */
        card_memory_set_key(&card->memory, (enum card_key_id)(tag - 0xc1), NULL, KEY_NONE);
    return SW_OK;
}

uint16_t openpgp_put_data(struct openpgp *card, const struct command *command)
{
    const uint16_t tag = (uint16_t)(command->p1 << 8 | command->p2);
    struct card_object *const object = addressed(card, tag);
    if (!object && tag != 0xc4 && tag != 0xd3)
        return SW_NO_REFERENCE;
    if (!openpgp_allowed(card, object ? object->rule.write : ACCESS_PW3))
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
