/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace_file.h - a file that grows message by message: a gzip of a capture, which is whole after each message.
 *
 * What is written must have been through redact.h. One file a key, so that no key waits for another.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "usb.h"

struct trace_file;

/*
 * Creates path with the key's place and a number in its name: key.pcap.gz becomes key-001-005-1.pcap.gz. No file that
 * is there is ever opened, and no symbolic link followed. A file that has grown to limit bytes is followed by the next
 * number, and only the last two are kept. name: of the key, see log.h; stays the caller's until trace_file_close().
 * now_ms: usb_now_ms(). NULL, and said in the log, when it cannot be; the caller ends it with trace_file_close().
 */
struct trace_file *trace_file_open(const char *path, size_t limit, const char *name, const struct usb_identity *key,
                                   int64_t now_ms);

/* Appends a message, of which the first length bytes are there. false, and said in the log: nothing more can be
 * written. */
bool trace_file_add(struct trace_file *file, bool received, const uint8_t *bytes, size_t length, size_t original,
                    int64_t now_ms);

/* file may be NULL. */
void trace_file_close(struct trace_file *file);
