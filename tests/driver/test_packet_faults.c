/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_packet_faults.c - one packet fails, anywhere in a command: that command may fail for it, and nothing else.
 *
 * A row is a command, a fault and a packet. After it the key has executed what was sent and nothing else, no PIN has
 * lost a try for it, the object that was written is the old one or the new one, whole; and the next command is right
 * within 5 s from when the key was free. An object that is written again is the new one, if the client is told so. Each
 * row has a process and a key of its own.
 *
 * There is firmware that cannot be told to forget a part of a message. Then the user is told to unplug the key, nothing
 * is sent any more, and plugged in anew it serves at once. Such a row is counted apart; it is wrong when a driver that
 * knows nothing of what has happened could have used the key.
 *
 *   test_packet_faults MODEL             tests, a row each
 *   test_packet_faults MODEL --table     the rows as a table
 *   test_packet_faults MODEL --row N     that row alone, with what the driver says and the transfers from the fault on
 */
#include "bench.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libusb_virtual.h"
#include "run_copy.h"

#define NEXT_WITHIN (5 * SECOND)
#define COUNTED_FROM 1000000u
#define LONG_NAK (100 * SECOND)
#define ATTEMPTS 120
#define ATTEMPT_EVERY (SECOND / 2)
#define ROWS_MAX 1024
#define HANGS_AFTER_S 120 /* of real time */
#define PIN_DIGITS 60
#define CHANGE_ADMIN "00240083 10 3132333435363738 3837363534333231"
#define VERIFY_NEW_ADMIN "00200083 08 3837363534333231"

/* ---- commands ---- */

enum what { VERIFY_RIGHT, VERIFY_WRONG, WRITE, WRITE_AGAIN, READ, GENERATE, COMMANDS };

static const char *const COMMAND_NAMES[COMMANDS] = { "VERIFY", "VERIFY, wrong PIN", "PUT DATA",
                                                    "PUT DATA, then again", "GET DATA", "GENERATE" };

static char commands[COMMANDS][64 + 2 * 4096], old_content[64 + 2 * 4096], change_pin[64 + 2 * PIN_DIGITS];
static size_t object_length;

static uint8_t old_byte(size_t i)
{
    return (uint8_t)(7 * i + 1);
}

static uint8_t new_byte(size_t i)
{
    return (uint8_t)(5 * i + 2);
}

/* The longest certificate that the application takes, or nearly so: where a card speaks T=1, the last packet of its answer
 * is full, so that an empty one follows. */
static size_t longest_object(const char *application)
{
    if (strncmp(application, "opcard", 6) == 0)
        return 3000;
    if (strcmp(application, "gnuk") == 0)
        return 526;
    return 1510;
}

/* So that there is room for what may be left of the first one. */
static size_t new_length(enum what command)
{
    return command == WRITE_AGAIN ? object_length / 2 : object_length;
}

static void write_object(char *apdu, size_t length, uint8_t (*byte)(size_t))
{
    int at = sprintf(apdu, "00DA7F21 00%04zX ", length);
    for (size_t i = 0; i < length; i++)
        at += sprintf(apdu + at, "%02X", byte(i));
}

static void write_pin(char *apdu, const char *head, char digit)
{
    int at = sprintf(apdu, "%s", head);
    for (int i = 0; i < PIN_DIGITS; i++)
        at += sprintf(apdu + at, "%02X", (unsigned)digit);
}

static void prepare(void)
{
    object_length = longest_object(bench_application());
    write_object(old_content, object_length, old_byte);
    write_object(commands[WRITE], new_length(WRITE), new_byte);
    write_object(commands[WRITE_AGAIN], new_length(WRITE_AGAIN), new_byte);
    write_pin(change_pin, "00240081 42 313233343536", '7');
    write_pin(commands[VERIFY_RIGHT], "00200081 3C ", '7');
    write_pin(commands[VERIFY_WRONG], "00200081 3C ", '9');
    strcpy(commands[READ], "00CA7F21 000000");
    strcpy(commands[GENERATE], GENERATE_SIGNATURE_KEY);
}

/* ---- faults ---- */

