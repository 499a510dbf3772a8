/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_atr.c - whatever a card answers to reset, what is read from it keeps within its bounds. */
#include <assert.h>
#include <string.h>
#include "atr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atr atr;
    if (atr_parse(data, size, &atr) != ERR_NONE)
        return 0;
    assert(size <= ATR_MAX && atr.length == size && memcmp(atr.bytes, data, size) == 0);
    assert(atr.ifsc >= 1 && atr.ifsc <= 254 && atr.bwi <= 9 && atr.cwi <= 15);
    assert(atr.f >= 372 && atr.d >= 1);
    const uint32_t bwt = atr_bwt_ms(&atr, size > 5 ? (uint32_t)data[size - 1] << 8 : 3600);
    assert(bwt >= 17 && bwt <= 183000 + 1000); /* BWI 0 at 20 MHz ... BWI 9 at 1 MHz */
    return 0;
}
