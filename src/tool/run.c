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
#define KILL_LIMIT_MS 1000 /* one that waits for a device may not even be killed */
#define LOOK_EVERY_NS 2000000

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
static bool read_all(int file, char *text, size_t size, int64_t end)
{
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

/* Its output may have ended before. false: it goes on. */
static bool has_ended(pid_t pid, int *status, int64_t end)
{
    pid_t ended;
    while ((ended = waitpid(pid, status, WNOHANG)) == 0 && now_ms() < end)
        (void)nanosleep(&(struct timespec){ .tv_nsec = LOOK_EVERY_NS }, NULL);
    return ended == pid;
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

bool run_within(const char *const argv[], char *text, size_t size, int64_t limit_ms)
{
    const int64_t end = now_ms() + limit_ms;
    char path[PATH_MAX];
    int ends[2], status = 1;
    pid_t pid;
    text[0] = '\0';
    if (!run_find(argv[0], path, sizeof path) || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    const bool started = start(path, argv, ends[1], &pid);
    close(ends[1]);
    const bool ended = started && read_all(ends[0], text, size, end);
    close(ends[0]);
    if (!started)
        return false;
    if (ended && has_ended(pid, &status, end))
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    (void)kill(pid, SIGKILL);
    (void)has_ended(pid, &status, now_ms() + KILL_LIMIT_MS);
    return false;
}

bool run(const char *const argv[], char *text, size_t size)
{
    return run_within(argv, text, size, PATIENCE_MS);
}
