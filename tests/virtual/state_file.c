/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state_file.c - the memory of a card in a file of text. */
#include "state_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

/* ---- writing ---- */

void state_print(FILE *file, const char *word, unsigned first, unsigned second, const uint8_t *bytes, size_t length)
{
    fprintf(file, "%s %u %u ", word, first, second);
    for (size_t i = 0; i < length; i++)
        fprintf(file, "%02x", bytes[i]);
    fprintf(file, length > 0 ? "\n" : "-\n");
}

bool state_print_key(FILE *file, unsigned first, unsigned second, EVP_PKEY *key)
{
    uint8_t *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    const int length = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;
    if (length > 0) {
        state_print(file, "key", first, second, der, (size_t)length);
        OPENSSL_clear_free(der, (size_t)length);
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    return length > 0;
}

static bool write_and_close(int fd, const char *header, state_printer *print, void *memory)
{
    FILE *file = fdopen(fd, "w");
    if (!file) {
        close(fd);
        return false;
    }
    fprintf(file, "%s\n", header);
    const bool printed = print(file, memory);
    fprintf(file, "end 0 0 -\n");
    const bool written = printed && !ferror(file);
    return fclose(file) == 0 && written;
}

bool state_file_save(const char *path, const char *header, state_printer *print, void *memory)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(ENOMEM));
        return false;
    }
    const int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    const bool ok = fd >= 0 && write_and_close(fd, header, print, memory) && rename(temporary, path) == 0;
    if (!ok)
        fprintf(stderr, "%s: cannot be written: %s\n", path, strerror(errno));
    if (!ok && fd >= 0)
        unlink(temporary);
    free(temporary);
    return ok;
}

/* ---- reading ---- */

EVP_PKEY *state_key(const uint8_t *bytes, size_t length)
{
    const uint8_t *der = bytes;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, (long)length);
    if (key && der == bytes + length)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static bool load_line(char *line, state_reader *read, void *memory)
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
    const bool ends = strcmp(word, "end") == 0 && (first != 0 || second != 0 || length != 0);
    const bool ok = !ends && read(word, first, second, bytes, (size_t)length, memory);
    OPENSSL_clear_free(bytes, (size_t)length);
    return ok;
}

/* Returns the number of the line that is wrong, 0 if none is. */
static unsigned load_lines(FILE *file, const char *header, state_reader *read, void *memory)
{
    char *line = NULL;
    size_t size = 0;
    unsigned number = 0;
    bool ok = true, ended = false;
    while (ok && getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        ok = !ended && (number == 0 ? strcmp(line, header) == 0 : load_line(line, read, memory));
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

bool state_file_load(const char *path, const char *header, state_reader *read, void *memory)
{
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return true;
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    const unsigned wrong = load_lines(file, header, read, memory);
    if (wrong != 0)
        fprintf(stderr, "%s:%u: this is not the state of a virtual card\n", path, wrong);
    ERR_clear_error();
    fclose(file);
    return wrong == 0;
}
