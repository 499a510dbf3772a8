/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor.h - what the checks of "ifd-nitrokey doctor" look at, and how they tell. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include "keys.h"
#include "pcsc.h"
#include "processes.h"

#define LINE_MAX_TO_TYPE 1500
#define GROUPS_MAX 64
#define STOP_PCSCD "sudo systemctl stop pcscd.socket pcscd.service"

/* The machine, looked at once. */
struct scene {
    struct key keys[KEYS_MAX];
    int key_count;                /* with a CCID interface that the driver knows; the others are left out */
    struct key other[KEYS_MAX];   /* of Nitrokey's, but not for this driver */
    int other_count;
    bool has_usb;                 /* there is a sysfs with USB */
    struct pcsc pcsc;
    char pcscd_path[PATH_MAX];    /* "" : not installed */
    char drivers[PATH_MAX];       /* the directory where that pcscd looks for bundles */
    bool has_polkit;              /* that pcscd asks polkit about its clients */
    pid_t pcscd;                  /* 0: it does not run, or is hidden from us */
    uid_t pcscd_user;
    gid_t pcscd_groups[GROUPS_MAX];
    int pcscd_group_count;
    bool has_systemd;
    const char *restart_pcscd, *start_pcscd, *install_again;  /* lines to type */
    const char *install_pcscd, *install_scdaemon; /* NULL: the distribution's way is not known */
    bool is_root;
};

void scene_look(struct scene *scene);

/* Whether pcscd's user may read and write what has this owner, group and mode. */
bool scene_pcscd_may(const struct scene *scene, const char *path);

/* Good until the next call. */
const char *user_name(uid_t user);

/* Makes a line to type. One that does not fit becomes "", since half a command may do harm. */
void line_to_type(char line[LINE_MAX_TO_TYPE], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A name as a shell takes it for one word: within quotation marks. Good until the fourth call after this one; "" if it is
 * too long. */
const char *quoted(const char *name);

/* The line that lets a user in to pcscd whom polkit turns away. */
void polkit_line(char line[LINE_MAX_TO_TYPE], const char *user);

enum verdict { FINE, WRONG, UNSEEN };

struct report;

/* Tells a finding. check is its short name, for JSON; type is the line that mends it; NULL or "": none. */
void tell(struct report *report, enum verdict verdict, const char *check, const char *type, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* How many have been WRONG so far. */
int told_wrong(const struct report *report);

/* The checks; each looks at one matter and tells at least one thing about it, or nothing where it does not apply. */
void check_keys(const struct scene *scene, struct report *report);
void check_machine(const struct scene *scene, struct report *report);
void check_pcscd(const struct scene *scene, struct report *report);
void check_bundles(const struct scene *scene, struct report *report);
void check_rules(const struct scene *scene, struct report *report);
void check_nodes(const struct scene *scene, struct report *report);
void check_suspend(const struct scene *scene, struct report *report);
void check_gnupg(const struct scene *scene, struct report *report);
void check_readers(const struct scene *scene, struct report *report);
void check_opensc(const struct scene *scene, struct report *report);
