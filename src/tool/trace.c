/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace.c - "ifd-nitrokey trace": a recorded trace as readable lines. */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "capture.h"
#include "story.h"
#include "verbs.h"

#define COMMANDS_MAX 256 /* different ones in a summary */

static const char USAGE[] =
    "Usage: ifd-nitrokey trace [--summary] [--json] FILE...\n"
    "Reads traces that the driver has recorded with IFD_NITROKEY_TRACE in pcscd's environment: a line a message,\n"
    "with the time since the first one and since the one before in seconds, > to the key and < from it, the message,\n"
    "T=1 block or part, and in words what it means. A trace that ends in the middle is read as far as it goes.\n"
    "\n"
    "  --summary  how often each command was sent, and how long it took\n"
    "  --json     a JSON object a line; times in microseconds\n"
    "  --help     this text\n";

struct settings {
    bool summary, json;
};

/* ---- a line a message ---- */

static void print_line(const struct event *e, int64_t since, int64_t wait)
{
    printf("%11.3f %+10.3f %c %-13s", (double)since / 1e6, (double)wait / 1e6, e->received ? '<' : '>', e->message);
    if (e->sequence >= 0)
        printf(" %02X", (unsigned)e->sequence);
    if (e->block[0])
        printf("  %-*s", e->command[0] || e->meaning[0] ? 10 : 0, e->block);
    if (e->command[0] && !e->received)
        printf("  %s", e->command);
    if (e->meaning[0])
        printf("  %s", e->meaning);
    if (e->status[0])
        printf(" (%s)", e->status);
    if (e->ends)
        printf(", %.3f s after %s", (double)e->took_us / 1e6, e->command);
    putchar('\n');
}

/* Nothing in the texts has to be escaped, see story.h. */
static void print_json(const struct event *e, int64_t since, int64_t wait)
{
    printf("{\"time\":%" PRId64 ",\"wait\":%" PRId64 ",\"direction\":\"%s\",\"message\":\"%s\"", since, wait,
           e->received ? "in" : "out", e->message);
    if (e->sequence >= 0)
        printf(",\"sequence\":%d,\"length\":%zu", e->sequence, e->length);
    if (e->block[0])
        printf(",\"block\":\"%s\"", e->block);
    if (e->command[0])
        printf(",\"command\":\"%s\"", e->command);
    if (e->status[0])
        printf(",\"status\":\"%s\"", e->status);
    if (e->meaning[0])
        printf(",\"meaning\":\"%s\"", e->meaning);
    if (e->ends)
        printf(",\"took\":%" PRId64, e->took_us);
    puts("}");
}

/* ---- a summary ---- */

struct total {
    char command[WORDS_SIZE];
    unsigned long sent, ended;
    int64_t shortest, longest, sum;
};

struct summary {
    struct total totals[COMMANDS_MAX];
    size_t count;
};

static struct total *total_of(struct summary *summary, const char *command)
{
    for (size_t i = 0; i < summary->count; i++)
        if (strcmp(summary->totals[i].command, command) == 0)
            return &summary->totals[i];
    if (summary->count == COMMANDS_MAX)
        return &summary->totals[COMMANDS_MAX - 1];
    struct total *const total = &summary->totals[summary->count++];
    *total = (struct total){ .shortest = INT64_MAX };
    snprintf(total->command, sizeof total->command, "%s", summary->count == COMMANDS_MAX ? "others" : command);
    return total;
}

static void add(struct summary *summary, const struct event *e)
{
    if (!e->command[0])
        return;
    struct total *const total = total_of(summary, e->command);
    total->sent += !e->received;
    if (!e->ends)
        return;
    total->ended++;
    total->sum += total->sum < INT64_MAX / 2 ? e->took_us : 0; /* a trace may say anything */
    total->shortest = e->took_us < total->shortest ? e->took_us : total->shortest;
    total->longest = e->took_us > total->longest ? e->took_us : total->longest;
}

static int by_sum(const void *a, const void *b)
{
    const struct total *const left = a, *const right = b;
    return (left->sum < right->sum) - (left->sum > right->sum);
}

static void print_total(const struct settings *settings, const struct total *t)
{
    const int64_t shortest = t->ended ? t->shortest : 0, mean = t->ended ? t->sum / (int64_t)t->ended : 0;
    if (settings->json)
        printf("{\"command\":\"%s\",\"sent\":%lu,\"answered\":%lu,\"shortest\":%" PRId64 ",\"mean\":%" PRId64
               ",\"longest\":%" PRId64 ",\"sum\":%" PRId64 "}\n",
               t->command, t->sent, t->ended, shortest, mean, t->longest, t->sum);
    else
        printf("%6lu %9lu %9.3f %9.3f %9.3f %9.3f  %s\n", t->sent, t->ended, (double)shortest / 1e6,
               (double)mean / 1e6, (double)t->longest / 1e6, (double)t->sum / 1e6, t->command);
}

static void print_summary(const struct settings *settings, struct summary *summary)
{
    qsort(summary->totals, summary->count, sizeof summary->totals[0], by_sum);
    if (!settings->json)
        puts("  sent  answered  shortest      mean   longest       sum  command (times in seconds)");
    for (size_t i = 0; i < summary->count; i++)
        print_total(settings, &summary->totals[i]);
}

/* ---- public ---- */

static void tell_all(const struct settings *settings, struct capture *capture, struct summary *summary, bool *cut)
{
    struct story story = { .known = false };
    struct packet packet;
    struct event event;
    int64_t first = 0, last = 0;
    enum capture_end end;
    bool begun = false;
    while ((end = capture_next(capture, &packet)) == CAPTURE_MORE && !ferror(stdout)) {
        if (!story_tell(&story, &packet, &event))
            continue;
        if (!begun)
            first = last = event.time_us;
        begun = true;
        if (settings->summary)
            add(summary, &event);
        else
            (settings->json ? print_json : print_line)(&event, event.time_us - first, event.time_us - last);
        last = event.time_us;
    }
    *cut = end == CAPTURE_CUT;
}

static int read_trace(const struct settings *settings, const char *path, struct summary *summary)
{
    const char *why;
    bool cut;
    struct capture *const capture = capture_open(path, &why);
    if (!capture) {
        fprintf(stderr, "ifd-nitrokey: %s: %s\n", path, why);
        return 1;
    }
    tell_all(settings, capture, summary, &cut);
    capture_close(capture);
    fflush(stdout);
    if (cut)
        fprintf(stderr, "ifd-nitrokey: %s: it ends in the middle, or is damaged there\n", path);
    return cut;
}

int trace(int argc, char *argv[])
{
    static const struct option options[] = {
        { "summary", no_argument, NULL, 's' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    static struct summary summary;
    struct settings settings = { .summary = false };
    int status = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's': settings.summary = true; break;
        case 'j': settings.json = true; break;
        case 'h': fputs(USAGE, stdout); return 0;
        default: return 2;
        }
    if (optind == argc) {
        fputs("ifd-nitrokey trace: which file? See --help\n", stderr);
        return 2;
    }
    for (int i = optind; i < argc; i++)
        status |= read_trace(&settings, argv[i], &summary);
    if (settings.summary)
        print_summary(&settings, &summary);
    return status;
}
