/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.c - tells people how a long command is getting on: a small file while it runs. */
#include "progress.h"
#include <stdio.h>
#include <unistd.h>
#include "run_file.h"

#define WRITE_EVERY_MS 400 /* at most: a device may give signs of life as fast as it likes */

static void remove_file(const struct progress *progress)
{
    char name[RUN_FILE_NAME];
    run_file_name(name, progress->bus, progress->address, "");
    (void)unlinkat(progress->directory, name, 0);
    close(progress->directory);
}

void progress_init(struct progress *progress, const struct model *model, uint8_t bus, uint8_t address)
{
    *progress = (struct progress){ .model = model, .bus = bus, .address = address, .directory = run_directory() };
    if (progress->directory >= 0)
        remove_file(progress); /* of a driver that was killed, perhaps with the number that this process has now */
}

/* Reads nothing of the command but its class. */
static int describe(const struct progress *progress, const struct vigil *vigil, int64_t now_ms, char *text, size_t size)
{
    const int64_t boot = run_file_clock_ms();
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

static void tell(struct progress *progress, const struct vigil *vigil, int64_t now_ms)
{
    char name[RUN_FILE_NAME], text[640];
    run_file_name(name, progress->bus, progress->address, "");
    const int length = describe(progress, vigil, now_ms, text, sizeof text);
    if (length > 0 && (size_t)length < sizeof text)
        (void)run_file_write(progress->directory, name, text, (size_t)length);
    progress->written_ms = run_file_clock_ms();
}

static void heard(void *context, const struct vigil *vigil, int64_t now_ms)
{
    struct progress *const progress = context;
    progress->signs++;
    if (run_file_clock_ms() - progress->written_ms >= WRITE_EVERY_MS)
        tell(progress, vigil, now_ms);
}

void progress_begin(struct progress *progress, struct vigil *vigil, int64_t now_ms)
{
    if (!progress || (vigil->class != PATIENCE_RESET && vigil->class != PATIENCE_GENERATE))
        return;
    progress->directory = run_directory();
    if (progress->directory < 0)
        return;
    progress->running = true;
    progress->begun_ms = run_file_clock_ms();
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
