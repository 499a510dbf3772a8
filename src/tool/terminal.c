/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* terminal.c - what the terminal can show. */
#include "terminal.h"
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool terminal_can_move(void)
{
    const char *const kind = getenv("TERM");
    return isatty(STDOUT_FILENO) && kind && kind[0] && strcmp(kind, "dumb") != 0;
}

const char *terminal_colour(enum colour colour)
{
    static const char *const sequences[] = {
        [PLAIN] = "\033[0m", [GREEN] = "\033[32m", [YELLOW] = "\033[33m", [RED] = "\033[31m", [DIM] = "\033[2m",
    };
    const char *const none = getenv("NO_COLOR");
    return !terminal_can_move() || (none && none[0]) ? "" : sequences[colour];
}

bool terminal_has_utf8(void)
{
    return setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
