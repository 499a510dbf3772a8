/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_openpgp.c - an application that does what the command itself says; linked instead of openpgp.c. */
#include "fake_openpgp.h"
#include <stdlib.h>
#include <string.h>
#include "openpgp_profile.h"

struct openpgp {
    size_t answer_len;
};

struct fake_openpgp fake_openpgp;

const struct openpgp_profile openpgp_card_3_4;

struct openpgp *openpgp_new_profile(const char *state_path, const struct openpgp_profile *profile)
{
    (void)state_path, (void)profile;
    fake_openpgp = (struct fake_openpgp){ 0 };
    return calloc(1, sizeof(struct openpgp));
}

void openpgp_free(struct openpgp *card)
{
    free(card);
}

void openpgp_reset(struct openpgp *card)
{
    card->answer_len = 0;
    fake_openpgp.resets++;
}

enum openpgp_effort openpgp_begin(struct openpgp *card, const uint8_t *command, size_t length)
{
    fake_openpgp.begun++;
    fake_openpgp.command_len = length;
    memcpy(fake_openpgp.command, command, length);
    card->answer_len = length >= 4 ? (size_t)(command[2] << 8 | command[3]) : 0;
    if (length < 4 || (command[1] != 0x47 && command[1] != 0x2a))
        return OPENPGP_QUICK;
    return command[1] == 0x47 ? OPENPGP_GENERATE : OPENPGP_PRIVATE_KEY;
}

bool openpgp_waits_for_touch(const struct openpgp *card)
{
    (void)card;
    return fake_openpgp.untouched;
}

void openpgp_touch(struct openpgp *card)
{
    (void)card;
    fake_openpgp.untouched = false;
}

void openpgp_touch_timeout(struct openpgp *card)
{
    openpgp_touch(card);
    fake_openpgp.untouched_long++;
}

bool openpgp_done(struct openpgp *card)
{
    (void)card;
    return !fake_openpgp.computing;
}

size_t openpgp_finish(struct openpgp *card, uint8_t *answer, size_t capacity)
{
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

struct openpgp_tries openpgp_tries(const struct openpgp *card)
{
    (void)card;
    return (struct openpgp_tries){ .pw1 = 3, .rc = 1, .pw3 = 2 };
}
