/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* honest_card.c - a small card that does everything right. */
#include "honest_card.h"
#include <string.h>

#define LONG_ANSWER 300

size_t honest_answer(const uint8_t *apdu, size_t length, uint8_t answer[HONEST_ANSWER_MAX])
{
    const uint8_t ins = length > 1 ? apdu[1] : 0, p1 = length > 2 ? apdu[2] : 0, p2 = length > 3 ? apdu[3] : 0;
    const size_t size = ins == 0xca && p1 == 0x7f ? LONG_ANSWER : 3;
    for (size_t i = 0; i < size; i++)
        answer[i] = (uint8_t)(i * 7 + p2);
    answer[0] = ins;
    answer[1] = p1;
    answer[2] = p2;
    answer[size] = 0x90;
    answer[size + 1] = 0x00;
    return size + 2;
}

void honest_reset(struct honest_card *card)
{
    *card = (struct honest_card){ .ifsd = 32 };
}

/* ---- T=1 ---- */

static size_t frame(uint8_t out[260], unsigned pcb, const uint8_t *inf, size_t length)
{
    out[0] = 0;
    out[1] = (uint8_t)pcb;
    out[2] = (uint8_t)length;
    if (length)
        memcpy(out + 3, inf, length);
    out[3 + length] = 0;
    for (size_t i = 0; i < 3 + length; i++)
        out[3 + length] ^= out[i];
    return 4 + length;
}

static size_t say_r(const struct honest_card *card, unsigned error, uint8_t out[260])
{
    return frame(out, 0x80u | (unsigned)card->expected << 4 | error, NULL, 0);
}

static size_t say_i(struct honest_card *card, uint8_t out[260])
{
    const size_t left = card->answer_length - card->acknowledged;
    card->in_flight = left < card->ifsd ? left : card->ifsd;
    const bool more = left > card->in_flight;
    return frame(out, (unsigned)card->number << 6 | (more ? 0x20u : 0), card->answer + card->acknowledged,
                 card->in_flight);
}

static size_t hear_i(struct honest_card *card, const uint8_t *block, uint8_t out[260])
{
    const size_t length = block[2];
    if ((block[1] >> 6 & 1) != card->expected)
        return say_r(card, 2, out);
    card->expected ^= 1;
    if (card->in_flight > 0) { /* a new command acknowledges the last answer */
        card->number ^= 1;
        card->in_flight = 0;
    }
    if (length <= sizeof card->command - card->command_length)
        memcpy(card->command + card->command_length, block + 3, length);
    card->command_length += length <= sizeof card->command - card->command_length ? length : 0;
    if (block[1] & 0x20)
        return say_r(card, 0, out);
    card->answer_length = honest_answer(card->command, card->command_length, card->answer);
    card->command_length = card->acknowledged = 0;
    return say_i(card, out);
}

static size_t hear_r(struct honest_card *card, uint8_t pcb, uint8_t out[260])
{
    if (card->in_flight == 0)
        return say_r(card, 0, out);
    if ((pcb >> 4 & 1) != card->number) {
        card->acknowledged += card->in_flight;
        card->number ^= 1;
        card->in_flight = 0;
        if (card->acknowledged >= card->answer_length)
            return say_r(card, 0, out);
    }
    return say_i(card, out);
}

static size_t hear_s(struct honest_card *card, const uint8_t *block, uint8_t out[260])
{
    if (block[1] == 0xc0) {
        const uint8_t ifsd = card->ifsd;
        honest_reset(card);
        card->ifsd = ifsd;
        return frame(out, 0xe0, NULL, 0);
    }
    if (block[1] == 0xc1 && block[2] == 1 && block[3] > 0) {
        card->ifsd = block[3];
        return frame(out, 0xe1, block + 3, 1);
    }
    return say_r(card, 2, out);
}

size_t honest_block(struct honest_card *card, const uint8_t *block, size_t length, uint8_t out[260])
{
    uint8_t lrc = 0;
    for (size_t i = 0; i < length; i++)
        lrc ^= block[i];
    if (length < 4 || length > 259 || block[2] != length - 4 || lrc != 0)
        return say_r(card, 1, out);
    if (!(block[1] & 0x80))
        return hear_i(card, block, out);
    return block[1] & 0x40 ? hear_s(card, block, out) : hear_r(card, block[1], out);
}

/* ---- short APDUs ---- */

static size_t say_part(struct honest_card *card, size_t most, uint8_t answer[HONEST_ANSWER_MAX])
{
    const size_t left = card->answer_length - 2 - card->acknowledged;
    const size_t part = left < most ? left : most, rest = left - part;
    memcpy(answer, card->answer + card->acknowledged, part);
    card->acknowledged += part;
    answer[part] = rest ? 0x61 : card->answer[card->answer_length - 2];
    answer[part + 1] = rest ? (uint8_t)(rest < 256 ? rest : 0) : card->answer[card->answer_length - 1];
    return part + 2;
}

size_t honest_short(struct honest_card *card, const uint8_t *apdu, size_t length, uint8_t answer[HONEST_ANSWER_MAX])
{
    const size_t asked = length == 5 && apdu[4] ? apdu[4] : 256;
    if (length < 4 || apdu[0] & 0x10) {
        answer[0] = length < 4 ? 0x67 : 0x90;
        answer[1] = 0x00;
        return 2;
    }
    if (apdu[1] != 0xc0 || card->answer_length < 2) {
        card->answer_length = honest_answer(apdu, length, card->answer);
        card->acknowledged = 0;
    }
    return say_part(card, asked, answer);
}
