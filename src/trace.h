/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace.h - what passed between driver and key, without its secrets: the last messages, and a file of all if wished.
 *
 * With IFD_NITROKEY_TRACE=FILE.pcap.gz in the environment, see trace_file.h. Serial numbers, fingerprints and what the
 * holder has written are in it only with IFD_NITROKEY_TRACE_NAMES=yes. Nothing is kept but what redact.h lets through. When
 * the file cannot be written that is said in the log once, and nothing else changes.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ccid.h"
#include "redact.h"
#include "usb.h"

#define TRACE_LAST 12        /* messages that are remembered */
#define TRACE_LAST_LENGTH 24 /* bytes of each */

struct trace_file;

/* One key; all fields belong to trace.c. */
struct trace {
    const char *name; /* of the key, for the log */
    struct redactor redactor;
    struct trace_file *file; /* NULL: none */
    struct trace_message {
        unsigned number;
        int64_t ms;
        bool received;
        size_t length, original;
        uint8_t bytes[TRACE_LAST_LENGTH];
    } last[TRACE_LAST], command; /* the one under way, which may be longer ago */
    unsigned count, told;        /* of messages; how many are in the log, or too old for it */
    uint8_t shown[REDACT_MAX];
};

/* name: of the key, see log.h; stays the caller's until trace_end(). now_ms: usb_now_ms(), here and below. */
void trace_begin(struct trace *trace, const char *name, const struct usb_identity *key, enum ccid_level level,
                 int64_t now_ms);
void trace_end(struct trace *trace);

/* Each message, in the order in which they pass. trace may be NULL. */
void trace_sent(struct trace *trace, const uint8_t *message, size_t length, int64_t now_ms);
void trace_received(struct trace *trace, const uint8_t *message, size_t length, int64_t now_ms);

/* A command has failed: writes to the log, of the last messages, those that it has not got yet, and before them the
 * command that they belong to, if that is longer ago. */
void trace_tell_last(struct trace *trace, int64_t now_ms);
