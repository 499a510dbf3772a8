/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* application_bench.c - one card application in hand: tell it APDUs, look at its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include "application_bench.h"
#include <cmocka.h>

void insert(struct bench *bench, const char *name, const char *state)
{
    *bench = (struct bench){ .is = application_new(name, state) };
    assert_non_null(bench->is.card);
}

void take_out(struct bench *bench)
{
    bench->is.class->free(bench->is.card);
}

unsigned finish(struct bench *bench)
{
    const size_t length = bench->is.class->finish(bench->is.card, bench->answer, sizeof bench->answer);
    assert_in_range(length, 2, sizeof bench->answer);
    bench->length = length - 2;
    return (unsigned)(bench->answer[length - 2] << 8 | bench->answer[length - 1]);
}

unsigned tell_bytes(struct bench *bench, const uint8_t *apdu, size_t length)
{
    bench->effort = bench->is.class->begin(bench->is.card, apdu, length);
    return finish(bench);
}

unsigned tell(struct bench *bench, const char *hex)
{
    uint8_t apdu[HEX_MAX];
    return tell_bytes(bench, apdu, parse_hex(hex, apdu, sizeof apdu));
}

unsigned send(struct bench *bench, const char *header, const void *data, size_t length)
{
    uint8_t apdu[HEX_MAX];
    assert_in_range(length, 1, sizeof apdu - 9);
    assert_int_equal(parse_hex(header, apdu, 4), 4);
    apdu[4] = 0;
    apdu[5] = (uint8_t)(length >> 8);
    apdu[6] = (uint8_t)length;
    memcpy(apdu + 7, data, length);
    apdu[7 + length] = apdu[8 + length] = 0;
    return tell_bytes(bench, apdu, 9 + length);
}

void expect(struct bench *bench, const char *hex, unsigned status_word)
{
    const unsigned told = tell(bench, hex);
    if (told != status_word)
        fail_msg("%s: %04x instead of %04x", hex, told, status_word);
}

void assert_answer(const struct bench *bench, const char *hex)
{
    uint8_t bytes[HEX_MAX];
    const size_t length = parse_hex(hex, bytes, sizeof bytes);
    assert_int_equal(bench->length, length);
    assert_memory_equal(bench->answer, bytes, length);
}
