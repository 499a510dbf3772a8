/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prove_ccid.c - every transfer that a device can send, every class descriptor, every command the driver can send. */
#include "any.h"
#include "../../src/ccid.c"

#define LONGEST 65674 /* the largest IN buffer: 65546 and two packets */
#define LONGEST_DATA 65536

static uint8_t bytes[LONGEST];
static uint8_t message[65546];
volatile uint8_t seen;

static void find(void)
{
    const struct ccid_expectation expected = {
        .type = any_choice() ? CCID_DATA_BLOCK : CCID_SLOT_STATUS, .slot = any_byte(), .sequence = any_byte(),
    };
    struct ccid_answer answer;
    (void)ccid_find_answer(bytes, any_size(0, LONGEST), any_size(0, 1024), &expected, &answer);
}

/* What an answer shows is within the message: the message ends where the memory ends. Each length by itself. */
static void look(void)
{
    //@ loop unroll 590;
    for (size_t length = CCID_HEADER; length < 600; length++) {
        const struct ccid_answer answer = view(bytes + (LONGEST - length), length);
        if (answer.length > 0) {
            seen = answer.data[0];
            seen = answer.data[answer.length - 1];
        }
    }
}

static void write(void)
{
    const struct ccid_command command = {
        .type = any_choice() ? CCID_XFR_BLOCK : CCID_ABORT, .parameter = { any_byte(), any_byte(), any_byte() },
        .data = bytes, .length = any_size(0, LONGEST_DATA),
    };
    (void)ccid_write(message, any_size(0, sizeof message), any_byte(), any_byte(), &command);
}

int main(void)
{
    struct ccid_class class;
    any_bytes(bytes, sizeof bytes);
    (void)ccid_parse_class(bytes + LONGEST - CCID_DESCRIPTOR_LENGTH, any_size(0, CCID_DESCRIPTOR_LENGTH), &class);
    (void)ccid_answer_type(any_choice() ? CCID_XFR_BLOCK : CCID_ABORT);
    find();
    look();
    write();
    return 0;
}
