/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control.c - tells a running virtual key what to do. */
#include "control.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "listener.h"
#include "packet_words.h"
#include "timing.h"

#define WORDS_MAX 16
#define GENERATIONS_MAX 8

struct reply {
    char *text;
    size_t size;
};

#define SAY(reply, ...) (void)snprintf((reply)->text, (reply)->size, __VA_ARGS__)

/* ---- words ---- */

/* The place of a word in a list that ends with NULL; -1: not there. */
static int place(const char *word, const char *const list[])
{
    for (int i = 0; list[i]; i++)
        if (strcmp(word, list[i]) == 0)
            return i;
    return -1;
}

static bool read_number(const char *word, unsigned most, unsigned *number)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end || errno || value > most)
        return false;
    *number = (unsigned)value;
    return true;
}

static bool read_switch(const char *word, bool *on)
{
    static const char *const list[] = { "off", "on", NULL };
    const int at = place(word, list);
    *on = at == 1;
    return at >= 0;
}

/* ---- commands: false = the words make no sense ---- */

typedef bool command(const struct control_target *target, int count, char *const words[], struct reply *reply);

static bool plug(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words, (void)reply;
    usbip_plug(target->server);
    return true;
}

static bool unplug(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words, (void)reply;
    usbip_unplug(target->server);
    return true;
}

static bool generate(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    struct icc_timing timings[GENERATIONS_MAX];
    (void)reply;
    if (count > GENERATIONS_MAX)
        return false;
    for (int i = 0; i < count; i++)
        if (!timing_parse(words[i], &timings[i]))
            return false;
    icc_set_generate(target->icc, timings, (size_t)count);
    return true;
}

static bool reset(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    struct icc_timing timing;
    (void)count, (void)reply;
    if (!timing_parse(words[0], &timing))
        return false;
    icc_set_reset(target->icc, &timing);
    return true;
}

static bool mute(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    bool on;
    (void)count, (void)reply;
    if (!read_switch(words[0], &on))
        return false;
    icc_set_mute(target->icc, on);
    return true;
}

static bool corrupt(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    static const char *const ways[] = { "edc", "length", "sequence", "truncated", "noise", NULL };
    static const enum icc_corruption meaning[] = { ICC_BAD_EDC, ICC_BAD_LENGTH, ICC_BAD_SEQUENCE, ICC_TRUNCATED,
                                                   ICC_NOISE };
    const int way = place(words[0], ways);
    unsigned times;
    (void)count, (void)reply;
    if (way < 0 || !read_number(words[1], UINT32_MAX, &times))
        return false;
    icc_corrupt(target->icc, meaning[way], times);
    return true;
}

static bool mishear(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    unsigned times;
    (void)count, (void)reply;
    if (!read_number(words[0], UINT32_MAX, &times))
        return false;
    icc_mishear(target->icc, times);
    return true;
}

static bool ask_ifs(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    unsigned ifsc;
    (void)count, (void)reply;
    if (!read_number(words[0], UINT8_MAX, &ifsc))
        return false;
    icc_ask_ifs(target->icc, (uint8_t)ifsc);
    return true;
}

static bool ask_abort(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words, (void)reply;
    icc_ask_abort(target->icc);
    return true;
}

static bool lie_about_wtx(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    unsigned multiplier;
    (void)count, (void)reply;
    if (!read_number(words[0], UINT8_MAX, &multiplier))
        return false;
    icc_lie_about_wtx(target->icc, (uint8_t)multiplier);
    return true;
}

static bool touch(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words, (void)reply;
    icc_touch(target->icc, target->device->now_us);
    return true;
}

static bool freeze(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)reply;
    return read_switch(words[0], &target->device->faults.frozen);
}

static bool stall(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    static const char *const ends[] = { "in", "out", NULL };
    const struct identity *identity = target->device->identity;
    const int at = place(words[0], ends);
    (void)count, (void)reply;
    if (at >= 0)
        device_halt(target->device, at == 0 ? identity->bulk_in : identity->bulk_out);
    return at >= 0;
}

static bool spoil_answers(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    static const char *const ways[] = { "sequence", "slot", "type", "long", "short", "cut", "swallow", "repeat", NULL };
    struct faults *faults = &target->device->faults;
    const int way = place(words[0], ways);
    (void)count, (void)reply;
    if (way < 0 || !read_number(words[1], UINT32_MAX, &faults->answers))
        return false;
    faults->answer = (enum answer_fault)(ANSWER_WRONG_SEQUENCE + way);
    return true;
}

