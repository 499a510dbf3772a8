/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * card_state.c - the memory of an OpenPGP card in a file, see state_file.h:
 *   terminated 0|1 0 -      signatures N 0 -      lasting 0|1 0 -
 *   pin ID TRIES VALUE      key ID ORIGIN PKCS8   object TAG OCCURRENCE VALUE
 */
#include "card_state.h"
#include <string.h>
#include "state_file.h"

#define HEADER "virtual OpenPGP card, state 1"

static bool print(FILE *file, void *context)
{
    struct card_memory *const memory = context;
    state_print(file, "terminated", memory->terminated, 0, NULL, 0);
    state_print(file, "signatures", memory->signatures, 0, NULL, 0);
    state_print(file, "lasting", memory->pin_lasts, 0, NULL, 0);
    for (unsigned i = 0; i < PIN_COUNT; i++)
        state_print(file, "pin", i, memory->pin[i].tries, memory->pin[i].value, memory->pin[i].length);
    unsigned occurrence = 0;
    for (size_t i = 0; i < memory->objects; i++) {
        const struct card_object *const object = &memory->object[i];
        occurrence = i > 0 && object->rule.tag == memory->object[i - 1].rule.tag ? occurrence + 1 : 0;
        state_print(file, "object", object->rule.tag, occurrence, object->bytes, object->length);
    }
    for (unsigned id = 0; id < KEY_COUNT; id++)
        if (memory->key[id] && !state_print_key(file, id, memory->origin[id], memory->key[id]))
            return false;
    return true;
}

bool card_state_save(const char *path, struct card_memory *memory)
{
    return state_file_save(path, HEADER, print, memory);
}

/* ---- reading ---- */

static bool load_key(struct card_memory *memory, unsigned id, unsigned origin, const uint8_t *bytes, size_t length)
{
    if (id >= KEY_COUNT || (origin != KEY_GENERATED && origin != KEY_IMPORTED))
        return false;
    EVP_PKEY *key = state_key(bytes, length);
    if (!key)
        return false;
    const uint32_t signatures = memory->signatures;
    card_memory_set_key(memory, (enum card_key_id)id, key, (enum card_key_origin)origin);
    memory->signatures = signatures;
    return true;
}

static bool load_pin(struct card_memory *memory, unsigned id, unsigned tries, const uint8_t *bytes, size_t length)
{
    const bool none = id != PIN_PW1 && length == 0 && tries == 0; /* no resetting code, or no admin PIN of its own */
    if (id >= PIN_COUNT || tries > CARD_PIN_TRIES || length > CARD_PIN_MAX ||
        (!none && length < memory->pin[id].minimum))
        return false;
    card_pin_set(&memory->pin[id], bytes, length);
    memory->pin[id].tries = tries;
    return true;
}

static bool load_object(struct card_memory *memory, unsigned tag, unsigned occurrence, const uint8_t *bytes,
                        size_t length)
{
    if (tag > 0xffff)
        return false;
    struct card_object *object = card_memory_occurrence(memory, (uint16_t)tag, occurrence);
    return object && card_memory_store(memory, object, bytes, length);
}

static bool load_flag(bool *flag, unsigned number)
{
    *flag = number == 1;
    return number <= 1;
}

static bool load_signatures(struct card_memory *memory, unsigned number)
{
    memory->signatures = number;
    return number <= CARD_SIGNATURES_MAX;
}

static bool keys_fit_attributes(struct card_memory *memory)
{
    for (enum card_key_id id = KEY_SIGNATURE; id < KEY_COUNT; id++) {
        const struct card_algorithm algorithm = card_memory_algorithm(memory, id);
        if (memory->key[id] && !card_algorithm_fits(&algorithm, memory->key[id]))
            return false;
    }
    return true;
}

static bool load(const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length, void *context)
{
    struct card_memory *const memory = context;
    if (strcmp(word, "pin") == 0)
        return load_pin(memory, first, second, bytes, length);
    if (strcmp(word, "key") == 0)
        return load_key(memory, first, second, bytes, length);
    if (strcmp(word, "object") == 0)
        return load_object(memory, first, second, bytes, length);
    if (second != 0 || length != 0)
        return false;
    if (strcmp(word, "terminated") == 0)
        return load_flag(&memory->terminated, first);
    if (strcmp(word, "signatures") == 0)
        return load_signatures(memory, first);
    if (strcmp(word, "lasting") == 0)
        return load_flag(&memory->pin_lasts, first);
    return strcmp(word, "end") == 0 && keys_fit_attributes(memory);
}

bool card_state_load(const char *path, struct card_memory *memory)
{
    return state_file_load(path, HEADER, load, memory);
}
