/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_driver.c - the whole driver against a device that says anything: what a client is given was sent for its
 * command, nothing is sent twice, no call takes longer than it may, all is given back, and an honest device is served
 * afterwards.
 * FUZZ_VERBOSE=1 tells what a script does.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include "hostile_client.h"
#include "oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);
void log_msg(const int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

static uint8_t chance;

/* The first bSeq: by the script, so that a run can be repeated. */
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    if (size == 1)
        *(uint8_t *)bytes = chance;
    return size == 1 ? 1 : -1;
}

/* pcscd's log */
void log_msg(const int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (hostile_verbose && priority >= 0)
        vfprintf(stderr, format, arguments), fputc('\n', stderr);
    va_end(arguments);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    hostile_verbose = oracle_verbose = getenv("FUZZ_VERBOSE") != NULL;
    return setenv("IFD_NITROKEY_RUN", "/nonexistent", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ifd OURS = {
        IFDHCreateChannelByName, IFDHCloseChannel, IFDHGetCapabilities, IFDHPowerICC, IFDHTransmitToICC, IFDHControl,
        IFDHICCPresence,
    };
    chance = size > 1 ? data[1] : 0;
    const struct outcome outcome = hostile_run(&OURS, data, size, true);
    if (outcome.wrong) {
        fprintf(stderr, "fuzz_driver: %s (%02x)\n", outcome.why, outcome.wrong);
        abort();
    }
    return 0;
}
