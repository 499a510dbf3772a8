/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* loop.c - a poll loop on the real clock. */
#include "loop.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#define MOST 64
#define MICROSECONDS 1000000

struct loop {
    struct pollfd polled[MOST]; /* fd -1: forgotten */
    struct watch {
        loop_handler *handler;
        void *context;
    } watches[MOST];
    nfds_t count;
    loop_settle *settle;
    void *settle_context;
    bool stopped;
};

int64_t loop_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MICROSECONDS + now.tv_nsec / 1000;
}

struct loop *loop_new(void)
{
    return calloc(1, sizeof(struct loop));
}

void loop_free(struct loop *loop)
{
    free(loop);
}

void loop_on_settle(struct loop *loop, loop_settle *settle, void *context)
{
    loop->settle = settle;
    loop->settle_context = context;
}

static struct pollfd *find(struct loop *loop, int fd)
{
    for (nfds_t i = 0; i < loop->count; i++)
        if (loop->polled[i].fd == fd)
            return &loop->polled[i];
    return NULL;
}

bool loop_watch(struct loop *loop, int fd, loop_handler *handler, void *context)
{
    if (fd < 0 || loop->count == MOST || find(loop, fd))
        return false;
    loop->polled[loop->count] = (struct pollfd){ .fd = fd, .events = POLLIN };
    loop->watches[loop->count] = (struct watch){ handler, context };
    loop->count++;
    return true;
}

void loop_want_write(struct loop *loop, int fd, bool wanted)
{
    struct pollfd *polled = find(loop, fd);
    if (polled)
        polled->events = wanted ? POLLIN | POLLOUT : POLLIN;
}

void loop_forget(struct loop *loop, int fd)
{
    struct pollfd *polled = find(loop, fd);
    if (polled)
        *polled = (struct pollfd){ .fd = -1 };
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

static void close_gaps(struct loop *loop)
{
    nfds_t kept = 0;
    for (nfds_t i = 0; i < loop->count; i++) {
        if (loop->polled[i].fd < 0)
            continue;
        loop->polled[kept] = loop->polled[i];
        loop->watches[kept++] = loop->watches[i];
    }
    loop->count = kept;
}

static bool sleep_until(struct loop *loop, int64_t wake_us)
{
    const int64_t left_us = wake_us - loop_now_us();
    const struct timespec sleep = { .tv_sec = left_us > 0 ? (time_t)(left_us / MICROSECONDS) : 0,
                                    .tv_nsec = left_us > 0 ? (long)(left_us % MICROSECONDS * 1000) : 0 };
    for (nfds_t i = 0; i < loop->count; i++)
        loop->polled[i].revents = 0;
    return ppoll(loop->polled, loop->count, wake_us == INT64_MAX ? NULL : &sleep, NULL) >= 0 || errno == EINTR;
}

bool loop_run(struct loop *loop)
{
    loop->stopped = false;
    for (;;) {
        const int64_t wake_us = loop->settle ? loop->settle(loop->settle_context, loop_now_us()) : INT64_MAX;
        close_gaps(loop);
        if (loop->stopped)
            return true;
        if (!sleep_until(loop, wake_us))
            return false;
        /* Those that a handler adds are behind count and have not been polled. */
        const nfds_t count = loop->count;
        for (nfds_t i = 0; i < count; i++)
            if (loop->polled[i].fd >= 0 && loop->polled[i].revents)
                loop->watches[i].handler(loop->watches[i].context, loop->polled[i].revents);
    }
}
