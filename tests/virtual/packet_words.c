/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* packet_words.c - a packet fault in words. */
#include "packet_words.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "timing.h"

#define LONGEST_TEXT 64

static const struct {
    const char *word;
    enum packet_fault_kind kind;
} KINDS[] = {
    { "lost", PACKET_LOST },     { "unacknowledged", PACKET_UNACKNOWLEDGED },
    { "babble", PACKET_BABBLE }, { "halt", PACKET_HALTED },
    { "no-zlp", PACKET_NO_ZLP }, { "pause", PACKET_PAUSED },
    { "nak", PACKET_NAKED },
};

static bool read_kind(const char *word, enum packet_fault_kind *kind)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (strcmp(word, KINDS[i].word) == 0) {
            *kind = KINDS[i].kind;
            return true;
        }
    return false;
}

static bool read_endpoint(const struct device *device, const char *word, uint8_t *endpoint)
{
    const bool in = strcmp(word, "in") == 0, out = strcmp(word, "out") == 0;
    *endpoint = in ? device->identity->bulk_in : out ? device->identity->bulk_out : 0;
    return in || out || strcmp(word, "control") == 0;
}

static bool read_fault(struct device *device, int count, char *const words[])
{
    struct packet_fault fault = { .nth = 1 };
    char rest;
    if (count < 2 || !read_kind(words[0], &fault.kind) || !read_endpoint(device, words[1], &fault.endpoint))
        return false;
    if (count > 2 && (sscanf(words[2], "%6u%c", &fault.nth, &rest) != 1 || fault.nth == 0))
        return false;
    const bool in = fault.endpoint & 0x80, control = fault.endpoint == 0;
    if ((fault.kind == PACKET_BABBLE && !in) || (fault.kind == PACKET_NO_ZLP && control))
        return false;
    if ((fault.kind == PACKET_NAKED) != (count == 4))
        return false;
    if (count == 4 && !timing_parse_seconds(words[3], &fault.naked_us))
        return false;
    device->faults.packet = fault;
    device->faults.packets_struck = 0;
    return true;
}

static bool end_pause(struct device *device)
{
    device->faults.paused = false;
    return true;
}

static bool take_back(struct device *device)
{
    device->faults.packet = (struct packet_fault){ .kind = PACKET_RIGHT };
    device->faults.packets_struck = 0;
    device->faults.naked_until_us = 0;
    return end_pause(device);
}

static bool report_cancels(struct device *device, const char *word)
{
    const bool unreported = strcmp(word, "unreported") == 0;
    if (!unreported && strcmp(word, "reported") != 0)
        return false;
    device->faults.cancels_unreported = unreported;
    return true;
}

bool packet_words_apply(struct device *device, int count, char *const words[])
{
    if (count == 1 && strcmp(words[0], "go") == 0)
        return end_pause(device);
    if (count == 1 && strcmp(words[0], "none") == 0)
        return take_back(device);
    if (count == 2 && strcmp(words[0], "cancels") == 0)
        return report_cancels(device, words[1]);
    return count <= PACKET_WORDS_MAX && read_fault(device, count, words);
}

bool packet_words_parse(struct device *device, const char *text)
{
    char copy[LONGEST_TEXT], *words[PACKET_WORDS_MAX + 1], *rest = copy;
    int count = 0;
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    while (count <= PACKET_WORDS_MAX && (words[count] = strtok_r(rest, ",", &rest)) != NULL)
        count++;
    return packet_words_apply(device, count, words);
}

const char *packet_words_state(const struct device *device)
{
    const struct faults *const faults = &device->faults;
    if (faults->paused)
        return "paused";
    if (faults->packet.kind != PACKET_RIGHT)
        return "waiting";
    return faults->packets_struck > 0 ? "struck" : "none";
}
