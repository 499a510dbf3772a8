/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch.c - "ifd-nitrokey watch": shows how long commands are getting on. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "keys.h"
#include "processes.h"
#include "status.h"
#include "terminal.h"
#include "verbs.h"

#define LOOK_EVERY_MS 250
#define PLAIN_EVERY_MS 10000 /* in a pipe: a line that often for a command that runs */
#define BAR 20
#define TIME_SIZE 32
#define LINE_SIZE 400

static const char USAGE[] = "Usage: ifd-nitrokey watch [--once] [--json] [--directory DIR]\n"
                            "Shows each key, and of one that generates a key pair or is being reset: for how long, the "
                            "last sign of life, what is\n"
                            "usual, and when the driver would give up. On a terminal lines that move: green as usual, "
                            "yellow when it takes longer\n"
                            "than usual, red when the driver gives up soon. Otherwise, and with TERM=dumb, a line at "
                            "the beginning, each 10 s and\n"
                            "at the end. NO_COLOR=1 leaves the colours out. Ends by Ctrl-C.\n"
                            "\n"
                            "  --once           shows what runs now, and ends\n"
                            "  --json           a JSON object a line, each second; times in milliseconds\n"
                            "  --directory DIR  pcscd's run directory (" RUN_DIRECTORY ")\n"
                            "  --help           this text\n";

struct settings {
    bool once, json, terminal;
    const char *directory;
};

/* A command that has been shown, so that its end can be told. */
struct shown {
    struct status status;
    int64_t told;
    bool runs;
};

/* ---- words ---- */

static const char *in_words(const char *class)
{
    if (strcmp(class, "generate") == 0)
        return "generates a key pair";
    return strcmp(class, "reset") == 0 ? "is being reset" : "is at work";
}

/* 0:07, 12:34, 1:02:03 */
static const char *duration(int64_t ms, char text[TIME_SIZE])
{
    const long long s = ms > 0 ? ms / 1000 : 0;
    if (s >= 3600)
        snprintf(text, TIME_SIZE, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, TIME_SIZE, "%lld:%02lld", s / 60, s % 60);
    return text;
}

/* Of the waiting that is left, less than a tenth of what there was. */
static bool is_nearly_over(int64_t from, int64_t now, int64_t end)
{
    return (end - now) * 10 < end - from;
}

static enum colour colour_of(const struct status *s, int64_t now)
{
    if (is_nearly_over(s->heard, now, s->silence_ends) || is_nearly_over(s->begun, now, s->total_ends))
        return RED;
    return s->usually_to > 0 && now - s->begun > s->usually_to ? YELLOW : GREEN;
}

static void bar(const struct status *status, int64_t now, char text[BAR + 4])
{
    const int64_t elapsed = now - status->begun;
    const int64_t done = status->usually_to > 0 ? elapsed * BAR / status->usually_to : 0;
    text[0] = '\0';
    if (status->usually_to <= 0)
        return;
    text[0] = '[';
    for (int i = 0; i < BAR; i++)
        text[1 + i] = i < done ? '#' : '.';
    memcpy(text + 1 + BAR, "] ", 3);
}

static void running_line(const struct status *s, int64_t now, char line[LINE_SIZE])
{
    char elapsed[TIME_SIZE], ago[TIME_SIZE], from[TIME_SIZE], to[TIME_SIZE], silence[TIME_SIZE], total[TIME_SIZE];
    char marks[BAR + 4], usual[96] = "";
    bar(s, now, marks);
    if (s->usually_to > 0)
        snprintf(usual, sizeof usual, "usually %s to %s; ", duration(s->usually_from, from),
                 duration(s->usually_to, to));
    snprintf(line, LINE_SIZE, "%s%s (%03lld/%03lld) %s: %s; sign of life %s ago (%lld); %sgiven up after %s more of "
             "silence, %s at most", marks, s->reader, (long long)s->bus, (long long)s->address, in_words(s->class),
             duration(now - s->begun, elapsed), duration(now - s->heard, ago), (long long)s->signs, usual,
             duration(s->silence_ends - now, silence), duration(s->total_ends - now, total));
}

