/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_readers.c - doctor: pcscd has a reader with a card for each key, or who has the key instead. */
#include <stdio.h>
#include <string.h>
#include "doctor.h"
#include "status.h"

#define STOP_SCDAEMON "gpgconf --kill scdaemon"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* libvirt starts QEMU with the machine's name. */
static void tell_of_machine(const struct key *key, const struct process *holder, struct report *report)
{
    char name[64], line[LINE_MAX_TO_TYPE] = "";
    if (process_guest(holder->pid, name, sizeof name))
        line_to_type(line,
                     "echo \"<hostdev mode='subsystem' type='usb'><source><address bus='%u' device='%u'/></source>"
                     "</hostdev>\" | sudo virsh detach-device %s /dev/stdin",
                     key->bus, key->address, name);
    tell(report, WRONG, "holder", line, "the virtual machine of %s (process %d) has %s: take the key out of it%s",
         holder->name, (int)holder->pid, key->node,
         line[0] ? "" : ", in its menu of USB devices, or by device_del in QEMU's monitor");
}

static void tell_of_holder(const struct key *key, const struct process *holder, struct report *report)
{
    char line[LINE_MAX_TO_TYPE];
    line_to_type(line, "kill %d", (int)holder->pid);
    if (strcmp(holder->name, "scdaemon") == 0)
        tell(report, WRONG, "holder", STOP_SCDAEMON, "GnuPG's own driver in scdaemon (process %d) has %s",
             (int)holder->pid, key->node);
    else if (starts_with(holder->name, "qemu") || starts_with(holder->name, "VirtualBox") ||
             starts_with(holder->name, "vmware"))
        tell_of_machine(key, holder, report);
    else
        tell(report, WRONG, "holder", line, "%s (process %d) has %s: end it, or:", holder->name, (int)holder->pid,
             key->node);
}

/* No driver of the kernel's is for smart cards; but it takes what it is told to. */
static void tell_of_kernel(const struct scene *scene, const struct key *key, struct report *report)
{
    char line[LINE_MAX_TO_TYPE];
    line_to_type(line, "echo %s:1.%d | sudo tee /sys/bus/usb/drivers/%s/unbind && %s", key->port, key->ccid_interface,
                 quoted(key->driver), scene->restart_pcscd);
    tell(report, WRONG, "holder", line, "the kernel's driver %s has %s at %s", key->driver, key->node, key->port);
}

/* Those which have the node open beside pcscd. True when somebody has been named. */
static bool tell_of_holders(const struct scene *scene, const struct key *key, struct report *report)
{
    struct processes holders;
    bool told = false;
    processes_with_open(key->node, &holders);
    for (int i = 0; i < holders.count; i++)
        if (strcmp(holders.all[i].name, "pcscd") != 0) {
            tell_of_holder(key, &holders.all[i], report);
            told = true;
        }
    if (!told && holders.count == 0 && strcmp(key->driver, "usbfs") == 0)
        tell(report, UNSEEN, "holder", "sudo ifd-nitrokey list", "a program that only root can see has %s", key->node);
    else if (!told && key->driver[0] && strcmp(key->driver, "usbfs") != 0) {
        tell_of_kernel(scene, key, report);
        told = true;
    }
    return told;
}

/* What the driver knows of it, and pcscd cannot show. */
static bool tell_of_state(const struct key *key, enum verdict verdict, struct report *report)
{
    struct status_reader reader;
    char words[STATUS_WORDS];
    (void)status_reader(RUN_DIRECTORY, key->bus, key->address, &reader);
    const char *const why = status_reader_in_words(&reader, words);
    if (why)
        tell(report, verdict, "state", NULL, "%s at %s: %s", key->model->name, key->port, why);
    return why != NULL;
}

static void check_missing(const struct scene *scene, const struct key *key, const struct pcsc_reader *reader,
                          struct report *report)
{
    const char *const log = scene->has_systemd ? "sudo journalctl -u pcscd -n 50" : "sudo grep pcscd /var/log/syslog";
    const bool is_told = tell_of_holders(scene, key, report) || tell_of_state(key, WRONG, report);
    if (reader && !is_told)
        tell(report, WRONG, "reader", log,
             "%s is there without a card: take the key out, and plug it in again. pcscd's log says why:", reader->name);
    else if (!is_told && told_wrong(report) == 0)
        tell(report, WRONG, "reader", scene->restart_pcscd,
             "pcscd has no reader for %s, although nothing else is wrong", key->port);
    else if (!is_told)
        tell(report, WRONG, "reader", NULL, "pcscd has no reader for %s; see above", key->port);
}

/* pcscd's process shows its drivers to root. */
static void check_driver(const struct scene *scene, const struct pcsc_reader *reader, struct report *report)
{
    const int ours = scene->pcscd > 0 ? process_has_loaded(scene->pcscd, "/ifd-nitrokey.bundle/") : -1;
    if (ours == 0)
        tell(report, WRONG, "driver", scene->restart_pcscd, "%s is there, but by another driver", reader->name);
    else
        tell(report, FINE, "reader", NULL, "%s has a card", reader->name);
    if (ours < 0)
        tell(report, UNSEEN, "driver", "sudo ifd-nitrokey list", "which of its drivers pcscd uses only root can see");
}

void check_readers(const struct scene *scene, struct report *report)
{
    for (int i = 0; scene->pcsc.answers && i < scene->key_count; i++) {
        bool sure;
        const struct pcsc_reader *const reader = pcsc_reader_of(&scene->pcsc, &scene->keys[i], &sure);
        if (!reader || !reader->has_card) {
            check_missing(scene, &scene->keys[i], reader, report);
            continue;
        }
        check_driver(scene, reader, report);
        (void)tell_of_state(&scene->keys[i], FINE, report);
    }
}
