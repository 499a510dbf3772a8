/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcsc_bench.c - a PC/SC client that measures what a program waits for; see USAGE. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <winscard.h>

#define READERS_MAX 16
#define ANSWER_MAX 65538

static const char USAGE[] =
    "Usage: pcsc_bench latency COUNT APDU...      sends the APDUs, then the last one COUNT times, to the first reader;\n"
    "                                             prints median and 99th percentile, in microseconds\n"
    "       pcsc_bench rate SECONDS APDU          sends it to all readers at once; prints answers a second, of all\n"
    "       pcsc_bench unplug CONTROL APDU...     sends the APDUs; when the virtual key at the control socket is busy with\n"
    "                                             the last one, unplugs it; prints the milliseconds until its error\n"
    "APDUs are in hexadecimal. Exit status 0: measured.\n";

struct connection {
    SCARDHANDLE card;
    const SCARD_IO_REQUEST *protocol;
    BYTE answer[ANSWER_MAX];
};

struct apdu {
    BYTE bytes[264];
    DWORD length;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(const char *what, LONG code)
{
    fprintf(stderr, "pcsc_bench: %s: %s\n", what, pcsc_stringify_error(code));
    exit(1);
}

static struct apdu parse(const char *hex)
{
    struct apdu apdu = { .length = 0 };
    for (; apdu.length < sizeof apdu.bytes && sscanf(hex, "%2hhx", &apdu.bytes[apdu.length]) == 1; hex += 2)
        apdu.length++;
    return apdu;
}

/* The readers' names, one after the other, each with its NUL; an empty one is the end. */
static char *list_readers(SCARDCONTEXT context)
{
    char *names;
    DWORD size = SCARD_AUTOALLOCATE;
    const LONG code = SCardListReaders(context, NULL, (LPSTR)&names, &size);
    if (code != SCARD_S_SUCCESS)
        fail("SCardListReaders", code);
    return names;
}

static struct connection *connect_to(const char *reader)
{
    SCARDCONTEXT context; /* its own: one context serves one thread at a time */
    struct connection *connection = calloc(1, sizeof *connection);
    DWORD protocol;
    LONG code = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context);
    if (code != SCARD_S_SUCCESS || !connection)
        fail("SCardEstablishContext", code);
    if (!reader)
        reader = list_readers(context);
    code = SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, &connection->card, &protocol);
    if (code != SCARD_S_SUCCESS)
        fail(reader, code);
    connection->protocol = SCARD_PCI_T1;
    return connection;
}

static LONG transmit(struct connection *connection, const struct apdu *apdu)
{
    DWORD length = sizeof connection->answer;
    return SCardTransmit(connection->card, connection->protocol, apdu->bytes, apdu->length, NULL, connection->answer,
                         &length);
}

static struct apdu transmit_all_but_last(struct connection *connection, char *const hex[], int count)
{
    for (int i = 0; i < count - 1; i++) {
        const struct apdu apdu = parse(hex[i]);
        const LONG code = transmit(connection, &apdu);
        if (code != SCARD_S_SUCCESS)
            fail(hex[i], code);
    }
    return parse(hex[count - 1]);
}

/* ---- latency ---- */

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void latency(size_t count, char *const hex[], int hex_count)
{
    struct connection *connection = connect_to(NULL);
    const struct apdu apdu = transmit_all_but_last(connection, hex, hex_count);
    int64_t *took = calloc(count, sizeof *took);
    for (size_t i = 0; took && i < count; i++) {
        const int64_t begun = now_ns();
        const LONG code = transmit(connection, &apdu);
        if (code != SCARD_S_SUCCESS)
            fail("SCardTransmit", code);
        took[i] = now_ns() - begun;
    }
    if (!took)
        exit(1);
    qsort(took, count, sizeof *took, compare);
    printf("%.1f %.1f\n", (double)took[count / 2] / 1000, (double)took[count - 1 - count / 100] / 1000);
}

/* ---- rate ---- */

static atomic_bool over;
static atomic_ulong answers;
static struct apdu rate_apdu;

static void *send_until_over(void *argument)
{
    struct connection *connection = argument;
    while (!atomic_load(&over)) {
        const LONG code = transmit(connection, &rate_apdu);
        if (code != SCARD_S_SUCCESS)
            fail("SCardTransmit", code);
        atomic_fetch_add(&answers, 1);
    }
    return NULL;
}

static void rate(unsigned seconds, const char *hex)
{
    SCARDCONTEXT context;
    pthread_t threads[READERS_MAX];
    struct connection *connections[READERS_MAX];
    size_t count = 0;
    const LONG code = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context);
    if (code != SCARD_S_SUCCESS)
        fail("SCardEstablishContext", code);
    rate_apdu = parse(hex);
    for (const char *name = list_readers(context); *name && count < READERS_MAX; name += strlen(name) + 1)
        connections[count++] = connect_to(name);
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, send_until_over, connections[i]) != 0)
            exit(1);
    const unsigned long before = atomic_load(&answers);
    const int64_t begun = now_ns();
    sleep(seconds);
    const double took = (double)(now_ns() - begun) / 1e9;
    const unsigned long after = atomic_load(&answers);
    atomic_store(&over, true);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%.1f\n", (double)(after - before) / took);
}

/* ---- unplug ---- */

/* One command to the virtual key, as "virtual-nitrokey --tell" does, without the time that a process takes to start. */
static bool tell(const char *path, const char *line, const char *expected)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char answer[64] = "";
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    const bool told = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                      write(fd, line, strlen(line)) == (ssize_t)strlen(line) && read(fd, answer, sizeof answer - 1) > 0;
    close(fd);
    return told && strncmp(answer, expected, strlen(expected)) == 0;
}

static int64_t ended_ns;
static struct connection *victim;

static void *send_once(void *argument)
{
    const LONG code = transmit(victim, argument);
    ended_ns = now_ns();
    if (code == SCARD_S_SUCCESS) {
        fprintf(stderr, "pcsc_bench: the command succeeded before the unplug\n");
        exit(1);
    }
    return NULL;
}

static void unplug(const char *path, char *const hex[], int hex_count)
{
    pthread_t thread;
    victim = connect_to(NULL);
    struct apdu apdu = transmit_all_but_last(victim, hex, hex_count);
    if (pthread_create(&thread, NULL, send_once, &apdu) != 0)
        exit(1);
    while (!tell(path, "busy\n", "ok busy"))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL); /* the driver is in the middle of its wait */
    const int64_t unplugged_ns = now_ns();
    if (!tell(path, "unplug\n", "ok"))
        exit(1);
    pthread_join(thread, NULL);
    printf("%.2f\n", (double)(ended_ns - unplugged_ns) / 1e6);
}

int main(int argc, char *argv[])
{
    if (argc >= 4 && strcmp(argv[1], "latency") == 0 && strtoul(argv[2], NULL, 10) > 0)
        latency(strtoul(argv[2], NULL, 10), argv + 3, argc - 3);
    else if (argc == 4 && strcmp(argv[1], "rate") == 0)
        rate((unsigned)strtoul(argv[2], NULL, 10), argv[3]);
    else if (argc >= 4 && strcmp(argv[1], "unplug") == 0)
        unplug(argv[2], argv + 3, argc - 3);
    else
        return fputs(USAGE, stderr), 2;
    return 0;
}
