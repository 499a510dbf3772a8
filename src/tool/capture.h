/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* capture.h - reads a capture of USB traffic as ../pcap.h says, packed by gzip or not. Believes nothing in it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;

/* NULL: it cannot be read, or is no such capture; *why says so and lives for ever. Ended by capture_close(). */
struct capture *capture_open(const char *path, const char **why);
void capture_close(struct capture *capture);

/* One URB, submitted or completed, with its data. */
struct packet {
    int64_t time_us;
    bool submitted; /* or completed */
    uint8_t type;   /* 2 control, 3 bulk */
    uint8_t endpoint, address;
    uint16_t bus;
    const uint8_t *data; /* valid until the next call */
    size_t length;
};

enum capture_end { CAPTURE_MORE, CAPTURE_END, CAPTURE_CUT /* it ends in the middle of something, or is damaged there */ };
enum capture_end capture_next(struct capture *capture, struct packet *packet);
