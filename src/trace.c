/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace.c - what passed between driver and key, without its secrets. */
#include "trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"
#include "trace_file.h"

#define FILE_LIMIT (4u << 20) /* some 100 000 messages */

void trace_begin(struct trace *trace, const char *name, const struct usb_identity *key, enum ccid_level level,
                 int64_t now_ms)
{
    const char *const path = secure_getenv("IFD_NITROKEY_TRACE");
    const char *const names = secure_getenv("IFD_NITROKEY_TRACE_NAMES");
    trace->name = name;
    trace->file = NULL;
    trace->count = trace->told = 0;
    trace->command.length = 0;
    redact_init(&trace->redactor, level, names && strcmp(names, "yes") == 0);
    if (path && *path)
        trace->file = trace_file_open(path, FILE_LIMIT, name, key, now_ms);
}

void trace_end(struct trace *trace)
{
    trace_file_close(trace->file);
    trace->file = NULL;
}

static void keep(struct trace *trace, bool received, const struct redacted *message, int64_t now_ms)
{
    struct trace_message *const last = &trace->last[trace->count % TRACE_LAST];
    *last = (struct trace_message){
        .number = trace->count++, .ms = now_ms, .received = received, .original = message->original,
        .length = message->length < TRACE_LAST_LENGTH ? message->length : TRACE_LAST_LENGTH,
    };
    memcpy(last->bytes, trace->shown, last->length);
    if (message->begins)
        trace->command = *last;
    if (!trace->file || trace_file_add(trace->file, received, trace->shown, message->length, message->original, now_ms))
        return;
    trace_file_close(trace->file);
    trace->file = NULL;
}

void trace_sent(struct trace *trace, const uint8_t *message, size_t length, int64_t now_ms)
{
    if (!trace)
        return;
    const struct redacted redacted = redact_sent(&trace->redactor, message, length, trace->shown);
    keep(trace, false, &redacted, now_ms);
}

void trace_received(struct trace *trace, const uint8_t *message, size_t length, int64_t now_ms)
{
    if (!trace)
        return;
    const struct redacted redacted = redact_received(&trace->redactor, message, length, trace->shown);
    keep(trace, true, &redacted, now_ms);
}

static void tell(const struct trace *trace, const struct trace_message *message, int64_t now_ms)
{
    char text[2 * TRACE_LAST_LENGTH + 1] = "";
    const int64_t ago = now_ms - message->ms;
    for (size_t i = 0; i < message->length; i++)
        snprintf(text + 2 * i, 3, "%02x", message->bytes[i]);
    log_error(trace->name, "%s %5lld.%03lld s ago: %s%s (%zu)", message->received ? "<" : ">", (long long)(ago / 1000),
              (long long)(ago % 1000), text, message->original > message->length ? "..." : "", message->original);
}

void trace_tell_last(struct trace *trace, int64_t now_ms)
{
    if (trace->count == trace->told)
        return;
    log_error(trace->name, "the last messages to the key (>) and from it, secrets shown as zero:");
    const unsigned first = trace->count - trace->told > TRACE_LAST ? trace->count - TRACE_LAST : trace->told;
    if (trace->command.length > 0 && trace->command.number < first)
        tell(trace, &trace->command, now_ms);
    for (unsigned i = first; i != trace->count; i++)
        tell(trace, &trace->last[i % TRACE_LAST], now_ms);
    trace->told = trace->count;
}
