/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - virtual-nitrokey: a Nitrokey without a Nitrokey, as a USB/IP device. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "application.h"
#include "control.h"
#include "host_controller.h"
#include "icc.h"
#include "identity.h"
#include "listener.h"
#include "loop.h"
#include "firmwares.h"
#include "packet_words.h"
#include "timing.h"
#include "usbip.h"
#include "usbip_wire.h"

#define GENERATIONS_MAX 8
#define SERIAL_DIGITS 8
#define PRODUCT_DIGITS 4
#define SPEC "must be SECONDS[,silent=SECONDS][,wtx=SECONDS][,multiplier=N][,signs=N]"
#define MILLISECOND INT64_C(1000)
#define SECOND (1000 * MILLISECOND)

static const char USAGE[] =
    "Usage: virtual-nitrokey --model NAME --listen ADDRESS [OPTION...]\n"
    "       virtual-nitrokey --tell PATH COMMAND...\n"
    "       virtual-nitrokey --list\n"
    "A Nitrokey without a Nitrokey: a USB device that is reached by USB/IP.\n"
    "\n"
    "  --model NAME             which key (see --list)\n"
    "  --listen ADDRESS         unix:PATH or tcp:HOST:PORT\n"
    "  --shared                 stays plugged in without a client, and serves many at once;\n"
    "                           otherwise a client's connection plugs it in, and its end unplugs it\n"
    "  --bus-id ID              its name for clients (1-1)\n"
    "  --control PATH           takes commands on this socket (see --tell)\n"
    "  --state FILE             keeps the card's keys and objects there\n"
    "  --log FILE               writes a line for each command that the card executes\n"
    "  --serial HEX8            the last 8 digits of the USB serial number\n"
    "  --product HEX4           another idProduct than the model has, as of a key that nobody knows yet\n"
    "  --generate SPEC          how long a key generation takes:\n"
    "                           SECONDS[,silent=SECONDS][,wtx=SECONDS][,multiplier=N][,signs=N] (20)\n"
    "                           given several times: the n-th generation; the last is for all later ones\n"
    "  --application NAME       another application than the model has: openpgp-card-3.4, openpgp-card-2.1, gnuk, opcard,\n"
    "                           opcard+piv, smartcard-hsm-2.6, smartcard-hsm-3.4, smartcard-hsm-4.0, none\n"
    "  --sign SPEC              how long a signature takes (0.5)\n"
    "  --reset SPEC             how long TERMINATE DF and ACTIVATE FILE take (0.005), or INITIALIZE DEVICE of an HSM\n"
    "                           (40,silent=40)\n"
    "  --command SPEC           how long any other command takes (0.005)\n"
    "  --line-rate N            bits a second between firmware and card (0: no time passes there)\n"
    "  --first-byte-limit SECONDS  how long the firmware waits for the card's answer (120)\n"
    "  --packet SPEC            what goes wrong with a packet, as --tell PATH packet, with commas: lost,out,2\n"
    "  --no-stale-packet        no old packet in the endpoint after the key is plugged in\n"
    "  --tell PATH COMMAND...   sends a command to the control socket PATH and prints the answer:\n"
    "                           plug, unplug, generate SPEC..., reset SPEC, mute on|off, freeze on|off,\n"
    "                           corrupt edc|length|sequence|truncated|noise N, stall in|out, stale N,\n"
    "                           answer sequence|slot|type|long|short|cut|swallow|repeat N,\n"
    "                           packet lost|unacknowledged|babble|halt|no-zlp|pause in|out|control [N],\n"
    "                           packet nak in|out|control N SECONDS, packet go, packet none, packet,\n"
    "                           packet cancels reported|unreported,\n"
    "                           descriptors right|cut|garbage|total-long|total-short|endless, mishear N,\n"
    "                           ask-ifs N, ask-abort, lie-about-wtx N, hid N, hid-reset, touch, counters,\n"
    "                           busy, apdus, blocks, stats, quit\n"
    "  --list                   names of the models\n"
    "  --help                   this text\n";

struct settings {
    const struct identity *model;
    const char *listen, *bus_id, *control, *serial, *product, *tell, *packet;
    bool shared, help, list;
    struct icc_options icc;
    struct firmware_options firmware;
};

enum option_code { MODEL = 1, LISTEN, SHARED, BUS_ID, CONTROL, STATE, LOG, APPLICATION, SERIAL, PRODUCT, GENERATE, SIGN,
                   RESET, COMMAND, LINE_RATE, FIRST_BYTE_LIMIT, NO_STALE_PACKET, PACKET, TELL, LIST, HELP };

