/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_apdu.c - every command APDU that a client can send, whole and in short parts. */
#include "any.h"
#include "../../src/apdu.c"

#define LONGEST 65548 /* what pcscd takes from a client */

static uint8_t bytes[LONGEST];
static volatile uint8_t seen;

/* What is read of an APDU is within it: it ends where the memory ends. */
static void parse_exactly(size_t length, bool extended)
{
    struct apdu apdu;
    if (length > 4)
        bytes[LONGEST - length + 4] = extended ? 0 : (uint8_t)any_size(1, 255);
    if (apdu_parse(bytes + LONGEST - length, length, &apdu) && apdu.data)
        seen = apdu.data[apdu.length - 1];
}

static void parse_each_length(bool extended)
{
    any_bytes(bytes, sizeof bytes);
    //@ loop unroll 300;
    for (size_t length = 0; length < 300; length++)
        parse_exactly(length, extended);
}

static void write_short(void)
{
    uint8_t part[APDU_SHORT_MAX];
    (void)apdu_write_short(part, bytes, bytes + 5, any_size(0, 255), any_size(0, 256));
}

int main(void)
{
    struct apdu apdu;
    any_bytes(bytes, sizeof bytes);
    if (apdu_parse(bytes, any_size(0, LONGEST), &apdu))
        (void)apdu_is_secure(&apdu);
    parse_each_length(false);
    parse_each_length(true);
    write_short();
    return 0;
}
