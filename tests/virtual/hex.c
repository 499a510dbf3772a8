/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hex.c - bytes as a test writes them. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include "hex.h"
#include <cmocka.h>

size_t parse_hex(const char *text, uint8_t *bytes, size_t size)
{
    size_t digits = 0;
    for (; *text; text++) {
        if (isspace((unsigned char)*text))
            continue;
        const char digit[] = { *text, '\0' };
        assert_true(isxdigit((unsigned char)*text) && digits / 2 < size);
        bytes[digits / 2] = (uint8_t)(bytes[digits / 2] * 16u + strtoul(digit, NULL, 16));
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    return digits / 2;
}
