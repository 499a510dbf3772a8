/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_secrets.c - what a command or an answer carries is nowhere when it is over: not in memory, not in a line of the
 * log, not in a status file or a trace; however it ends.
 *
 * The client's buffers and those of the scripted key are wiped before the search. What is found then, in any memory of
 * the process that can be written, freed or not, is the driver's.
 */
#include "bench.h"
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "scripted_key.h"

/*
 * No secret is kept anywhere to be compared with: each byte of one follows from the byte before, x -> factor * x + step,
 * and so many bytes that follow each other like this are no accident.
 */
static const struct secret {
    const char *name;
    uint8_t factor, step;
} SECRETS[] = { { "a PIN", 5, 0x3b }, { "a key", 13, 0x55 }, { "a plaintext", 21, 0x71 } };

enum { PIN, KEY, PLAINTEXT, SECRETS_COUNT };

#define SIGN_OF_A_SECRET 8 /* bytes in a row */
#define PIN_LENGTH 12
#define KEY_LENGTH 520
#define PLAINTEXT_LENGTH 1000

static uint8_t successor(const struct secret *secret, uint8_t byte)
{
    return (uint8_t)(secret->factor * byte + secret->step);
}

/* Writes bytes of a secret from its offset on. */
static void write_secret(unsigned which, size_t offset, uint8_t *bytes, size_t length)
{
    uint8_t byte = 1;
    for (size_t i = 0; i < offset; i++)
        byte = successor(&SECRETS[which], byte);
    for (size_t i = 0; i < length; i++, byte = successor(&SECRETS[which], byte))
        bytes[i] = byte;
}

/* Which secret is among the bytes; SECRETS_COUNT: none. */
static unsigned find_secret(const uint8_t *bytes, size_t length)
{
    size_t run[SECRETS_COUNT] = { 0 };
    for (size_t i = 1; i < length; i++)
        for (unsigned which = 0; which < SECRETS_COUNT; which++) {
            run[which] = successor(&SECRETS[which], bytes[i - 1]) == bytes[i] ? run[which] + 1 : 0;
            if (run[which] >= SIGN_OF_A_SECRET - 1)
                return which;
        }
    return SECRETS_COUNT;
}

/* ---- memory ---- */

static unsigned find_in_region(int memory, unsigned long from, unsigned long to)
{
    static uint8_t page[4096 + SIGN_OF_A_SECRET]; /* overlaps with the one before */
    unsigned found = SECRETS_COUNT;
    const unsigned long ours = (unsigned long)page;
    for (unsigned long at = from; at < to && found == SECRETS_COUNT; at += 4096) {
        if (at + sizeof page > ours && at < ours + sizeof page)
            continue; /* the search does not find itself */
        const ssize_t got = pread(memory, page, sizeof page, (off_t)at);
        if (got > 1 && memcmp(page, page + 1, (size_t)got - 1) != 0) /* most pages are nothing but zeros */
            found = find_secret(page, (size_t)got);
    }
    explicit_bzero(page, sizeof page);
    return found;
}

/* Where a secret is in the memory of this process; NULL: nowhere. */
static const char *secret_in_memory(void)
{
    static char answer[512];
    char line[512];
    const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    const char *result = NULL;
    assert_true(memory >= 0 && maps != NULL);
    while (!result && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char writable;
        if (sscanf(line, "%lx-%lx %*c%c", &from, &to, &writable) != 3 || writable != 'w')
            continue;
        const unsigned which = find_in_region(memory, from, to);
        if (which < SECRETS_COUNT) {
            snprintf(answer, sizeof answer, "%s in %.400s", SECRETS[which].name, line);
            result = answer;
        }
    }
    fclose(maps);
    close(memory);
    return result;
}

/* ---- log and status files ---- */

static char log_text[1 << 16];
static size_t log_length;

void log_msg(int priority, const char *format, ...);

/* In pcscd's place: the driver's lines, those for debugging too. */
void log_msg(int priority, const char *format, ...)
{
    va_list arguments;
    (void)priority;
    va_start(arguments, format);
    const int length = vsnprintf(log_text + log_length, sizeof log_text - log_length, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && log_length + (size_t)length + 1 < sizeof log_text);
    log_length += (size_t)length;
    log_text[log_length++] = '\n';
}

/* The hexadecimal digits of the text in pairs, from the first or the second on: letters of words are among them. */
static size_t read_hexadecimal(const char *text, size_t length, unsigned skip, uint8_t *bytes)
{
    static const char DIGITS[] = "0123456789abcdef0123456789ABCDEF";
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        const char *const digit = text[i] ? strchr(DIGITS, text[i]) : NULL;
        if (!digit)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        bytes[count / 2] = (uint8_t)(bytes[count / 2] << 4 | ((digit - DIGITS) & 15));
        count++;
    }
    return count / 2;
}