/* A driver that tells that it has the key would also tell of a long command. */
static const char *not_at_work(const struct status_reader *reader, bool known, char words[STATUS_WORDS])
{
    const char *const why = known ? status_reader_in_words(reader, words) : NULL;
    if (known)
        return why ? why : "no long command runs";
    return process_named("pcscd") > 0 ? "not known, the driver says nothing of it: see ifd-nitrokey doctor"
                                      : "not known, no pcscd is seen to run";
}

static void print_idle(const struct settings *settings, const struct key *key)
{
    struct status_reader reader;
    char words[STATUS_WORDS];
    const bool known = status_reader(settings->directory, key->bus, key->address, &reader);
    const bool served = known && !status_reader_in_words(&reader, words);
    if (settings->json)
        printf("{\"reader\":\"%s\",\"bus\":%u,\"address\":%u,\"command\":null,\"running\":%s,\"state\":\"%s\"}\n",
               key->model->name, key->bus, key->address, served ? "false" : "null", reader.state);
    else
        printf("%s%s (%03u/%03u): %s%s\n", terminal_colour(served ? DIM : YELLOW), key->model->name, key->bus,
               key->address, not_at_work(&reader, known, words), terminal_colour(PLAIN));
}

static void print_json(const struct status *s, int64_t now, bool runs)
{
    printf("{\"reader\":\"%s\",\"bus\":%lld,\"address\":%lld,\"pid\":%lld,\"command\":\"%s\",\"running\":%s,"
           "\"elapsed\":%lld,\"silent\":%lld,\"signs\":%lld,\"usually\":[%lld,%lld],\"silence_left\":%lld,\"total_"
           "left\":%lld}\n",
           s->reader, (long long)s->bus, (long long)s->address, (long long)s->pid, s->class, runs ? "true" : "false",
           (long long)(now - s->begun), (long long)(now - s->heard), (long long)s->signs, (long long)s->usually_from,
           (long long)s->usually_to, (long long)(s->silence_ends - now), (long long)(s->total_ends - now));
}

/* ---- what has been shown ---- */

static bool is_same(const struct status *a, const struct status *b)
{
    return a->bus == b->bus && a->address == b->address && a->pid == b->pid && a->begun == b->begun;
}

static struct shown *remembered(struct shown shown[STATUS_MAX], const struct status *status)
{
    for (int i = 0; i < STATUS_MAX; i++)
        if (shown[i].runs && is_same(&shown[i].status, status))
            return &shown[i];
    for (int i = 0; i < STATUS_MAX; i++)
        if (!shown[i].runs) {
            shown[i] = (struct shown){ .status = *status, .runs = true, .told = INT64_MIN / 2 };
            return &shown[i];
        }
    return NULL;
}

static void tell_end(const struct settings *settings, const struct status *status, int64_t now)
{
    char elapsed[TIME_SIZE];
    if (settings->json)
        print_json(status, now, false);
    else
        printf("%s (%03lld/%03lld): ended after %s\n", status->reader, (long long)status->bus,
               (long long)status->address, duration(now - status->begun, elapsed));
}

static void tell_running(const struct settings *settings, const struct status *status, int64_t now)
{
    char line[LINE_SIZE];
    if (settings->json) {
        print_json(status, now, true);
        return;
    }
    running_line(status, now, line);
    printf(settings->terminal ? "\033[?7l%s%s%s\033[?7h\n" : "%s%s%s\n", /* a line stays a line on a narrow terminal */
           terminal_colour(colour_of(status, now)), line, terminal_colour(PLAIN));
}

