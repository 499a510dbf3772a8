/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_state.c - the memory of a card in a file: lines of text, keys as PKCS #8 in hexadecimal. */
#include "card_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>

#define HEADER "virtual OpenPGP card, state 1"

/* ---- writing ---- */

static void print_hex(FILE *file, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(file, "%02x", bytes[i]);
    fprintf(file, length > 0 ? "\n" : "-\n");
}

static void print_key(FILE *file, unsigned id, EVP_PKEY *key, enum card_key_origin origin)
{
    uint8_t *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    const int length = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;
    if (length > 0) {
        fprintf(file, "key %u %u ", id, (unsigned)origin);
        print_hex(file, der, (size_t)length);
        OPENSSL_clear_free(der, (size_t)length);
    }
    PKCS8_PRIV_KEY_INFO_free(info);
}

static void print_memory(FILE *file, struct card_memory *memory)
{
    fprintf(file, HEADER "\nterminated %u 0 -\nsignatures %u 0 -\nlasting %u 0 -\n", memory->terminated,
            memory->signatures, memory->pin_lasts);
    for (unsigned i = 0; i < PIN_COUNT; i++) {
        fprintf(file, "pin %u %u ", i, memory->pin[i].tries);
        print_hex(file, memory->pin[i].value, memory->pin[i].length);
    }
    for (size_t i = 0; i < CARD_OBJECTS; i++) {
        fprintf(file, "object %u 0 ", memory->object[i].rule->tag);
        print_hex(file, memory->object[i].bytes, memory->object[i].length);
    }
    for (unsigned id = 0; id < KEY_COUNT; id++)
        if (memory->key[id])
            print_key(file, id, memory->key[id], memory->origin[id]);
}

bool card_state_save(const char *path, struct card_memory *memory)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.new", path) < 0)
        return false;
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool ok = file != NULL;
    if (ok) {
        print_memory(file, memory);
        ok = !ferror(file);
        ok = fclose(file) == 0 && ok && rename(temporary, path) == 0;
    }
    if (!ok)
        fprintf(stderr, "%s: %s\n", temporary, strerror(errno));
    free(temporary);
    return ok;
}

/* ---- reading ---- */

static bool load_key(struct card_memory *memory, unsigned id, unsigned origin, const uint8_t *bytes, size_t length)
{
    const uint8_t *der = bytes;
    if (id >= KEY_COUNT || (origin != KEY_GENERATED && origin != KEY_IMPORTED))
        return false;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, (long)length);
    if (!key)
        return false;
    const uint32_t signatures = memory->signatures;
    card_memory_set_key(memory, (enum card_key_id)id, key, (enum card_key_origin)origin);
    memory->signatures = signatures;
    return true;
}

static bool load_pin(struct card_memory *memory, unsigned id, unsigned tries, const uint8_t *bytes, size_t length)
{
    if (id >= PIN_COUNT || tries > CARD_PIN_TRIES || length > CARD_PIN_MAX)
        return false;
    card_pin_set(&memory->pin[id], bytes, length);
    memory->pin[id].tries = tries;
    return true;
}

static bool load_object(struct card_memory *memory, unsigned tag, const uint8_t *bytes, size_t length)
{
    struct card_object *object = tag <= 0xffff ? card_memory_object(memory, (uint16_t)tag) : NULL;
    return object && card_memory_store(object, bytes, length);
}

/* Each line: a word, two numbers, bytes in hexadecimal or "-". */
static bool load_line(char *line, struct card_memory *memory)
{
    char word[16];
    unsigned first, second;
    int at = 0;
    if (sscanf(line, "%15s %u %u %n", word, &first, &second, &at) != 3 || at == 0)
        return false;
    long length = 0;
    uint8_t *bytes = strcmp(line + at, "-") == 0 ? OPENSSL_zalloc(1) : OPENSSL_hexstr2buf(line + at, &length);
    if (!bytes)
        return false;
    bool ok = true;
    if (strcmp(word, "terminated") == 0)
        memory->terminated = first != 0;
    else if (strcmp(word, "signatures") == 0)
        memory->signatures = first;
    else if (strcmp(word, "lasting") == 0)
        memory->pin_lasts = first != 0;
    else if (strcmp(word, "pin") == 0)
        ok = load_pin(memory, first, second, bytes, (size_t)length);
    else if (strcmp(word, "object") == 0)
        ok = load_object(memory, first, bytes, (size_t)length);
    else
        ok = strcmp(word, "key") == 0 && load_key(memory, first, second, bytes, (size_t)length);
    OPENSSL_clear_free(bytes, (size_t)length);
    return ok;
}

bool card_state_load(const char *path, struct card_memory *memory)
{
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return true;
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    char *line = NULL;
    size_t size = 0;
    unsigned number = 0;
    bool ok = true;
    while (ok && getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        ok = number++ == 0 ? strcmp(line, HEADER) == 0 : load_line(line, memory);
    }
    if (!ok || number == 0)
        fprintf(stderr, "%s:%u: this is not the state of a virtual card\n", path, number);
    if (line)
        OPENSSL_cleanse(line, size);
    free(line);
    fclose(file);
    return ok && number > 0;
}