static const struct way {
    const char *name;
    enum packet_fault_kind kind;
    bool in;
    int64_t naked_us;
    bool unreported, is_the_end; /* cancelled transfers tell nothing; pcscd is killed */
} WAYS[] = {
    { .name = "lost", .kind = PACKET_LOST },
    { .name = "unacknowledged", .kind = PACKET_UNACKNOWLEDGED },
    { .name = "halt", .kind = PACKET_HALTED },
    { .name = "NAK for 3 s", .kind = PACKET_NAKED, .naked_us = 3 * SECOND },
    { .name = "cancelled", .kind = PACKET_NAKED, .naked_us = LONG_NAK, .unreported = true },
    { .name = "pcscd killed", .kind = PACKET_PAUSED, .is_the_end = true },
    { .name = "lost", .kind = PACKET_LOST, .in = true },
    { .name = "given away", .kind = PACKET_UNACKNOWLEDGED, .in = true },
    { .name = "babble", .kind = PACKET_BABBLE, .in = true },
    { .name = "halt", .kind = PACKET_HALTED, .in = true },
    { .name = "no ZLP", .kind = PACKET_NO_ZLP, .in = true },
    { .name = "NAK for 3 s", .kind = PACKET_NAKED, .in = true, .naked_us = 3 * SECOND },
    { .name = "cancelled", .kind = PACKET_NAKED, .in = true, .naked_us = LONG_NAK, .unreported = true },
    { .name = "pcscd killed", .kind = PACKET_PAUSED, .in = true, .is_the_end = true },
};

struct row {
    enum what command;
    const struct way *way;
    unsigned nth, of;
};

struct result {
    bool struck, answered, next_right;
    bool unplug; /* the user was told to, and nothing else would have helped */
    long code;
    unsigned status_word;
    int64_t took_us, next_us, served_us; /* next_us: since the key was free; served_us: likewise, of the first right one */
    long next_code;
    unsigned next_status_word;
    char wrong[512]; /* empty: nothing */
};

/* ---- pcscd's run directory ---- */

static char run[] = "/tmp/ifd-nitrokey-packets-XXXXXX", kept[] = "/tmp/ifd-nitrokey-packets-XXXXXX";

static void replace(const char *from, const char *to)
{
    if (!run_copy(from, to))
        fail_msg("%s cannot be copied", from);
}

static void remove_directories(void)
{
    run_empty(run);
    run_empty(kept);
    (void)rmdir(run);
    (void)rmdir(kept);
}

/* ---- one row ---- */

static bool shows_transfers, told_to_unplug;

extern void log_msg(const int priority, const char *format, ...);
void log_msg(const int priority, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    told_to_unplug = told_to_unplug || strstr(line, "Unplug it and plug it in again");
    if (shows_transfers && priority > 0)
        printf("          %s\n", line);
}

static void show_transfer(void *slot, enum libusb_virtual_event event, const uint8_t *bytes, size_t length)
{
    const size_t most = 24;
    printf("%9.3f %s %3zu:", (double)virtual_now_us(slot) / SECOND, event == TAP_SENT ? "OUT" : "IN ", length);
    for (size_t i = 0; i < length && i < most; i++)
        printf(" %02x", bytes[i]);
    printf("%s\n", length > most ? " ..." : "");
}

static bool killed; /* pcscd, */
static int64_t killed_us; /* then */

/* pcscd is killed in this moment: what it does from now on reaches neither the key nor the directory. */
static void kill_pcscd(void *context)
{
    struct bench *const b = context;
    b->device->faults.paused = false;
    virtual_orphan(b->slot);
    replace(run, kept);
    killed = true;
    killed_us = b->device->now_us;
    if (shows_transfers)
        printf("%9.3f pcscd is killed\n", (double)killed_us / SECOND);
}

static void start_pcscd_again(void)
{
    IFDHCloseChannel(LUN);
    replace(kept, run);
    if (bench_open() != IFD_SUCCESS)
        return;
    if (IFDHICCPresence(LUN) == IFD_ICC_PRESENT)
        (void)bench_power(IFD_POWER_UP);
}

/* A Gnuk takes another user PIN only when it has a key, and for an admin PIN as well unless that was changed before. */
static struct bench *started(void)
{
    struct bench *const b = bench_new_with((struct icc_options){
        .generate = { { .work_us = SECOND }, { .work_us = 20 * SECOND } }, .generate_count = 2,
        .sign = { .work_us = 300 * MS }, .other = { .work_us = 10 * MS },
    });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_expect(b, GENERATE_DECRYPTION_KEY, 0x9000);
    bench_expect(b, CHANGE_ADMIN, 0x9000);
    bench_expect(b, change_pin, 0x9000);
    bench_expect(b, commands[VERIFY_RIGHT], 0x9000);
    bench_expect(b, VERIFY_NEW_ADMIN, 0x9000);
    bench_expect(b, old_content, 0x9000);
    return b;
}

