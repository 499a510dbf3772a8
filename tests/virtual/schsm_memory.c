/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_memory.c - all that a SmartCard-HSM keeps when the power is off. */
#include "schsm_memory.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include "schsm_cvc.h"

#define SRCA "DESRCACC100001"
#define ISSUER "DENKDI0100001"

/* ---- files ---- */

struct schsm_file *schsm_memory_file(struct schsm_memory *memory, uint16_t id)
{
    for (size_t i = 0; i < memory->files; i++)
        if (memory->file[i].id == id)
            return &memory->file[i];
    return NULL;
}

static void empty(struct schsm_file *file)
{
    if (file->bytes)
        OPENSSL_cleanse(file->bytes, file->length);
    free(file->bytes);
    file->bytes = NULL;
    file->length = 0;
}

struct schsm_file *schsm_memory_create(struct schsm_memory *memory, uint16_t id)
{
    struct schsm_file *file = schsm_memory_file(memory, id);
    if (file) {
        empty(file);
        return file;
    }
    if (memory->files == SCHSM_FILES_MAX)
        return NULL;
    file = &memory->file[memory->files++];
    *file = (struct schsm_file){ .id = id };
    return file;
}

bool schsm_memory_write(struct schsm_file *file, size_t offset, struct tlv_view data)
{
    if (offset > file->length || data.length > SCHSM_FILE_MAX - offset)
        return false;
    if (offset + data.length > file->length) {
        uint8_t *longer = realloc(file->bytes, offset + data.length);
        if (!longer)
            return false;
        file->bytes = longer;
        file->length = offset + data.length;
    }
    if (data.length > 0)
        memcpy(file->bytes + offset, data.bytes, data.length);
    return true;
}

void schsm_memory_delete(struct schsm_memory *memory, struct schsm_file *file)
{
    empty(file);
    memory->files--;
    memmove(file, file + 1, (size_t)(memory->file + memory->files - file) * sizeof *file);
}

void schsm_memory_set_key(struct schsm_memory *memory, uint8_t id, EVP_PKEY *key)
{
    EVP_PKEY_free(memory->key[id]);
    memory->key[id] = key;
}

/* ---- PINs ---- */

void schsm_pin_set(struct schsm_pin *pin, struct tlv_view value)
{
    OPENSSL_cleanse(pin->value, sizeof pin->value);
    memcpy(pin->value, value.bytes, value.length);
    pin->length = value.length;
    pin->tries = pin->most;
}

uint16_t schsm_pin_try(struct schsm_pin *pin, struct tlv_view value)
{
    if (pin->tries == 0)
        return 0x6983;
    if (value.length == pin->length && CRYPTO_memcmp(value.bytes, pin->value, value.length) == 0) {
        pin->tries = pin->most;
        return 0x9000;
    }
    pin->tries--;
    return pin->tries == 0 ? 0x6983 : (uint16_t)(0x63c0 | pin->tries);
}

/* ---- all of it ---- */

void schsm_memory_wipe(struct schsm_memory *memory)
{
    for (unsigned id = 1; id < SCHSM_KEYS; id++)
        schsm_memory_set_key(memory, (uint8_t)id, NULL);
    for (size_t i = memory->files; i > 0; i--)
        if (memory->file[i - 1].id != SCHSM_DEVICE_CERTIFICATE)
            schsm_memory_delete(memory, &memory->file[i - 1]);
    OPENSSL_cleanse(memory->dkek, sizeof memory->dkek);
    memory->dkek_shares = SCHSM_NO_DKEK;
    memory->dkek_outstanding = 0;
}

void schsm_memory_clear(struct schsm_memory *memory)
{
    for (unsigned id = 0; id < SCHSM_KEYS; id++)
        schsm_memory_set_key(memory, (uint8_t)id, NULL);
    for (size_t i = 0; i < memory->files; i++)
        empty(&memory->file[i]);
    OPENSSL_cleanse(memory, sizeof *memory);
}

/* The issuer's key is not on the card; its certificate, by a root that is not there either, is. */
static bool issue(struct schsm_memory *memory, EVP_PKEY *issuer, EVP_PKEY *root)
{
    uint8_t bytes[1024];
    struct tlv_writer certificates = { .bytes = bytes, .size = sizeof bytes };
    struct schsm_file *file = schsm_memory_create(memory, SCHSM_DEVICE_CERTIFICATE);
    return issuer && root && memory->key[0] && file &&
           schsm_put_certificate(&certificates, memory->key[0], SCHSM_DEVICE_NAME, issuer, ISSUER) &&
           schsm_put_certificate(&certificates, issuer, ISSUER, root, SRCA) &&
           schsm_memory_write(file, 0, (struct tlv_view){ bytes, certificates.length });
}

bool schsm_memory_format(struct schsm_memory *memory)
{
    schsm_memory_clear(memory);
    memory->dkek_shares = SCHSM_NO_DKEK;
    memory->so.most = SCHSM_SO_PIN_TRIES;
    EVP_PKEY *issuer = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "brainpoolP256r1");
    EVP_PKEY *root = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "brainpoolP256r1");
    memory->key[0] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "brainpoolP256r1");
    const bool ok = issue(memory, issuer, root);
    EVP_PKEY_free(issuer);
    EVP_PKEY_free(root);
    return ok;
}
