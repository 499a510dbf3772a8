/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* terminal.h - what the terminal can show. */
#pragma once
#include <stdbool.h>

enum colour { PLAIN, GREEN, YELLOW, RED, DIM };

/* Standard output is a terminal that can do more than print a line: not TERM=dumb. */
bool terminal_can_move(void);

/* The escape sequence that begins this colour; "" where there are no colours: no terminal that can move, or NO_COLOR is
 * set (no-color.org). PLAIN ends a colour. */
const char *terminal_colour(enum colour colour);

/* The locale's characters are UTF-8. Calls setlocale(). */
bool terminal_has_utf8(void);