static void tell_ends(const struct settings *settings, struct shown shown[STATUS_MAX], const struct status *all,
                      int count, int64_t now)
{
    for (int i = 0; i < STATUS_MAX; i++) {
        bool runs = false;
        for (int k = 0; k < count; k++)
            runs = runs || is_same(&shown[i].status, &all[k]);
        if (shown[i].runs && !runs) {
            tell_end(settings, &shown[i].status, now);
            shown[i].runs = false;
        }
    }
}

/* ---- a look ---- */

static bool is_at_work(const struct key *key, const struct status *all, int count)
{
    for (int i = 0; i < count; i++)
        if (all[i].bus == key->bus && all[i].address == key->address)
            return true;
    return false;
}

/* The keys that are plugged in and do nothing that takes long. Returns how many. */
static int show_idle(const struct settings *settings, const struct status *all, int count)
{
    struct key keys[KEYS_MAX];
    const int there = keys_find(keys);
    int shown = 0;
    for (int i = 0; i < there; i++)
        if (keys[i].model && keys[i].ccid_interface >= 0 && !is_at_work(&keys[i], all, count)) {
            print_idle(settings, &keys[i]);
            shown++;
        }
    return shown;
}

/* On a terminal the lines of the look before are written over; returns how many there are now. */
static int show(const struct settings *settings, struct shown shown[STATUS_MAX], const struct status *all, int count,
                int lines)
{
    const int64_t now = status_now(), every = settings->json ? 1000 : PLAIN_EVERY_MS;
    if (lines > 0)
        printf("\033[%dA\033[J", lines);
    tell_ends(settings, shown, all, count, now);
    for (int i = 0; i < count; i++) {
        struct shown *const known = remembered(shown, &all[i]);
        if (!known)
            continue;
        known->status = all[i];
        if (!settings->terminal && now - known->told < every)
            continue;
        known->told = now;
        tell_running(settings, &all[i], now);
    }
    const int idle = settings->terminal ? show_idle(settings, all, count) : 0;
    fflush(stdout);
    return settings->terminal ? count + idle : 0;
}

static int look(const struct settings *settings, struct status all[STATUS_MAX], bool *complained)
{
    const int count = status_read_all(settings->directory, all);
    if (count < 0 && !*complained)
        fprintf(stderr, "ifd-nitrokey: %s: %s%s\n", settings->directory, strerror(errno),
                errno == ENOENT ? " (pcscd does not run)" : "");
    *complained = count < 0;
    return count;
}

static int once(const struct settings *settings)
{
    struct status all[STATUS_MAX];
    bool complained = false;
    const int count = look(settings, all, &complained);
    for (int i = 0; i < count; i++)
        tell_running(settings, &all[i], status_now());
    if (count >= 0 && show_idle(settings, all, count) + count == 0 && !settings->json)
        puts("no Nitrokey is plugged in");
    return count < 0;
}

static int forever(const struct settings *settings)
{
    static const struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
    struct shown shown[STATUS_MAX] = { { .runs = false } };
    struct status all[STATUS_MAX];
    bool complained = false;
    int lines = 0;
    while (!ferror(stdout)) {
        const int count = look(settings, all, &complained);
        lines = show(settings, shown, all, count < 0 ? 0 : count, lines);
        nanosleep(&pause, NULL);
    }
    return 1;
}

/* ---- public ---- */

int watch(int argc, char *argv[])
{
    static const struct option options[] = {
        { "once", no_argument, NULL, 'o' },           { "json", no_argument, NULL, 'j' },
        { "directory", required_argument, NULL, 'd' }, { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct settings settings = { .directory = RUN_DIRECTORY };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'o': settings.once = true; break;
        case 'j': settings.json = true; break;
        case 'd': settings.directory = optarg; break;
        case 'h': fputs(USAGE, stdout); return 0;
        default: return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "ifd-nitrokey watch: %s is no option, see --help\n", argv[optind]);
        return 2;
    }
    settings.terminal = !settings.json && terminal_can_move();
    return settings.once ? once(&settings) : forever(&settings);
}