/* Fails if the text tells a secret, as it is or in hexadecimal. */
static void tells_nothing(const char *text, size_t length)
{
    static uint8_t bytes[sizeof log_text];
    assert_int_equal(find_secret((const uint8_t *)text, length), SECRETS_COUNT);
    for (unsigned skip = 0; skip < 2; skip++)
        assert_int_equal(find_secret(bytes, read_hexadecimal(text, length, skip, bytes)), SECRETS_COUNT);
}

static char run_directory[] = "/tmp/secrets.XXXXXX", trace_directory[] = "/tmp/traces.XXXXXX";
static unsigned files_seen;

/* Reads the files of a directory, packed or not: what "ifd-nitrokey watch" would read now, what has been traced. */
static void look_at_files(const char *path, bool remove)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        static char text[1 << 16];
        const int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
        gzFile file = entry->d_name[0] != '.' && fd >= 0 ? gzdopen(fd, "r") : NULL;
        const int length = file ? gzread(file, text, sizeof text) : -1;
        assert_true(length < (int)sizeof text);
        if (length > 0) {
            tells_nothing(text, (size_t)length);
            files_seen++;
        }
        if (file)
            gzclose(file);
        else
            close(fd);
        if (file && remove)
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
}

/* ---- the card ---- */

/* Where the story ends otherwise than well: at which of the messages that carry it, from 0 on, and how. */
static enum ending {
    WELL,
    TOO_LONG, /* for the client's buffer */
    SILENT,
    LATE, /* when nobody waits for it any more */
    CUT,
    BROKEN, /* the fourth packet of the answer is lost; the driver may get over that */
    REFUSED,
    OF_ANOTHER_NUMBER,
    UNPLUGGED,
    CLOSED,
    ENDINGS,
} ending;
static unsigned good_messages, message;
static size_t told; /* bytes of the plaintext */

static enum { AT_TPDU, AT_SHORT, AT_EXTENDED } level;

static bool wants_more(const uint8_t *command)
{
    if (level == AT_TPDU)
        return (command[11] & 0xa0) == 0x20; /* an I-block of a chain */
    if (level == AT_SHORT)
        return command[10] & 0x10;
    return command[8] == 1 || command[8] == 3;
}

/* The next part of the plaintext, or a status word alone. */
static size_t next_part(uint8_t *part, bool plaintext, size_t most, bool *last)
{
    const size_t left = plaintext ? PLAINTEXT_LENGTH - told : 0;
    const size_t length = left < most ? left : most;
    write_secret(PLAINTEXT, told, part, length);
    told += length;
    *last = length == left;
    return length;
}

static bool asks_for_plaintext;

static size_t honest_part(struct scripted_key *key, const uint8_t *command, uint8_t *answer)
{
    uint8_t part[260];
    bool last;
    size_t length, whole;
    if (wants_more(command)) {
        if (level == AT_TPDU)
            return scripted_block(command, (uint8_t)(0x80 | !(command[11] & 0x40) << 4), 0, NULL, 0, answer);
        whole = scripted_frame(command, (const uint8_t *)"\x90\0", level == AT_SHORT ? 2 : 0, answer);
        answer[9] = level == AT_SHORT ? 0 : 0x10;
        return whole;
    }
    const bool first = told == 0;
    length = next_part(part, asks_for_plaintext, 200, &last);
    if (last || level == AT_SHORT) {
        part[length++] = last ? 0x90 : 0x61;
        part[length++] = 0;
    }
    if (level == AT_TPDU) {
        whole = scripted_block(command, (uint8_t)(key->ns << 6 | (last ? 0 : 0x20)), (uint8_t)length, part, length, answer);
        key->ns = !key->ns;
    } else {
        whole = scripted_frame(command, part, length, answer);
        if (level == AT_EXTENDED)
            answer[9] = first && last ? 0 : first ? 1 : last ? 2 : 3;
    }
    explicit_bzero(part, sizeof part);
    return whole;
}

static void pull_out(void *context)
{
    struct scripted_key *key = context;
    virtual_unplug(key->slot);
}

