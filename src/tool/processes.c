/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* processes.c - which processes there are and what they have open, as far as /proc lets us see it. */
#include "processes.h"
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "text.h"

static struct process read_process(pid_t pid)
{
    char path[64];
    struct process process = { .pid = pid };
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    (void)text_read_line(path, process.name, sizeof process.name);
    return process;
}

/* 1: it has the path open, 0: not, -1: we may not see it. */
static int has_open(pid_t pid, const char *path)
{
    char name[PATH_MAX], target[PATH_MAX];
    int found = 0;
    snprintf(name, sizeof name, "/proc/%d/fd", (int)pid);
    DIR *const directory = opendir(name);
    if (!directory)
        return -1;
    for (const struct dirent *entry; found == 0 && (entry = readdir(directory));) {
        const ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (length < 0)
            continue;
        target[length] = '\0';
        found = strcmp(target, path) == 0;
    }
    closedir(directory);
    return found;
}

void processes_with_open(const char *path, struct processes *found)
{
    DIR *const proc = opendir("/proc");
    *found = (struct processes){ .some_unseen = !proc };
    for (const struct dirent *entry; proc && (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        const pid_t pid = (pid_t)atoi(entry->d_name);
        const int open = has_open(pid, path);
        if (open < 0)
            found->some_unseen = true;
        if (open > 0 && found->count < PROCESSES_MAX)
            found->all[found->count++] = read_process(pid);
    }
    if (proc)
        closedir(proc);
}

pid_t process_named(const char *name)
{
    pid_t pid = 0;
    DIR *const proc = opendir("/proc");
    for (const struct dirent *entry; proc && pid == 0 && (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]) &&
            strcmp(read_process((pid_t)atoi(entry->d_name)).name, name) == 0)
            pid = (pid_t)atoi(entry->d_name);
    if (proc)
        closedir(proc);
    return pid;
}

bool processes_include(const struct processes *processes, const char *name)
{
    for (int i = 0; i < processes->count; i++)
        if (strcmp(processes->all[i].name, name) == 0)
            return true;
    return false;
}

int process_has_loaded(pid_t pid, const char *bundle)
{
    char path[64], line[PATH_MAX + 128];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *const maps = fopen(path, "re");
    if (!maps)
        return -1;
    while (found == 0 && fgets(line, sizeof line, maps))
        found = strstr(line, bundle) != NULL;
    fclose(maps);
    return found;
}

/* A path is below a mount point, or is one. */
static bool is_below(const char *path, const char *mount_point)
{
    const size_t length = strlen(mount_point);
    return strcmp(mount_point, "/") == 0 ||
           (strncmp(path, mount_point, length) == 0 && (path[length] == '\0' || path[length] == '/'));
}

/* /proc/PID/mountinfo: "ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS ...". Of equally long ones the last is on top. */
int process_only_reads(pid_t pid, const char *path)
{
    char name[64], line[2 * PATH_MAX], mount_point[PATH_MAX], options[256];
    size_t longest = 0;
    int found = -1;
    snprintf(name, sizeof name, "/proc/%d/mountinfo", (int)pid);
    FILE *const mounts = fopen(name, "re");
    if (!mounts)
        return -1;
    while (fgets(line, sizeof line, mounts))
        if (sscanf(line, "%*d %*d %*s %*s %4095s %255s", mount_point, options) == 2 && is_below(path, mount_point) &&
            strlen(mount_point) >= longest) {
            longest = strlen(mount_point);
            found = strncmp(options, "ro", 2) == 0;
        }
    fclose(mounts);
    return found;
}

/* QEMU's argument is "guest=NAME,debug-threads=on". Any process may call itself so, and the name becomes part of a line
 * to type: nothing passes that means something to a shell or seems an option. */
bool process_guest(pid_t pid, char *name, size_t size)
{
    static const char start[] = "guest=", plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    char path[64], arguments[4096];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    const long length = text_read_file(path, arguments, sizeof arguments);
    for (const char *at = arguments; length > 0 && at < arguments + length; at += strlen(at) + 1) {
        const char *const guest = at + sizeof start - 1;
        if (strncmp(at, start, sizeof start - 1) != 0)
            continue;
        const size_t end = strspn(guest, plain);
        if (end == 0 || end >= size || guest[0] == '-' || (guest[end] && guest[end] != ','))
            return false;
        snprintf(name, size, "%.*s", (int)end, guest);
        return true;
    }
    return false;
}
