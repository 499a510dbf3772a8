/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apdu_log.h - every APDU that the card executed, in memory and, if asked for, in a file (see icc.h). */
#pragma once
#include "icc.h"

struct apdu_log;

/* path may be NULL. NULL with a message on stderr on failure. */
struct apdu_log *apdu_log_new(const char *path);
void apdu_log_free(struct apdu_log *log);

/* The command is copied. */
void apdu_log_executed(struct apdu_log *log, int64_t begin_us, int64_t end_us, const uint8_t *command,
                       size_t command_len, uint16_t status_word, size_t answer_len);
void apdu_log_abandoned(struct apdu_log *log, int64_t now_us, const uint8_t *command, size_t command_len);
void apdu_log_reset(struct apdu_log *log, int64_t now_us);

size_t apdu_log_count(const struct apdu_log *log);
struct icc_apdu apdu_log_get(const struct apdu_log *log, size_t index);
