/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_bundles.c - doctor: pcscd's drivers: ours is there, nobody is in its way, and pcscd has read it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "doctor.h"
#include "plist.h"
#include "text.h"

#define OUR_BUNDLE "ifd-nitrokey.bundle"

/* A line, and then pcscd is to look again. */
static const char *and_restart(const struct scene *scene, const char *first)
{
    static char line[LINE_MAX_TO_TYPE];
    line_to_type(line, "%s && %s", first, scene->restart_pcscd);
    return line;
}

/* pcscd takes everything whose name has ".bundle" in it. */
static const char *move_away(const struct scene *scene, const char *bundle)
{
    static char line[LINE_MAX_TO_TYPE];
    char from[PATH_MAX + 300], to[PATH_MAX + 300];
    snprintf(from, sizeof from, "%s/%s", scene->drivers, bundle);
    snprintf(to, sizeof to, "%s/%.*s.off", scene->drivers, (int)(strstr(bundle, ".bundle") - bundle), bundle);
    line_to_type(line, "sudo mv %s %s", quoted(from), quoted(to));
    return line;
}

/* ---- one bundle ---- */

static bool read_bundle(const struct scene *scene, const char *name, struct plist *plist)
{
    char path[PATH_MAX + 300];
    snprintf(path, sizeof path, "%s/%s/Contents/Info.plist", scene->drivers, name);
    return plist_read(path, plist);
}

static const struct key *contested(const struct scene *scene, const struct plist *plist)
{
    for (int i = 0; i < scene->key_count; i++)
        if (plist_names(plist, scene->keys[i].vendor_id, scene->keys[i].product_id))
            return &scene->keys[i];
    return NULL;
}

static void check_other(const struct scene *scene, const char *name, struct report *report)
{
    static struct plist plist;
    if (!read_bundle(scene, name, &plist))
        return; /* pcscd passes it over */
    if (plist.vendors != plist.products || plist.vendors != plist.names) {
        tell(report, WRONG, "bundle", and_restart(scene, move_away(scene, name)),
             "%s/%s has an Info.plist with %zu vendors, %zu "
             "products and %zu names: pcscd then gives up the other drivers as well",
             scene->drivers, name, plist.vendors, plist.products, plist.names);
        return;
    }
    const struct key *const key = plist.is_class_driver ? NULL : contested(scene, &plist);
    if (key)
        tell(report, WRONG, "bundle", and_restart(scene, move_away(scene, name)),
             "%s/%s names %04x:%04x too: which driver gets the "
             "key is chance",
             scene->drivers, name, key->vendor_id, key->product_id);
}

static int is_other_bundle(const struct dirent *entry)
{
    return strstr(entry->d_name, ".bundle") && strcmp(entry->d_name, OUR_BUNDLE) != 0;
}

static void check_others(const struct scene *scene, struct report *report)
{
    struct dirent **entries;
    const int count = scandir(scene->drivers, &entries, is_other_bundle, alphasort);
    for (int i = 0; i < count; i++) {
        check_other(scene, entries[i]->d_name, report);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* ---- ours ---- */

static void library_path(const struct scene *scene, const struct plist *plist, char path[PATH_MAX + 300])
{
    snprintf(path, PATH_MAX + 300, "%s/" OUR_BUNDLE "/Contents/Linux/%s", scene->drivers, plist->executable);
}

static bool check_ours(const struct scene *scene, struct report *report)
{
    static struct plist plist;
    char library[PATH_MAX + 300], line[LINE_MAX_TO_TYPE];
    const char *const again = and_restart(scene, scene->install_again);
    const int before = told_wrong(report);
    if (!read_bundle(scene, OUR_BUNDLE, &plist)) {
        const bool elsewhere = strcmp(scene->drivers, DRIVERS_DIRECTORY) != 0 &&
                               access(DRIVERS_DIRECTORY "/" OUR_BUNDLE "/Contents/Info.plist", R_OK) == 0;
        line_to_type(line, "sudo ln -s %s %s && %s", quoted(DRIVERS_DIRECTORY "/" OUR_BUNDLE), quoted(scene->drivers),
                 scene->restart_pcscd);
        tell(report, WRONG, "bundle", elsewhere ? line : again,
             "pcscd looks for drivers in %s, and " OUR_BUNDLE " is %s", scene->drivers,
             elsewhere ? "in " DRIVERS_DIRECTORY : "not there");
        return false;
    }
    library_path(scene, &plist, library);
    if (plist.vendors != plist.products || plist.vendors != plist.names || plist.executable[0] == '\0' ||
        plist.is_class_driver)
        tell(report, WRONG, "bundle", again,
             "the Info.plist of %s/" OUR_BUNDLE " has been damaged: it has %zu vendors, %zu "
             "products and %zu names",
             scene->drivers, plist.vendors, plist.products, plist.names);
    else if (access(library, R_OK) != 0)
        tell(report, WRONG, "bundle", again, "%s is missing", library);
    for (int i = 0; i < scene->key_count && told_wrong(report) == before; i++)
        if (!plist_names(&plist, scene->keys[i].vendor_id, scene->keys[i].product_id))
            tell(report, WRONG, "bundle", again, "the Info.plist of %s/" OUR_BUNDLE " does not name %04x:%04x",
                 scene->drivers, scene->keys[i].vendor_id, scene->keys[i].product_id);
    if (told_wrong(report) == before)
        tell(report, FINE, "bundle", NULL, "the driver is in %s", scene->drivers);
    return told_wrong(report) == before;
}

/* ---- has pcscd read it ---- */

static int64_t ms(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* When a process was started, in ms since the Epoch; 0: not known. proc(5): field 22, in ticks since the boot. */
static int64_t started(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long ticks = 0;
    struct timespec now, boot;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *const rest = text_read_file(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (!rest ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return ms(now) - ms(boot) + (int64_t)(ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* Changed, moved or given other permissions. */
static bool is_newer(const char *path, int64_t than_ms)
{
    struct stat file;
    return stat(path, &file) == 0 && ms(file.st_ctim) > than_ms;
}

static void check_age(const struct scene *scene, struct report *report)
{
    static struct plist plist;
    char library[PATH_MAX + 300], info[PATH_MAX + 300];
    const int64_t since = scene->pcscd > 0 ? started(scene->pcscd) : 0;
    snprintf(info, sizeof info, "%s/" OUR_BUNDLE "/Contents/Info.plist", scene->drivers);
    if (since == 0 || !plist_read(info, &plist))
        return;
    library_path(scene, &plist, library);
    if (is_newer(info, since) || is_newer(library, since))
        tell(report, WRONG, "stale", scene->restart_pcscd,
             "pcscd was started before the driver was installed, and does not know "
             "of it");
    else
        tell(report, FINE, "stale", NULL, "pcscd was started after the driver was installed");
}

void check_bundles(const struct scene *scene, struct report *report)
{
    if (scene->pcscd_path[0] == '\0')
        return;
    const bool fine = check_ours(scene, report);
    check_others(scene, report);
    if (fine)
        check_age(scene, report);
}
