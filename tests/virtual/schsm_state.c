/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schsm_state.c - the memory of a SmartCard-HSM in a file, see state_file.h:
 *   options N 0 -           user TRIES MOST VALUE   so TRIES 0 VALUE
 *   dkek SHARES OUTSTANDING VALUE                   key ID 0 PKCS8   file ID 0 BYTES
 */
#include "schsm_state.h"
#include <string.h>
#include "state_file.h"

#define HEADER "virtual SmartCard-HSM, state 1"

static bool print(FILE *file, void *context)
{
    struct schsm_memory *const memory = context;
    state_print(file, "options", memory->options, 0, NULL, 0);
    state_print(file, "user", memory->user.tries, memory->user.most, memory->user.value, memory->user.length);
    state_print(file, "so", memory->so.tries, 0, memory->so.value, memory->so.length);
    if (memory->dkek_shares != SCHSM_NO_DKEK)
        state_print(file, "dkek", (unsigned)memory->dkek_shares, memory->dkek_outstanding, memory->dkek,
                    sizeof memory->dkek);
    for (unsigned id = 0; id < SCHSM_KEYS; id++)
        if (memory->key[id] && !state_print_key(file, id, 0, memory->key[id]))
            return false;
    for (size_t i = 0; i < memory->files; i++)
        state_print(file, "file", memory->file[i].id, 0, memory->file[i].bytes, memory->file[i].length);
    return true;
}

bool schsm_state_save(const char *path, struct schsm_memory *memory)
{
    return state_file_save(path, HEADER, print, memory);
}

/* ---- reading ---- */

static bool load_pin(struct schsm_pin *pin, unsigned tries, unsigned most, struct tlv_view value, size_t least)
{
    const bool none = value.length == 0 && tries == 0;
    if (tries > most || most > SCHSM_SO_PIN_TRIES || value.length > SCHSM_PIN_MAX || (!none && value.length < least))
        return false;
    pin->most = most;
    schsm_pin_set(pin, value);
    pin->tries = tries;
    return true;
}

static bool load_dkek(struct schsm_memory *memory, unsigned shares, unsigned outstanding, struct tlv_view value)
{
    if (shares > 0xff || outstanding > shares || value.length != sizeof memory->dkek)
        return false;
    memory->dkek_shares = (int)shares;
    memory->dkek_outstanding = outstanding;
    memcpy(memory->dkek, value.bytes, value.length);
    return true;
}

static bool load_key(struct schsm_memory *memory, unsigned id, struct tlv_view value)
{
    EVP_PKEY *key = id < SCHSM_KEYS ? state_key(value.bytes, value.length) : NULL;
    if (key)
        schsm_memory_set_key(memory, (uint8_t)id, key);
    return key;
}

static bool load_file(struct schsm_memory *memory, unsigned id, struct tlv_view value)
{
    struct schsm_file *file = id <= 0xffff ? schsm_memory_create(memory, (uint16_t)id) : NULL;
    return file && schsm_memory_write(file, 0, value);
}

static bool load(const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length, void *context)
{
    struct schsm_memory *const memory = context;
    const struct tlv_view value = { bytes, length };
    if (strcmp(word, "user") == 0)
        return load_pin(&memory->user, first, second, value, SCHSM_PIN_MIN);
    if (strcmp(word, "dkek") == 0)
        return load_dkek(memory, first, second, value);
    if (second != 0)
        return false;
    if (strcmp(word, "so") == 0)
        return load_pin(&memory->so, first, SCHSM_SO_PIN_TRIES, value, SCHSM_SO_PIN_LENGTH);
    if (strcmp(word, "key") == 0)
        return load_key(memory, first, value);
    if (strcmp(word, "file") == 0)
        return load_file(memory, first, value);
    if (strcmp(word, "options") == 0 && length == 0) {
        memory->options = (uint8_t)first;
        return first <= 0xff;
    }
    return strcmp(word, "end") == 0 && (memory->user.length > 0) == (memory->so.length > 0);
}

bool schsm_state_load(const char *path, struct schsm_memory *memory)
{
    return state_file_load(path, HEADER, load, memory);
}
