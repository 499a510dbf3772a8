/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_application.c - the OpenPGP card as one of the applications that the chip may run. */
#include "openpgp.h"

static void free_card(void *card)
{
    openpgp_free(card);
}

static void reset(void *card)
{
    openpgp_reset(card);
}

static void start(void *card)
{
    openpgp_start(card);
}

static void cancel(void *card)
{
    openpgp_cancel(card);
}

static bool is_terminated(const void *card)
{
    return openpgp_is_terminated(card);
}

/* TERMINATE DF, ACTIVATE FILE */
static bool is_factory_reset(const uint8_t *command, size_t length)
{
    return length >= 2 && !(command[0] & 0x80) && (command[1] == 0xe6 || command[1] == 0x44);
}

static enum application_effort begin(void *card, const uint8_t *command, size_t length)
{
    switch (openpgp_begin(card, command, length)) {
    case OPENPGP_QUICK:
        return is_factory_reset(command, length) ? EFFORT_RESET : EFFORT_QUICK;
    case OPENPGP_PRIVATE_KEY:
        return EFFORT_PRIVATE_KEY;
    case OPENPGP_GENERATE:
        return EFFORT_GENERATE;
    }
    return EFFORT_QUICK;
}

static bool waits_for_touch(const void *card)
{
    return openpgp_waits_for_touch(card);
}

static void touch(void *card)
{
    openpgp_touch(card);
}

static void touch_timeout(void *card)
{
    openpgp_touch_timeout(card);
}

static bool done(void *card)
{
    return openpgp_done(card);
}

static size_t finish(void *card, uint8_t *answer, size_t capacity)
{
    return openpgp_finish(card, answer, capacity);
}

static struct application_tries tries(const void *card)
{
    const struct openpgp_tries left = openpgp_tries(card);
    return (struct application_tries){ .pw1 = left.pw1, .rc = left.rc, .pw3 = left.pw3 };
}

const struct application_class openpgp_application = {
    .free = free_card,
    .reset = reset,
    .start = start,
    .cancel = cancel,
    .is_terminated = is_terminated,
    .begin = begin,
    .waits_for_touch = waits_for_touch,
    .touch = touch,
    .touch_timeout = touch_timeout,
    .done = done,
    .finish = finish,
    .tries = tries,
};
