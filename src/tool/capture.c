/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* capture.c - reads a capture of USB traffic, packed by gzip or not. */
#include "capture.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { FILE_HEADER = 24, RECORD_HEADER = 16, USBMON_HEADER = 64, RECORD_MAX = USBMON_HEADER + 65535 };
enum { LINKTYPE_USB_LINUX_MMAPPED = 220 };

struct capture {
    gzFile file;
    uint8_t record[RECORD_MAX];
};

static uint32_t le32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static const char *check_header(struct capture *capture)
{
    uint8_t header[FILE_HEADER];
    int error;
    if (gzread(capture->file, header, sizeof header) != sizeof header)
        return gzerror(capture->file, &error) && error == Z_ERRNO ? strerror(errno) : "it is too short for a trace";
    if (le32(header) != 0xa1b2c3d4 || le32(header + 20) != LINKTYPE_USB_LINUX_MMAPPED)
        return "it is no trace of USB traffic as this program reads it";
    return NULL;
}

struct capture *capture_open(const char *path, const char **why)
{
    struct capture *const capture = malloc(sizeof *capture);
    if (!capture) {
        *why = "there is no memory";
        return NULL;
    }
    capture->file = gzopen(path, "rb");
    *why = capture->file ? check_header(capture) : strerror(errno);
    if (!*why)
        return capture;
    capture_close(capture);
    return NULL;
}

void capture_close(struct capture *capture)
{
    if (capture && capture->file)
        gzclose(capture->file);
    free(capture);
}

static void understand(const uint8_t *record, size_t length, struct packet *packet)
{
    *packet = (struct packet){
        .time_us = (int64_t)le32(record + 16) * 1000000 + le32(record + 24) % 1000000, /* the upper half: from 2106 on */
        .submitted = record[8] == 'S', .type = record[9], .endpoint = record[10], .address = record[11],
        .bus = (uint16_t)(record[12] | record[13] << 8),
        .data = record + USBMON_HEADER, .length = length - USBMON_HEADER,
    };
}

enum capture_end capture_next(struct capture *capture, struct packet *packet)
{
    uint8_t header[RECORD_HEADER];
    int error;
    const int got = gzread(capture->file, header, sizeof header);
    (void)gzerror(capture->file, &error); /* an error if the gzip itself has no end */
    if (got == 0 && error == Z_OK)
        return CAPTURE_END;
    const uint32_t length = got == sizeof header ? le32(header + 8) : 0;
    if (length < USBMON_HEADER || length > RECORD_MAX || gzread(capture->file, capture->record, length) != (int)length)
        return CAPTURE_CUT;
    understand(capture->record, length, packet);
    return CAPTURE_MORE;
}
