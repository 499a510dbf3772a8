/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* player_chip.c - a card that says what the recording lets it say, block by block. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_icc.h"
#include "player.h"

static const char *answers(struct icc *icc, struct player_words words)
{
    static struct player_bytes bytes;
    if (words.count < 2 || strcmp(words.at[words.count - 2], "after") != 0)
        return "\"card answers BYTES after MS\" is expected";
    if (player_read_bytes((struct player_words){ words.at, words.count - 2 }, &bytes) == SIZE_MAX)
        return "bytes are expected in hexadecimal";
    fake_icc_script(icc, bytes.value, bytes.length, (int64_t)(strtod(words.at[words.count - 1], NULL) * 1000));
    return NULL;
}

const char *player_card(struct icc *icc, struct player_words words)
{
    static char found[40];
    size_t length;
    if (words.count >= 1 && strcmp(words.at[0], "answers") == 0)
        return answers(icc, (struct player_words){ words.at + 1, words.count - 1 });
    if (words.count == 1 && strcmp(words.at[0], "mute") == 0)
        return icc_set_mute(icc, true), NULL;
    if (words.count == 1 && strcmp(words.at[0], "speaks") == 0)
        return icc_set_mute(icc, false), NULL;
    if (words.count < 2 || strcmp(words.at[0], "heard") != 0)
        return "this card cannot do that";
    const uint8_t *const heard = fake_icc_heard(icc, &length);
    const struct player_words bytes = { words.at + 3, words.count > 3 ? words.count - 3 : 0 };
    snprintf(found, sizeof found, "heard %zu%s", length, bytes.count > 0 ? ", other bytes" : "");
    if (length != strtoul(words.at[1], NULL, 10))
        return found;
    return bytes.count == 0 || player_are_bytes(bytes, heard, length) ? NULL : found;
}
