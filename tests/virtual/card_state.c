/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * card_state.c - the memory of a card in a file: lines of text, keys as PKCS #8 in hexadecimal.
 *
 * Each line after the first is a word, two numbers and bytes in hexadecimal, "-" for none:
 *   terminated 0|1 0 -      signatures N 0 -      lasting 0|1 0 -
 *   pin ID TRIES VALUE      key ID ORIGIN PKCS8   object TAG OCCURRENCE VALUE
 *   end 0 0 -
 * The last one tells a whole file from one that was cut.
 */
#include "card_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#define HEADER "virtual OpenPGP card, state 1"

/* ---- writing ---- */

static void print_hex(FILE *file, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(file, "%02x", bytes[i]);
    fprintf(file, length > 0 ? "\n" : "-\n");
}

static bool print_key(FILE *file, unsigned id, EVP_PKEY *key, enum card_key_origin origin)
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
    return length > 0;
}

static bool print_memory(FILE *file, struct card_memory *memory)
{
    fprintf(file, HEADER "\nterminated %u 0 -\nsignatures %u 0 -\nlasting %u 0 -\n", memory->terminated,
            memory->signatures, memory->pin_lasts);
    for (unsigned i = 0; i < PIN_COUNT; i++) {
        fprintf(file, "pin %u %u ", i, memory->pin[i].tries);
        print_hex(file, memory->pin[i].value, memory->pin[i].length);
    }
    unsigned occurrence = 0;
    for (size_t i = 0; i < memory->objects; i++) {
        const uint16_t tag = memory->object[i].rule.tag;
        occurrence = i > 0 && tag == memory->object[i - 1].rule.tag ? occurrence + 1 : 0;
        fprintf(file, "object %u %u ", tag, occurrence);
        print_hex(file, memory->object[i].bytes, memory->object[i].length);
    }
    for (unsigned id = 0; id < KEY_COUNT; id++)
        if (memory->key[id] && !print_key(file, id, memory->key[id], memory->origin[id]))
            return false;
    fprintf(file, "end 0 0 -\n");
    return !ferror(file);
}

static bool write_and_close(int fd, struct card_memory *memory)
{
    FILE *file = fdopen(fd, "w");
    if (!file) {
        close(fd);
        return false;
    }
    const bool printed = print_memory(file, memory);
    return fclose(file) == 0 && printed;
}

bool card_state_save(const char *path, struct card_memory *memory)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(ENOMEM));
        return false;
    }
    const int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    const bool ok = fd >= 0 && write_and_close(fd, memory) && rename(temporary, path) == 0;
    if (!ok)
        fprintf(stderr, "%s: cannot be written: %s\n", path, strerror(errno));
    if (!ok && fd >= 0)
        unlink(temporary);
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
    if (!key || der != bytes + length) {
        EVP_PKEY_free(key);
        return false;
    }
    const uint32_t signatures = memory->signatures;
    card_memory_set_key(memory, (enum card_key_id)id, key, (enum card_key_origin)origin);
    memory->signatures = signatures;
    return true;
}

static bool load_pin(struct card_memory *memory, unsigned id, unsigned tries, const uint8_t *bytes, size_t length)
{
    const bool none = id == PIN_RC && length == 0 && tries == 0;
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

static bool load_words(const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length,
                       struct card_memory *memory)
{
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
    return strcmp(word, "end") == 0 && first == 0 && keys_fit_attributes(memory);
}

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
    const bool ok = load_words(word, first, second, bytes, (size_t)length, memory);
    OPENSSL_clear_free(bytes, (size_t)length);
    return ok;
}

/* Returns the number of the line that is wrong, 0 if none is. */
static unsigned load_lines(FILE *file, struct card_memory *memory)
{
    char *line = NULL;
    size_t size = 0;
    unsigned number = 0;
    bool ok = true, ended = false;
    while (ok && getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        ok = !ended && (number == 0 ? strcmp(line, HEADER) == 0 : load_line(line, memory));
        ended = strncmp(line, "end ", 4) == 0;
        number++;
    }
    if (line)
        OPENSSL_cleanse(line, size);
    free(line);
    if (ok && !ended)
        return number + 1;
    return ok ? 0 : number;
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
    const unsigned wrong = load_lines(file, memory);
    if (wrong != 0)
        fprintf(stderr, "%s:%u: this is not the state of a virtual card\n", path, wrong);
    ERR_clear_error();
    fclose(file);
    return wrong == 0;
}