static bool stale(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    struct faults *faults = &target->device->faults;
    (void)count, (void)reply;
    faults->answer = ANSWER_WRONG_SEQUENCE;
    return read_number(words[0], UINT32_MAX, &faults->answers);
}

static bool packet(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    if (count > 0)
        return packet_words_apply(target->device, count, words);
    SAY(reply, "ok %s", packet_words_state(target->device));
    return true;
}

static bool descriptors(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    static const char *const ways[] = { "right", "cut", "garbage", "total-long", "total-short", "endless", NULL };
    const int way = place(words[0], ways);
    (void)count, (void)reply;
    if (way >= 0)
        target->device->faults.descriptors = (enum descriptor_fault)way;
    return way >= 0;
}

static bool hid(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    static const uint8_t get_data[] = { 0x00, 0xca, 0x00, 0xc4, 0x00 };
    unsigned commands;
    (void)count;
    if (!read_number(words[0], 100, &commands))
        return false;
    for (; commands > 0; commands--)
        if (!device_sibling_apdu(target->device, get_data, sizeof get_data))
            SAY(reply, "error hid: nobody else has commands for the card of this key");
    return true;
}

static bool hid_reset(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words, (void)reply;
    device_reset_by_sibling(target->device);
    return true;
}

static bool counters(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    const struct icc_counters left = icc_counters(target->icc);
    (void)count, (void)words;
    if (left.has_piv)
        SAY(reply, "ok pw1=%u rc=%u pw3=%u pin=%u puk=%u", left.pw1, left.rc, left.pw3, left.pin, left.puk);
    else
        SAY(reply, "ok pw1=%u rc=%u pw3=%u", left.pw1, left.rc, left.pw3);
    return true;
}

static bool busy(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words;
    SAY(reply, "ok %s", device_busy(target->device) ? "busy" : "idle");
    return true;
}

static bool apdus(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words;
    SAY(reply, "ok %zu", icc_log_count(target->icc));
    return true;
}

static bool blocks(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words;
    SAY(reply, "ok %zu", icc_blocks(target->icc));
    return true;
}

static bool stats(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    const struct host_statistics s = host_statistics(target->host);
    (void)count, (void)words;
    SAY(reply, "ok control=%" PRIu64 " out=%" PRIu64 " in=%" PRIu64 " interrupt=%" PRIu64 " pending=%zu",
        s.control, s.bulk_out, s.bulk_in, s.interrupt_in, s.pending);
    return true;
}

static bool quit(const struct control_target *target, int count, char *const words[], struct reply *reply)
{
    (void)count, (void)words, (void)reply;
    loop_stop(target->loop);
    return true;
}

static const struct {
    const char *name;
    int least, most; /* words after the name */
    command *run;
} COMMANDS[] = {
    { "plug", 0, 0, plug },           { "unplug", 0, 0, unplug },       { "generate", 1, GENERATIONS_MAX, generate },
    { "reset", 1, 1, reset },
    { "mute", 1, 1, mute },           { "corrupt", 2, 2, corrupt },     { "mishear", 1, 1, mishear },
    { "ask-ifs", 1, 1, ask_ifs },     { "ask-abort", 0, 0, ask_abort }, { "lie-about-wtx", 1, 1, lie_about_wtx },
    { "freeze", 1, 1, freeze },       { "stall", 1, 1, stall },         { "answer", 2, 2, spoil_answers },
    { "stale", 1, 1, stale },         { "hid-reset", 0, 0, hid_reset }, { "descriptors", 1, 1, descriptors },
    { "hid", 1, 1, hid },
    { "counters", 0, 0, counters },   { "busy", 0, 0, busy },           { "apdus", 0, 0, apdus },
    { "packet", 0, PACKET_WORDS_MAX, packet },
    { "blocks", 0, 0, blocks },       { "stats", 0, 0, stats },         { "touch", 0, 0, touch },
    { "quit", 0, 0, quit },
};

