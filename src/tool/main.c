/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - ifd-nitrokey, the command for people who have a key that this driver serves. */
#include <stdio.h>
#include <string.h>
#include "verbs.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char *argv[]);
} VERBS[] = {
    { "list", "shows each Nitrokey that is plugged in, and who has it", list },
    { "doctor", "checks what goes wrong in practice, and shows the line to type", doctor },
    { "describe", "writes a key that is plugged in as a file for readers/", describe },
    { "watch", "shows for how long a key generation or a reset has been running, and what is usual", watch },
    { "trace", "reads a recorded trace: each message and how long it took", trace },
};

static void usage(FILE *stream)
{
    fputs("Usage: ifd-nitrokey VERB [OPTION...]\n\n", stream);
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++)
        fprintf(stream, "  %-10s %s\n", VERBS[i].name, VERBS[i].summary);
    fputs("\n  --help     this text; after a verb: that verb's options\n  --version  the version\n", stream);
}

int main(int argc, char *argv[])
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("ifd-nitrokey " VERSION);
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < sizeof VERBS / sizeof VERBS[0]; i++)
        if (strcmp(argv[1], VERBS[i].name) == 0)
            return VERBS[i].run(argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "ifd-nitrokey: there is no verb %s\n\n", argv[1]);
    usage(stderr);
    return 2;
}
