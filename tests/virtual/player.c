/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * player.c - plays a recording of running firmware to a virtual key and compares; recordings/README.md has the language.
 *
 * A file is read once, and each line is executed as it is read. The first difference of a sequence is shown; a line that
 * is not understood ends the program.
 */
#include "player.h"
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "device.h"
#include "firmwares.h"
#include "identity.h"

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define STEP_US 500             /* how often a host asks again */
#define LONG_WAIT_US (20 * SECOND) /* and in a wait that is longer than this, twenty times less often */
#define PLUGGED_AT_US SECOND
#define CONFIGURING_US (10 * MS)
#define KNOWN_MAX 200
#define QUEUE_MAX 4096
#define QUEUE_TRANSFERS 16

struct settings { /* of a file */
    struct identity identity;
    uint8_t device[18], atr[33];
    int64_t patience_us, insistence_us, late_us, gap_us;
    struct icc_options card;
    char *firmware, *start[64];
    size_t start_count;
};

struct packet {
    enum handshake handshake;
    size_t length;
    uint8_t bytes[DEVICE_PACKET_MAX];
};

/* What one "<" or one line of "listen" has brought. */
struct transfer {
    char sizes[2048];
    uint8_t bytes[70000];
    size_t length;
};

static struct settings settings;
static const char *file_name;
static size_t line_number, sequence_number;
static char sequence[256], statement[PLAYER_WORDS * 8];
static struct device *device;
static struct icc *icc;
static int64_t now_us, began_us, sent_us, within_us;
static bool listening, bare, configured;
static size_t differences, failures, sequences, known_differences;

/* ---- what is known to differ ---- */

static struct known {
    char *file, *sequence, *statement, *reason;
    size_t met;
} known[KNOWN_MAX];
static size_t known_count;

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%zu: ", file_name, line_number);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static char *field(char **rest, const char *end)
{
    char *const text = *rest + strspn(*rest, " \t");
    char *const stop = *end ? strstr(text, end) : text + strcspn(text, "\n");
    if (!stop)
        die("FILE | SEQUENCE | STATEMENT | REASON is expected");
    *rest = *end ? stop + strlen(end) : stop;
    *stop = '\0';
    for (char *last = stop; last > text && (last[-1] == ' ' || last[-1] == '\t');)
        *--last = '\0';
    return strdup(text);
}

static void read_known(const char *path)
{
    char line[1024];
    FILE *const file = fopen(path, "r");
    file_name = path;
    if (!file)
        die("cannot be read");
    for (line_number = 1; fgets(line, sizeof line, file); line_number++) {
        char *rest = line;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (known_count == KNOWN_MAX)
            die("too many lines");
        struct known *const entry = &known[known_count++];
        entry->file = field(&rest, "|");
        entry->sequence = field(&rest, "|");
        entry->statement = field(&rest, "|");
        entry->reason = field(&rest, "");
    }
    fclose(file);
}

static const char *base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static struct known *find_known(void)
{
    const char *const name = base_name(file_name);
    for (size_t i = 0; i < known_count; i++)
        if (fnmatch(known[i].file, name, 0) == 0 && fnmatch(known[i].sequence, sequence, 0) == 0 &&
            fnmatch(known[i].statement, statement, 0) == 0)
            return &known[i];
    return NULL;
}

