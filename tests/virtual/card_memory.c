/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_memory.c - all that an OpenPGP card keeps when the power is off. */
#include "card_memory.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include "card_kdf.h"

/* OpenPGP card 3.4 §4.4.1 and §4.4.2. OBJECT and CERTIFICATE stand for the lengths that the profile says. */
#define OBJECT 0xffff
#define CERTIFICATE 0xfffe
/* D6 ... D8: whether a touch is needed, and what is to be touched. */
enum { INTERACTION_OFF = 0x00, INTERACTION_BUTTON = 0x20 };

static const struct card_object_rule RULES[CARD_OBJECTS] = {
    { 0x005b, 0, 39, ACCESS_ALWAYS, ACCESS_PW3 },                   /* name */
    { 0x5f2d, 0, 8, ACCESS_ALWAYS, ACCESS_PW3 },                    /* language */
    { 0x5f35, 0, 1, ACCESS_ALWAYS, ACCESS_PW3 },                    /* sex */
    { 0x5f50, 0, OBJECT, ACCESS_ALWAYS, ACCESS_PW3 },               /* URL */
    { 0x005e, 0, OBJECT, ACCESS_ALWAYS, ACCESS_PW3 },               /* login */
    { 0x0101, 0, OBJECT, ACCESS_ALWAYS, ACCESS_PW1 },               /* private use 1 ... 4 */
    { 0x0102, 0, OBJECT, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x0103, 0, OBJECT, ACCESS_PW1, ACCESS_PW1 },
    { 0x0104, 0, OBJECT, ACCESS_PW3, ACCESS_PW3 },
    { 0x7f21, 0, CERTIFICATE, ACCESS_ALWAYS, ACCESS_PW3 },          /* certificates */
    { 0x7f21, 0, CERTIFICATE, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x7f21, 0, CERTIFICATE, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c1, 6, CARD_ATTRIBUTES_MAX, ACCESS_ALWAYS, ACCESS_PW3 },  /* algorithm attributes */
    { 0x00c2, 6, CARD_ATTRIBUTES_MAX, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c3, 6, CARD_ATTRIBUTES_MAX, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c7, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },                  /* fingerprints */
    { 0x00c8, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00c9, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00ca, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },                  /* CA fingerprints */
    { 0x00cb, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00cc, 20, 20, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00ce, 4, 4, ACCESS_ALWAYS, ACCESS_PW3 },                    /* times of generation */
    { 0x00cf, 4, 4, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00d0, 4, 4, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00d6, 2, 2, ACCESS_ALWAYS, ACCESS_PW3 },                    /* user interaction */
    { 0x00d7, 2, 2, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00d8, 2, 2, ACCESS_ALWAYS, ACCESS_PW3 },
    { 0x00f9, 0, 174, ACCESS_ALWAYS, ACCESS_PW3 },                  /* KDF */
};

