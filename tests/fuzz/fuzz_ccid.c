/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_ccid.c - what is taken for an answer is one: slot, number and type are right, data are within the transfer. */
#include <assert.h>
#include "ccid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum ccid_type TYPES[] = { CCID_DATA_BLOCK, CCID_SLOT_STATUS };
    struct ccid_class class;
    (void)ccid_parse_class(data, size, &class);
    if (size < 3)
        return 0;
    const struct ccid_expectation expected = { .type = TYPES[data[0] & 1], .slot = 0, .sequence = data[1] };
    const size_t packet_size = 8u << (data[2] & 7);
    const uint8_t *const bytes = data + 3;
    const size_t length = size - 3;
    struct ccid_answer answer;
    if (!ccid_find_answer(bytes, length, packet_size, &expected, &answer))
        return 0;
    assert(answer.slot == expected.slot && answer.sequence == expected.sequence);
    assert(answer.status != CCID_OK || answer.type == expected.type);
    assert(answer.status != CCID_RESERVED);
    assert(answer.data >= bytes + CCID_HEADER && answer.data + answer.length <= bytes + length);
    assert((size_t)(answer.data - bytes - CCID_HEADER) % packet_size == 0);
    return 0;
}
