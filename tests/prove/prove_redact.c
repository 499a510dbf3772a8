/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_redact.c - every conversation at each level, of messages of any bytes and any length, as it goes into a trace. */
#include "any.h"
#include "../../src/apdu.c"
#include "../../src/atr.c"
#include "../../src/ccid.c"
#include "../../src/objects.c"
#include "../../src/redact.c"

#define LONGEST 65674

static uint8_t bytes[LONGEST], shown[REDACT_MAX];

int main(void)
{
    struct redactor redactor;
    redact_init(&redactor, (enum ccid_level)any_size(CCID_CHARACTER, CCID_EXTENDED_APDU), any_choice());
    any_bytes(bytes, sizeof bytes);
    while (any_choice()) {
        if (any_choice())
            (void)redact_sent(&redactor, bytes, any_size(0, LONGEST), shown);
        else
            (void)redact_received(&redactor, bytes, any_size(0, LONGEST), shown);
    }
    return 0;
}
