/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* describe.c - "ifd-nitrokey describe": a plugged-in device as a file for readers/. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../ccid.h"
#include "keys.h"
#include "pcsc.h"
#include "power_on.h"
#include "quirks.h"
#include "text.h"
#include "verbs.h"

#define DESCRIPTORS_MAX 4096
#define INTERFACES_MAX 16
#define FIRST_OWN_STRING 4 /* in readers/ the indices below are manufacturer, product and serial number */

enum { DEVICE = 1, CONFIGURATION = 2, INTERFACE = 4, ENDPOINT = 5, ASSOCIATION = 11 }; /* USB 2.0 table 9-5 */

static const char USAGE[] =
    "Usage: ifd-nitrokey describe [--json] [PORT]\n"
    "Writes the key that is plugged in as a file for readers/, from which this driver, its udev rules and the virtual\n"
    "keys are made, and says what in it is to be checked. With several keys: the one at PORT, as list shows it "
    "(1-4.2).\n"
    "Its serial number is replaced. If no reader of pcscd has the key, its card is powered on once, for its ATR.\n"
    "\n"
    "  --json  an object: the file's text, the ATR, and what is to be checked\n"
    "  --help  this text\n";

static const char *const CHECKS[] = {
    "firmware and card.application: what the virtual key is to behave like; here only a guess by the exchange level",
    "name: as libccid calls it, or settings of users that name the reader break",
    "serial and strings: made-up values of the same form, nothing of your key's",
    "quirks: readers/README.md says what each means; leave out what you do not know",
    "then: readers/generate.py check, readers/generate.py readme README.md, and tests/run",
};

/* ---- descriptors ---- */

struct descriptors {
    uint8_t bytes[DESCRIPTORS_MAX + 1];
    size_t length;
};

/* The next one at or behind *at, and *at behind it; NULL at the end. Trusts no length. */
static const uint8_t *next(const struct descriptors *all, size_t *at)
{
    if (*at + 2 > all->length)
        return NULL;
    const uint8_t *const descriptor = all->bytes + *at;
    const size_t length = descriptor[0];
    if (length < 2 || *at + length > all->length)
        return NULL;
    *at += length;
    return descriptor;
}

static bool is(const uint8_t *descriptor, uint8_t type, size_t least)
{
    return descriptor[1] == type && descriptor[0] >= least;
}

static unsigned word(const uint8_t *bytes)
{
    return bytes[0] | (unsigned)bytes[1] << 8;
}

static bool read_descriptors(const struct key *key, struct descriptors *all)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/descriptors", key->port);
    const long length = text_read_file(path, (char *)all->bytes, sizeof all->bytes);
    all->length = length > 0 ? (size_t)length : 0;
    size_t at = 0;
    const uint8_t *const device = next(all, &at), *const configuration = next(all, &at);
    return device && configuration && is(device, DEVICE, 18) && is(configuration, CONFIGURATION, 9);
}

/* ---- values ---- */

/* As generate.py takes it. */
static void print_text(FILE *out, const char *name, const char *text)
{
    if (!text[0])
        return;
    fprintf(out, "%s = \"", name);
    for (; *text; text++)
        putc(strchr("\"\\<>&", *text) ? '?' : *text, out);
    fputs("\"\n", out);
}

/* Of the same form, but nobody's. */
static void print_serial(FILE *out, const char *serial)
{
    char own[64];
    size_t digits = 0;
    const char *const tail = strrchr(serial, '-'); /* where there is one, the version stands before it */
    snprintf(own, sizeof own, "%s", serial);
    for (size_t i = tail ? (size_t)(tail - serial) : 0; own[i]; i++)
        if (strchr("0123456789ABCDEFabcdef", own[i]) && (own[i] != '0' || digits > 0))
            own[i] = (char)('1' + digits++ % 8);
    print_text(out, "serial", own);
}

static void print_bytes(FILE *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(out, "%s%02X", i > 0 ? " " : "", bytes[i]);
}

/* ---- the file, part by part ---- */

static enum ccid_level level_of(const struct descriptors *all)
{
    struct ccid_class class = { .level = CCID_TPDU };
    size_t at = 0;
    for (const uint8_t *d; (d = next(all, &at));)
        if (d[0] == CCID_DESCRIPTOR_LENGTH)
            (void)ccid_parse_class(d, d[0], &class);
    return class.level;
}

