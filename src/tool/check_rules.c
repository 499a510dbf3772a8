/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_rules.c - doctor: udev's rule files: missing, shadowed by another of the same name, or too late in order. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "doctor.h"
#include "rules.h"
#include "text.h"

#define SEAT_RULES 73 /* 73-seat-late.rules makes access of the tag "uaccess"; later rules set it in vain */
#define RULES_SIZE 65536

/* A file in one directory hides those of the same name in the ones behind it. */
static const char *const DIRECTORIES[] = {
    "/etc/udev/rules.d",     "/run/udev/rules.d", "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d", "/lib/udev/rules.d",
};
#define DIRECTORY_COUNT (sizeof DIRECTORIES / sizeof DIRECTORIES[0])

static char *read_rules(const char *path)
{
    static char text[RULES_SIZE];
    return text_read_file(path, text, sizeof text) < 0 ? NULL : text;
}

/* The file that udev takes, and the one that this hides, if it says something else. */
static bool find_rules(char taken[PATH_MAX], char hidden[PATH_MAX])
{
    static char first[RULES_SIZE];
    taken[0] = hidden[0] = '\0';
    for (size_t i = 0; i < DIRECTORY_COUNT && !hidden[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/" RULES_FILE, DIRECTORIES[i]);
        const char *const text = read_rules(path);
        if (!text)
            continue;
        if (!taken[0])
            snprintf(taken, PATH_MAX, "%s", path), snprintf(first, sizeof first, "%s", text);
        else if (strcmp(first, text) != 0)
            snprintf(hidden, PATH_MAX, "%s", path);
    }
    return taken[0] != '\0';
}

static int is_renamed(const struct dirent *entry)
{
    return fnmatch("*ifd-nitrokey*.rules", entry->d_name, 0) == 0 && strcmp(entry->d_name, RULES_FILE) != 0 &&
           atoi(entry->d_name) >= SEAT_RULES;
}

/* A rule file of ours whose number is too high. */
static bool find_late(char path[PATH_MAX], const char **directory)
{
    for (size_t i = 0; i < DIRECTORY_COUNT; i++) {
        struct dirent **entries;
        const int count = scandir(DIRECTORIES[i], &entries, is_renamed, alphasort);
        if (count > 0)
            snprintf(path, PATH_MAX, "%s/%s", DIRECTORIES[i], entries[0]->d_name);
        *directory = DIRECTORIES[i];
        for (int k = 0; k < count; k++)
            free(entries[k]);
        if (count >= 0)
            free(entries);
        if (count > 0)
            return true;
    }
    return false;
}

void rules_apply_line(const struct key *key, char line[LINE_MAX_TO_TYPE])
{
    line_to_type(line,
                 "sudo udevadm control --reload && sudo udevadm trigger --settle --action=add /sys/bus/usb/devices/%s",
                 key->port);
}

bool rules_name_group(const char *group)
{
    char pattern[128], taken[PATH_MAX], hidden[PATH_MAX];
    snprintf(pattern, sizeof pattern, "GROUP}=\"%s\"", group);
    const char *text = find_rules(taken, hidden) ? read_rules(taken) : NULL;
    if (text && strstr(text, pattern))
        return true;
    snprintf(pattern, sizeof pattern, "GROUP=\"%s\"", group);
    text = read_rules(RULES_FOR_GROUP);
    return text && strstr(text, pattern);
}

/* The installation again, of which pcscd and udev are to learn. */
static const char *install_again(const struct scene *scene)
{
    static char line[LINE_MAX_TO_TYPE];
    line_to_type(line, "%s && %s", scene->install_again, scene->restart_pcscd);
    return line;
}

/* The line FIRST, and then udev reads its rules again. */
static const char *and_apply(const char *first, const struct scene *scene)
{
    static char line[LINE_MAX_TO_TYPE];
    char apply[LINE_MAX_TO_TYPE] = "sudo udevadm control --reload";
    if (scene->key_count > 0)
        rules_apply_line(&scene->keys[0], apply);
    line_to_type(line, "%s && %s", first, apply);
    return line;
}

void check_rules(const struct scene *scene, struct report *report)
{
    char taken[PATH_MAX], hidden[PATH_MAX], late[PATH_MAX], first[LINE_MAX_TO_TYPE];
    const char *directory;
    const bool found = find_rules(taken, hidden);
    const char *const text = found ? read_rules(taken) : NULL;
    if (find_late(late, &directory)) {
        line_to_type(first, "sudo mv %s %s/" RULES_FILE, quoted(late), directory);
        tell(report, WRONG, "rules", and_apply(first, scene),
             "%s comes too late: its number must be below %d, where the person "
             "at the seat gets access",
             late, SEAT_RULES);
    } else if (!found) {
        tell(report, WRONG, "rules", and_apply(install_again(scene), scene), "udev has no " RULES_FILE);
    } else if (hidden[0]) {
        line_to_type(first, "sudo mv %s %s.off", taken, taken); /* it may be somebody's work */
        tell(report, WRONG, "rules", and_apply(first, scene), "%s hides %s, and says something else", taken, hidden);
    } else if (!strstr(text, "ID_SMARTCARD_READER")) {
        tell(report, WRONG, "rules", and_apply(install_again(scene), scene), "%s does not say what it should", taken);
    } else {
        tell(report, FINE, "rules", NULL, "udev's rules are in %s", taken);
    }
}
