/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run_file.c - small files in pcscd's run directory. */
#include "run_file.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void run_file_name(char name[RUN_FILE_NAME], uint8_t bus, uint8_t address, const char *kind)
{
    snprintf(name, RUN_FILE_NAME, "ifd-nitrokey-%03u-%03u%s", bus, address, kind);
}

int run_directory(void)
{
    const char *const wish = secure_getenv("IFD_NITROKEY_RUN");
    return open(wish ? wish : RUN_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int64_t run_file_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool run_file_write(int directory, const char *name, const char *text, size_t length)
{
    char new_name[RUN_FILE_NAME + 4];
    snprintf(new_name, sizeof new_name, "%s.new", name);
    (void)unlinkat(directory, new_name, 0); /* a driver that was killed may have left one */
    const int file = openat(directory, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0)
        return false;
    const bool written = fchmod(file, 0644) == 0 && write(file, text, length) == (ssize_t)length;
    close(file);
    if (written && renameat(directory, new_name, directory, name) == 0)
        return true;
    (void)unlinkat(directory, new_name, 0);
    return false;
}
