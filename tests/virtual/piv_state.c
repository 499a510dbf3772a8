/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * piv_state.c - the memory of a PIV application in a file, see state_file.h:
 *   pin TRIES 0 VALUE   puk TRIES 0 VALUE   management ALGORITHM 0 VALUE   key REFERENCE 0 PKCS8   object TAG 0 BYTES
 */
#include "piv_state.h"
#include <string.h>
#include "state_file.h"

#define HEADER "virtual PIV application, state 1"

static bool print(FILE *file, void *context)
{
    struct piv_memory *const memory = context;
    const size_t length = (size_t)EVP_CIPHER_get_key_length(piv_cipher(memory->management_algorithm));
    state_print(file, "pin", memory->pin.tries, 0, memory->pin.value, PIV_PIN_LENGTH);
    state_print(file, "puk", memory->puk.tries, 0, memory->puk.value, PIV_PIN_LENGTH);
    state_print(file, "management", memory->management_algorithm, 0, memory->management, length);
    for (unsigned reference = 0; reference < PIV_KEYS; reference++)
        if (memory->key[reference] && !state_print_key(file, reference, 0, memory->key[reference]))
            return false;
    for (size_t i = 0; i < PIV_OBJECTS; i++)
        if (memory->object[i].bytes)
            state_print(file, "object", memory->object[i].tag, 0, memory->object[i].bytes, memory->object[i].length);
    return true;
}

bool piv_state_save(const char *path, struct piv_memory *memory)
{
    return state_file_save(path, HEADER, print, memory);
}

/* ---- reading ---- */

static bool load_pin(struct piv_pin *pin, unsigned tries, struct tlv_view value)
{
    if (tries > pin->most || value.length != PIV_PIN_LENGTH)
        return false;
    piv_pin_set(pin, value.bytes);
    pin->tries = tries;
    return true;
}

static bool load_management(struct piv_memory *memory, unsigned algorithm, struct tlv_view value)
{
    const EVP_CIPHER *const cipher = piv_cipher(algorithm);
    if (!cipher || value.length != (size_t)EVP_CIPHER_get_key_length(cipher))
        return false;
    memory->management_algorithm = (uint8_t)algorithm;
    memcpy(memory->management, value.bytes, value.length);
    return true;
}

static bool load_key(struct piv_memory *memory, unsigned reference, struct tlv_view value)
{
    EVP_PKEY *key = piv_is_key(reference) ? state_key(value.bytes, value.length) : NULL;
    if (!key || piv_key_algorithm(key) == 0) {
        EVP_PKEY_free(key);
        return false;
    }
    piv_memory_set_key(memory, (uint8_t)reference, key);
    return true;
}

static bool load_object(struct piv_memory *memory, unsigned tag, struct tlv_view value)
{
    struct piv_object *const object = piv_memory_object(memory, tag);
    return object && piv_memory_store(object, value);
}

static bool load(const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length, void *context)
{
    struct piv_memory *const memory = context;
    const struct tlv_view value = { bytes, length };
    if (second != 0)
        return false;
    if (strcmp(word, "pin") == 0)
        return load_pin(&memory->pin, first, value);
    if (strcmp(word, "puk") == 0)
        return load_pin(&memory->puk, first, value);
    if (strcmp(word, "management") == 0)
        return load_management(memory, first, value);
    if (strcmp(word, "key") == 0)
        return load_key(memory, first, value);
    if (strcmp(word, "object") == 0)
        return load_object(memory, first, value);
    return strcmp(word, "end") == 0;
}

bool piv_state_load(const char *path, struct piv_memory *memory)
{
    return state_file_load(path, HEADER, load, memory);
}