void control_execute(const struct control_target *target, char *line, char *answer, size_t size)
{
    char *words[WORDS_MAX + 1], *rest = line;
    struct reply reply = { answer, size };
    int count = 0;
    device_advance(target->device, loop_now_us()); /* what a command does happens now */
    while (count <= WORDS_MAX && (words[count] = strtok_r(rest, " \t\r", &rest)) != NULL)
        count++;
    SAY(&reply, "error unknown command");
    for (size_t i = 0; count > 0 && i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (strcmp(words[0], COMMANDS[i].name) != 0)
            continue;
        SAY(&reply, "ok");
        if (count - 1 < COMMANDS[i].least || count - 1 > COMMANDS[i].most
            || !COMMANDS[i].run(target, count - 1, words + 1, &reply))
            SAY(&reply, "error %s: wrong arguments", COMMANDS[i].name);
    }
}

/* ---- the socket: one client at a time, the next one waits in the listener's queue ---- */

struct control {
    struct control_target target;
    int listener, client; /* client -1: nobody */
    char line[CONTROL_LINE_MAX];
    size_t length;
};

static void on_control_listener(void *context, short revents);

static void drop_client(struct control *control)
{
    if (control->client < 0)
        return;
    loop_forget(control->target.loop, control->client);
    close(control->client);
    control->client = -1;
    control->length = 0;
    (void)loop_watch(control->target.loop, control->listener, on_control_listener, control);
}

static void run_line(struct control *control, char *line)
{
    char answer[CONTROL_LINE_MAX];
    control_execute(&control->target, line, answer, sizeof answer - 1);
    const size_t length = strlen(answer);
    answer[length] = '\n';
    /* It fits into the buffer of a socket, unless the client never reads: then it is none of ours. */
    if (send(control->client, answer, length + 1, MSG_NOSIGNAL) != (ssize_t)(length + 1))
        control->length = sizeof control->line;
}

static void on_control_client(void *context, short revents)
{
    struct control *control = context;
    char *end;
    (void)revents;
    const ssize_t n = recv(control->client, control->line + control->length, sizeof control->line - control->length, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            drop_client(control);
        return;
    }
    control->length += (size_t)n;
    while (control->length < sizeof control->line && (end = memchr(control->line, '\n', control->length)) != NULL) {
        const size_t taken = (size_t)(end - control->line) + 1;
        *end = 0;
        run_line(control, control->line);
        if (control->length < sizeof control->line) {
            memmove(control->line, end + 1, control->length - taken);
            control->length -= taken;
        }
    }
    if (control->length == sizeof control->line) /* no line is so long */
        drop_client(control);
}

static void on_control_listener(void *context, short revents)
{
    struct control *control = context;
    (void)revents;
    control->client = listener_accept(control->listener);
    if (control->client < 0)
        return;
    loop_forget(control->target.loop, control->listener);
    if (!loop_watch(control->target.loop, control->client, on_control_client, control))
        drop_client(control);
}

struct control *control_new(const struct control_target *target, int listener)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return NULL;
    control->target = *target;
    control->listener = listener;
    control->client = -1;
    if (!loop_watch(target->loop, listener, on_control_listener, control)) {
        free(control);
        return NULL;
    }
    return control;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    drop_client(control);
    loop_forget(control->target.loop, control->listener);
    listener_close(control->listener);
    free(control);
}

/* ---- the other end ---- */

static bool join(int count, char *const words[], char *line, size_t size)
{
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        const int n = snprintf(line + length, size - length, "%s%s", i ? " " : "", words[i]);
        if (n < 0 || (size_t)n >= size - length - 1)
            return false;
        length += (size_t)n;
    }
    line[length] = '\n';
    line[length + 1] = 0;
    return true;
}

int control_tell(const char *path, int count, char *const words[])
{
    char line[CONTROL_LINE_MAX], answer[CONTROL_LINE_MAX] = "";
    if (!join(count, words, line, sizeof line)) {
        fprintf(stderr, "the command is too long\n");
        return 2;
    }
    const int fd = listener_connect(path);
    FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
    if (!stream) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return 2;
    }
    const bool answered = fputs(line, stream) != EOF && fflush(stream) == 0 && fgets(answer, sizeof answer, stream);
    fclose(stream);
    if (!answered) {
        fprintf(stderr, "%s: no answer\n", path);
        return 2;
    }
    fputs(answer, stdout);
    return strncmp(answer, "ok", 2) == 0 ? 0 : 1;
}
