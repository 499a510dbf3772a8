/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_pcscd.c - doctor: is pcscd there, does it run and answer, and will it do so tomorrow. */
#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "doctor.h"
#include "run.h"

#define USER_MAX 256 /* bytes of a name, with its end: more than useradd allows */
#define SYSTEM_BUS "/run/dbus/system_bus_socket"

/* pcscd takes it for a no when it cannot ask. */
static void tell_of_no_bus(const struct scene *scene, struct report *report)
{
    char line[LINE_MAX_TO_TYPE];
    line_to_type(line, "sudo %s && %s", scene->has_systemd ? "systemctl start dbus" : "service dbus start",
                 scene->restart_pcscd);
    tell(report, WRONG, "polkit", line,
         "pcscd runs but turns everybody away (%s): it asks polkit by D-Bus, and there is no " SYSTEM_BUS,
         scene->pcsc.why);
}

/* A name such as DOMAIN\name as it stands in a string of JavaScript, and in a file's name. */
static void spell_user(const char *user, char string[2 * USER_MAX], char file[USER_MAX])
{
    size_t length = 0, i = 0;
    for (; user[i] && i + 1 < USER_MAX; i++) {
        if (strchr("\"\\", user[i]))
            string[length++] = '\\';
        string[length++] = user[i];
        file[i] = user[i];
        if (!isalnum((unsigned char)user[i]) && !strchr("-._", user[i]))
            file[i] = '_';
    }
    string[length] = file[i] = '\0';
}

/* polkitd, which is not root, reads the rule. A file that sudo makes may be root's alone, if the person's umask is so. The
 * echo of some shells, as of root's, makes other characters of a backslash and what follows it. */
void polkit_line(char line[LINE_MAX_TO_TYPE], const char *user)
{
    char string[2 * USER_MAX], file[USER_MAX], rule[LINE_MAX_TO_TYPE];
    spell_user(user, string, file);
    line_to_type(rule,
                 "polkit.addRule(function(action, subject) { if (action.id.indexOf(\"org.debian.pcsc-lite.\") == 0 && "
                 "subject.user == \"%s\") return polkit.Result.YES; });",
                 string);
    line_to_type(line,
                 "printf '%%s\\n' %s | sudo sh -c 'umask 022 && cat >/etc/polkit-1/rules.d/50-pcscd-%s.rules'",
                 quoted(rule), file);
}

static void tell_of_polkit(const struct scene *scene, struct report *report)
{
    char line[LINE_MAX_TO_TYPE];
    const struct passwd *const person = getpwuid(getuid());
    const char *const name = person ? person->pw_name : "NAME";
    polkit_line(line, name);
    tell(report, WRONG, "polkit", line,
         "pcscd runs but turns %s away (%s): polkit lets in who sits at the computer, not who comes by ssh", name,
         scene->pcsc.why);
}

static void tell_of_silence(const struct scene *scene, struct report *report)
{
    const bool is_refused = scene->pcscd > 0 && scene->has_polkit && !scene->pcsc.silent;
    if (is_refused && access(SYSTEM_BUS, F_OK) != 0) {
        tell_of_no_bus(scene, report);
    } else if (is_refused && !scene->is_root) {
        tell_of_polkit(scene, report);
    } else if (scene->pcscd > 0) {
        tell(report, WRONG, "pcscd", scene->restart_pcscd, "pcscd runs but does not answer: %s", scene->pcsc.why);
    } else {
        tell(report, WRONG, "pcscd", scene->start_pcscd, "pcscd does not run: %s", scene->pcsc.why);
    }
}

/* It runs now; after the next start of the computer it does if one of its units is on. */
static void check_units(const struct scene *scene, struct report *report)
{
    char socket[64], service[64];
    const char *const ask_socket[] = { "systemctl", "is-enabled", "pcscd.socket", NULL };
    const char *const ask_service[] = { "systemctl", "is-enabled", "pcscd.service", NULL };
    if (!scene->has_systemd)
        return;
    (void)run(ask_service, service, sizeof service); /* "indirect" is a word for: as the socket */
    const bool on = run(ask_socket, socket, sizeof socket) || strncmp(service, "enabled", 7) == 0;
    if (!on && socket[0])
        tell(report, WRONG, "socket", scene->start_pcscd,
             "pcscd.socket is %s: pcscd is not started when somebody needs it",
             strncmp(socket, "masked", 6) == 0 ? "masked" : "off");
    else if (on)
        tell(report, FINE, "socket", NULL, "systemd starts pcscd again after the next start of the computer");
}

/* ---- its run directory, by which watch and list learn what the driver does ---- */

#define UNIT_PART "/etc/systemd/system/pcscd.service.d/ifd-nitrokey.conf"

/* By its unit. ProtectSystem=strict alone does that; with ProtectProc=, as Debian 13 has it, systemd leaves /run
 * writable. */
static void tell_of_read_only(const struct scene *scene, const char *path, struct report *report)
{
    char line[LINE_MAX_TO_TYPE] = "";
    if (scene->has_systemd)
        line_to_type(line,
                     "printf '[Service]\\nReadWritePaths=%s\\n' | sudo install -D -m 644 /dev/stdin " UNIT_PART
                     " && sudo systemctl daemon-reload && %s",
                     path, scene->restart_pcscd);
    tell(report, WRONG, "rundir", line,
         "pcscd may only read %s: ifd-nitrokey watch does not learn what a key does, nor list which of equal keys has "
         "which reader",
         path);
}

static void check_run_directory(const struct scene *scene, struct report *report)
{
    char path[PATH_MAX], line[LINE_MAX_TO_TYPE];
    if (!realpath(RUN_DIRECTORY, path)) {
        tell(report, WRONG, "rundir", NULL,
             "there is no " RUN_DIRECTORY ": the driver was built for another run directory than pcscd's");
        return;
    }
    const int only_reads = scene->pcscd > 0 ? process_only_reads(scene->pcscd, path) : -1;
    if (only_reads < 0) {
        tell(report, UNSEEN, "rundir", scene->is_root ? NULL : "sudo ifd-nitrokey doctor",
             "whether pcscd may write to %s cannot be seen here", path);
    } else if (only_reads > 0) {
        tell_of_read_only(scene, path, report);
    } else if (!scene_pcscd_may(scene, path)) {
        line_to_type(line, "sudo chown %s %s", user_name(scene->pcscd_user), path);
        tell(report, WRONG, "rundir", line, "pcscd runs as %s, who may not write to %s, for ifd-nitrokey watch",
             user_name(scene->pcscd_user), path);
    } else {
        tell(report, FINE, "rundir", NULL, "pcscd may write to %s, for ifd-nitrokey watch", path);
    }
}

void check_pcscd(const struct scene *scene, struct report *report)
{
    if (scene->pcscd_path[0] == '\0' && scene->pcscd == 0 && !scene->pcsc.answers) {
        tell(report, WRONG, "pcscd", scene->install_pcscd, "pcscd is not installed");
        return;
    }
    if (scene->pcsc.answers)
        tell(report, FINE, "pcscd", NULL, "pcscd answers, and shows %d reader%s", scene->pcsc.count,
             scene->pcsc.count == 1 ? "" : "s");
    else
        tell_of_silence(scene, report);
    if (scene->pcscd > 0 || scene->pcsc.answers)
        check_run_directory(scene, report);
    check_units(scene, report);
}