static const struct option OPTIONS[] = {
    { "model", required_argument, NULL, MODEL },
    { "listen", required_argument, NULL, LISTEN },
    { "shared", no_argument, NULL, SHARED },
    { "bus-id", required_argument, NULL, BUS_ID },
    { "control", required_argument, NULL, CONTROL },
    { "state", required_argument, NULL, STATE },
    { "log", required_argument, NULL, LOG },
    { "application", required_argument, NULL, APPLICATION },
    { "serial", required_argument, NULL, SERIAL },
    { "product", required_argument, NULL, PRODUCT },
    { "generate", required_argument, NULL, GENERATE },
    { "sign", required_argument, NULL, SIGN },
    { "reset", required_argument, NULL, RESET },
    { "command", required_argument, NULL, COMMAND },
    { "line-rate", required_argument, NULL, LINE_RATE },
    { "first-byte-limit", required_argument, NULL, FIRST_BYTE_LIMIT },
    { "no-stale-packet", no_argument, NULL, NO_STALE_PACKET },
    { "packet", required_argument, NULL, PACKET },
    { "tell", required_argument, NULL, TELL },
    { "list", no_argument, NULL, LIST },
    { "help", no_argument, NULL, HELP },
    { NULL, 0, NULL, 0 },
};

/* ---- options ---- */

static bool wrong(const char *option, const char *value, const char *should)
{
    fprintf(stderr, "virtual-nitrokey: --%s %s: %s\n", option, value, should);
    return false;
}

static bool is_hex(const char *text, size_t digits)
{
    return strlen(text) == digits && strspn(text, "0123456789ABCDEFabcdef") == digits;
}

static bool add_generation(struct icc_options *icc, bool *first, const char *text)
{
    if (*first)
        icc->generate_count = 0;
    *first = false;
    return icc->generate_count < GENERATIONS_MAX && timing_parse(text, &icc->generate[icc->generate_count++]);
}

/* How long something takes; false after a message: the value is none. */
static bool read_timing(struct settings *settings, enum option_code code, const char *value, bool *first_generation)
{
    switch (code) {
    case GENERATE:
        return add_generation(&settings->icc, first_generation, value)
               || wrong("generate", value, SPEC ", 8 times at most");
    case SIGN:
        return timing_parse(value, &settings->icc.sign) || wrong("sign", value, SPEC);
    case RESET:
        return timing_parse(value, &settings->icc.reset) || wrong("reset", value, SPEC);
    case COMMAND:
        return timing_parse(value, &settings->icc.other) || wrong("command", value, SPEC);
    case LINE_RATE:
        return sscanf(value, "%7u%c", &settings->firmware.line_rate, &(char){ 0 }) == 1
               || wrong("line-rate", value, "must be a number of bits a second");
    case FIRST_BYTE_LIMIT:
        return timing_parse_seconds(value, &settings->firmware.first_byte_limit_us)
               || wrong("first-byte-limit", value, "must be seconds, as in 0.5");
    default:
        return false; /* getopt_long has said what is wrong */
    }
}

/* As read_timing. */
static bool read_option(struct settings *settings, enum option_code code, const char *value, bool *first_generation)
{
    switch (code) {
    case MODEL:
        settings->model = identity_find(value);
        return settings->model || wrong("model", value, "there is no such model (see --list)");
    case LISTEN:
        settings->listen = value;
        return true;
    case SHARED:
        return settings->shared = true;
    case BUS_ID:
        settings->bus_id = value;
        return (*value && strlen(value) < USBIP_BUS_ID) || wrong("bus-id", value, "must have 1 to 31 characters");
    case CONTROL:
        settings->control = value;
        return true;
    case STATE:
        settings->icc.state_path = value;
        return true;
    case LOG:
        settings->icc.log_path = value;
        return true;
    case APPLICATION:
        settings->icc.application = value;
        return application_exists(value) || wrong("application", value, "there is no such application");
    case SERIAL:
        settings->serial = value;
        return is_hex(value, SERIAL_DIGITS) || wrong("serial", value, "must be 8 hexadecimal digits");
    case PRODUCT:
        settings->product = value;
        return is_hex(value, PRODUCT_DIGITS) || wrong("product", value, "must be 4 hexadecimal digits");
    case NO_STALE_PACKET:
        settings->firmware.no_stale_packet = true;
        return true;
    case PACKET:
        settings->packet = value;
        return true;
    case TELL:
        settings->tell = value;
        return true;
    case LIST:
        return settings->list = true;
    case HELP:
        return settings->help = true;
    default:
        return read_timing(settings, code, value, first_generation);
    }
}

static bool complete(const struct settings *settings, bool words_left)
{
    if (settings->help || settings->list)
        return true;
    const char *missing = NULL;
    if (settings->tell)
        missing = words_left ? NULL : "--tell needs a command";
    else if (words_left)
        missing = "there are words that belong to no option";
    else if (!settings->model)
        missing = "--model is missing";
    else if (!settings->listen)
        missing = "--listen is missing";
    if (missing)
        fprintf(stderr, "virtual-nitrokey: %s (see --help)\n", missing);
    return !missing;
}

