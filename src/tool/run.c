/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run.c - another program's output. */
#include "run.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

bool run_find(const char *name, char *path, size_t size)
{
    char places[4096], *rest = NULL; /* an ordinary user's PATH may lack sbin */
    const char *const own = getenv("PATH");
    snprintf(places, sizeof places, "%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", own ? own : "");
    for (char *place = strtok_r(places, ":", &rest); place; place = strtok_r(NULL, ":", &rest)) {
        snprintf(path, size, "%s/%s", place, name);
        if (access(path, X_OK) == 0)
            return true;
    }
    path[0] = '\0';
    return false;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* false: it has not ended its output in time. */
static bool read_all(int file, char *text, size_t size)
{
    const int64_t end = now_ms() + PATIENCE_MS;
    size_t length = 0;
    for (;;) {
        char part[1024];
        struct pollfd wait = { .fd = file, .events = POLLIN };
        const int64_t left = end - now_ms();
        if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
            return false;
        const ssize_t got = read(file, part, sizeof part);
        if (got <= 0)
            return got == 0;
        const size_t fits = size - 1 - length < (size_t)got ? size - 1 - length : (size_t)got;
        memcpy(text + length, part, fits);
        length += fits;
        text[length] = '\0';
    }
}

static bool start(const char *path, const char *const argv[], int output, pid_t *pid)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    char *copy[16];
    size_t count = 0;
    for (; count < 15 && argv[count]; count++)
        copy[count] = (char *)(uintptr_t)argv[count]; /* posix_spawn() does not write to it */
    copy[count] = NULL;
    const bool started = posix_spawn(pid, path, &actions, NULL, copy, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    return started;
}

bool run(const char *const argv[], char *text, size_t size)
{
    char path[PATH_MAX];
    int ends[2], status = 1;
    pid_t pid;
    text[0] = '\0';
    if (!run_find(argv[0], path, sizeof path) || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    const bool started = start(path, argv, ends[1], &pid);
    close(ends[1]);
    const bool ended = started && read_all(ends[0], text, size);
    close(ends[0]);
    if (!started)
        return false;
    if (!ended)
        (void)kill(pid, SIGKILL);
    return waitpid(pid, &status, 0) == pid && ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
