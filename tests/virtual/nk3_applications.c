/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nk3_applications.c - what runs on a Nitrokey 3: an OpenPGP card and a PIV card, of which SELECT chooses one.
 *
 * Selecting another one makes the one before forget who was there. An unknown name is refused, and nothing is selected
 * then, as after power on.
 */
#include "nk3_applications.h"
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "openpgp.h"
#include "openpgp_profile.h"
#include "piv.h"

enum { OPENPGP, PIV, COUNT };

struct nk3_applications {
    struct application is[COUNT];
    const struct application *current; /* NULL: nothing is selected */
    bool refused; /* the command under way: nobody got it */
};

/* The shortest part of its name that selects an application, RID first. */
static const struct {
    uint8_t length, bytes[9];
} NAMES[COUNT] = {
    [OPENPGP] = { 6, { 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 } },
    [PIV] = { 9, { 0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00 } },
};

static void free_cards(void *context)
{
    struct nk3_applications *const cards = context;
    if (!cards)
        return;
    for (size_t i = 0; i < COUNT; i++)
        if (cards->is[i].card)
            cards->is[i].class->free(cards->is[i].card);
    free(cards);
}

void *nk3_applications_new(const char *state_path)
{
    struct nk3_applications *cards = calloc(1, sizeof *cards);
    const size_t size = state_path ? strlen(state_path) + sizeof ".piv" : 0;
    char *piv_path = state_path ? malloc(size) : NULL;
    if (cards && (piv_path || !state_path)) {
        if (piv_path)
            strcat(strcpy(piv_path, state_path), ".piv");
        cards->is[OPENPGP] =
            (struct application){ &openpgp_application, openpgp_new_profile(state_path, &openpgp_opcard) };
        cards->is[PIV] = (struct application){ &piv_application, piv_new(piv_path) };
    }
    free(piv_path);
    if (cards && cards->is[OPENPGP].card && cards->is[PIV].card)
        return cards;
    free_cards(cards);
    return NULL;
}

static void reset(void *context)
{
    struct nk3_applications *const cards = context;
    for (size_t i = 0; i < COUNT; i++)
        cards->is[i].class->reset(cards->is[i].card);
    cards->current = NULL;
    cards->refused = false;
}

/* NULL: there is none of this name. */
static const struct application *find(const struct nk3_applications *cards, const struct command *command)
{
    for (size_t i = 0; i < COUNT; i++)
        if (command->length >= NAMES[i].length && memcmp(command->data, NAMES[i].bytes, NAMES[i].length) == 0)
            return &cards->is[i];
    return NULL;
}

static void choose(struct nk3_applications *cards, const uint8_t *apdu, size_t length)
{
    struct command command;
    if (!command_parse(apdu, length, &command) || command.ins != 0xa4 || !(command.p1 & 0x04))
        return;
    const struct application *const chosen = find(cards, &command);
    if (cards->current && cards->current != chosen)
        cards->current->class->reset(cards->current->card);
    cards->current = chosen;
}

static enum application_effort begin(void *context, const uint8_t *apdu, size_t length)
{
    struct nk3_applications *const cards = context;
    choose(cards, apdu, length);
    cards->refused = !cards->current;
    return cards->refused ? EFFORT_QUICK : cards->current->class->begin(cards->current->card, apdu, length);
}

static bool waits_for_touch(const void *context)
{
    const struct nk3_applications *const cards = context;
    return cards->current && cards->current->class->waits_for_touch(cards->current->card);
}

static void touch(void *context)
{
    const struct nk3_applications *const cards = context;
    if (cards->current)
        cards->current->class->touch(cards->current->card);
}

static void touch_timeout(void *context)
{
    const struct nk3_applications *const cards = context;
    if (cards->current)
        cards->current->class->touch_timeout(cards->current->card);
}

static bool done(void *context)
{
    const struct nk3_applications *const cards = context;
    return cards->refused || cards->current->class->done(cards->current->card);
}

static size_t finish(void *context, uint8_t *answer, size_t capacity)
{
    static const uint8_t NO_FILE[] = { 0x6a, 0x82 };
    const struct nk3_applications *const cards = context;
    if (!cards->refused)
        return cards->current->class->finish(cards->current->card, answer, capacity);
    memcpy(answer, NO_FILE, sizeof NO_FILE);
    return sizeof NO_FILE;
}

static struct application_tries tries(const void *context)
{
    const struct nk3_applications *const cards = context;
    struct application_tries left = openpgp_application.tries(cards->is[OPENPGP].card);
    const struct application_tries piv = piv_application.tries(cards->is[PIV].card);
    left.has_piv = true;
    left.pin = piv.pin;
    left.puk = piv.puk;
    return left;
}

const struct application_class nk3_applications = {
    .free = free_cards,
    .reset = reset,
    .begin = begin,
    .waits_for_touch = waits_for_touch,
    .touch = touch,
    .touch_timeout = touch_timeout,
    .done = done,
    .finish = finish,
    .tries = tries,
};
