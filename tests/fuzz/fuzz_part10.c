/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_part10.c - whatever a client asks for and however little room it has: nothing is written beyond it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "part10.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The reader that is asked: what the fuzzer says. */
static struct reader_facts facts;
static bool powered;
static enum presence present;
static char text[256];

struct reader_facts reader_facts(const struct reader *reader)
{
    (void)reader;
    return facts;
}

bool reader_atr(struct reader *reader, struct atr *atr)
{
    (void)reader;
    atr->length = facts.bus % (ATR_MAX + 1u);
    memset(atr->bytes, 0x3b, sizeof atr->bytes);
    return powered;
}

enum presence reader_presence(struct reader *reader)
{
    (void)reader;
    return present;
}

size_t reader_string(struct reader *reader, enum usb_string which, char *to, size_t size)
{
    (void)reader;
    (void)which;
    const size_t length = strlen(text);
    assert(size > length);
    memcpy(to, text, length + 1);
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* what a client knows to ask for, since four bytes are hard to guess */
    static const uint32_t KNOWN[] = { 0x42000d48, 0x313520, 0x42330012, 0x0303, 0x00090303, 0x00090300, 0x00090301,
                                      0x00010100, 0x00010103, 0x00010102, 0x0007a007, 0x00020110 };
    if (size < 12)
        return 0;
    uint32_t code;
    memcpy(&code, data, 4);
    code = data[4] < 0x80 ? KNOWN[data[4] % (sizeof KNOWN / sizeof KNOWN[0])] : code;
    facts = (struct reader_facts){ .vendor_id = data[6], .bus = data[7], .class = { .max_message = data[8] } };
    powered = data[9] & 1;
    present = data[9] & 2 ? READER_PRESENT : READER_ABSENT;
    const size_t room = data[5], text_length = size - 12 < 255 ? size - 12 : 255;
    memset(text, 0, sizeof text);
    memcpy(text, data + 12, text_length);
    uint8_t *const answer = malloc(room + 1);
    if (!answer)
        return 0;
    answer[room] = 0x5a;
    size_t length = 0;
    if (part10_control(NULL, code, answer, room, &length) == ERR_NONE)
        assert(length <= room);
    length = room;
    if (part10_attribute(NULL, code, answer, &length) == ERR_NONE)
        assert(length <= room);
    assert(answer[room] == 0x5a);
    free(answer);
    return 0;
}
