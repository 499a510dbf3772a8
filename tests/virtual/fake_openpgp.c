/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_openpgp.c - an application that does what the command itself says; linked instead of application.c. */
#include "fake_openpgp.h"
#include <stdlib.h>
#include <string.h>

struct card {
    size_t answer_len;
};

struct fake_openpgp fake_openpgp;

static void reset(void *context)
{
    struct card *const card = context;
    card->answer_len = 0;
    fake_openpgp.resets++;
}

static void start(void *context)
{
    (void)context;
    fake_openpgp.started++;
}

static void cancel(void *context)
{
    struct card *const card = context;
    card->answer_len = 0;
    fake_openpgp.cancelled++;
}

static bool is_terminated(const void *context)
{
    (void)context;
    return fake_openpgp.terminated;
}

static enum application_effort begin(void *context, const uint8_t *command, size_t length)
{
    struct card *const card = context;
    fake_openpgp.begun++;
    fake_openpgp.command_len = length;
    memcpy(fake_openpgp.command, command, length);
    card->answer_len = length >= 4 ? (size_t)(command[2] << 8 | command[3]) : 0;
    switch (length < 4 ? 0x00 : command[0] << 8 | command[1]) {
    case 0x002a: return EFFORT_PRIVATE_KEY;
    case 0x0044:
    case 0x00e6:
    case 0x8050: return EFFORT_RESET;
    case 0x0047: return EFFORT_GENERATE;
    default: return EFFORT_QUICK;
    }
}

static bool waits_for_touch(const void *card)
{
    (void)card;
    return fake_openpgp.untouched;
}

static void touch(void *card)
{
    (void)card;
    fake_openpgp.untouched = false;
}

static void touch_timeout(void *card)
{
    touch(card);
    fake_openpgp.untouched_long++;
}

static bool done(void *card)
{
    (void)card;
    return !fake_openpgp.computing;
}

static size_t finish(void *context, uint8_t *answer, size_t capacity)
{
    struct card *const card = context;
    if (fake_openpgp.computing)
        fake_openpgp.waited++;
    if (card->answer_len + 2 > capacity)
        abort();
    for (size_t i = 0; i < card->answer_len; i++)
        answer[i] = (uint8_t)i;
    answer[card->answer_len] = 0x90;
    answer[card->answer_len + 1] = 0x00;
    return card->answer_len + 2;
}

static struct application_tries tries(const void *card)
{
    (void)card;
    return (struct application_tries){ .pw1 = 3, .rc = 1, .pw3 = 2 };
}

static const struct application_class CLASS = {
    .free = free, .reset = reset, .start = start, .cancel = cancel, .is_terminated = is_terminated, .begin = begin,
    .waits_for_touch = waits_for_touch, .touch = touch,
    .touch_timeout = touch_timeout, .done = done, .finish = finish, .tries = tries,
};

struct application application_new(const char *name, const char *state_path)
{
    (void)name, (void)state_path;
    fake_openpgp = (struct fake_openpgp){ 0 };
    return (struct application){ &CLASS, calloc(1, sizeof(struct card)) };
}