static bool read_options(struct settings *settings, int argc, char *argv[])
{
    int code;
    bool first_generation = true;
    *settings = (struct settings){
        .bus_id = "1-1",
        .icc = { .generate_count = 1, .sign = timing_defaults, .other = timing_defaults, .real_time = true },
    };
    settings->icc.generate[0] = timing_defaults;
    settings->icc.generate[0].work_us = 20 * SECOND;
    settings->icc.sign.work_us = 500 * MILLISECOND;
    settings->icc.other.work_us = 5 * MILLISECOND;
    while ((code = getopt_long(argc, argv, "+", OPTIONS, NULL)) != -1)
        if (!read_option(settings, (enum option_code)code, optarg, &first_generation))
            return false;
    return complete(settings, optind < argc);
}

/* ---- the key ---- */

struct key {
    struct identity identity;
    char serial[64];
    uint8_t descriptor[18];
    struct icc *icc;
    struct device *device;
    struct loop *loop;
    struct host_controller *host;
    struct usbip_server *server;
    struct control *control;
    int signals;
};

/* The descriptor's index of the serial number may be 0: then the model has none to change. */
static void set_serial(struct key *key, const char *digits)
{
    const uint8_t index = key->identity.device[16];
    const char *own = index ? key->identity.strings[index] : NULL;
    if (!digits || !own || strlen(own) < SERIAL_DIGITS || strlen(own) >= sizeof key->serial)
        return;
    memcpy(key->serial, own, strlen(own) + 1);
    memcpy(key->serial + strlen(own) - SERIAL_DIGITS, digits, SERIAL_DIGITS);
    key->identity.strings[index] = key->serial;
}

static void set_product(struct key *key, const char *digits)
{
    unsigned product;
    if (!digits || sscanf(digits, "%4x", &product) != 1)
        return;
    memcpy(key->descriptor, key->identity.device, sizeof key->descriptor);
    key->descriptor[10] = (uint8_t)product;
    key->descriptor[11] = (uint8_t)(product >> 8);
    key->identity.device = key->descriptor;
}

static void on_signal(void *context, short revents)
{
    (void)revents;
    loop_stop(context);
}

/* SIGTERM and SIGINT end the loop, so that the sockets' paths are removed. Also in the threads that others make. */
static bool catch_signals(struct key *key)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) == 0)
        key->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return key->signals >= 0 && loop_watch(key->loop, key->signals, on_signal, key->loop);
}

static bool build_key(struct key *key, const struct settings *settings)
{
    struct icc_options icc = settings->icc;
    key->identity = *settings->model;
    set_serial(key, settings->serial);
    set_product(key, settings->product);
    icc.atr = key->identity.atr;
    icc.atr_len = key->identity.atr_len;
    if (!icc.application)
        icc.application = key->identity.application;
    if (!(key->loop = loop_new()) || !catch_signals(key) || !(key->icc = icc_new(&icc)))
        return false;
    key->device = firmware_new(&key->identity, key->icc, &settings->firmware);
    if (key->device && settings->packet && !packet_words_parse(key->device, settings->packet))
        return wrong("packet", settings->packet, "is no packet fault (see --help)");
    key->host = key->device ? host_new(key->device) : NULL;
    key->server = key->host ? usbip_new(key->loop, key->host, settings->bus_id, settings->shared) : NULL;
    return key->server;
}

static bool open_control(struct key *key, const char *path)
{
    const struct control_target target = { key->loop, key->icc, key->device, key->host, key->server };
    char address[256];
    if (!path)
        return true;
    snprintf(address, sizeof address, "unix:%s", path);
    const int fd = listener_open(address);
    key->control = fd >= 0 ? control_new(&target, fd) : NULL;
    if (fd >= 0 && !key->control)
        listener_close(fd);
    return key->control;
}

static bool open_server(struct key *key, const char *address)
{
    char name[256];
    const int fd = listener_open(address);
    if (fd < 0 || !usbip_listen(key->server, fd))
        return false;
    listener_name(fd, name, sizeof name);
    printf("listening on %s\n", name);
    return fflush(stdout) == 0;
}

static void free_key(struct key *key)
{
    control_free(key->control);
    usbip_free(key->server);
    host_free(key->host);
    device_free(key->device);
    icc_free(key->icc);
    loop_free(key->loop);
    if (key->signals >= 0)
        close(key->signals);
}

static int serve(const struct settings *settings)
{
    struct key key = { .signals = -1 };
    const bool ok = build_key(&key, settings) && open_control(&key, settings->control)
                    && open_server(&key, settings->listen) && loop_run(key.loop);
    free_key(&key);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    struct settings settings;
    if (!read_options(&settings, argc, argv))
        return 2;
    if (settings.help)
        fputs(USAGE, stdout);
    else if (settings.list)
        for (size_t i = 0; i < identity_count; i++)
            printf("%s\n", identities[i].name);
    else if (settings.tell)
        return control_tell(settings.tell, argc - optind, argv + optind);
    else
        return serve(&settings);
    return EXIT_SUCCESS;
}
