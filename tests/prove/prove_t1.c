/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_t1.c - every card, however it goes on: blocks of any bytes, silence, and exchanges that are given up. */
#include "any.h"
#include "../../src/t1.c"

#define LONGEST 65548 /* what pcscd takes from a client, and gives to it */

static uint8_t command[LONGEST], answer[LONGEST], block[T1_BLOCK_MAX + 1];

static void happens(struct t1 *t1)
{
    switch (Frama_C_interval(0, 4)) {
    case 0:
        any_bytes(block, sizeof block);
        (void)t1_received(t1, block, any_size(0, sizeof block));
        break;
    case 1:
        (void)t1_silence(t1);
        break;
    case 2:
        (void)t1_listen(t1);
        break;
    case 3:
        if (t1_pending(t1))
            t1_abandon(t1);
        break;
    default:
        if (t1_pending(t1))
            break;
        if (any_choice())
            (void)t1_negotiate_ifsd(t1, (uint8_t)any_size(1, 254));
        else
            (void)t1_transmit(t1, command, any_size(4, LONGEST), answer, any_size(0, LONGEST));
    }
}

int main(void)
{
    struct t1 t1 = { .ns = 0 };
    any_bytes(command, sizeof command);
    t1_reset(&t1, (uint8_t)any_size(1, 254), any_choice());
    while (any_choice())
        happens(&t1);
    return 0;
}
