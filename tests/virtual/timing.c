/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timing.c - reads how long a command of the card takes from text. */
#include "timing.h"
#include <string.h>

#define SECOND INT64_C(1000000)
#define LONGEST (86400 * SECOND)

const struct icc_timing timing_defaults = { .wtx_every_us = 10 * SECOND, .wtx_multiplier = 100 };

/* Reads digits of a number of microseconds, unit by unit; returns where they end. */
static const char *read_digits(const char *at, int64_t *us)
{
    int64_t whole = 0, part = 0, place = SECOND / 10;
    while (*at >= '0' && *at <= '9' && whole <= LONGEST / SECOND)
        whole = whole * 10 + (*at++ - '0');
    if (at[0] == '.' && at[1] >= '0' && at[1] <= '9')
        for (at++; *at >= '0' && *at <= '9' && place > 0; place /= 10)
            part += (*at++ - '0') * place;
    *us = whole * SECOND + part;
    return at;
}

/* Reads seconds that end the text or a part of it. */
static bool read_seconds(const char **at, int64_t *us)
{
    const char *end = **at >= '0' && **at <= '9' ? read_digits(*at, us) : NULL;
    if (!end || (*end != 0 && *end != ',') || *us > LONGEST)
        return false;
    *at = end;
    return true;
}

bool timing_parse_seconds(const char *text, int64_t *us)
{
    return read_seconds(&text, us) && *text == 0;
}

static bool skip(const char **at, const char *word)
{
    const size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

static bool read_count(const char **at, unsigned *count)
{
    int64_t as_us;
    if (!read_seconds(at, &as_us) || as_us % SECOND != 0)
        return false;
    *count = (unsigned)(as_us / SECOND);
    return true;
}

static bool read_option(const char **at, struct icc_timing *timing)
{
    unsigned count;
    if (skip(at, ",silent="))
        return read_seconds(at, &timing->silent_us);
    if (skip(at, ",wtx="))
        return read_seconds(at, &timing->wtx_every_us);
    if (skip(at, ",signs="))
        return read_count(at, &timing->wtx_count);
    if (!skip(at, ",multiplier=") || !read_count(at, &count) || count < 1 || count > 255)
        return false;
    timing->wtx_multiplier = (uint8_t)count;
    return true;
}

bool timing_parse(const char *text, struct icc_timing *timing)
{
    struct icc_timing read = timing_defaults;
    if (!read_seconds(&text, &read.work_us))
        return false;
    while (*text)
        if (!read_option(&text, &read))
            return false;
    *timing = read;
    return true;
}