/* The virtual key differs from the recording in this statement. */
static void differ(const char *format, ...)
{
    struct known *const entry = find_known();
    if (entry) {
        entry->met++;
        known_differences++;
        return;
    }
    if (differences++ > 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("# %s:%zu: %.160s%s\n#   the virtual key: ", file_name, line_number, statement,
           strlen(statement) > 160 ? " ..." : "");
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

/* ---- words, numbers and bytes ---- */

static struct player_words after(struct player_words words, size_t count)
{
    return (struct player_words){ words.at + count, words.count - count };
}

static const char *word(struct player_words words, size_t index)
{
    return index < words.count ? words.at[index] : "";
}

static double number(struct player_words words, size_t index)
{
    char *end;
    const double value = strtod(word(words, index), &end);
    if (word(words, index)[0] == '\0' || *end != '\0')
        die("a number is expected instead of \"%s\"", word(words, index));
    return value;
}

static int64_t milliseconds(struct player_words words, size_t index)
{
    return (int64_t)(number(words, index) * (double)MS + 0.5);
}

static unsigned hexadecimal(struct player_words words, size_t index)
{
    char *end;
    const unsigned long value = strtoul(word(words, index), &end, 16);
    if (word(words, index)[0] == '\0' || *end != '\0' || value > 0xffff)
        die("a hexadecimal number is expected instead of \"%s\"", word(words, index));
    return (unsigned)value;
}

static size_t index_of(struct player_words words, const char *what)
{
    size_t i = 0;
    while (i < words.count && strcmp(words.at[i], what) != 0)
        i++;
    return i;
}

static bool append(struct player_bytes *bytes, unsigned value, bool is_known)
{
    if (bytes->length == sizeof bytes->value)
        return false;
    bytes->value[bytes->length] = (uint8_t)value;
    bytes->known[bytes->length++] = is_known;
    return true;
}

/* The two digits of one byte, or "??". */
static bool append_digits(struct player_bytes *bytes, const char *text, unsigned add)
{
    char *end;
    const unsigned long value = strtoul((char[3]){ text[0], text[1] }, &end, 16);
    const bool any = text[0] == '?' && text[1] == '?';
    return (any || *end == '\0') && append(bytes, (unsigned)(value + add) & 0xff, !any);
}

/* "XX*N": N times the byte; "XX+*N": N bytes that count up. */
static bool append_many(struct player_bytes *bytes, const char *text)
{
    const unsigned counts = text[2] == '+';
    char *end;
    if (text[2 + counts] != '*')
        return false;
    const unsigned long count = strtoul(text + 3 + counts, &end, 10);
    for (unsigned i = 0; i < count; i++)
        if (!append_digits(bytes, text, i * counts))
            return false;
    return *end == '\0';
}

/* One word: "00a4", "??", or many bytes. */
static bool append_word(struct player_bytes *bytes, const char *text)
{
    if (strchr(text, '*'))
        return append_many(bytes, text);
    if (strlen(text) % 2 != 0)
        return false;
    for (; *text; text += 2)
        if (!append_digits(bytes, text, 0))
            return false;
    return true;
}

size_t player_read_bytes(struct player_words words, struct player_bytes *bytes)
{
    size_t i = 0;
    bytes->length = 0;
    for (; i < words.count && strcmp(words.at[i], "...") != 0; i++)
        if (!append_word(bytes, words.at[i]))
            return SIZE_MAX;
    return i;
}

static size_t expect_bytes(struct player_words words, struct player_bytes *bytes)
{
    const size_t count = player_read_bytes(words, bytes);
    if (count == SIZE_MAX)
        die("bytes are expected in hexadecimal");
    return count;
}

static uint32_t fnv1a(const uint8_t *bytes, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static uint32_t sum31(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

bool player_are_bytes(struct player_words words, const uint8_t *found, size_t length)
{
    static struct player_bytes expected;
    const size_t used = expect_bytes(words, &expected);
    const struct player_words rest = after(words, used);
    if (rest.count == 0 ? expected.length != length : expected.length > length)
        return false;
    for (size_t i = 0; i < expected.length; i++)
        if (expected.known[i] && expected.value[i] != found[i])
            return false;
    if (rest.count == 0)
        return true;
    const uint32_t hash = (uint32_t)strtoul(word(rest, 2), NULL, 16);
    if (strcmp(word(rest, 1), "fnv") == 0)
        return fnv1a(found, length) == hash;
    if (strcmp(word(rest, 1), "sum31") == 0)
        return sum31(found + expected.length, length - expected.length) == hash;
    die("\"... fnv HASH\" or \"... sum31 SUM\" is expected");
    return false;
}

static const char *as_text(const uint8_t *bytes, size_t length)
{
    static char text[3 * 80 + 8];
    size_t at = 0;
    for (size_t i = 0; i < length && i < 80; i++)
        at += (size_t)sprintf(text + at, "%02x ", bytes[i]);
    strcpy(text + at, length > 80 ? "..." : "");
    return text;
}

/* ---- time and packets ---- */

/* What was not taken and is offered again and again, one transfer after the other. */
static struct queue {
    uint8_t bytes[QUEUE_MAX];
    size_t length[QUEUE_TRANSFERS], count; /* of bytes that have not gone; of transfers */
} queue;

static void offer_queue(void)
{
    while (queue.count > 0) {
        const size_t packet = device_packet_size(device, settings.identity.bulk_out);
        const size_t count = queue.length[0] < packet ? queue.length[0] : packet;
        if (device_out(device, settings.identity.bulk_out, queue.bytes, count) != HANDSHAKE_ACK)
            return;
        memmove(queue.bytes, queue.bytes + count, sizeof queue.bytes - count);
        queue.length[0] -= count;
        if (queue.length[0] == 0)
            memmove(queue.length, queue.length + 1, --queue.count * sizeof queue.length[0]);
    }
}

static void add_to_queue(const uint8_t *bytes, size_t length)
{
    size_t before = 0;
    for (size_t i = 0; i < queue.count; i++)
        before += queue.length[i];
    if (queue.count == QUEUE_TRANSFERS || length > sizeof queue.bytes - before)
        die("too much is queued");
    memcpy(queue.bytes + before, bytes, length);
    queue.length[queue.count++] = length;
}

static void advance_to(int64_t until_us)
{
    int64_t next;
    while ((next = device_next_us(device)) > now_us && next < until_us) {
        device_advance(device, now_us = next);
        offer_queue();
    }
    device_advance(device, now_us = until_us);
    offer_queue();
}

/* The next moment at which a host asks again. */
static int64_t next_try(int64_t deadline_us, int64_t step_us)
{
    const int64_t next = device_next_us(device);
    int64_t at = now_us + step_us;
    if (next > now_us && next < at)
        at = next;
    return at < deadline_us ? at : deadline_us;
}

static const char *handshake_name(enum handshake handshake)
{
    switch (handshake) {
    case HANDSHAKE_ACK: return "ACK";
    case HANDSHAKE_NAK: return "NAK";
    case HANDSHAKE_STALL: return "STALL";
    case HANDSHAKE_NONE: return "NONE";
    case HANDSHAKE_BABBLE: return "BABBLE";
    }
    return "?";
}

static void packet_passes(void)
{
    advance_to(now_us + settings.gap_us);
}

static struct packet read_packet(uint8_t endpoint, int64_t wait_us)
{
    const int64_t deadline = now_us + wait_us, step = wait_us > LONG_WAIT_US ? 20 * STEP_US : STEP_US;
    struct packet packet;
    while ((packet.handshake = device_in(device, endpoint, packet.bytes, &packet.length)) == HANDSHAKE_NAK &&
           now_us < deadline)
        advance_to(next_try(deadline, step));
    if (packet.handshake == HANDSHAKE_ACK)
        packet_passes();
    return packet;
}

static enum handshake write_packet(const uint8_t *bytes, size_t length)
{
    const int64_t deadline = now_us + settings.insistence_us;
    enum handshake handshake;
    while ((handshake = device_out(device, settings.identity.bulk_out, bytes, length)) == HANDSHAKE_NAK &&
           now_us < deadline)
        advance_to(next_try(deadline, STEP_US));
    packet_passes();
    return handshake;
}

/* ---- statements about packets ---- */

/* Behind what is queued. Waits as long as for any, and tells what has become of it. */
static const char *send_queued(const struct player_bytes *bytes)
{
    const int64_t deadline = now_us + settings.insistence_us;
    add_to_queue(bytes->value, bytes->length);
    offer_queue();
    while (queue.count > 0 && now_us < deadline)
        advance_to(next_try(deadline, STEP_US));
    packet_passes();
    return queue.count > 0 ? "NAK queued" : "ACK";
}

/* "> BYTES = HANDSHAKE" */
static void send_transfer(struct player_words words)
{
    static struct player_bytes bytes;
    const size_t equals = index_of(words, "="), packet = device_packet_size(device, settings.identity.bulk_out);
    const struct player_words expected = after(words, equals < words.count ? equals + 1 : equals);
    char found[64];
    size_t at = 0, count;
    enum handshake handshake;
    int64_t offered;
    if (expected.count == 0)
        die("a handshake is expected");
    (void)expect_bytes((struct player_words){ words.at, equals }, &bytes);
    sent_us = now_us;
    char wanted[64] = "";
    for (size_t i = 0; i < expected.count && i < 3; i++)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%s", i ? " " : "", expected.at[i]);
    if (queue.count > 0 || strcmp(wanted, "NAK queued") == 0) {
        const char *const fate = send_queued(&bytes);
        if (strcmp(wanted, "*") != 0 && strcmp(wanted, fate) != 0)
            differ("%s", fate);
        return;
    }
    do {
        count = bytes.length - at < packet ? bytes.length - at : packet;
        offered = now_us;
        handshake = write_packet(bytes.value + at, count);
        at += count;
    } while (handshake == HANDSHAKE_ACK && at < bytes.length);
    const bool late = handshake == HANDSHAKE_ACK && now_us - offered - settings.gap_us > settings.late_us;
    if (handshake == HANDSHAKE_ACK || at - count == 0)
        snprintf(found, sizeof found, "%s%s", handshake_name(handshake), late ? " late" : "");
    else
        snprintf(found, sizeof found, "%s at %zu", handshake_name(handshake), at - count);
    if (strcmp(wanted, "*") != 0 && strcmp(wanted, found) != 0)
        differ("%s", found);
}

/* Packets up to a short one, or a single one. */
static void receive(struct transfer *transfer, int64_t wait_us, bool single)
{
    const size_t full = device_packet_size(device, settings.identity.bulk_in);
    *transfer = (struct transfer){ .length = 0 };
    for (;;) {
        const struct packet packet = read_packet(settings.identity.bulk_in, wait_us);
        const size_t at = strlen(transfer->sizes);
        const char *const space = at > 0 ? " " : "";
        if (packet.handshake == HANDSHAKE_ACK) {
            snprintf(transfer->sizes + at, sizeof transfer->sizes - at, "%s%zu", space, packet.length);
            memcpy(transfer->bytes + transfer->length, packet.bytes, packet.length);
            transfer->length += packet.length;
        } else
            snprintf(transfer->sizes + at, sizeof transfer->sizes - at, "%s%s", space,
                     packet.handshake == HANDSHAKE_NAK ? "nak" : handshake_name(packet.handshake));
        if (packet.handshake != HANDSHAKE_ACK || packet.length < full || single || transfer->length > 60000)
            return;
    }
}

/* Compares "SIZES = BYTES" or "SIZES". */
static void compare(struct player_words words, const struct transfer *transfer)
{
    const size_t equals = index_of(words, "=");
    char sizes[2048] = "";
    for (size_t i = 0; i < equals; i++)
        snprintf(sizes + strlen(sizes), sizeof sizes - strlen(sizes), "%s%s", i ? " " : "", words.at[i]);
    if (strcmp(sizes, "*") == 0)
        return;
    const struct player_words bytes = after(words, equals < words.count ? equals + 1 : equals);
    if (strcasecmp(sizes, transfer->sizes) != 0 || !player_are_bytes(bytes, transfer->bytes, transfer->length))
        differ("%s = %s", transfer->sizes, as_text(transfer->bytes, transfer->length));
}

static void receive_transfer(struct player_words words, bool single)
{
    static struct transfer transfer;
    receive(&transfer, within_us >= 0 ? within_us : settings.patience_us, single);
    within_us = -1;
    compare(words, &transfer);
}

/* ---- listening: what has come meanwhile is kept until the lines that say what should have ---- */

static struct heard {
    int64_t at_us;
    struct packet packet;
} heard[4096];
static size_t heard_count, heard_told;

static void hear(void)
{
    struct packet packet;
    while ((packet.handshake = device_in(device, settings.identity.bulk_in, packet.bytes, &packet.length)) ==
               HANDSHAKE_ACK &&
           heard_count < sizeof heard / sizeof heard[0]) {
        heard[heard_count++] = (struct heard){ now_us, packet };
        advance_to(now_us);
    }
}

static void listen_for(int64_t us)
{
    const int64_t until = now_us + us;
    listening = true;
    heard_count = heard_told = 0;
    hear();
    while (now_us < until) {
        const int64_t next = device_next_us(device);
        advance_to(next > now_us && next < until ? next : until);
        hear();
    }
}

static void end_listening(void)
{
    if (!listening)
        return;
    listening = false;
    if (heard_told < heard_count) {
        snprintf(statement, sizeof statement, "(after the last of what was heard)");
        differ("@%.3f %zu = %s", (double)(heard[heard_told].at_us - began_us) / 1e6, heard[heard_told].packet.length,
               as_text(heard[heard_told].packet.bytes, heard[heard_told].packet.length));
    }
}

/* "@SECONDS SIZE = BYTES", the @ is away */
static void expect_heard(struct player_words words)
{
    if (!listening)
        die("there is no \"listen\" before this");
    if (heard_told == heard_count) {
        differ("nothing");
        return;
    }
    const struct heard *const one = &heard[heard_told++];
    const double seconds = (double)(one->at_us - began_us) / 1e6, off = seconds - number(words, 0);
    if (off > 0.0015 || off < -0.0015 || (size_t)number(words, 1) != one->packet.length ||
        !player_are_bytes(after(words, 3), one->packet.bytes, one->packet.length))
        differ("@%.3f %zu = %s", seconds, one->packet.length, as_text(one->packet.bytes, one->packet.length));
}

/* ---- other statements ---- */

static void ask_interrupt(struct player_words words)
{
    const struct packet packet = read_packet(settings.identity.interrupt_in, 0);
    if (strcmp(word(words, 0), "*") == 0)
        return;
    if (packet.handshake != HANDSHAKE_ACK) {
        if (strcasecmp(word(words, 0), handshake_name(packet.handshake)) != 0)
            differ("%s", handshake_name(packet.handshake));
    } else if (strcasecmp(word(words, 0), "nak") == 0 || !player_are_bytes(words, packet.bytes, packet.length))
        differ("%s", as_text(packet.bytes, packet.length));
}

static void control_transfer(struct player_words words)
{
    static struct player_bytes sent;
    static uint8_t data[70000];
    const size_t equals = index_of(words, "=");
    const struct player_words expected = after(words, equals < words.count ? equals + 1 : equals);
    const struct setup setup = { (uint8_t)hexadecimal(words, 0), (uint8_t)hexadecimal(words, 1),
                                 (uint16_t)hexadecimal(words, 2), (uint16_t)hexadecimal(words, 3),
                                 (uint16_t)number(words, 4) };
    (void)expect_bytes((struct player_words){ words.at + 5, equals - 5 }, &sent);
    memset(data, 0, sizeof data);
    memcpy(data, sent.value, sent.length);
    size_t length = (setup.request_type & 0x80) ? 0 : setup.length;
    const enum handshake handshake = device_control(device, &setup, data, &length);
    packet_passes();
    if (!(setup.request_type & 0x80) || handshake != HANDSHAKE_ACK)
        length = 0;
    if (strcmp(word(expected, 0), "*") == 0)
        return;
    if (strcmp(word(expected, 0), handshake_name(handshake)) != 0 || !player_are_bytes(after(expected, 1), data, length))
        differ("%s %s", handshake_name(handshake), as_text(data, length));
}

/* "sent": nothing is queued any more */
static void all_sent(struct player_words words)
{
    (void)words;
    offer_queue();
    if (queue.count > 0)
        differ("%zu transfers are still offered", queue.count);
}

static void took(struct player_words words)
{
    const double seconds = (double)(now_us - sent_us) / 1e6, off = seconds - number(words, 0);
    if (off > number(words, 1) || off < -number(words, 1))
        differ("%.3f s", seconds);
}

static void set_generate(struct player_words words)
{
    struct icc_timing timing[8];
    size_t count = 0;
    for (; count < words.count && count < 8; count++)
        timing[count] = (struct icc_timing){ .work_us = milliseconds(words, count) };
    icc_set_generate(icc, timing, count);
}

/* ---- a sequence ---- */

static void execute(char *line);

static void unplug(void)
{
    if (device)
        device_power(device, false);
    device_free(device);
    icc_free(icc);
    device = NULL;
    icc = NULL;
}

static void plug(void)
{
    const struct firmware_options options = { 0 };
    icc = icc_new(&settings.card);
    device = icc ? firmware_new(&settings.identity, icc, &options) : NULL;
    if (!device)
        die("there is no such key");
    now_us = PLUGGED_AT_US;
    device_advance(device, now_us);
    device_power(device, true);
    device_reset(device);
    began_us = now_us;
    within_us = -1;
    listening = bare = configured = false;
    queue.count = 0;
}

static void configure(unsigned value)
{
    (void)device_configure(device, value);
    configured = true;
    advance_to(now_us);
}

/* Before the first statement of a sequence that says nothing else. */
static void begin(void)
{
    if (!configured)
        configure(1);
    advance_to(now_us + (settings.gap_us > 0 ? CONFIGURING_US : 0));
    began_us = now_us;
    for (size_t i = 0; !bare && i < settings.start_count; i++) {
        char *const line = strdup(settings.start[i]);
        execute(line);
        free(line);
    }
}

static void end_sequence(void)
{
    if (!device)
        return;
    end_listening();
    printf("%s %zu - %s\n", differences ? "not ok" : "ok", sequences, sequence);
    failures += differences > 0;
    unplug();
}

static void begin_sequence(const char *name)
{
    end_sequence();
    snprintf(sequence, sizeof sequence, "%s", name);
    differences = 0;
    sequences++;
    sequence_number++;
    plug();
}

/* ---- statements ---- */

static void wait_statement(struct player_words words) { advance_to(now_us + milliseconds(words, 0)); }
static void within_statement(struct player_words words) { within_us = milliseconds(words, 0); }
static void listen_statement(struct player_words words) { listen_for(milliseconds(words, 0)); }
static void receive_statement(struct player_words words) { receive_transfer(words, false); }
static void receive_one_statement(struct player_words words) { receive_transfer(words, true); }
static void configure_statement(struct player_words words) { configure((unsigned)number(words, 0)); }
static void halt_statement(struct player_words words) { device_halt(device, (uint8_t)hexadecimal(words, 0)); }

static void bus_reset_statement(struct player_words words)
{
    (void)words;
    device_reset(device);
    advance_to(now_us);
}

static void card_statement(struct player_words words)
{
    const char *const wrong = player_card(icc, words);
    if (wrong && strncmp(wrong, "heard ", 6) == 0)
        differ("%s", wrong);
    else if (wrong)
        die("%s", wrong);
}

/* "hid": another interface has a command for the card; "hid waits"; "hid got N": so many bytes came to it. */
static void hid_statement(struct player_words words)
{
    static const uint8_t get_data[] = { 0x00, 0xca, 0x00, 0xc4, 0x00 };
    const size_t got = device_sibling_answer(device);
    if (words.count == 0 && !device_sibling_apdu(device, get_data, sizeof get_data))
        die("this key has no such interface");
    if (words.count == 0)
        return;
    const bool waits = strcmp(word(words, 0), "waits") == 0;
    if (waits != (got == DEVICE_SIBLING_WAITS) || (words.count > 1 && got != (size_t)number(words, 1)))
        differ("hid %s %zu", got == DEVICE_SIBLING_WAITS ? "waits" : "got", got == DEVICE_SIBLING_WAITS ? 0 : got);
}

static const struct {
    const char *name;
    void (*execute)(struct player_words words);
} STATEMENTS[] = {
    { "wait", wait_statement },       { "within", within_statement },       { "listen", listen_statement },
    { ">", send_transfer },           { "<", receive_statement },           { "<1", receive_one_statement },
    { "!", ask_interrupt },           { "control", control_transfer },      { "bus-reset", bus_reset_statement },
    { "halt", halt_statement },       { "configure", configure_statement }, { "took", took },
    { "generate", set_generate },     { "card", card_statement },           { "hid", hid_statement },
    { "sent", all_sent },
};

static size_t split(char *line, char *at[])
{
    size_t count = 0;
    for (char *rest = line, *one; count < PLAYER_WORDS && (one = strtok_r(rest, " \t\n", &rest));)
        at[count++] = one;
    return count;
}

static void execute(char *line)
{
    static char *at[PLAYER_WORDS];
    snprintf(statement, sizeof statement, "%.*s", (int)strcspn(line, "\n"), line);
    struct player_words words = { at, split(line, at) };
    if (words.at[0][0] == '@') {
        words.at[0]++;
        expect_heard(words);
        return;
    }
    end_listening();
    for (size_t i = 0; i < sizeof STATEMENTS / sizeof STATEMENTS[0]; i++)
        if (strcmp(STATEMENTS[i].name, words.at[0]) == 0) {
            STATEMENTS[i].execute(after(words, 1));
            return;
        }
    die("\"%s\" is no statement", words.at[0]);
}

/* ---- the head of a file ---- */

static void set_key(const char *name)
{
    const struct identity *const identity = identity_find(name);
    if (!identity)
        die("there is no file %s in readers/", name);
    settings.identity = *identity;
    memcpy(settings.device, identity->device, sizeof settings.device);
    settings.identity.device = settings.device;
    settings.card.atr = identity->atr;
    settings.card.atr_len = identity->atr_len;
    settings.card.application = identity->application;
}

static void set_atr(struct player_words words)
{
    static struct player_bytes bytes;
    (void)expect_bytes(words, &bytes);
    if (bytes.length > sizeof settings.atr)
        die("an ATR has 33 bytes at most");
    memcpy(settings.atr, bytes.value, bytes.length);
    settings.card.atr = settings.identity.atr = settings.atr;
    settings.card.atr_len = settings.identity.atr_len = bytes.length;
}

static void set(struct player_words words)
{
    const char *const name = word(words, 0);
    const struct player_words value = after(words, 1);
    const unsigned version = strcmp(name, "device-version") == 0 ? hexadecimal(value, 0) : 0;
    if (strcmp(name, "key") == 0)
        set_key(word(value, 0));
    else if (strcmp(name, "firmware") == 0)
        settings.identity.firmware = settings.firmware = strdup(word(value, 0));
    else if (strcmp(name, "device-version") == 0)
        settings.device[12] = version & 0xff, settings.device[13] = (uint8_t)(version >> 8);
    else if (strcmp(name, "atr") == 0)
        set_atr(value);
    else if (strcmp(name, "work") == 0)
        settings.card.other.work_us = milliseconds(value, 0);
    else if (strcmp(name, "sign") == 0)
        settings.card.sign.work_us = milliseconds(value, 0);
    else if (strcmp(name, "generate") == 0)
        settings.card.generate[0].work_us = milliseconds(value, 0), settings.card.generate_count = 1;
    else if (strcmp(name, "patience") == 0)
        settings.patience_us = milliseconds(value, 0);
    else if (strcmp(name, "insistence") == 0)
        settings.insistence_us = milliseconds(value, 0);
    else if (strcmp(name, "late") == 0)
        settings.late_us = milliseconds(value, 0);
    else if (strcmp(name, "gap") == 0)
        settings.gap_us = milliseconds(value, 0);
    else
        die("\"%s\" is no setting", name);
}

static void read_head(char *line, bool *starting)
{
    char *at[64], copy[1024];
    snprintf(copy, sizeof copy, "%s", line);
    const struct player_words words = { at, split(copy, at) };
    if (strcmp(words.at[0], "start") == 0)
        *starting = true;
    else if (strcmp(words.at[0], "end") == 0)
        *starting = false;
    else if (*starting && settings.start_count < sizeof settings.start / sizeof settings.start[0])
        settings.start[settings.start_count++] = strdup(line);
    else
        set(words);
}

/* ---- a file ---- */

/* "bare" and "unconfigured" say how the sequence begins; the first other statement begins it. */
static bool is_beginning(const char *line, bool *begun)
{
    if (*begun)
        return false;
    if (strncmp(line, "bare", 4) == 0)
        bare = true;
    else if (strncmp(line, "unconfigured", 12) == 0)
        bare = configured = true;
    else {
        *begun = true;
        begin();
        return false;
    }
    return true;
}

static void play(const char *path)
{
    char *line = NULL;
    size_t room = 0;
    bool starting = false, begun = false;
    FILE *const file = fopen(path, "r");
    file_name = path;
    line_number = sequence_number = 0;
    if (!file)
        die("cannot be read");
    settings = (struct settings){ .patience_us = 3 * SECOND, .late_us = INT64_MAX, .card.other.work_us = 5 * MS };
    while (getline(&line, &room, file) > 0) {
        line_number++;
        char *const text = line + strspn(line, " \t");
        if (text[0] == '#' || text[0] == '\n')
            continue;
        text[strcspn(text, "\n")] = '\0';
        if (strncmp(text, "== ", 3) == 0) {
            begin_sequence(text + 3);
            begun = false;
        } else if (sequence_number == 0)
            read_head(text, &starting);
        else if (!is_beginning(text, &begun))
            execute(text);
    }
    end_sequence();
    for (size_t i = 0; i < settings.start_count; i++)
        free(settings.start[i]);
    free(settings.firmware);
    free(line);
    fclose(file);
}

static bool is_about(const struct known *entry, int count, char *const paths[])
{
    for (int i = 0; i < count; i++)
        if (fnmatch(entry->file, base_name(paths[i]), 0) == 0)
            return true;
    return false;
}

/* Each line of known.txt that is about one of the files has to be met, or it is not known any more. */
static void tell_known(int count, char *const paths[])
{
    for (size_t i = 0; i < known_count; i++) {
        if (!is_about(&known[i], count, paths))
            continue;
        printf("%s %zu - %s: %s: %s\n", known[i].met ? "ok" : "not ok", ++sequences, known[i].met ? "known" : "unmet",
               known[i].file, known[i].reason);
        failures += known[i].met == 0;
    }
}

int main(int argc, char *argv[])
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--known") == 0) {
        read_known(argv[2]);
        first = 3;
    }
    if (first >= argc) {
        fputs("Usage: play_recording_... [--known FILE] FILE...\n", stderr);
        return 2;
    }
    for (int i = first; i < argc; i++)
        play(argv[i]);
    tell_known(argc - first, argv + first);
    printf("1..%zu\n# %zu known differences\n", sequences, known_differences);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
