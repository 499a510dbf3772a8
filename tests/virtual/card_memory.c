/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_memory.c - all that an OpenPGP card keeps when the power is off. */
#include "card_memory.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

/* OpenPGP card 3.4 §4.4.1 and §4.4.2. */
static const struct card_object_rule RULES[CARD_OBJECTS] = {
    { 0x005b, 0, 39, ACCESS_ALWAYS, ACCESS_PW3 },     /* name */
    { 0x5f2d, 0, 8, ACCESS_ALWAYS, ACCESS_PW3 },      /* language */
    { 0x5f35, 0, 1, ACCESS_ALWAYS, ACCESS_PW3 },      /* sex */
    { 0x5f50, 0, 1536, ACCESS_ALWAYS, ACCESS_PW3 },   /* URL */
    { 0x005e, 0, 1536, ACCESS_ALWAYS, ACCESS_PW3 },   /* login */
    { 0x0101, 0, 1536, ACCESS_ALWAYS, ACCESS_PW1 },   /* private use 1 ... 4 */
    { 0x0102, 0, 1536, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x0103, 0, 1536, ACCESS_PW1, ACCESS_PW1 },
    { 0x0104, 0, 1536, ACCESS_PW3, ACCESS_PW3 },
    { 0x7f21, 0, 1536, ACCESS_ALWAYS, ACCESS_PW3 },   /* certificates: authentication, decryption, signature */
    { 0x7f21, 0, 1536, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x7f21, 0, 1536, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c1, 6, 6, ACCESS_ALWAYS, ACCESS_PW3 },      /* algorithm attributes */
    { 0x00c2, 6, 6, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c3, 6, 6, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c7, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },    /* fingerprints */
    { 0x00c8, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c9, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00ca, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },    /* CA fingerprints */
    { 0x00cb, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00cc, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00ce, 4, 4, ACCESS_ALWAYS, ACCESS_PW3 },      /* times of generation */
    { 0x00cf, 4, 4, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00d0, 4, 4, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00d6, 2, 2, ACCESS_ALWAYS, ACCESS_NEVER },    /* user interaction: this card has no button */
    { 0x00d7, 2, 2, ACCESS_ALWAYS, ACCESS_NEVER },
    { 0x00d8, 2, 2, ACCESS_ALWAYS, ACCESS_NEVER },
};

struct card_object *card_memory_occurrence(struct card_memory *memory, uint16_t tag, unsigned occurrence)
{
    for (size_t i = 0; i < CARD_OBJECTS; i++)
        if (memory->object[i].rule->tag == tag && occurrence-- == 0)
            return &memory->object[i];
    return NULL;
}

struct card_object *card_memory_object(struct card_memory *memory, uint16_t tag)
{
    return card_memory_occurrence(memory, tag, 0);
}

static void empty(struct card_object *object)
{
    if (object->bytes)
        OPENSSL_cleanse(object->bytes, object->length);
    free(object->bytes);
    object->bytes = NULL;
    object->length = 0;
}

static bool is_rsa(const uint8_t attributes[6])
{
    const unsigned bits = (unsigned)(attributes[1] << 8 | attributes[2]);
    return attributes[0] == 0x01 && (bits == 2048 || bits == 3072 || bits == 4096) && attributes[3] == 0x00 &&
           attributes[4] == 0x20 && attributes[5] <= 3;
}

bool card_memory_acceptable(const struct card_object *object, const uint8_t *bytes, size_t length)
{
    const struct card_object_rule *const rule = object->rule;
    if (length < rule->least || length > rule->most)
        return false;
    return rule->tag < 0x00c1 || rule->tag > 0x00c3 || is_rsa(bytes);
}

bool card_memory_store(struct card_object *object, const uint8_t *bytes, size_t length)
{
    if (!card_memory_acceptable(object, bytes, length))
        return false;
    uint8_t *copy = length > 0 ? malloc(length) : NULL;
    if (length > 0 && !copy)
        return false;
    if (copy)
        memcpy(copy, bytes, length);
    empty(object);
    object->bytes = copy;
    object->length = length;
    return true;
}

void card_memory_set_key(struct card_memory *memory, enum card_key_id id, EVP_PKEY *key, enum card_key_origin origin)
{
    EVP_PKEY_free(memory->key[id]);
    memory->key[id] = key;
    memory->origin[id] = key ? origin : KEY_NONE;
    if (id == KEY_SIGNATURE)
        memory->signatures = 0;
}

unsigned card_memory_key_bits(struct card_memory *memory, enum card_key_id id)
{
    const struct card_object *attributes = card_memory_object(memory, (uint16_t)(0x00c1 + id));
    return (unsigned)(attributes->bytes[1] << 8 | attributes->bytes[2]);
}

void card_memory_clear(struct card_memory *memory)
{
    for (size_t i = 0; i < CARD_OBJECTS; i++)
        empty(&memory->object[i]);
    for (enum card_key_id id = KEY_SIGNATURE; id < KEY_COUNT; id++)
        EVP_PKEY_free(memory->key[id]);
    OPENSSL_cleanse(memory, sizeof *memory);
}

/* What an object holds at the beginning: zeros, RSA 2048, or nothing. */
static bool fill(struct card_object *object)
{
    static const uint8_t RSA_2048[] = { 0x01, 0x08, 0x00, 0x00, 0x20, 0x00 };
    static const uint8_t ZEROS[20];
    if (object->rule->tag >= 0x00c1 && object->rule->tag <= 0x00c3)
        return card_memory_store(object, RSA_2048, sizeof RSA_2048);
    return card_memory_store(object, ZEROS, object->rule->least);
}

bool card_memory_format(struct card_memory *memory)
{
    card_memory_clear(memory);
    memory->pin[PIN_PW1].minimum = 6;
    memory->pin[PIN_RC].minimum = memory->pin[PIN_PW3].minimum = 8;
    card_pin_set(&memory->pin[PIN_PW1], (const uint8_t *)"123456", 6);
    card_pin_set(&memory->pin[PIN_PW3], (const uint8_t *)"12345678", 8);
    bool ok = true;
    for (size_t i = 0; i < CARD_OBJECTS; i++) {
        memory->object[i].rule = &RULES[i];
        ok = fill(&memory->object[i]) && ok;
    }
    return ok;
}
