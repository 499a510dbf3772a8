/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace_file.c - a file that grows message by message: a gzip of a capture, which is whole after each message.
 *
 * Each message ends with the end of the gzip (RFC 1952), and the next one is written over that. So nothing has to be
 * done at the end, which is well, since pcscd ends without a word to its drivers.
 */
#include "trace_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>
#include "log.h"
#include "pcap.h"

#define SUFFIX ".pcap.gz"
#define NUMBERS 99 /* of files for one place; then somebody has to look at them */
#define RAW_DEFLATE (-15) /* zlib: the largest window, no header */

struct trace_file {
    const char *name;
    struct usb_identity key;
    char stem[PATH_MAX];
    unsigned number, kept; /* of this file; of the one before it, 0: none */
    int fd;                /* -1: none */
    size_t limit, size; /* of what is before the end */
    int64_t epoch_ms; /* when usb_now_ms() was zero */
    uint64_t id;
    z_stream deflate;
    uint32_t crc, length; /* of what went into it */
    uint8_t compressed[4096];
};

/* ---- files ---- */

static void path_of(const struct trace_file *file, unsigned number, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s-%03u-%03u-%u" SUFFIX, PATH_MAX - 32, file->stem, file->key.bus, file->key.address,
             number);
}

/* Takes the next number that is free. */
static bool create(struct trace_file *file)
{
    char path[PATH_MAX];
    do {
        file->number++;
        path_of(file, file->number, path);
        file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (file->fd < 0 && errno == EEXIST && file->number < NUMBERS);
    if (file->fd < 0)
        log_error(file->name, "no trace is written, because of %s: %s", path, strerror(errno));
    else
        log_info(file->name, "a trace is written to %s", path);
    return file->fd >= 0;
}

static bool write_at(const struct trace_file *file, size_t at, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = pwrite(file->fd, bytes, length, (off_t)at);
        if (written == 0 || (written < 0 && errno != EINTR)) {
            log_error(file->name, "the trace ends here: %s", written == 0 ? "the file takes no more" : strerror(errno));
            return false;
        }
        if (written > 0) {
            bytes += written;
            at += (size_t)written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* flush: Z_NO_FLUSH, or Z_SYNC_FLUSH: all of it goes to the file. */
static bool add(struct trace_file *file, const uint8_t *bytes, size_t length, int flush)
{
    z_stream *const stream = &file->deflate;
    file->crc = (uint32_t)crc32(file->crc, bytes, (uInt)length);
    file->length += (uint32_t)length;
    stream->next_in = bytes;
    stream->avail_in = (uInt)length;
    do {
        stream->next_out = file->compressed;
        stream->avail_out = sizeof file->compressed;
        (void)deflate(stream, flush); /* its only error is our mistake */
        const size_t ready = sizeof file->compressed - stream->avail_out;
        if (!write_at(file, file->size, file->compressed, ready))
            return false;
        file->size += ready;
    } while (stream->avail_out == 0);
    return true;
}

static void put_le32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

/* The end, for now: an empty last block, the checksum and the length. */
static bool seal(const struct trace_file *file)
{
    uint8_t bytes[2 + 8] = { 0x03, 0x00 };
    put_le32(bytes + 2, file->crc);
    put_le32(bytes + 6, file->length);
    return write_at(file, file->size, bytes, sizeof bytes);
}

static bool begin(struct trace_file *file, int64_t now_ms)
{
    static const uint8_t GZIP[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
    uint8_t header[PCAP_FILE_HEADER], descriptors[PCAP_DESCRIPTORS_MAX];
    if (!create(file) || !write_at(file, 0, GZIP, sizeof GZIP))
        return false;
    file->size = sizeof GZIP;
    file->crc = file->length = 0;
    pcap_write_file_header(header);
    const size_t length = pcap_write_descriptors(descriptors, &file->key, file->epoch_ms + now_ms);
    return add(file, header, sizeof header, Z_NO_FLUSH) && add(file, descriptors, length, Z_SYNC_FLUSH) && seal(file);
}

/* The file is full: the next one, and away with the one before. */
static bool rotate(struct trace_file *file, int64_t now_ms)
{
    char path[PATH_MAX];
    close(file->fd);
    file->fd = -1;
    if (file->kept > 0) {
        path_of(file, file->kept, path);
        (void)unlink(path);
    }
    file->kept = file->number;
    return deflateReset(&file->deflate) == Z_OK && begin(file, now_ms);
}

/* ---- public ---- */

static void set_stem(struct trace_file *file, const char *path)
{
    const size_t length = strlen(path), suffix = sizeof SUFFIX - 1;
    const bool named = length > suffix && strcmp(path + length - suffix, SUFFIX) == 0;
    snprintf(file->stem, sizeof file->stem, "%.*s", (int)(named ? length - suffix : length), path);
}

struct trace_file *trace_file_open(const char *path, size_t limit, const char *name, const struct usb_identity *key,
                                   int64_t now_ms)
{
    struct timespec now;
    struct trace_file *file = calloc(1, sizeof *file);
    if (!file || deflateInit2(&file->deflate, Z_BEST_SPEED, Z_DEFLATED, RAW_DEFLATE, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        log_error(name, "no trace is written: there is no memory");
        free(file);
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    file->epoch_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - now_ms;
    file->name = name;
    file->key = *key;
    file->limit = limit;
    set_stem(file, path);
    if (begin(file, now_ms))
        return file;
    trace_file_close(file);
    return NULL;
}

bool trace_file_add(struct trace_file *file, bool received, const uint8_t *bytes, size_t length, size_t original,
                    int64_t now_ms)
{
    uint8_t header[PCAP_PACKET_HEADER];
    const struct pcap_packet packet = {
        .bus = file->key.bus, .address = file->key.address,
        .endpoint = received ? file->key.bulk_in : file->key.bulk_out,
        .id = file->id++, .time_ms = file->epoch_ms + now_ms, .length = length, .original = original,
    };
    if (file->size >= file->limit && !rotate(file, now_ms))
        return false;
    pcap_write_packet_header(header, &packet);
    return add(file, header, sizeof header, Z_NO_FLUSH) && add(file, bytes, length, Z_SYNC_FLUSH) && seal(file);
}

void trace_file_close(struct trace_file *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    deflateEnd(&file->deflate);
    free(file);
}
