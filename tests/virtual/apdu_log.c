/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apdu_log.c - every APDU that the card executed, in memory and, if asked for, in a file (see icc.h). */
#include "apdu_log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct icc_apdu apdu;
    uint8_t command[];
};

struct apdu_log {
    FILE *file;
    struct entry **entries;
    size_t count, capacity, resets;
};

struct apdu_log *apdu_log_new(const char *path)
{
    struct apdu_log *log = calloc(1, sizeof *log);
    if (!log) {
        perror("log");
        return NULL;
    }
    log->file = path ? fopen(path, "we") : NULL;
    if (path && !log->file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        free(log);
        return NULL;
    }
    return log;
}

void apdu_log_free(struct apdu_log *log)
{
    if (!log)
        return;
    if (log->file)
        fclose(log->file);
    for (size_t i = 0; i < log->count; i++)
        free(log->entries[i]);
    free(log->entries);
    free(log);
}

static void print_command(struct apdu_log *log, const uint8_t *command, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(log->file, "%02X", command[i]);
}

static void keep(struct apdu_log *log, const struct icc_apdu *apdu)
{
    if (log->count == log->capacity) {
        const size_t capacity = log->capacity ? 2 * log->capacity : 64;
        struct entry **entries = realloc(log->entries, capacity * sizeof *entries);
        if (!entries)
            abort(); /* a log with gaps would let a test pass */
        log->entries = entries;
        log->capacity = capacity;
    }
    struct entry *entry = malloc(sizeof *entry + apdu->command_len);
    if (!entry)
        abort();
    entry->apdu = *apdu;
    memcpy(entry->command, apdu->command, apdu->command_len);
    entry->apdu.command = entry->command;
    entry->apdu.resets = log->resets;
    log->entries[log->count++] = entry;
}

void apdu_log_executed(struct apdu_log *log, int64_t begin_us, int64_t end_us, const uint8_t *command,
                       size_t command_len, uint16_t status_word, size_t answer_len)
{
    keep(log, &(struct icc_apdu){ .begin_us = begin_us, .end_us = end_us, .command = command,
                                  .command_len = command_len, .status_word = status_word, .answer_len = answer_len });
    if (!log->file)
        return;
    fprintf(log->file, "%" PRId64 " %" PRId64 " ", begin_us / 1000, end_us / 1000);
    print_command(log, command, command_len);
    fprintf(log->file, " %04X %zu\n", status_word, answer_len);
    fflush(log->file);
}

void apdu_log_abandoned(struct apdu_log *log, int64_t now_us, const uint8_t *command, size_t command_len)
{
    keep(log, &(struct icc_apdu){ .begin_us = now_us, .end_us = now_us, .command = command,
                                  .command_len = command_len, .abandoned = true });
    if (!log->file)
        return;
    fprintf(log->file, "%" PRId64 " abandoned ", now_us / 1000);
    print_command(log, command, command_len);
    fputc('\n', log->file);
    fflush(log->file);
}

void apdu_log_reset(struct apdu_log *log, int64_t now_us)
{
    log->resets++;
    if (!log->file)
        return;
    fprintf(log->file, "%" PRId64 " reset\n", now_us / 1000);
    fflush(log->file);
}

size_t apdu_log_count(const struct apdu_log *log)
{
    return log->count;
}

struct icc_apdu apdu_log_get(const struct apdu_log *log, size_t index)
{
    return log->entries[index]->apdu;
}