struct card_object *card_memory_occurrence(struct card_memory *memory, uint16_t tag, unsigned occurrence)
{
    for (size_t i = 0; i < memory->objects; i++)
        if (memory->object[i].rule.tag == tag && occurrence-- == 0)
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

static bool is_attributes(uint16_t tag)
{
    return tag >= 0x00c1 && tag <= 0x00c3;
}

static bool is_interaction(uint16_t tag)
{
    return tag >= 0x00d6 && tag <= 0x00d8;
}

bool card_memory_acceptable(const struct card_memory *memory, const struct card_object *object, const uint8_t *bytes,
                            size_t length)
{
    const struct card_object_rule *const rule = &object->rule;
    struct card_algorithm algorithm;
    struct card_kdf kdf;
    if (length < rule->least || length > rule->most)
        return false;
    if (is_attributes(rule->tag))
        return card_algorithm_parse((enum card_key_id)(rule->tag - 0x00c1), bytes, length, &algorithm) &&
               openpgp_offers(memory->profile, &algorithm);
    if (is_interaction(rule->tag))
        return bytes[0] <= CARD_INTERACTION_FOREVER &&
               bytes[1] == (memory->profile->button ? INTERACTION_BUTTON : 0x00);
    return rule->tag != 0x00f9 || card_kdf_parse((struct tlv_view){ bytes, length }, &kdf);
}

bool card_memory_store(const struct card_memory *memory, struct card_object *object, const uint8_t *bytes,
                       size_t length)
{
    if (!card_memory_acceptable(memory, object, bytes, length))
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

struct card_algorithm card_memory_algorithm(struct card_memory *memory, enum card_key_id id)
{
    const struct card_object *attributes = card_memory_object(memory, (uint16_t)(0x00c1 + id));
    struct card_algorithm algorithm = { 0 };
    card_algorithm_parse(id, attributes->bytes, attributes->length, &algorithm);
    return algorithm;
}

bool card_memory_wants_touch(struct card_memory *memory, enum card_key_id id)
{
    const struct card_object *interaction = card_memory_object(memory, (uint16_t)(0x00d6 + id));
    return interaction && interaction->bytes[0] != INTERACTION_OFF;
}

void card_memory_clear(struct card_memory *memory)
{
    for (size_t i = 0; i < memory->objects; i++)
        empty(&memory->object[i]);
    for (enum card_key_id id = KEY_SIGNATURE; id < KEY_COUNT; id++)
        EVP_PKEY_free(memory->key[id]);
    OPENSSL_cleanse(memory, sizeof *memory);
}

/* ---- as it leaves the factory ---- */

/* Whether a model has an object, and the rule for it. */
static bool adapt(struct card_object_rule *rule, const struct openpgp_profile *profile, unsigned occurrence)
{
    if (rule->tag == 0x00f9)
        return openpgp_has_kdf(profile);
    if (rule->tag >= 0x0101 && rule->tag <= 0x0104 && !openpgp_has_private_objects(profile))
        return false;
    if (rule->tag == 0x7f21 && occurrence > 0 && !openpgp_is_version_3(profile))
        return false;
    if (is_interaction(rule->tag) && !profile->button) {
        rule->write = ACCESS_NEVER;
        return openpgp_is_version_3(profile);
    }
    if (is_attributes(rule->tag) && profile->curves == 0)
        rule->most = rule->least;
    if (rule->most == OBJECT)
        rule->most = profile->object_max;
    if (rule->most == CERTIFICATE)
        rule->most = profile->certificate_max;
    return true;
}

/* What an object holds at the beginning: zeros, RSA 2048, or nothing. */
static bool fill(const struct card_memory *memory, struct card_object *object)
{
    static const uint8_t RSA_2048[] = { 0x01, 0x08, 0x00, 0x00, 0x20, 0x00 }, NO_KDF[] = { 0x81, 0x01, 0x00 };
    static const uint8_t UNTOUCHED[] = { INTERACTION_OFF, INTERACTION_BUTTON };
    static const uint8_t ZEROS[20];
    if (is_attributes(object->rule.tag))
        return card_memory_store(memory, object, RSA_2048, sizeof RSA_2048);
    if (object->rule.tag == 0x00f9)
        return card_memory_store(memory, object, NO_KDF, memory->profile->gnuk ? 0 : sizeof NO_KDF);
    if (is_interaction(object->rule.tag) && memory->profile->button)
        return card_memory_store(memory, object, UNTOUCHED, sizeof UNTOUCHED);
    return card_memory_store(memory, object, ZEROS, object->rule.least);
}

static struct card_kdf first_pins(struct card_memory *memory)
{
    const struct card_object *object = card_memory_object(memory, 0x00f9);
    struct card_kdf kdf = { 0 };
    if (object)
        card_kdf_parse((struct tlv_view){ object->bytes, object->length }, &kdf);
    if (!kdf.on) {
        kdf.user = (struct tlv_view){ (const uint8_t *)"123456", 6 };
        kdf.admin = (struct tlv_view){ (const uint8_t *)"12345678", 8 };
    }
    return kdf;
}

bool card_memory_has_first_admin_pin(struct card_memory *memory)
{
    const struct card_kdf kdf = first_pins(memory);
    const struct card_pin *const pin = &memory->pin[PIN_PW3];
    return pin->length == kdf.admin.length && CRYPTO_memcmp(pin->value, kdf.admin.bytes, pin->length) == 0;
}

void card_memory_reset_pins(struct card_memory *memory)
{
    const struct card_kdf kdf = first_pins(memory);
    card_pin_set(&memory->pin[PIN_PW1], kdf.user.bytes, kdf.user.length);
    card_pin_set(&memory->pin[PIN_RC], NULL, 0);
    card_pin_set(&memory->pin[PIN_PW3], kdf.admin.bytes, kdf.admin.length);
}

bool card_memory_format(struct card_memory *memory, const struct openpgp_profile *profile)
{
    unsigned occurrence = 0;
    bool ok = true;
    card_memory_clear(memory);
    memory->profile = profile;
    memory->pin[PIN_PW1].minimum = 6;
    memory->pin[PIN_RC].minimum = memory->pin[PIN_PW3].minimum = 8;
    for (size_t i = 0; i < CARD_OBJECTS; i++) {
        struct card_object_rule rule = RULES[i];
        occurrence = i > 0 && rule.tag == RULES[i - 1].tag ? occurrence + 1 : 0;
        if (!adapt(&rule, profile, occurrence))
            continue;
        struct card_object *const object = &memory->object[memory->objects++];
        object->rule = rule;
        ok = fill(memory, object) && ok;
    }
    card_memory_reset_pins(memory);
    return ok;
}
