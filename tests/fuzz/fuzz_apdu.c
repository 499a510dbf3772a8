/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_apdu.c - what is read from an APDU is within it, and a short APDU read and written again is the same. */
#include <assert.h>
#include <string.h>
#include "apdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apdu apdu;
    if (!apdu_parse(data, size, &apdu))
        return 0;
    (void)apdu_is_secure(&apdu);
    assert(apdu.length <= 65535 && apdu.expected <= 65536);
    assert(apdu.length == 0 || (apdu.data > data && apdu.data + apdu.length <= data + size));
    if (apdu.extended)
        return 0;
    uint8_t part[APDU_SHORT_MAX];
    assert(apdu_write_short(part, apdu.header, apdu.data, apdu.length, apdu.expected) == size);
    assert(memcmp(part, data, size) == 0);
    return 0;
}