/* Something to begin with. */
static const struct usual *usual(const struct key *key, enum ccid_level level)
{
    return key->has_disk ? &WITH_DISK : &USUAL[level == CCID_CHARACTER ? CCID_TPDU : level];
}

static void print_head(FILE *out, const struct key *key, enum ccid_level level)
{
    char name[KEY_NAME_SIZE], reader[2 * KEY_NAME_SIZE];
    key_name(key, name);
    snprintf(reader, sizeof reader, "%s%s%s", key->manufacturer, key->manufacturer[0] ? " " : "",
             key->product[0] ? key->product : name);
    fputs("# SPDX-License-Identifier: LGPL-2.1-or-later\n# Written by ifd-nitrokey describe. To be checked:\n", out);
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++)
        fprintf(out, "# - %s\n", CHECKS[i]);
    putc('\n', out);
    print_text(out, "name", key->model ? key->model->name : reader);
    print_text(out, "model", name);
    print_text(out, "firmware", usual(key, level)->firmware);
}

static void print_device(FILE *out, const struct key *key, const struct descriptors *all)
{
    const uint8_t *const d = all->bytes, *const c = d + d[0];
    char speed[16];
    if (key_attribute(key, "speed", speed, sizeof speed) && strcmp(speed, "480") == 0)
        print_text(out, "speed", "high");
    fprintf(out, "\n[device]\nvendor_id = 0x%04x\nproduct_id = 0x%04x\nusb = 0x%04x\nrelease = 0x%04x\n", word(d + 8),
            word(d + 10), word(d + 2), word(d + 12));
    if (d[4] || d[5] || d[6])
        fprintf(out, "class = 0x%02x\nsubclass = 0x%02x\nprotocol = 0x%02x\n", d[4], d[5], d[6]);
    print_text(out, "manufacturer", key->manufacturer);
    print_text(out, "product", key->product);
    print_serial(out, key->serial);
    if (word(c + 2) > all->length - d[0])
        fprintf(out, "total_length_extra = %u\n", word(c + 2) - (unsigned)(all->length - d[0]));
    fprintf(out, "max_power_ma = %u\n", c[8] * 2u);
    if (key->interface_name[0]) {
        fprintf(out, "\n[device.strings]\n%d", FIRST_OWN_STRING);
        print_text(out, "", key->interface_name);
    }
}

/* In readers/ the class descriptors of an interface are one string of bytes, wherever among the endpoints they stand.
 */
static void print_extra(FILE *out, const struct descriptors *all, size_t at)
{
    bool some = false;
    for (const uint8_t *d; (d = next(all, &at)) && d[1] != INTERFACE && d[1] != ASSOCIATION;) {
        if (d[1] == ENDPOINT)
            continue;
        fputs(some ? " " : "extra = \"", out);
        print_bytes(out, d, d[0]);
        some = true;
    }
    fputs(some ? "\"\n" : "", out);
}

static void print_endpoints(FILE *out, const struct descriptors *all, size_t at)
{
    static const char *const types[] = { NULL, NULL, "bulk", "interrupt" };
    fputs("endpoints = [\n", out);
    for (const uint8_t *d; (d = next(all, &at)) && d[1] != INTERFACE;)
        if (is(d, ENDPOINT, 7) && types[d[3] & 3])
            fprintf(out, "    { address = 0x%02x, type = \"%s\", size = %u, interval = %u },\n", d[2], types[d[3] & 3],
                    word(d + 4) & 0x7ff, d[6]);
    fputs("]\n", out);
}

static void print_interfaces(FILE *out, const struct key *key, const struct descriptors *all)
{
    size_t at = 0;
    for (const uint8_t *d; (d = next(all, &at));) {
        if (!is(d, INTERFACE, 9) || d[3] != 0) /* the other settings of an interface are of no use to a CCID */
            continue;
        fprintf(out, "\n[[interface]]\nnumber = %u\nclass = 0x%02x\nsubclass = 0x%02x\nprotocol = 0x%02x\n", d[2], d[5],
                d[6], d[7]);
        if (d[2] == key->ccid_interface && key->interface_name[0])
            fprintf(out, "string = %d\n", FIRST_OWN_STRING);
        print_extra(out, all, at);
        print_endpoints(out, all, at);
    }
}

static void print_card(FILE *out, const struct usual *usual, const uint8_t *atr, size_t length)
{
    fputs("\n[card]\natr = \"", out);
    print_bytes(out, atr, length);
    fprintf(out, "\"\napplication = \"%s\"\n", usual->application);
}

