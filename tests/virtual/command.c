/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* command.c - a command APDU taken apart as a card does it (ISO 7816-4 §5.1). */
#include "command.h"

static size_t be16(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static bool parse_extended(const uint8_t *body, size_t length, struct command *command)
{
    command->extended = true;
    if (length == 3) { /* case 2E */
        command->expected = be16(body + 1) ? be16(body + 1) : 65536;
        return true;
    }
    if (length < 3)
        return false;
    command->length = be16(body + 1);
    command->data = body + 3;
    const size_t rest = length - 3;
    if (command->length == 0 || (rest != command->length && rest != command->length + 2))
        return false;
    if (rest > command->length) /* case 4E */
        command->expected = be16(command->data + command->length) ? be16(command->data + command->length) : 65536;
    return true;
}

bool command_parse(const uint8_t *apdu, size_t length, struct command *command)
{
    if (length < 4)
        return false;
    *command = (struct command){ .cla = apdu[0], .ins = apdu[1], .p1 = apdu[2], .p2 = apdu[3] };
    const uint8_t *const body = apdu + 4;
    const size_t body_len = length - 4;
    if (body_len == 0) /* case 1 */
        return true;
    if (body_len == 1) { /* case 2S */
        command->expected = body[0] ? body[0] : 256;
        return true;
    }
    if (body[0] == 0)
        return parse_extended(body, body_len, command);
    command->length = body[0];
    command->data = body + 1;
    if (body_len == 2 + command->length) /* case 4S */
        command->expected = body[1 + command->length] ? body[1 + command->length] : 256;
    return body_len == 1 + command->length || body_len == 2 + command->length;
}
