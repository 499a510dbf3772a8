/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* command.h - a command APDU taken apart as a card does it (ISO 7816-4 §5.1). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command {
    uint8_t cla, ins, p1, p2;
    const uint8_t *data; /* in the APDU */
    size_t length;       /* Nc */
    size_t expected;     /* Ne: 0 = no answer wanted */
    bool extended;
};

/* false: the lengths contradict each other (6700). */
bool command_parse(const uint8_t *apdu, size_t length, struct command *command);
