/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list.c - "ifd-nitrokey list": each Nitrokey that is plugged in, and who has it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "keys.h"
#include "pcsc.h"
#include "processes.h"
#include "status.h"
#include "text.h"
#include "verbs.h"

static const char USAGE[] = "Usage: ifd-nitrokey list [--json]\n"
                            "Shows each Nitrokey that is plugged in: what it calls itself, its serial number, the "
                            "version of its firmware where\n"
                            "it tells, where it is, which programs have it open, and the name of its reader. Asks the "
                            "kernel and pcscd, not the\n"
                            "key. Without root other people's programs are not seen.\n"
                            "\n"
                            "  --json  an array of objects\n"
                            "  --help  this text\n";

/* Which driver of pcscd has it, where that can be seen. */
static const char *driver_in_pcscd(const struct process *process)
{
    if (strcmp(process->name, "pcscd") != 0)
        return "";
    if (process_has_loaded(process->pid, "/ifd-nitrokey.bundle/") > 0)
        return ", driver ifd-nitrokey";
    return process_has_loaded(process->pid, "/ifd-ccid.bundle/") > 0 ? ", driver libccid" : "";
}

/* ---- for people ---- */

static void print_holders(const struct key *key)
{
    struct processes holders;
    processes_with_open(key->node, &holders);
    printf("  open in   ");
    for (int i = 0; i < holders.count; i++)
        printf("%s%s (%d%s)", i > 0 ? ", " : "", holders.all[i].name, (int)holders.all[i].pid,
               driver_in_pcscd(&holders.all[i]));
    if (holders.count == 0 && strcmp(key->driver, "usbfs") == 0)
        printf("a program that only root can see");
    else if (holders.count == 0 && key->driver[0])
        printf("the kernel, driver %s", key->driver);
    else if (holders.count == 0)
        printf(holders.some_unseen ? "nothing that can be seen without root" : "nothing");
    putchar('\n');
}

static void print_reader(const struct key *key, const struct pcsc *pcsc)
{
    bool sure;
    const struct pcsc_reader *const reader = pcsc_reader_of(pcsc, key, &sure);
    if (reader)
        printf("  reader    %s%s%s\n", reader->name, sure ? "" : ", or another of that name: the driver does not say, see ifd-nitrokey doctor",
               reader->has_card ? "" : ", without a card");
    else
        printf("  reader    none%s%s\n", pcsc->answers ? "" : ": ", pcsc->answers ? "" : pcsc->why);
}

static void print_state(const struct key *key)
{
    struct status_reader reader;
    char words[STATUS_WORDS];
    (void)status_reader(RUN_DIRECTORY, key->bus, key->address, &reader);
    const char *const why = status_reader_in_words(&reader, words);
    if (why)
        printf("  state     %s\n", why);
}

static void print_key(const struct key *key, const struct pcsc *pcsc)
{
    char name[KEY_NAME_SIZE], firmware[32];
    key_name(key, name);
    key_firmware(key, firmware);
    printf("%s (%04x:%04x)\n", name, key->vendor_id, key->product_id);
    printf("  serial    %s\n", key->serial[0] ? key->serial : "it does not tell");
    printf("  firmware  %s\n", firmware[0] ? firmware : "it does not tell");
    printf("  usb       %s, %s\n", key->port, key->node);
    if (key->ccid_interface < 0) {
        puts("  reader    none: it has no smart card interface now");
        return;
    }
    print_holders(key);
    if (key->model) {
        print_reader(key, pcsc);
        print_state(key);
    } else {
        puts("  reader    none: this driver does not know it; ifd-nitrokey describe shows what it would need");
    }
}

/* ---- JSON ---- */

static void member(const char *name, const char *value)
{
    printf(",\"%s\":", name);
    if (value && value[0])
        text_json(stdout, value);
    else
        printf("null");
}

static void json_key(const struct key *key, const struct pcsc *pcsc)
{
    char name[KEY_NAME_SIZE], firmware[32];
    bool sure;
    struct processes holders;
    struct status_reader told;
    const struct pcsc_reader *const reader = pcsc_reader_of(pcsc, key, &sure);
    (void)status_reader(RUN_DIRECTORY, key->bus, key->address, &told);
    key_name(key, name);
    key_firmware(key, firmware);
    processes_with_open(key->node, &holders);
    printf("{\"vendor_id\":%u,\"product_id\":%u,\"release\":%u,\"bus\":%u,\"address\":%u", key->vendor_id,
           key->product_id, key->release, key->bus, key->address);
    member("name", name);
    member("serial", key->serial);
    member("firmware", firmware);
    member("port", key->port);
    member("node", key->node);
    member("kernel_driver", key->driver);
    member("reader", reader ? reader->name : NULL);
    member("state", told.state);
    printf(",\"card\":%s,\"ccid\":%s,\"known\":%s,\"holders\":[", reader && reader->has_card ? "true" : "false",
           key->ccid_interface >= 0 ? "true" : "false", key->model ? "true" : "false");
    for (int i = 0; i < holders.count; i++) {
        printf("%s{\"pid\":%d", i > 0 ? "," : "", (int)holders.all[i].pid);
        member("name", holders.all[i].name);
        putchar('}');
    }
    printf("],\"holders_unseen\":%s}", holders.some_unseen ? "true" : "false");
}

/* ---- public ---- */

static void print_all(const struct key *keys, int count, bool json)
{
    struct pcsc pcsc;
    pcsc_ask(&pcsc);
    for (int i = 0; i < count; i++)
        if (json) {
            printf(i > 0 ? ",\n" : "[");
            json_key(&keys[i], &pcsc);
        } else {
            print_key(&keys[i], &pcsc);
        }
    if (json)
        puts("]");
}

int list(int argc, char *argv[])
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct key keys[KEYS_MAX];
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'j': json = true; break;
        case 'h': fputs(USAGE, stdout); return 0;
        default: return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "ifd-nitrokey list: %s is no option, see --help\n", argv[optind]);
        return 2;
    }
    const int count = keys_find(keys);
    if (count < 0)
        fprintf(stderr, "ifd-nitrokey: /sys/bus/usb: %s\n", strerror(errno));
    else if (count == 0)
        puts(json ? "[]" : "no Nitrokey is plugged in");
    else
        print_all(keys, count, json);
    return count < 0;
}
