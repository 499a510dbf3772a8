/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_keys.c - doctor: is there a key, may pcscd open its node, what happens to it at suspend. */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "doctor.h"
#include "rules.h"
#include "text.h"

/* ---- is there one ---- */

static void tell_of_absence(const struct scene *scene, struct report *report)
{
    if (!scene->has_usb)
        tell(report, WRONG, "key", NULL,
             "the kernel shows no USB devices (/sys/bus/usb): this may be a container without them");
    else
        tell(report, WRONG, "key", "ifd-nitrokey list", "no Nitrokey with a smart card interface is plugged in: "
             "plug it in, try another socket, or one without a hub");
}

/* It is there, but the kernel could not set its configuration, so that it has no interfaces: in a virtual machine,
 * because a program outside has claimed them. */
static bool tell_of_unconfigured(const struct key *key, const char *name, struct report *report)
{
    char value[8], line[LINE_MAX_TO_TYPE];
    if (key_attribute(key, "bConfigurationValue", value, sizeof value))
        return false;
    if (strcmp(key->driver, "usbip-host") == 0) {
        line_to_type(line, "sudo usbip unbind --busid=%s", key->port);
        tell(report, WRONG, "holder", line, "%s at %s is shared by USB/IP, and so is not for this computer", name,
             key->port);
        return true;
    }
    line_to_type(line, "echo 1 | sudo tee /sys/bus/usb/devices/%s/bConfigurationValue", key->port);
    tell(report, WRONG, "key", line,
         "%s at %s is there but is not configured, as when the computer that this virtual machine runs on still uses "
         "it itself. End that, there, as by \"" STOP_PCSCD "\"; then, here:",
         name, key->port);
    return true;
}

/* One that this driver does not serve. Returns whether it is a smart card key. */
static bool tell_of_other(const struct key *key, struct report *report)
{
    char name[KEY_NAME_SIZE], line[LINE_MAX_TO_TYPE];
    key_name(key, name);
    if (tell_of_unconfigured(key, name, report))
        return true;
    if (key->ccid_interface >= 0) {
        line_to_type(line, "ifd-nitrokey describe %s", key->port);
        tell(report, UNSEEN, "key", line,
             "%s (%04x:%04x) at %s is new to this driver: this makes a file of it to be sent in", name, key->vendor_id,
             key->product_id, key->port);
        return true;
    }
    tell(report, FINE, "key", NULL, "%s (%04x:%04x) at %s has no smart card interface%s", name, key->vendor_id,
         key->product_id, key->port,
         key->model ? " now: its firmware is being updated" : ", so it is not for this driver");
    return false;
}

void check_keys(const struct scene *scene, struct report *report)
{
    char name[KEY_NAME_SIZE];
    bool is_there = scene->key_count > 0;
    for (int i = 0; i < scene->key_count; i++) {
        key_name(&scene->keys[i], name);
        tell(report, FINE, "key", NULL, "%s (%04x:%04x) is plugged in at %s", name, scene->keys[i].vendor_id,
             scene->keys[i].product_id, scene->keys[i].port);
    }
    for (int i = 0; i < scene->other_count; i++)
        is_there |= tell_of_other(&scene->other[i], report);
    if (!is_there)
        tell_of_absence(scene, report);
}

/* ---- may pcscd open it ---- */

const char *user_name(uid_t user)
{
    const struct passwd *const entry = getpwuid(user);
    return entry ? entry->pw_name : "an unknown user";
}

/* A rule for pcscd's group is there and was not applied, or one is to be made. */
static void node_line(const struct scene *scene, const struct key *key, char line[LINE_MAX_TO_TYPE])
{
    const struct group *const entry = getgrgid(scene->pcscd_groups[0]);
    const char *const group = entry ? entry->gr_name : "pcscd";
    char apply[LINE_MAX_TO_TYPE], add[LINE_MAX_TO_TYPE] = "";
    rules_apply_line(key, apply);
    if (!rules_name_group(group))
        line_to_type(add,
                     "echo 'SUBSYSTEM==\"usb\", ATTR{idVendor}==\"%04x\", ATTR{idProduct}==\"%04x\", GROUP=\"%s\", "
                     "MODE=\"0660\"' | sudo tee -a " RULES_FOR_GROUP " && ",
                     key->vendor_id, key->product_id, group);
    line_to_type(line, "%s%s && %s", add, apply, scene->restart_pcscd);
}

static void check_node(const struct scene *scene, const struct key *key, struct report *report)
{
    char line[LINE_MAX_TO_TYPE];
    struct stat node;
    if (stat(key->node, &node) != 0) {
        tell(report, WRONG, "node", NULL, "%s is missing: a container has to be given it, as by --device=%s", key->node,
             key->node);
        return;
    }
    const struct group *const group = getgrgid(node.st_gid);
    if (scene->pcscd == 0)
        tell(report, UNSEEN, "node", NULL, "whether pcscd may open %s depends on its user, and it does not run",
             key->node);
    else if (scene_pcscd_may(scene, key->node))
        tell(report, FINE, "node", NULL, "pcscd runs as %s and may open %s", user_name(scene->pcscd_user), key->node);
    else {
        node_line(scene, key, line);
        tell(report, WRONG, "node", line, "pcscd runs as %s, who may not open %s: it is %s:%s's, mode %03o",
             user_name(scene->pcscd_user), key->node, user_name(node.st_uid), group ? group->gr_name : "?",
             node.st_mode & 0777u);
    }
}

void check_nodes(const struct scene *scene, struct report *report)
{
    for (int i = 0; i < scene->key_count; i++)
        check_node(scene, &scene->keys[i], report);
}

/* ---- suspend ---- */

static void check_suspended(const struct key *key, struct report *report)
{
    char persist[16], control[16], line[LINE_MAX_TO_TYPE];
    if (!key_attribute(key, "power/persist", persist, sizeof persist)) {
        tell(report, UNSEEN, "suspend", NULL, "what happens to %s when the computer sleeps: the kernel does not tell",
             key->port);
        return;
    }
    (void)key_attribute(key, "power/control", control, sizeof control);
    if (strcmp(persist, "1") == 0 && !key->has_disk) {
        rules_apply_line(key, line);
        tell(report, WRONG, "suspend", line,
             "after a sleep of the computer %s would seem the same although its PIN is forgotten "
             "(power/persist is 1)",
             key->port);
        return;
    }
    tell(report, FINE, "suspend", NULL, "%s %s; autosuspend is %s, and leaves a key that pcscd has open alone",
         key->port,
         key->has_disk ? "has a disk, which stays mounted over a sleep"
                       : "comes back from a sleep as a key plugged in anew",
         strcmp(control, "auto") == 0 ? "on" : "off");
}

void check_suspend(const struct scene *scene, struct report *report)
{
    for (int i = 0; i < scene->key_count; i++)
        check_suspended(&scene->keys[i], report);
}
