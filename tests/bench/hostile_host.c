/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile_host.c - a driver, loaded as pcscd loads it, against hostile devices: one process for each, and its end.
 *
 *   hostile_host DRIVER.so FILE...   a script a line, in hexadecimal
 *
 * Prints one line a script: its number, whether the driver opened the device, how many answers it delivered, and "well"
 * or what went wrong.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "hostile_client.h"
#include "oracle.h"

#define SCRIPT_MAX 4096
#define REAL_LIMIT_S 20 /* of a session whose waits are virtual */

void log_msg(const int priority, const char *format, ...);
void log_xxd(const int priority, const char *message, const unsigned char *bytes, const int length);

/* What pcscd offers its drivers. */
void log_msg(const int priority, const char *format, ...)
{
    (void)priority;
    (void)format;
}

void log_xxd(const int priority, const char *message, const unsigned char *bytes, const int length)
{
    (void)priority;
    (void)message;
    (void)bytes;
    (void)length;
}

/* A driver's pauses take no time here. */
unsigned sleep(unsigned seconds)
{
    (void)seconds;
    return 0;
}

int usleep(useconds_t us)
{
    (void)us;
    return 0;
}

static void *symbol(void *driver, const char *name)
{
    void *const found = dlsym(driver, name);
    if (!found) {
        fprintf(stderr, "hostile_host: the driver has no %s\n", name);
        exit(2);
    }
    return found;
}

static struct ifd load(const char *path)
{
    struct ifd ifd;
    void *const driver = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!driver) {
        fprintf(stderr, "hostile_host: %s\n", dlerror());
        exit(2);
    }
    *(void **)&ifd.create = symbol(driver, "IFDHCreateChannelByName");
    *(void **)&ifd.close = symbol(driver, "IFDHCloseChannel");
    *(void **)&ifd.capabilities = symbol(driver, "IFDHGetCapabilities");
    *(void **)&ifd.power = symbol(driver, "IFDHPowerICC");
    *(void **)&ifd.transmit = symbol(driver, "IFDHTransmitToICC");
    *(void **)&ifd.control = symbol(driver, "IFDHControl");
    *(void **)&ifd.presence = symbol(driver, "IFDHICCPresence");
    return ifd;
}

static size_t decode(const char *line, uint8_t script[SCRIPT_MAX])
{
    size_t length = 0;
    unsigned byte;
    for (; length < SCRIPT_MAX && sscanf(line, "%2x", &byte) == 1; line += 2)
        script[length++] = (uint8_t)byte;
    return length;
}

/* In the child: the outcome goes through the pipe. */
static void play(const struct ifd *ifd, const char *line, int to)
{
    uint8_t script[SCRIPT_MAX];
    const size_t length = decode(line, script);
    alarm(REAL_LIMIT_S);
    const struct outcome outcome = hostile_run(ifd, script, length, false);
    if (write(to, &outcome, sizeof outcome) != (ssize_t)sizeof outcome)
        _exit(2);
    _exit(0);
}

static void report(unsigned number, int status, const struct outcome *outcome)
{
    printf("%u %s %u", number, outcome->opened ? "opened" : "refused", outcome->answers);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf(" hang");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        printf(" crash");
    if (outcome->wrong & WRONG_TIME)
        printf(" hang");
    if (outcome->wrong & WRONG_ANSWER)
        printf(" misled");
    if (outcome->wrong & WRONG_AGAIN)
        printf(" twice");
    printf("%s\n", status == 0 && !(outcome->wrong & (WRONG_TIME | WRONG_ANSWER | WRONG_AGAIN)) ? " well" : "");
    fflush(stdout);
}

static void run(const struct ifd *ifd, const char *line, unsigned number)
{
    int ends[2], status = 0;
    struct outcome outcome = { .wrong = 0 };
    if (pipe(ends) != 0)
        exit(2);
    const pid_t child = fork();
    if (child == 0)
        play(ifd, line, ends[1]);
    close(ends[1]);
    if (child < 0 || read(ends[0], &outcome, sizeof outcome) < 0 || waitpid(child, &status, 0) != child)
        exit(2);
    close(ends[0]);
    report(number, status, &outcome);
}

int main(int argc, char *argv[])
{
    static char line[2 * SCRIPT_MAX + 2];
    unsigned number = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: hostile_host DRIVER.so FILE...\n");
        return 2;
    }
    hostile_verbose = oracle_verbose = getenv("FUZZ_VERBOSE") != NULL;
    setenv("IFD_NITROKEY_RUN", "/nonexistent", 1);
    const struct ifd ifd = load(argv[1]);
    for (int i = 2; i < argc; i++) {
        FILE *const file = fopen(argv[i], "r");
        if (!file) {
            perror(argv[i]);
            return 2;
        }
        while (fgets(line, sizeof line, file))
            run(&ifd, line, ++number);
        fclose(file);
    }
    return 0;
}