static size_t story(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    key->delay_us = MS;
    look_at_files(run_directory, false);
    if (command[0] != XFR_BLOCK || (level == AT_TPDU && (command[11] & 0xc0) == 0xc0))
        return scripted_honest(key, command, length, answer);
    if (level == AT_EXTENDED && length == 15 && command[11] == 0xc0) /* the driver asks whether it listens */
        return scripted_honest(key, command, length, answer);
    const size_t whole = honest_part(key, command, answer);
    if (message++ < good_messages)
        return whole;
    switch (ending) {
    case WELL:
    case TOO_LONG:
        return whole;
    case LATE:
        key->delay_us = message > good_messages + 1 ? MS : 40 * MINUTE; /* a reset may be over before that */
        return whole;
    case CUT:
        return 10 + (whole - 10) / 2;
    case BROKEN:
        key->device.faults.packet =
            (struct packet_fault){ .kind = PACKET_HALTED, .endpoint = key->identity.bulk_in, .nth = 4 };
        return whole;
    case REFUSED:
        answer[7] = 0x40;
        return whole;
    case OF_ANOTHER_NUMBER:
        answer[6]++;
        return whole;
    case UNPLUGGED:
        if (message == good_messages + 1)
            virtual_at(key->slot, virtual_now_us(key->slot) + 5 * SECOND, pull_out, key);
        return 0;
    case SILENT:
    case CLOSED:
    case ENDINGS:
        return 0;
    }
    return 0;
}

/* ---- the client ---- */

static const struct command {
    const char *name;
    uint8_t header[4];
    bool extended;
    int secret; /* which it carries, -1: none */
    size_t length;
    bool asks_for_plaintext;
} COMMANDS[] = {
    { "VERIFY", { 0x00, 0x20, 0x00, 0x81 }, false, PIN, PIN_LENGTH, false },
    { "INITIALIZE", { 0x80, 0x50, 0x00, 0x00 }, false, PIN, PIN_LENGTH, false },
    { "IMPORT KEY", { 0x00, 0xdb, 0x3f, 0xff }, true, KEY, KEY_LENGTH, false },
    { "DECIPHER", { 0x00, 0x2a, 0x80, 0x86 }, true, -1, 16, true },
};

struct client {
    const struct command *command;
    uint8_t apdu[700], answer[2048];
    RESPONSECODE code;
};

static size_t write_apdu(const struct command *command, uint8_t *apdu)
{
    size_t at = 4;
    memcpy(apdu, command->header, 4);
    if (command->extended) {
        apdu[at++] = 0;
        apdu[at++] = (uint8_t)(command->length >> 8);
    }
    apdu[at++] = (uint8_t)command->length;
    if (command->secret >= 0)
        write_secret((unsigned)command->secret, 0, apdu + at, command->length);
    at += command->length;
    for (int i = 0; i < 2 && command->asks_for_plaintext; i++)
        apdu[at++] = 0;
    return at;
}

static void *transmit(void *context)
{
    struct client *const client = context;
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    SCARD_IO_HEADER got = pci;
    DWORD length = ending == TOO_LONG ? 1 : sizeof client->answer;
    const size_t apdu_length = write_apdu(client->command, client->apdu);
    client->code = IFDHTransmitToICC(LUN, pci, client->apdu, apdu_length, client->answer, &length, &got);
    if (client->code == IFD_SUCCESS && client->command->asks_for_plaintext) {
        assert_int_equal(length, PLAINTEXT_LENGTH + 2);
        assert_int_equal(find_secret(client->answer, length), PLAINTEXT);
    }
    explicit_bzero(client->apdu, sizeof client->apdu);
    explicit_bzero(client->answer, sizeof client->answer);
    return NULL;
}

/* The client's thread has a stack of its own, as in pcscd. */
static RESPONSECODE run(struct scripted_key *key, const struct command *command)
{
    static struct client client;
    pthread_t thread;
    client.command = command;
    if (ending == CLOSED)
        virtual_hold_at(key->slot, virtual_now_us(key->slot) + 3 * SECOND);
    assert_int_equal(pthread_create(&thread, NULL, transmit, &client), 0);
    if (ending == CLOSED) {
        assert_true(virtual_await_hold(key->slot));
        assert_int_equal(IFDHCloseChannel(LUN), IFD_SUCCESS);
    }
    pthread_join(thread, NULL);
    if (ending == CLOSED)
        virtual_release(key->slot);
    return client.code;
}

static void wipe_key(struct scripted_key *key)
{
    explicit_bzero(key->in, sizeof key->in);
    explicit_bzero(key->out, sizeof key->out);
    explicit_bzero(key->block, sizeof key->block);
}

static void expect_nothing(struct scripted_key *key, const struct command *command, const char *when)
{
    wipe_key(key);
    const char *found = secret_in_memory();
    if (found)
        fail_msg("%s, %s, ending %d after %u good messages, %s: %s", key->identity.name, command->name, (int)ending,
                 good_messages, when, found);
}

