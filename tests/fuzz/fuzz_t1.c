/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_t1.c - a card that says anything: the answer handed out is what right I-blocks carried, no part of the command
 * is sent twice unless the card asks for that very block, and every exchange ends.
 */
#include <assert.h>
#include <string.h>
#include "t1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct game {
    const uint8_t *data;
    size_t size;
    struct t1 t1;
    uint8_t said[300]; /* the card's last block */
    size_t said_length;
    uint8_t carried[4096]; /* by the I-blocks that were taken */
    size_t carried_length;
    unsigned expected; /* N(S) of the card's next I-block */
    int last_i;        /* N(S) of the last I-block of ours; -1: none */
};

static uint8_t byte(struct game *game)
{
    if (game->size == 0)
        return 0;
    game->size--;
    return *game->data++;
}

/* A block of the card, mostly right in its form. */
static void card_says(struct game *game, uint8_t choice)
{
    uint8_t *const b = game->said;
    const uint8_t length = choice & 0x40 ? byte(game) : byte(game) & 7;
    b[0] = 0;
    b[1] = byte(game);
    b[2] = length > 254 ? 254 : length;
    for (size_t i = 0; i < b[2]; i++)
        b[3 + i] = byte(game);
    uint8_t edc = 0;
    for (size_t i = 0; i < 3u + b[2]; i++)
        edc ^= b[i];
    b[3 + b[2]] = choice & 0x20 ? (uint8_t)(edc ^ byte(game)) : edc;
    game->said_length = 4u + b[2];
    if (choice & 0x10) /* cut */
        game->said_length = byte(game) % (game->said_length + 1);
}

static void look_at_ours(struct game *game, const struct t1_step *step)
{
    assert(step->length >= 4 && step->length <= T1_BLOCK_MAX && step->block[2] == step->length - 4);
    assert(step->block[0] == 0);
    if (step->block[1] & 0x80)
        return;
    const int number = step->block[1] >> 6 & 1;
    const bool asked = game->said_length == 4 && (game->said[1] & 0xc0) == 0x80 && (game->said[1] >> 4 & 1) == number;
    assert(game->last_i != number || asked);
    game->last_i = number;
}

static void taken(struct game *game)
{
    const size_t length = game->said[2];
    assert((game->said[1] >> 6 & 1u) == game->expected);
    game->expected ^= 1;
    if (length <= sizeof game->carried - game->carried_length)
        memcpy(game->carried + game->carried_length, game->said + 3, length);
    game->carried_length += length;
}

static struct t1_step next(struct game *game)
{
    const uint8_t choice = byte(game);
    game->said_length = 0;
    if ((choice & 0x0f) == 0)
        return t1_silence(&game->t1);
    if ((choice & 0x0f) == 1 && game->size > 0)
        return t1_listen(&game->t1);
    if ((choice & 0x0f) == 2 && game->size > 0)
        t1_abandon(&game->t1);
    card_says(game, choice);
    const struct t1_step step = t1_received(&game->t1, game->said, game->said_length);
    if (step.heard && (game->said[1] & 0x80) == 0)
        taken(game);
    return step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t command[700] = { 0x00, 0xda };
    uint8_t answer[600];
    struct game game = { .data = data, .size = size, .last_i = -1 };
    t1_reset(&game.t1, (uint8_t)(byte(&game) | 1) % 255, false);
    struct t1_step step = t1_transmit(&game.t1, command, 1u + byte(&game) * 2u, answer, sizeof answer);
    unsigned turns = 0;
    while (step.action == T1_SEND) {
        look_at_ours(&game, &step);
        step = next(&game);
        assert(++turns < size + 64); /* with nothing more to hear it gives up */
    }
    assert(!t1_pending(&game.t1));
    if (step.action != T1_DONE)
        return 0;
    assert(step.answer_length == (game.t1.abandoned ? 0 : game.carried_length));
    assert(step.answer_length <= sizeof answer && memcmp(answer, game.carried, step.answer_length) == 0);
    return 0;
}
