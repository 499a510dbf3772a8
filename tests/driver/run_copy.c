/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run_copy.c - pcscd's run directory as it is at one moment. */
#include "run_copy.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool copy_file(int from_directory, const char *name, int to_directory)
{
    char bytes[65536];
    const int from = openat(from_directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const int to = openat(to_directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const ssize_t length = from >= 0 ? read(from, bytes, sizeof bytes) : -1;
    const bool copied = to >= 0 && length >= 0 && write(to, bytes, (size_t)length) == length;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return copied;
}

static bool remove_file(int directory, const char *name, int other)
{
    (void)other;
    return unlinkat(directory, name, 0) == 0;
}

static bool each_file(const char *path, bool (*run_for)(int directory, const char *name, int other), int other)
{
    DIR *const directory = opendir(path);
    struct dirent *entry;
    bool all = directory != NULL;
    while (directory && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            all = run_for(dirfd(directory), entry->d_name, other) && all;
    if (directory)
        closedir(directory);
    return all;
}

bool run_copy(const char *from, const char *to)
{
    const int directory = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    run_empty(to);
    const bool copied = each_file(from, copy_file, directory);
    close(directory);
    return copied;
}

void run_empty(const char *directory)
{
    (void)each_file(directory, remove_file, -1);
}
