/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_clients.c - doctor: the settings of the programs that use the key: GnuPG and OpenSC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "doctor.h"
#include "run.h"
#include "text.h"

#define STOP_SCDAEMON "gpgconf --kill scdaemon"

/* ---- GnuPG ---- */

struct gnupg {
    char home[PATH_MAX], version[32], scdaemon[PATH_MAX];
    bool disable_ccid, pcsc_shared;
    char reader_port[128], reader_port_in[PATH_MAX + 32]; /* and the file that says so */
};

/* "scdaemon:Smartcards:/usr/lib/gnupg/scdaemon" */
static void find_scdaemon(struct gnupg *gnupg)
{
    char text[4096], *rest = NULL;
    const char *const ask[] = { "gpgconf", "--list-components", NULL };
    if (!run(ask, text, sizeof text))
        return;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "scdaemon:", 9) == 0 && strrchr(line, ':')) {
            snprintf(gnupg->scdaemon, sizeof gnupg->scdaemon, "%s", strrchr(line, ':') + 1);
            text_unescape(gnupg->scdaemon);
        }
    if (access(gnupg->scdaemon, X_OK) != 0)
        gnupg->scdaemon[0] = '\0';
}

static bool is_option(const char *line, const char *name, const char **value)
{
    const size_t length = strlen(name);
    line += strspn(line, " \t-");
    if (strncmp(line, name, length) != 0 || (line[length] && !strchr(" \t=", line[length])))
        return false;
    *value = line + length + strspn(line + length, " \t=\"");
    return true;
}

static void read_options(struct gnupg *gnupg, const char *path)
{
    char text[16384], *rest = NULL;
    const char *value;
    if (text_read_file(path, text, sizeof text) < 0)
        return;
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        gnupg->disable_ccid = gnupg->disable_ccid || is_option(line, "disable-ccid", &value);
        gnupg->pcsc_shared = gnupg->pcsc_shared || is_option(line, "pcsc-shared", &value);
        if (is_option(line, "reader-port", &value)) {
            snprintf(gnupg->reader_port, sizeof gnupg->reader_port, "%.*s", (int)strcspn(value, "\""), value);
            snprintf(gnupg->reader_port_in, sizeof gnupg->reader_port_in, "%s", path);
        }
    }
}

static bool read_gnupg(struct gnupg *gnupg)
{
    char text[512], path[PATH_MAX + 32];
    const char *const version[] = { "gpg", "--version", NULL }, *const home[] = { "gpgconf", "--list-dirs", "homedir",
                                                                                  NULL };
    *gnupg = (struct gnupg){ .version = "" };
    if (!run(version, text, sizeof text) || sscanf(text, "gpg (%*[^)]) %31s", gnupg->version) != 1)
        return false;
    find_scdaemon(gnupg);
    read_options(gnupg, "/etc/gnupg/scdaemon.conf");
    if (run(home, gnupg->home, sizeof gnupg->home)) {
        gnupg->home[strcspn(gnupg->home, "\n")] = '\0';
        text_unescape(gnupg->home);
        snprintf(path, sizeof path, "%s/scdaemon.conf", gnupg->home);
        read_options(gnupg, path);
    }
    return true;
}

/* Its directory as a person types it, "~/.gnupg" or within quotation marks. */
static const char *typed_home(const struct gnupg *gnupg)
{
    const char *const home = getenv("HOME");
    const size_t length = home ? strlen(home) : 0;
    if (length > 0 && strncmp(gnupg->home, home, length) == 0 && strcmp(gnupg->home + length, "/.gnupg") == 0)
        return "~/.gnupg";
    return quoted(gnupg->home);
}

