/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbfs_log.c - the shim's own log. */
#include "usbfs_log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static FILE *log_file;

void usbfs_log_open(void)
{
    const char *path = secure_getenv("USBFS_SHIM_LOG");
    if (path)
        log_file = fopen(path, "ae");
}

void usbfs_log(const char *format, ...)
{
    struct timespec now;
    va_list arguments;
    if (!log_file)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    va_start(arguments, format);
    flockfile(log_file); /* one line, whoever else writes */
    fprintf(log_file, "%lld.%03ld %d ", (long long)now.tv_sec, now.tv_nsec / 1000000, (int)getpid());
    vfprintf(log_file, format, arguments);
    fputc('\n', log_file);
    fflush(log_file);
    funlockfile(log_file);
    va_end(arguments);
}