static uint8_t endpoint_of(const struct bench *b, bool in)
{
    return in ? b->device->identity->bulk_in : b->device->identity->bulk_out;
}

static void arm(struct bench *b, const struct row *row)
{
    struct faults *const faults = &b->device->faults;
    faults->packet = (struct packet_fault){ .kind = row->way->kind, .endpoint = endpoint_of(b, row->way->in),
                                            .nth = row->nth, .naked_us = row->way->naked_us };
    faults->cancels_unreported = row->way->unreported;
    if (!row->way->is_the_end)
        return;
    faults->packet.struck = kill_pcscd;
    faults->packet.context = b;
}

static bool is_content(const struct answer *answer, size_t length, uint8_t (*byte)(size_t))
{
    if (answer->length != length + 2)
        return false;
    for (size_t i = 0; i < length; i++)
        if (answer->bytes[i] != byte(i))
            return false;
    return true;
}

static bool is_aid(const struct answer *answer)
{
    return answer->code == IFD_SUCCESS && answer->length == 18 && answer->status_word == 0x9000 &&
           memcmp(answer->bytes, "\xD2\x76\x00\x01\x24\x01", 6) == 0;
}

static void wrong(struct result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void wrong(struct result *result, const char *format, ...)
{
    const size_t at = strlen(result->wrong);
    va_list arguments;
    if (at > 0)
        snprintf(result->wrong + at, sizeof result->wrong - at, "; ");
    const size_t begins = strlen(result->wrong);
    va_start(arguments, format);
    vsnprintf(result->wrong + begins, sizeof result->wrong - begins, format, arguments);
    va_end(arguments);
}

/* CLA may be that of a part. */
static bool is_the_command(const struct icc_apdu *apdu, const struct row *row)
{
    char header[7];
    snprintf(header, sizeof header, "%02X%02X%02X", apdu->command[1], apdu->command[2], apdu->command[3]);
    return strncmp(header, commands[row->command] + 2, sizeof header - 1) == 0;
}

/* When the key has nothing more to do of the command that had arrived by then; a chip begins a little later. */
static int64_t free_us(const struct bench *b, const struct row *row, int64_t by_us)
{
    int64_t free_us = b->device->faults.naked_until_us > by_us ? b->device->faults.naked_until_us : by_us;
    for (size_t i = 0; i < icc_log_count(b->icc); i++) {
        const struct icc_apdu apdu = icc_log_get(b->icc, i);
        if (apdu.begin_us <= by_us + SECOND && apdu.end_us > free_us && is_the_command(&apdu, row))
            free_us = apdu.end_us;
    }
    return free_us;
}

/* A client that was told of the loss of the card connects anew, and selects the application. */
static struct answer next_command(struct bench *b)
{
    struct answer answer = { .code = IFD_COMMUNICATION_ERROR };
    const bool absent = IFDHICCPresence(LUN) != IFD_ICC_PRESENT;
    if (absent && bench_event_thread() != IFD_ICC_PRESENT)
        return answer;
    if (absent)
        answer = bench_try(b, SELECT);
    if (!absent || answer.code == IFD_SUCCESS)
        answer = bench_try(b, GET_AID);
    if (answer.code == IFD_SUCCESS && answer.status_word == 0x6a88) { /* of an application that is not selected any more */
        answer = bench_try(b, SELECT);
        if (answer.code == IFD_SUCCESS)
            answer = bench_try(b, GET_AID);
    }
    return answer;
}

/* A PIN loses a try by a wrong one that was sent, and by nothing else. */
static void check_tries(const struct bench *b, struct result *result)
{
    unsigned tries = 3;
    for (size_t i = 0; i < icc_log_count(b->icc); i++) {
        const struct icc_apdu apdu = icc_log_get(b->icc, i);
        if (apdu.command_len < 5 + PIN_DIGITS || apdu.command[1] != 0x20 || apdu.command[3] != 0x81)
            continue;
        tries = apdu.command[5] == '7' ? 3 : tries - 1;
    }
    if (icc_counters(b->icc).pw1 != tries || icc_counters(b->icc).pw3 != 3)
        wrong(result, "tries left of the PINs: %u and %u", icc_counters(b->icc).pw1, icc_counters(b->icc).pw3);
}

/* The last resort. */
static bool replug(struct bench *b)
{
    IFDHCloseChannel(LUN);
    virtual_unplug(b->slot);
    virtual_plug(b->slot);
    return bench_open() == IFD_SUCCESS && bench_event_thread() == IFD_ICC_PRESENT &&
           bench_try(b, SELECT).code == IFD_SUCCESS && bench_try(b, GET_AID).code == IFD_SUCCESS;
}

/* Its firmware panics at an Abort, or at what is left of a message. */
static bool may_need_a_replug(const struct bench *b)
{
    const uint8_t *const device = b->device->identity->device;
    return strcmp(b->device->identity->firmware, "nk3") == 0 && (device[12] | device[13] << 8) < 0x0106;
}

/* Whether a driver that knows nothing could use the key, and nothing were executed that was not sent. In a process of
 * its own, since this one goes on with the key as it is. */
static bool serves_a_stranger(struct bench *b)
{
    int status;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        struct result result = { .struck = true };
        shows_transfers = false;
        unsetenv("IFD_NITROKEY_RUN");
        IFDHCloseChannel(LUN);
        const bool opened = bench_open() == IFD_SUCCESS && bench_event_thread() == IFD_ICC_PRESENT;
        const struct answer answer = opened ? next_command(b) : (struct answer){ .length = 0 };
        check_tries(b, &result);
        _exit(is_aid(&answer) && !result.wrong[0] && !bench_verdict(b) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The user was told, and is told again by another pcscd. */
static void unplug(struct bench *b, int64_t free_since_us, struct result *result)
{
    if (virtual_now_us(b->slot) - free_since_us > NEXT_WITHIN)
        wrong(result, "the user is told late");
    if (!may_need_a_replug(b) || serves_a_stranger(b))
        wrong(result, "it need not be unplugged");
    told_to_unplug = false;
    IFDHCloseChannel(LUN);
    if (bench_open() != IFD_SUCCESS || bench_event_thread() == IFD_ICC_PRESENT || !told_to_unplug)
        wrong(result, "another pcscd does not tell to unplug it");
    result->unplug = true;
    if (!replug(b))
        wrong(result, "plugged in anew it does not serve at once");
    result->served_us = virtual_now_us(b->slot);
}

static void check_next(struct bench *b, const struct row *row, struct result *result)
{
    const int64_t returned_us = killed ? killed_us : virtual_now_us(b->slot);
    struct answer answer = { .length = 0 };
    const int64_t naked_us = b->device->faults.naked_until_us - virtual_now_us(b->slot);
    if (naked_us > 0)
        virtual_pass(b->slot, naked_us);
    if (killed) /* pcscd shows no card while it cannot be used, and nobody sends anything */
        for (int i = 0; i < ATTEMPTS && !told_to_unplug && IFDHICCPresence(LUN) != IFD_ICC_PRESENT; i++)
            if (bench_event_thread() != IFD_ICC_PRESENT)
                virtual_pass(b->slot, ATTEMPT_EVERY);
    for (int i = 0; i < ATTEMPTS && !is_aid(&answer); i++) {
        answer = next_command(b);
        if (told_to_unplug && IFDHICCPresence(LUN) != IFD_ICC_PRESENT) {
            unplug(b, free_us(b, row, returned_us), result);
            return;
        }
        if (i == 0) {
            result->next_code = (long)answer.code;
            result->next_status_word = answer.status_word;
            result->next_right = is_aid(&answer);
            result->next_us = virtual_now_us(b->slot);
        }
        if (answer.code == IFD_SUCCESS && answer.status_word == 0x9000 && !is_aid(&answer))
            wrong(result, "the next command got another answer");
        if (!is_aid(&answer))
            virtual_pass(b->slot, ATTEMPT_EVERY);
    }
    if (!is_aid(&answer))
        wrong(result, replug(b) ? "only unplugging it helps" : "it does not serve any more, not even plugged in anew");
    result->served_us = virtual_now_us(b->slot);
    const int64_t begun_us = free_us(b, row, returned_us);
    result->next_us -= begun_us < result->next_us ? begun_us : result->next_us;
    result->served_us -= begun_us < result->served_us ? begun_us : result->served_us;
    if (!result->next_right)
        wrong(result, "the next command fails");
    else if (result->next_us > NEXT_WITHIN)
        wrong(result, "the next command comes late");
}

static void check_answer(const struct row *row, const struct answer *answer, struct result *result)
{
    static const unsigned right[COMMANDS] = { 0x9000, 0x6982, 0x9000, 0x9000, 0x9000, 0x9000 };
    const unsigned got = answer->status_word;
    if (answer->code != IFD_SUCCESS)
        return;
    if (got != right[row->command] && !(row->command == VERIFY_WRONG && got >> 4 == 0x63c))
        wrong(result, "the command got status word %04X", got);
    if (row->command == READ && !is_content(answer, object_length, old_byte))
        wrong(result, "what was read is not what is stored");
}

static void check_stored(struct bench *b, const struct row *row, const struct answer *command, struct result *result)
{
    (void)bench_try(b, SELECT);
    const struct answer stored = bench_try(b, commands[READ]);
    const bool is_new = is_content(&stored, new_length(row->command), new_byte);
    const bool is_old = is_content(&stored, object_length, old_byte);
    if (stored.code != IFD_SUCCESS || stored.status_word != 0x9000)
        wrong(result, "the object cannot be read: code %ld, status word %04X", (long)stored.code, stored.status_word);
    else if (!is_new && !is_old)
        wrong(result, "neither the old object nor the new one is stored, but %zu bytes", stored.length - 2);
    else if (row->command == WRITE || row->command == WRITE_AGAIN ? command->status_word == 0x9000 && !is_new : is_new)
        wrong(result, "the object is not the one that was written");
}

static void play(const struct row *row, struct result *result)
{
    struct bench *const b = started();
    arm(b, row);
    if (shows_transfers)
        libusb_virtual_listen(show_transfer, b->slot);
    struct answer answer = bench_try(b, commands[row->command]);
    result->struck = b->device->faults.packets_struck > 0;
    result->answered = !killed;
    result->code = (long)answer.code;
    result->status_word = answer.status_word;
    result->took_us = answer.took_us;
    b->device->faults.cancels_unreported = false;
    if (!killed && strncmp(b->device->identity->firmware, "gnuk", 4) != 0 && answer.card_was_reset)
        wrong(result, "the card was reset, and nobody was told");
    if (!killed)
        check_answer(row, &answer, result);
    else
        start_pcscd_again();
    if (row->command == WRITE_AGAIN) /* of what is left of the first one nothing may get into the second one */
        answer = bench_try(b, commands[WRITE_AGAIN]);
    check_next(b, row, result);
    libusb_virtual_listen(NULL, NULL);
    check_stored(b, row, &answer, result);
    check_tries(b, result);
    char *const verdict = bench_verdict(b);
    if (verdict)
        wrong(result, "%s", verdict);
    free(verdict);
}

/* ---- rows ---- */

static struct row rows[ROWS_MAX];
static size_t row_count;

/* How many packets move in one direction in a command that nothing disturbs. */
static unsigned packets(enum what command, bool in, bool empty)
{
    struct bench *const b = started();
    b->device->faults.packet = (struct packet_fault){ .kind = empty ? PACKET_NO_ZLP : PACKET_UNACKNOWLEDGED,
                                                      .endpoint = endpoint_of(b, in), .nth = COUNTED_FROM };
    (void)bench_try(b, commands[command]);
    const unsigned count = COUNTED_FROM - b->device->faults.packet.nth;
    b->device->faults.packet = (struct packet_fault){ .kind = PACKET_RIGHT };
    bench_free_unchecked(b);
    return count;
}

/* The first three packets, the one in the middle, the last two. */
static void add_rows(enum what command, const struct way *way, unsigned count)
{
    const unsigned chosen[] = { 1, 2, 3, count / 2, count - 1, count };
    unsigned last = 0;
    for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
        if (chosen[i] <= last || chosen[i] > count || (way->unreported && chosen[i] == 1))
            continue;
        last = chosen[i];
        assert_true(row_count < ROWS_MAX);
        rows[row_count++] = (struct row){ .command = command, .way = way, .nth = last, .of = count };
    }
}

static void make_rows(void)
{
    for (enum what command = 0; command < COMMANDS; command++) {
        const unsigned out = packets(command, false, false), in = packets(command, true, false);
        const unsigned empty = packets(command, true, true);
        for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++)
            add_rows(command, &WAYS[i], WAYS[i].kind == PACKET_NO_ZLP ? empty : WAYS[i].in ? in : out);
    }
}

static void name_row(const struct row *row, char *name, size_t size)
{
    snprintf(name, size, "%s: %s packet %u of %u %s", COMMAND_NAMES[row->command], row->way->in ? "IN" : "OUT",
             row->nth, row->of, row->way->name);
}

static void play_in_a_child(const struct row *row, int out)
{
    struct result result = { .struck = false };
    alarm(HANGS_AFTER_S);
    if (!mkdtemp(run) || !mkdtemp(kept) || setenv("IFD_NITROKEY_RUN", run, 1) != 0)
        _exit(2);
    play(row, &result);
    remove_directories();
    _exit(write(out, &result, sizeof result) == sizeof result ? 0 : 2);
}

static struct result play_apart(const struct row *row)
{
    struct result result = { .struck = false };
    int ends[2], status = 0;
    fflush(stdout);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        play_in_a_child(row, ends[1]);
    }
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        result = (struct result){ .struck = true };
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        wrong(&result, "the driver hangs");
    else if (WIFSIGNALED(status))
        wrong(&result, "signal %d", WTERMSIG(status));
    else if (status != 0)
        wrong(&result, "the row could not be played to its end");
    return result;
}

