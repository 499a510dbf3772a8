/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* judge_main.c - judge: whether what a key has executed is what its clients have sent (judge.h), from files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "judge.h"

static const char USAGE[] =
    "Usage: judge [--any-order] [--of-others HEX] FIRMWARE SENT LOG\n"
    "Compares what clients have sent, a line of hexadecimal digits each, with what virtual-nitrokey --log has written.\n"
    "Says what was executed and not sent, and fails.\n";

struct lines {
    void *at;
    size_t count, capacity;
};

/* Room for one more. */
static void *more(struct lines *lines, size_t size)
{
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity ? 2 * lines->capacity : 64;
        lines->at = realloc(lines->at, lines->capacity * size);
        if (!lines->at)
            abort();
    }
    return memset((char *)lines->at + lines->count++ * size, 0, size);
}

/* Bytes of hexadecimal digits, up to what is none; in place. */
static size_t unhex(char *digits)
{
    size_t count = 0;
    unsigned byte;
    while (strspn(digits + 2 * count, "0123456789ABCDEFabcdef") >= 2 && sscanf(digits + 2 * count, "%2x", &byte) == 1)
        digits[count++] = (char)byte;
    return count;
}

static uint8_t *copy(char *digits, size_t *length)
{
    char *const bytes = strdup(digits);
    if (!bytes)
        abort();
    *length = unhex(bytes);
    return (uint8_t *)bytes;
}

static void take_sent(struct lines *lines, char *line)
{
    struct judge_sent *const sent = more(lines, sizeof *sent);
    sent->bytes = copy(line, &sent->length);
}

/* See icc.h for the lines of the log. */
static void take_executed(struct lines *lines, char *line)
{
    static size_t resets;
    char *words[5] = { "", "", "", "", "" }, *rest = line;
    for (size_t i = 0; i < 5 && (words[i] = strtok_r(rest, " ", &rest)) != NULL; i++)
        continue;
    if (!words[1] || strcmp(words[1], "reset") == 0) {
        resets++;
        return;
    }
    struct judge_executed *const executed = more(lines, sizeof *executed);
    executed->resets = resets;
    executed->abandoned = strcmp(words[1], "abandoned") == 0;
    executed->bytes = copy(words[2], &executed->length);
    if (executed->abandoned)
        return;
    executed->status_word = (uint16_t)strtoul(words[3], NULL, 16);
    executed->answer_length = strtoul(words[4], NULL, 10);
}

static bool read_lines(const char *path, struct lines *lines, void (*take)(struct lines *lines, char *line))
{
    char *line = NULL;
    size_t size = 0;
    FILE *const file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        take(lines, line);
    }
    free(line);
    fclose(file);
    return true;
}

int main(int argc, char *argv[])
{
    struct judge_case facts = { .any_order = false };
    struct lines sent = { 0 }, executed = { 0 };
    int at = 1;
    if (at < argc && strcmp(argv[at], "--any-order") == 0) {
        facts.any_order = true;
        at++;
    }
    if (at + 1 < argc && strcmp(argv[at], "--of-others") == 0) {
        facts.of_others = copy(argv[at + 1], &facts.of_others_length);
        at += 2;
    }
    if (argc != at + 3) {
        fputs(USAGE, stderr);
        return 2;
    }
    if (!read_lines(argv[at + 1], &sent, take_sent) || !read_lines(argv[at + 2], &executed, take_executed))
        return 2;
    facts.firmware = argv[at];
    facts.sent = sent.at;
    facts.sent_count = sent.count;
    facts.executed = executed.at;
    facts.executed_count = executed.count;
    char *const verdict = judge(&facts);
    if (verdict)
        puts(verdict);
    return verdict ? EXIT_FAILURE : EXIT_SUCCESS;
}
