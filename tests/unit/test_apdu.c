/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_apdu.c - the seven cases of a command APDU are told apart, and short parts are written as they are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "apdu.h"

static uint8_t bytes[70000];

static struct apdu parsed(size_t length)
{
    struct apdu apdu;
    assert_true(apdu_parse(bytes, length, &apdu));
    assert_memory_equal(apdu.header, bytes, 4);
    return apdu;
}

static size_t start(const uint8_t *body, size_t length)
{
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "\x00\xda\x01\x03", 4);
    memcpy(bytes + 4, body, length);
    return 4 + length;
}

#define BODY(...) start((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void is(const struct apdu *apdu, size_t length, size_t expected, bool extended)
{
    assert_int_equal(apdu->length, length);
    assert_int_equal(apdu->expected, expected);
    assert_int_equal(apdu->extended, extended);
}

static void short_cases(void **state)
{
    (void)state;
    struct apdu apdu = parsed(start((const uint8_t *)"", 0));
    is(&apdu, 0, 0, false);
    apdu = parsed(BODY(0x10));
    is(&apdu, 0, 16, false);
    apdu = parsed(BODY(0x00));
    is(&apdu, 0, 256, false);
    apdu = parsed(BODY(0x02, 0xaa, 0xbb));
    is(&apdu, 2, 0, false);
    assert_memory_equal(apdu.data, "\xaa\xbb", 2);
    apdu = parsed(BODY(0x02, 0xaa, 0xbb, 0x00));
    is(&apdu, 2, 256, false);
    apdu = parsed(BODY(0x02, 0xaa, 0xbb, 0x07));
    is(&apdu, 2, 7, false);
}

static void extended_cases(void **state)
{
    (void)state;
    struct apdu apdu = parsed(BODY(0x00, 0x01, 0x00));
    is(&apdu, 0, 256, true);
    apdu = parsed(BODY(0x00, 0x00, 0x00));
    is(&apdu, 0, 65536, true);
    apdu = parsed(BODY(0x00, 0x00, 0x02, 0xaa, 0xbb));
    is(&apdu, 2, 0, true);
    assert_memory_equal(apdu.data, "\xaa\xbb", 2);
    apdu = parsed(BODY(0x00, 0x00, 0x02, 0xaa, 0xbb, 0x00, 0x00));
    is(&apdu, 2, 65536, true);
    start((const uint8_t[]){ 0x00, 0xff, 0xff }, 3);
    apdu = parsed(4 + 3 + 65535);
    is(&apdu, 65535, 0, true);
    apdu = parsed(4 + 3 + 65535 + 2);
    is(&apdu, 65535, 65536, true);
}

static void lengths_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct apdu apdu;
    for (size_t length = 0; length < 4; length++)
        assert_false(apdu_parse(bytes, length, &apdu));
    assert_false(apdu_parse(bytes, BODY(0x02, 0xaa), &apdu));
    assert_false(apdu_parse(bytes, BODY(0x02, 0xaa, 0xbb, 0x00, 0x00), &apdu));
    assert_false(apdu_parse(bytes, BODY(0x00, 0x01), &apdu));
    assert_false(apdu_parse(bytes, BODY(0x00, 0x00, 0x00, 0x00), &apdu));
    assert_false(apdu_parse(bytes, BODY(0x00, 0x00, 0x02, 0xaa), &apdu));
    assert_false(apdu_parse(bytes, BODY(0x00, 0x00, 0x02, 0xaa, 0xbb, 0x00), &apdu));
    assert_false(apdu_parse(bytes, BODY(0x00, 0x00, 0x02, 0xaa, 0xbb, 0x00, 0x00, 0x00), &apdu));
}

static void secure_messaging_is_seen_in_every_class(void **state)
{
    (void)state;
    static const struct {
        uint8_t cla;
        bool secure;
    } CLASSES[] = { { 0x00, false }, { 0x03, false }, { 0x10, false }, { 0x04, true }, { 0x08, true }, { 0x0c, true },
                    { 0x1c, true },  { 0x40, false }, { 0x4f, false }, { 0x60, true }, { 0x7f, true }, { 0x80, false },
                    { 0x84, true },  { 0x8c, true } };
    for (size_t i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++) {
        const struct apdu apdu = { .header = { CLASSES[i].cla } };
        assert_int_equal(apdu_is_secure(&apdu), CLASSES[i].secure);
    }
}

static void what_is_written_short_is_read_back(void **state)
{
    (void)state;
    static const size_t LENGTHS[] = { 0, 1, 254, 255 }, EXPECTED[] = { 0, 1, 255, 256 };
    uint8_t data[255];
    memset(data, 0x5a, sizeof data);
    for (size_t i = 0; i < 16; i++) {
        uint8_t part[APDU_SHORT_MAX];
        const size_t length = apdu_write_short(part, (const uint8_t *)"\x10\xdb\x3f\xff", data, LENGTHS[i / 4],
                                               EXPECTED[i % 4]);
        struct apdu apdu;
        assert_true(apdu_parse(part, length, &apdu));
        assert_memory_equal(apdu.header, "\x10\xdb\x3f\xff", 4);
        is(&apdu, LENGTHS[i / 4], EXPECTED[i % 4], false);
        assert_true(apdu.length == 0 || memcmp(apdu.data, data, apdu.length) == 0);
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(short_cases),
        TEST(extended_cases),
        TEST(lengths_that_contradict_each_other_are_refused),
        TEST(secure_messaging_is_seen_in_every_class),
        TEST(what_is_written_short_is_read_back),
    };
    return cmocka_run_group_tests_name("apdu", tests, NULL, NULL);
}