/* scdaemon takes a number, or the beginning of a reader's name. */
static void check_reader_port(const struct scene *scene, const struct gnupg *gnupg, struct report *report)
{
    char line[LINE_MAX_TO_TYPE];
    bool found = gnupg->reader_port[0] == '\0' || gnupg->reader_port[strspn(gnupg->reader_port, "0123456789")] == '\0';
    for (int i = 0; i < scene->pcsc.count; i++)
        found = found || strncmp(scene->pcsc.readers[i].name, gnupg->reader_port, strlen(gnupg->reader_port)) == 0;
    if (found || !scene->pcsc.answers || scene->pcsc.count == 0)
        return;
    line_to_type(line, "%ssed -i -E 's/^[ -]*reader-port/#&/' %s && " STOP_SCDAEMON,
                 access(gnupg->reader_port_in, W_OK) == 0 ? "" : "sudo ", quoted(gnupg->reader_port_in));
    tell(report, WRONG, "gnupg", line, "%s names the reader \"%s\", and no reader's name begins so",
         gnupg->reader_port_in, gnupg->reader_port);
}

void check_gnupg(const struct scene *scene, struct report *report)
{
    static struct gnupg gnupg;
    char line[LINE_MAX_TO_TYPE];
    if (scene->is_root && getenv("SUDO_USER")) {
        tell(report, UNSEEN, "gnupg", "ifd-nitrokey doctor",
             "GnuPG has settings for each person: those of %s are seen without sudo", getenv("SUDO_USER"));
        return;
    }
    if (!read_gnupg(&gnupg))
        return;
    if (gnupg.scdaemon[0] == '\0') {
        tell(report, WRONG, "gnupg", scene->install_scdaemon,
             "GnuPG %s is there without scdaemon, so it cannot use a key", gnupg.version);
        return;
    }
    if (!gnupg.disable_ccid) {
        const char *const home = typed_home(&gnupg);
        line_to_type(line, "mkdir -p -m 700 %s && printf '\\ndisable-ccid\\n' >>%s/scdaemon.conf && " STOP_SCDAEMON,
                     home, home); /* the last line of the file may have no end */
        tell(report, WRONG, "gnupg", line, "GnuPG %s uses a driver of its own with time limits of its own, past pcscd",
             gnupg.version);
    } else {
        tell(report, FINE, "gnupg", NULL, "GnuPG %s goes through pcscd%s", gnupg.version, gnupg.pcsc_shared ?
             ", and shares the key with other programs (pcsc-shared)" :
             "; with pcsc-shared in scdaemon.conf it would let other programs use the key meanwhile");
    }
    check_reader_port(scene, &gnupg, report);
}

/* ---- OpenSC ---- */

/* Its settings, where OPENSC_CONF or the distribution has put them. */
static const char *opensc_settings(void)
{
    const char *const set = getenv("OPENSC_CONF");
    return set ? set : access("/etc/opensc.conf", F_OK) == 0 ? "/etc/opensc.conf" : "/etc/opensc/opensc.conf";
}

void check_opensc(const struct scene *scene, struct report *report)
{
    char text[8192], path[PATH_MAX], line[LINE_MAX_TO_TYPE];
    const char *const ask[] = { "opensc-tool", "--list-readers", NULL };
    if (!scene->pcsc.answers || scene->pcsc.count == 0 || !run_find("opensc-tool", path, sizeof path))
        return;
    const bool ran = run(ask, text, sizeof text);
    line_to_type(line, "sudo sed -i -E 's/^([^#]*)ignored_readers *=[^;]*;/\\1/' %s", quoted(opensc_settings()));
    for (int i = 0; i < scene->key_count; i++) {
        bool sure;
        const struct pcsc_reader *const reader = pcsc_reader_of(&scene->pcsc, &scene->keys[i], &sure);
        if (!reader)
            continue;
        if (!ran)
            tell(report, UNSEEN, "opensc", "opensc-tool --list-readers",
                 "OpenSC does not tell which readers it sees; this shows why:");
        else if (strstr(text, reader->name))
            tell(report, FINE, "opensc", NULL, "OpenSC sees %s", reader->name);
        else
            tell(report, WRONG, "opensc", line,
                 "OpenSC does not see %s: its settings leave the reader out (ignored_readers)", reader->name);
    }
}
