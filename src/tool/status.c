/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status.c - the files in which the driver tells how long commands are getting on, read. */
#include "status.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "text.h"

#define LONGEST_FILE 1024
#define GRACE_MS 10000 /* after the driver has given up it needs a moment to say so */

int64_t status_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- one file ---- */

static const struct {
    const char *key;
    size_t offset;
    size_t text; /* the size of a text; 0: a number */
} FIELDS[] = {
    { "reader", offsetof(struct status, reader), sizeof ((struct status *)0)->reader },
    { "class", offsetof(struct status, class), sizeof ((struct status *)0)->class },
    { "bus", offsetof(struct status, bus), 0 },
    { "address", offsetof(struct status, address), 0 },
    { "pid", offsetof(struct status, pid), 0 },
    { "begun", offsetof(struct status, begun), 0 },
    { "heard", offsetof(struct status, heard), 0 },
    { "signs", offsetof(struct status, signs), 0 },
    { "silence-ends", offsetof(struct status, silence_ends), 0 },
    { "total-ends", offsetof(struct status, total_ends), 0 },
    { "usually-from", offsetof(struct status, usually_from), 0 },
    { "usually-to", offsetof(struct status, usually_to), 0 },
};
#define FIELD_COUNT (sizeof FIELDS / sizeof FIELDS[0])

/* It goes to a terminal, which obeys control characters. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = from[i];
    to[i] = '\0';
    for (; i-- > 0;)
        if (to[i] < ' ' || to[i] > '~' || to[i] == '"' || to[i] == '\\')
            to[i] = '?';
}

static bool read_number(const char *text, int64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= 0 && *number <= INT64_MAX / 4;
}

/* One bit a field that was understood; 0: this line is none, which a later driver may have reasons for. */
static unsigned read_line(char *line, struct status *status)
{
    char *value = strchr(line, '=');
    if (!value)
        return 0;
    *value++ = '\0';
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(FIELDS[i].key, line) != 0)
            continue;
        char *const field = (char *)status + FIELDS[i].offset;
        int64_t number;
        if (FIELDS[i].text > 0)
            copy_text(field, FIELDS[i].text, value);
        else if (read_number(value, &number))
            memcpy(field, &number, sizeof number);
        else
            return 0;
        return 1u << i;
    }
    return 0;
}

static bool parse(char *text, struct status *status)
{
    unsigned found = 0;
    char *rest = text;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        found |= read_line(line, status);
    return found == (1u << FIELD_COUNT) - 1;
}

static bool is_gone(int64_t pid)
{
    return pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

/* Its driver is gone, or should have ended it long ago. */
static bool is_stale(const struct status *status)
{
    return is_gone(status->pid) || status_now() > status->total_ends + GRACE_MS;
}

static bool read_file(int directory, const char *name, struct status *status)
{
    char text[LONGEST_FILE + 1];
    struct stat attributes;
    const int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return false;
    const bool regular = fstat(file, &attributes) == 0 && S_ISREG(attributes.st_mode);
    const ssize_t length = regular ? read(file, text, LONGEST_FILE) : -1;
    close(file);
    if (length <= 0)
        return false;
    text[length] = '\0';
    *status = (struct status){ .pid = 0 };
    return parse(text, status) && !is_stale(status);
}

/* ---- all ---- */

static int by_name(const struct dirent *entry)
{
    return fnmatch("ifd-nitrokey-[0-9][0-9][0-9]-[0-9][0-9][0-9]", entry->d_name, 0) == 0;
}

int status_read_all(const char *directory, struct status all[STATUS_MAX])
{
    struct dirent **entries;
    const int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    const int there = scandirat(descriptor, ".", &entries, by_name, alphasort);
    int count = there < 0 ? -1 : 0;
    for (int i = 0; i < there; i++) {
        if (count < STATUS_MAX && read_file(descriptor, entries[i]->d_name, &all[count]))
            count++;
        free(entries[i]);
    }
    if (there >= 0)
        free(entries);
    const int error = errno;
    close(descriptor);
    errno = error;
    return count;
}

bool status_reader(const char *directory, unsigned bus, unsigned address, struct status_reader *reader)
{
    char path[PATH_MAX], text[LONGEST_FILE];
    long pid = 0;
    long long until = 0;
    struct status_reader told = { .number = -1 };
    *reader = told;
    snprintf(path, sizeof path, "%s/ifd-nitrokey-%03u-%03u.reader", directory, bus, address);
    if (text_read_file(path, text, sizeof text) < 0 ||
        sscanf(text, "pid=%ld\nnumber=%ld\nstate=%15[a-z]\nuntil=%lld", &pid, &told.number, told.state, &until) < 2 ||
        is_gone(pid))
        return false;
    told.until = until;
    *reader = told;
    return true;
}

const char *status_reader_in_words(const struct status_reader *reader, char words[STATUS_WORDS])
{
    const long long left_s = reader->until > status_now() ? (reader->until - status_now()) / 1000 : 0;
    if (strcmp(reader->state, "dead") == 0)
        return "its firmware serves no command any more: unplug it and plug it in again";
    if (strcmp(reader->state, "silent") == 0)
        return "it does not answer, and has no card until it does: unplug it and plug it in again if this stays";
    if (strcmp(reader->state, "late") == 0)
        return "a command was given up, and the key may still be at work for it: the next one waits for that";
    if (strcmp(reader->state, "held") != 0)
        return NULL;
    snprintf(words, STATUS_WORDS, "held back for %lld:%02lld at most, since it may be at work for a pcscd that has ended, "
             "and a command would make its firmware stop: unplug it and plug it in again to use it at once",
             left_s / 60, left_s % 60);
    return words;
}
