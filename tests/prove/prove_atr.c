/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_atr.c - every answer to reset of every length, and the waiting time that it says at every clock. */
#include "any.h"
#include "../../src/atr.c"

static uint8_t bytes[ATR_MAX + 1];

/* It ends where the memory ends. */
static void parse(size_t length)
{
    struct atr atr;
    if (atr_parse(bytes + sizeof bytes - length, length, &atr) == ERR_NONE)
        (void)atr_bwt_ms(&atr, (uint32_t)any_size(0, UINT32_MAX));
}

int main(void)
{
    any_bytes(bytes, sizeof bytes);
    //@ loop unroll 36;
    for (size_t length = 0; length <= sizeof bytes; length++)
        parse(length);
    return 0;
}
