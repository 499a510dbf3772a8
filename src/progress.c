/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.c - tells people how a long command is getting on: a small file while it runs. */
#include "progress.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WRITE_EVERY_MS 400 /* at most: a device may give signs of life as fast as it likes */
#define NAME_SIZE 40

static int64_t boot_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One file a key; with a suffix, the one that is still being written. */
static void file_name(const struct progress *progress, const char *suffix, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "ifd-nitrokey-%03u-%03u%s", progress->bus, progress->address, suffix);
}

/* -1: there is none. */
static int open_directory(void)
{
    const char *wish = secure_getenv("IFD_NITROKEY_RUN");
    return open(wish ? wish : RUN_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_file(const struct progress *progress)
{
    char name[NAME_SIZE];
    file_name(progress, "", name);
    (void)unlinkat(progress->directory, name, 0);
    close(progress->directory);
}

void progress_init(struct progress *progress, const struct model *model, uint8_t bus, uint8_t address)
{
    *progress = (struct progress){ .model = model, .bus = bus, .address = address, .directory = open_directory() };
    if (progress->directory >= 0)
        remove_file(progress); /* of a driver that was killed, perhaps with the number that this process has now */
}

/* Reads nothing of the command but its class. */
static int describe(const struct progress *progress, const struct vigil *vigil, int64_t now_ms, char *text, size_t size)
{
    const int64_t boot = boot_ms();
    const struct model *const model = progress->model;
    const uint16_t *const usually_s = vigil->class == PATIENCE_GENERATE ? model->generation_s : model->reset_s;
    return snprintf(text, size,
                    "reader=%s\nbus=%u\naddress=%u\npid=%ld\nclass=%s\nbegun=%lld\nheard=%lld\nsigns=%u\n"
                    "silence-ends=%lld\ntotal-ends=%lld\nusually-from=%u\nusually-to=%u\n",
                    model->name, progress->bus, progress->address, (long)getpid(), patience_name(vigil->class),
                    (long long)progress->begun_ms, (long long)(boot - (now_ms - vigil->heard_ms)), progress->signs,
                    (long long)(boot + vigil_deadline_ms(vigil) - now_ms),
                    (long long)(progress->begun_ms + (int64_t)vigil->patience.total_ms),
                    usually_s[0] * 1000u, usually_s[1] * 1000u);
}

/* Whole or not at all: a reader never sees half of it. */
static bool write_file(const struct progress *progress, const char *text, size_t length)
{
    char name[NAME_SIZE], new_name[NAME_SIZE];
    file_name(progress, "", name);
    file_name(progress, ".new", new_name);
    (void)unlinkat(progress->directory, new_name, 0); /* a driver that was killed may have left one */
    const int file = openat(progress->directory, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0)
        return false;
    const bool written = fchmod(file, 0644) == 0 && write(file, text, length) == (ssize_t)length;
    close(file);
    if (written && renameat(progress->directory, new_name, progress->directory, name) == 0)
        return true;
    (void)unlinkat(progress->directory, new_name, 0);
    return false;
}

static void tell(struct progress *progress, const struct vigil *vigil, int64_t now_ms)
{
    char text[640];
    const int length = describe(progress, vigil, now_ms, text, sizeof text);
    if (length > 0 && (size_t)length < sizeof text)
        (void)write_file(progress, text, (size_t)length);
    progress->written_ms = boot_ms();
}

static void heard(void *context, const struct vigil *vigil, int64_t now_ms)
{
    struct progress *const progress = context;
    progress->signs++;
    if (boot_ms() - progress->written_ms >= WRITE_EVERY_MS)
        tell(progress, vigil, now_ms);
}

void progress_begin(struct progress *progress, struct vigil *vigil, int64_t now_ms)
{
    if (!progress || (vigil->class != PATIENCE_RESET && vigil->class != PATIENCE_GENERATE))
        return;
    progress->directory = open_directory();
    if (progress->directory < 0)
        return;
    progress->running = true;
    progress->begun_ms = boot_ms();
    progress->signs = 0;
    vigil->heard = heard;
    vigil->context = progress;
    tell(progress, vigil, now_ms);
}

void progress_end(struct progress *progress)
{
    if (!progress || !progress->running)
        return;
    remove_file(progress);
    progress->running = false;
}
