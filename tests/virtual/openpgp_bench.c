/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_bench.c - an OpenPGP card in hand: say APDUs to it, look at its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include "openpgp_bench.h"
#include <cmocka.h>

struct answer finish(struct openpgp *card)
{
    struct answer answer = { 0 };
    const size_t length = openpgp_finish(card, answer.bytes, sizeof answer.bytes);
    assert_in_range(length, 2, sizeof answer.bytes);
    answer.length = length - 2;
    answer.status_word = (uint16_t)(answer.bytes[length - 2] << 8 | answer.bytes[length - 1]);
    return answer;
}

enum openpgp_effort begin(struct openpgp *card, const char *hex)
{
    uint8_t command[OPENPGP_COMMAND_MAX] = { 0 };
    return openpgp_begin(card, command, parse_hex(hex, command, sizeof command));
}

struct answer say(struct openpgp *card, const char *hex)
{
    begin(card, hex);
    return finish(card);
}

struct answer say_bytes(struct openpgp *card, const char *header, const uint8_t *data, size_t length)
{
    uint8_t command[5 + 255 + 1] = { 0 };
    assert_int_equal(parse_hex(header, command, 4), 4);
    assert_in_range(length, 1, 255);
    command[4] = (uint8_t)length;
    memcpy(command + 5, data, length);
    openpgp_begin(card, command, 5 + length + 1);
    return finish(card);
}

struct answer say_extended(struct openpgp *card, const char *header, const uint8_t *data, size_t length)
{
    uint8_t command[OPENPGP_COMMAND_MAX] = { 0 };
    assert_int_equal(parse_hex(header, command, 4), 4);
    assert_true(length + 9 <= sizeof command);
    command[5] = (uint8_t)(length >> 8);
    command[6] = (uint8_t)length;
    memcpy(command + 7, data, length);
    openpgp_begin(card, command, length + 9); /* Le 0000 */
    return finish(card);
}

void expect_at(struct openpgp *card, const char *hex, uint16_t status_word, const char *file, int line)
{
    const uint16_t said = say(card, hex).status_word;
    if (said == status_word)
        return;
    print_message("%s is answered by %04x, not %04x\n", hex, said, status_word);
    _fail(file, line);
}

void expect_data_at(struct openpgp *card, const char *hex, const char *data, const char *file, int line)
{
    uint8_t bytes[OPENPGP_ANSWER_MAX] = { 0 };
    const size_t length = parse_hex(data, bytes, sizeof bytes);
    const struct answer answer = say(card, hex);
    if (answer.status_word == 0x9000 && answer.length == length && memcmp(answer.bytes, bytes, length) == 0)
        return;
    print_message("%s is answered by %zu bytes and %04x, not by %s\n", hex, answer.length, answer.status_word, data);
    for (size_t i = 0; i < answer.length; i++)
        print_message("%02x", answer.bytes[i]);
    _fail(file, line);
}
