/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apdu.c - what a command APDU says (ISO 7816-4:2013 §5.1), and its short parts. */
#include "apdu.h"
#include <string.h>

static size_t read_be16(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

/* A length field says its maximum by zero. */
static size_t or_all(size_t said, size_t all)
{
    return said ? said : all;
}

/* body: what follows the header, its first byte 0 and at least 2 bytes in all */
static bool parse_extended(const uint8_t *body, size_t length, struct apdu *apdu)
{
    if (length < 3)
        return false;
    apdu->extended = true;
    if (length == 3) { /* case 2E */
        apdu->expected = or_all(read_be16(body + 1), 65536);
        return true;
    }
    apdu->length = read_be16(body + 1);
    apdu->data = body + 3;
    if (apdu->length == 0 || length < 3 + apdu->length)
        return false;
    const size_t rest = length - 3 - apdu->length;
    if (rest == 2) /* case 4E */
        apdu->expected = or_all(read_be16(apdu->data + apdu->length), 65536);
    return rest == 0 || rest == 2;
}

bool apdu_parse(const uint8_t *bytes, size_t length, struct apdu *apdu)
{
    *apdu = (struct apdu){ .length = 0 };
    if (length < 4)
        return false;
    memcpy(apdu->header, bytes, 4);
    const uint8_t *const body = bytes + 4;
    const size_t body_length = length - 4;
    if (body_length == 0) /* case 1 */
        return true;
    if (body_length == 1) { /* case 2S */
        apdu->expected = or_all(body[0], 256);
        return true;
    }
    if (body[0] == 0)
        return parse_extended(body, body_length, apdu);
    apdu->length = body[0];
    apdu->data = body + 1;
    if (body_length < 1 + apdu->length)
        return false;
    const size_t rest = body_length - 1 - apdu->length;
    if (rest == 1) /* case 4S */
        apdu->expected = or_all(apdu->data[apdu->length], 256);
    return rest <= 1;
}

bool apdu_is_secure(const struct apdu *apdu)
{
    const uint8_t cla = apdu->header[0];
    return cla & 0x40 ? cla & 0x20 : cla & 0x0c; /* §5.4.1, further and first interindustry values */
}

size_t apdu_write_short(uint8_t part[APDU_SHORT_MAX], const uint8_t header[4], const uint8_t *data, size_t length,
                        size_t expected)
{
    size_t at = 4;
    memcpy(part, header, 4);
    if (length > 0) {
        part[at++] = (uint8_t)length;
        memcpy(part + at, data, length);
        at += length;
    }
    if (expected > 0)
        part[at++] = (uint8_t)expected; /* 256 is written as 0 */
    return at;
}
