/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_story.c - a trace that says anything: what is told of it is printable, and needs no escaping in JSON. */
#include <assert.h>
#include <string.h>
#include "tool/story.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size)
{
    assert(memchr(text, '\0', size));
    for (; *text; text++)
        assert(*text >= ' ' && *text < 0x7f && *text != '"' && *text != '\\');
}

static void check_event(const struct event *event)
{
    check(event->message, sizeof event->message);
    check(event->block, sizeof event->block);
    check(event->command, sizeof event->command);
    check(event->status, sizeof event->status);
    check(event->meaning, sizeof event->meaning);
    assert(!event->ends || (event->command[0] && event->took_us >= 0));
}

/* A packet: how it went, and its length; then its data. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story story = { .known = size & 1, .level = (enum ccid_level)(size >> 1 & 3) };
    while (size >= 3) {
        struct event event;
        const size_t said = data[1], length = said < size - 3 ? said : size - 3;
        const struct packet packet = {
            .time_us = data[2], .submitted = data[0] & 1, .type = data[0] & 2 ? 3 : 2,
            .endpoint = data[0] & 4 ? 0x82 : 2, .address = data[0], .bus = data[2], .data = data + 3, .length = length,
        };
        if (story_tell(&story, &packet, &event))
            check_event(&event);
        data += 3 + length;
        size -= 3 + length;
    }
    return 0;
}
