/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* player_apdu.c - a card that is an application in the firmware: nothing can be said about its line. */
#include "player.h"

const char *player_card(struct icc *icc, struct player_words words)
{
    (void)icc;
    (void)words;
    return "a card that is in the firmware has no line";
}
