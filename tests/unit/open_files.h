/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open_files.h - whether a test leaves descriptors open. */
#pragma once
#include <dirent.h>
#include <stdlib.h>

/* How many descriptors this process has open, and a few more that are the same each time. */
static inline unsigned open_files(void)
{
    unsigned count = 0;
    DIR *const all = opendir("/proc/self/fd");
    if (!all)
        abort();
    while (readdir(all))
        count++;
    closedir(all);
    return count;
}
