/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c - what people see, through pcscd's own log. */
#include "log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pcscd exports it to its drivers; a program that loads the bundle for a test may not. */
extern void log_msg(const int priority, const char *format, ...) __attribute__((weak, format(printf, 2, 3)));

enum { PCSC_LOG_DEBUG, PCSC_LOG_INFO, PCSC_LOG_ERROR }; /* as in pcsc-lite's debuglog.h */

static void log_line(int priority, const char *key, const char *format, va_list arguments)
{
    const char *const wish = secure_getenv("IFD_NITROKEY_LOG");
    char line[512];
    vsnprintf(line, sizeof line, format, arguments);
    if (wish && strcmp(wish, "debug") == 0)
        priority = PCSC_LOG_ERROR;
    if (log_msg)
        log_msg(priority, "ifd-nitrokey: %s%s%s", key ? key : "", key ? ": " : "", line);
    else if (priority > PCSC_LOG_DEBUG)
        fprintf(stderr, "ifd-nitrokey: %s%s%s\n", key ? key : "", key ? ": " : "", line);
}

void log_error(const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(PCSC_LOG_ERROR, key, format, arguments);
    va_end(arguments);
}

void log_info(const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(PCSC_LOG_INFO, key, format, arguments);
    va_end(arguments);
}

void log_debug(const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(PCSC_LOG_DEBUG, key, format, arguments);
    va_end(arguments);
}
