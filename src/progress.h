/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress.h - tells people how a long command is getting on: a small file while it runs, for "ifd-nitrokey watch".
 *
 * Its lines are KEY=VALUE, see progress.c. Times are milliseconds of CLOCK_BOOTTIME. It holds no byte of a command or of
 * an answer. When it cannot be written nobody is told, and nothing else changes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "model.h"
#include "patience.h"

/* All fields belong to progress.c. Zero is one that is not used. */
struct progress {
    const struct model *model;
    uint8_t bus, address;
    int directory;
    bool running;
    int64_t begun_ms, written_ms;
    unsigned signs;
};

/* Removes what a driver that was killed has left for this key. */
void progress_init(struct progress *progress, const struct model *model, uint8_t bus, uint8_t address);

/* A command begins. If its class is a long one, the file appears, and the signs of life that renew the vigil are written
 * to it until progress_end(). The vigil must stay where it is until then. progress may be NULL. */
void progress_begin(struct progress *progress, struct vigil *vigil, int64_t now_ms);
void progress_end(struct progress *progress);
