/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* replay.c - runs a fuzz target with inputs that are known, without a fuzzer: files of lines of hexadecimal. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* -1: the line is not hexadecimal. */
static long decode(const char *line, uint8_t *bytes)
{
    long length = 0;
    unsigned byte;
    for (; *line && *line != '\n'; line += 2, length++) {
        if (length == LONGEST || sscanf(line, "%2x", &byte) != 1)
            return -1;
        bytes[length] = (uint8_t)byte;
    }
    return length;
}

/* Returns how many inputs there were; each is given in memory of its size, so that a sanitizer sees its end. */
static long replay(FILE *file)
{
    static char line[2 * LONGEST + 2];
    static uint8_t bytes[LONGEST];
    long inputs = 0;
    for (; fgets(line, sizeof line, file); inputs++) {
        const long length = decode(line, bytes);
        uint8_t *const input = length < 0 ? NULL : malloc((size_t)length + 1);
        if (!input)
            return -1;
        memcpy(input, bytes, (size_t)length);
        (void)LLVMFuzzerTestOneInput(input, (size_t)length);
        free(input);
    }
    return inputs;
}

int main(int argc, char *argv[])
{
    long all = 0;
    if (LLVMFuzzerInitialize)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        FILE *const file = fopen(argv[i], "r");
        const long inputs = file ? replay(file) : -1;
        if (inputs < 0) {
            printf("not ok %d - %s cannot be read\n", i, argv[i]);
            return 1;
        }
        fclose(file);
        all += inputs;
    }
    printf("ok 1 - %ld inputs find nothing\n1..1\n", all);
    return 0;
}