/* Those of its product, if the driver knows it. */
static void print_quirks(FILE *out, const struct key *key)
{
    fputs("\n[quirks]\n", out);
    for (size_t i = 0; i < sizeof QUIRKS / sizeof QUIRKS[0]; i++)
        if (QUIRKS[i].vendor_id == key->vendor_id && QUIRKS[i].product_id == key->product_id)
            fputs(QUIRKS[i].text, out);
}

/* ---- which key, and its ATR ---- */

static const struct key *choose(const struct key *keys, int count, const char *port)
{
    const struct key *found = NULL;
    int fit = 0;
    for (int i = 0; i < count; i++)
        if (keys[i].ccid_interface >= 0 && (!port || strcmp(keys[i].port, port) == 0)) {
            found = &keys[i];
            fit++;
        }
    if (fit == 1)
        return found;
    if (fit == 0 && port)
        fprintf(stderr, "ifd-nitrokey describe: at %s there is no Nitrokey with a smart card interface\n", port);
    else if (fit == 0)
        fputs("ifd-nitrokey describe: no Nitrokey with a smart card interface is plugged in\n", stderr);
    else
        fputs("ifd-nitrokey describe: there are several; say which one: ifd-nitrokey describe PORT, see list\n",
              stderr);
    return NULL;
}

static bool get_atr(const struct key *key, uint8_t atr[36], size_t *length)
{
    struct pcsc pcsc;
    bool sure;
    pcsc_ask(&pcsc);
    const struct pcsc_reader *const reader = pcsc_reader_of(&pcsc, key, &sure);
    if (reader && reader->atr_length > 0) { /* if not sure: of a key of the same name */
        memcpy(atr, reader->atr, reader->atr_length);
        *length = reader->atr_length;
        return true;
    }
    const enum err error = power_on(key, atr, length);
    if (*length == 0)
        fprintf(stderr, "ifd-nitrokey describe: the card in %s cannot be asked for its ATR: %s\n", key->node,
                error == ERR_BUSY       ? "another program has it; ifd-nitrokey list shows which"
                : error == ERR_ACCESS   ? "no permission; try with sudo"
                : error == ERR_NOT_CCID ? "its interface lacks a bulk endpoint"
                                        : "it does not answer");
    return *length > 0;
}

/* ---- public ---- */

static void write_file(FILE *out, const struct key *key, const struct descriptors *all, const uint8_t *atr,
                       size_t length)
{
    const enum ccid_level level = level_of(all);
    print_head(out, key, level);
    print_device(out, key, all);
    print_interfaces(out, key, all);
    print_card(out, usual(key, level), atr, length);
    print_quirks(out, key);
}

static int write_json(const struct key *key, const struct descriptors *all, const uint8_t *atr, size_t length)
{
    char *text = NULL;
    size_t size = 0;
    FILE *const memory = open_memstream(&text, &size);
    if (!memory)
        return 1;
    write_file(memory, key, all, atr, length);
    fclose(memory);
    printf("{\"atr\":\"");
    print_bytes(stdout, atr, length);
    printf("\",\"file\":");
    text_json(stdout, text);
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++) {
        printf(i > 0 ? "," : ",\"check\":[");
        text_json(stdout, CHECKS[i]);
    }
    puts("]}");
    free(text);
    return 0;
}

static int describe_one(const char *port, bool json)
{
    static struct descriptors all;
    struct key keys[KEYS_MAX];
    uint8_t atr[36];
    size_t length = 0;
    const int count = keys_find(keys);
    if (count < 0)
        fprintf(stderr, "ifd-nitrokey: /sys/bus/usb: %s\n", strerror(errno));
    const struct key *const key = count < 0 ? NULL : choose(keys, count, port);
    if (!key)
        return 1;
    if (!read_descriptors(key, &all)) {
        fprintf(stderr, "ifd-nitrokey describe: %s tells no descriptors that make sense\n", key->port);
        return 1;
    }
    if (!get_atr(key, atr, &length))
        return 1;
    if (json)
        return write_json(key, &all, atr, length);
    write_file(stdout, key, &all, atr, length);
    return 0;
}

int describe(int argc, char *argv[])
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'j': json = true; break;
        case 'h': fputs(USAGE, stdout); return 0;
        default: return 2;
        }
    if (argc - optind > 1) {
        fputs("ifd-nitrokey describe: one port, see --help\n", stderr);
        return 2;
    }
    return describe_one(argv[optind], json);
}