static void play(const char *model, const struct command *command)
{
    struct scripted_key *key = scripted_new(model);
    const uint8_t *const d = key->identity.device;
    char name[128];
    snprintf(name, sizeof name, "usb:%02x%02x/%02x%02x:libudev:%u:" BENCH_NODE, d[9], d[8], d[11], d[10],
             key->identity.ccid_interface);
    if (level == AT_EXTENDED) /* or the commands here would need no parts */
        memcpy(scripted_class(key) + 44, "\x0f\x01\0", 4);
    scripted_plug(key);
    assert_int_equal(IFDHCreateChannelByName(LUN, name), IFD_SUCCESS);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
    asks_for_plaintext = command->asks_for_plaintext;
    told = message = 0;
    key->answer = story;
    files_seen = 0;
    const RESPONSECODE code = run(key, command);
    assert_true(files_seen > 0 || command->header[1] != 0x50); /* the class whose progress is told */
    if ((code == IFD_SUCCESS) != (ending == WELL) && ending != BROKEN)
        fail_msg("%s, %s, ending %d after %u good messages: code %ld", model, command->name, (int)ending, good_messages,
                 (long)code);
    if (ending != CLOSED && ending != LATE) /* the answer that is owed may come at any moment */
        expect_nothing(key, command, "open");
    if (ending == LATE)
        virtual_pass(key->slot, 60 * MINUTE);
    IFDHCloseChannel(LUN);
    expect_nothing(key, command, "closed");
    scripted_free(key);
    tells_nothing(log_text, log_length);
    log_length = 0;
    files_seen = 0;
    look_at_files(trace_directory, true);
    assert_int_equal(files_seen, 1);
}

static void plays(const char *model)
{
    for (ending = WELL; ending < ENDINGS; ending++)
        for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
            /* the longer ones are several messages at each level, so they can go wrong in the middle */
            const unsigned most = COMMANDS[i].extended ? 2 : 0;
            for (good_messages = 0; good_messages <= most; good_messages++)
                play(model, &COMMANDS[i]);
        }
}

static void at_tpdu_level_nothing_is_left(void **state)
{
    (void)state;
    level = AT_TPDU;
    plays("nitrokey-pro-2");
}

static void at_short_apdu_level_nothing_is_left(void **state)
{
    (void)state;
    level = AT_SHORT;
    plays("nitrokey-start-rtm13");
}

static void at_extended_apdu_level_nothing_is_left(void **state)
{
    (void)state;
    level = AT_EXTENDED;
    plays("nitrokey-3");
}

static void what_is_left_would_be_found(void **state)
{
    (void)state;
    for (unsigned which = 0; which < SECRETS_COUNT; which++) {
        uint8_t *bytes = malloc(300);
        assert_non_null(bytes);
        assert_null(secret_in_memory());
        write_secret(which, 7, bytes + 100, PIN_LENGTH);
        assert_non_null(secret_in_memory());
        explicit_bzero(bytes, 300);
        assert_null(secret_in_memory());
        free(bytes);
    }
}

static void what_is_told_would_be_found(void **state)
{
    (void)state;
    for (unsigned which = 0; which < SECRETS_COUNT; which++) {
        char line[100] = "ifd-nitrokey: bytes ";
        uint8_t bytes[50];
        unsigned found = SECRETS_COUNT;
        write_secret(which, 0, bytes, PIN_LENGTH);
        for (size_t i = 0; i < PIN_LENGTH; i++)
            snprintf(line + 20 + 3 * i, 4, which == PIN ? "%02X " : "%02x:", bytes[i]);
        for (unsigned skip = 0; skip < 2 && found == SECRETS_COUNT; skip++)
            found = find_secret(bytes, read_hexadecimal(line, strlen(line), skip, bytes));
        assert_int_equal(found, which);
        explicit_bzero(bytes, sizeof bytes);
        explicit_bzero(line, sizeof line);
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_left_would_be_found),
        TEST(what_is_told_would_be_found),
        TEST(at_tpdu_level_nothing_is_left),
        TEST(at_short_apdu_level_nothing_is_left),
        TEST(at_extended_apdu_level_nothing_is_left),
    };
    mallopt(M_PERTURB, 0); /* or freed memory would be overwritten for us, */
    mallopt(M_TRIM_THRESHOLD, 1 << 30); /* or given back */
    char trace[sizeof trace_directory + 20];
    if (!mkdtemp(run_directory) || !mkdtemp(trace_directory) || setenv("IFD_NITROKEY_RUN", run_directory, 1) != 0)
        return 1;
    snprintf(trace, sizeof trace, "%s/key.pcap.gz", trace_directory);
    if (setenv("IFD_NITROKEY_TRACE", trace, 1) != 0 || setenv("IFD_NITROKEY_TRACE_NAMES", "yes", 1) != 0)
        return 1;
    const int result = cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
    rmdir(run_directory);
    rmdir(trace_directory);
    return result;
}