/* ---- what people see ---- */

static void say_outcome(bool answered, long code, unsigned status_word, char text[16])
{
    if (!answered)
        strcpy(text, "-");
    else if (code == IFD_SUCCESS)
        sprintf(text, "%04X", status_word);
    else if (code == IFD_RESPONSE_TIMEOUT)
        strcpy(text, "timeout");
    else
        strcpy(text, code == IFD_COMMUNICATION_ERROR ? "error" : "other error");
}

static bool is_right(const struct result *result)
{
    return result->struck && !result->wrong[0];
}

static const char *remark(const struct result *result)
{
    if (!result->struck)
        return "did not happen";
    return result->unplug && !result->wrong[0] ? "(unplug it)" : result->wrong;
}

static void print_row(size_t n, const struct row *row, const struct result *result, bool table)
{
    char name[128], got[16], next[16];
    name_row(row, name, sizeof name);
    say_outcome(result->answered, result->code, result->status_word, got);
    say_outcome(result->next_code != IFD_SUCCESS || result->next_status_word > 0, result->next_code,
                result->next_status_word, next); /* to a dead key none is sent */
    if (table)
        printf("| %zu | %s | %s %u of %u | %s | %s | %.1f | %s | %.1f | %s |\n", n, COMMAND_NAMES[row->command],
               row->way->in ? "IN" : "OUT", row->nth, row->of, row->way->name, got, (double)result->took_us / SECOND,
               next, (double)result->served_us / SECOND, remark(result));
    else if (is_right(result))
        printf("ok %zu - %s%s\n", n, name, result->unplug ? ": it has to be unplugged" : "");
    else
        printf("not ok %zu - %s: %s (%s after %.1f s; next %s, right after %.1f s)\n", n, name,
               remark(result), got, (double)result->took_us / SECOND, next,
               (double)result->served_us / SECOND);
}

