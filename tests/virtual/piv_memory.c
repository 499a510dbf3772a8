/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_memory.c - all that a PIV application keeps when the power is off. */
#include "piv_memory.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

/* Card capability container and cardholder unique identifier, as the factory leaves them: of nobody. */
static const uint8_t CAPABILITIES[] = {
    0xf0, 0x15, 0xa0, 0x00, 0x00, 0x01, 0x16, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf1, 0x01, 0x21, 0xf2, 0x01, 0x21, 0xf3, 0x00, 0xf4, 0x01, 0x00,
    0xf5, 0x01, 0x10, 0xf6, 0x00, 0xf7, 0x00, 0xfa, 0x00, 0xfb, 0x00, 0xfc, 0x00, 0xfd, 0x00, 0xfe, 0x00,
};
static const uint8_t FASC_N[] = {
    0xd4, 0xe7, 0x39, 0xd8, 0x21, 0x08, 0x6c, 0x10, 0x84, 0x21, 0x0d, 0x83, 0x60,
    0xd8, 0x21, 0x08, 0x42, 0x10, 0x84, 0x21, 0x80, 0x42, 0x10, 0xc3, 0xf3,
};
/* The application's identifier; the PIN of the card is its own PIN, none is global. */
static const uint8_t DISCOVERY[] = {
    0x4f, 0x0b, 0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00, 0x5f, 0x2f, 0x02, 0x40, 0x00,
};

static uint32_t tag_of(size_t number)
{
    static const uint32_t OTHERS[] = { PIV_TAG_DISCOVERY, PIV_TAG_BIOMETRIC_GROUP };
    if (number < 2)
        return OTHERS[number];
    const uint32_t tag = 0x5fc101 + (uint32_t)(number - 2); /* 5FC101 ... 5FC123, there is no 5FC104 */
    return tag < 0x5fc104 ? tag : tag + 1;
}

static bool store(struct piv_memory *memory, uint32_t tag, const uint8_t *bytes, size_t length)
{
    return piv_memory_store(piv_memory_object(memory, tag), (struct tlv_view){ bytes, length });
}

static bool store_holder(struct piv_memory *memory)
{
    uint8_t bytes[64], guid[16];
    struct tlv_writer holder = { .bytes = bytes, .size = sizeof bytes };
    if (RAND_bytes(guid, sizeof guid) <= 0)
        return false;
    guid[6] = (guid[6] & 0x0f) | 0x40; /* a random UUID, RFC 4122 §4.4 */
    guid[8] = (guid[8] & 0x3f) | 0x80;
    tlv_put(&holder, 0x30, FASC_N, sizeof FASC_N);
    tlv_put(&holder, 0x34, guid, sizeof guid);
    tlv_put(&holder, 0x35, (const uint8_t *)"99991231", 8);
    tlv_put(&holder, 0x3e, NULL, 0);
    tlv_put(&holder, 0xfe, NULL, 0);
    return store(memory, 0x5fc102, bytes, holder.length);
}

bool piv_memory_format(struct piv_memory *memory)
{
    piv_memory_clear(memory);
    for (size_t i = 0; i < PIV_OBJECTS; i++)
        memory->object[i].tag = tag_of(i);
    memory->pin.most = PIV_PIN_TRIES;
    memory->puk.most = PIV_PUK_TRIES;
    piv_pin_set(&memory->pin, (const uint8_t *)"123456\xff\xff");
    piv_pin_set(&memory->puk, (const uint8_t *)"12345678");
    memory->management_algorithm = 0x03;
    for (size_t i = 0; i < 24; i++)
        memory->management[i] = (uint8_t)(i % 8 + 1);
    return store(memory, PIV_TAG_DISCOVERY, DISCOVERY, sizeof DISCOVERY) &&
           store(memory, 0x5fc107, CAPABILITIES, sizeof CAPABILITIES) && store_holder(memory);
}

void piv_memory_clear(struct piv_memory *memory)
{
    for (size_t i = 0; i < PIV_KEYS; i++)
        EVP_PKEY_free(memory->key[i]);
    for (size_t i = 0; i < PIV_OBJECTS; i++)
        free(memory->object[i].bytes);
    OPENSSL_cleanse(memory, sizeof *memory);
}

/* ---- objects ---- */

struct piv_object *piv_memory_object(struct piv_memory *memory, uint32_t tag)
{
    for (size_t i = 0; i < PIV_OBJECTS; i++)
        if (memory->object[i].tag == tag)
            return &memory->object[i];
    return NULL;
}

bool piv_memory_store(struct piv_object *object, struct tlv_view value)
{
    uint8_t *bytes = malloc(value.length + 1); /* one without content is there nevertheless */
    if (!bytes)
        return false;
    if (value.length > 0)
        memcpy(bytes, value.bytes, value.length);
    free(object->bytes);
    object->bytes = bytes;
    object->length = value.length;
    return true;
}

/* ---- keys ---- */

bool piv_is_key(unsigned reference)
{
    return (reference >= 0x82 && reference <= 0x95) || reference == 0x9a || (reference >= 0x9c && reference <= 0x9e);
}

void piv_memory_set_key(struct piv_memory *memory, uint8_t reference, EVP_PKEY *key)
{
    EVP_PKEY_free(memory->key[reference]);
    memory->key[reference] = key;
}

uint8_t piv_key_algorithm(const EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) == 2048 ? 0x07 : 0;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 256 ? 0x11 : 0;
}

const EVP_CIPHER *piv_cipher(unsigned algorithm)
{
    if (algorithm == 0x03)
        return EVP_des_ede3_ecb();
    return algorithm == 0x0c ? EVP_aes_256_ecb() : NULL;
}

/* ---- PINs ---- */

void piv_pin_set(struct piv_pin *pin, const uint8_t value[PIV_PIN_LENGTH])
{
    memcpy(pin->value, value, PIV_PIN_LENGTH);
    pin->tries = pin->most;
}

bool piv_pin_try(struct piv_pin *pin, const uint8_t value[PIV_PIN_LENGTH])
{
    if (pin->tries == 0)
        return false;
    if (CRYPTO_memcmp(value, pin->value, PIV_PIN_LENGTH) == 0) {
        pin->tries = pin->most;
        return true;
    }
    pin->tries--;
    return false;
}