static int play_all(bool table)
{
    size_t failed = 0, unplugged = 0;
    if (table)
        printf("| row | command | packet | fault | result | s | next | right after s | wrong |\n"
               "|---|---|---|---|---|---|---|---|---|\n");
    else
        printf("1..%zu\n", row_count);
    for (size_t i = 0; i < row_count; i++) {
        const struct result result = play_apart(&rows[i]);
        failed += !is_right(&result);
        unplugged += is_right(&result) && result.unplug;
        print_row(i + 1, &rows[i], &result, table);
    }
    printf("%s%zu rows, %zu wrong, %zu where it has to be unplugged\n", table ? "\n" : "# ", row_count, failed,
           unplugged);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int play_one(const char *number)
{
    const size_t n = strtoul(number, NULL, 10);
    struct result result = { .struck = false };
    if (n == 0 || n > row_count || !mkdtemp(run) || !mkdtemp(kept) || setenv("IFD_NITROKEY_RUN", run, 1) != 0)
        return 2;
    shows_transfers = true;
    play(&rows[n - 1], &result);
    remove_directories();
    print_row(n, &rows[n - 1], &result, false);
    return is_right(&result) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    bench_choose(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    prepare();
    make_rows();
    if (argc == 4 && strcmp(argv[2], "--row") == 0)
        return play_one(argv[3]);
    return play_all(argc > 2 && strcmp(argv[2], "--table") == 0);
}
