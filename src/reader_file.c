/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader_file.c - tells which of pcscd's readers is which key's. */
#include "reader_file.h"
#include <stdio.h>
#include <unistd.h>
#include "run_file.h"

#define KIND ".reader"

void reader_file_write(uint8_t bus, uint8_t address, unsigned long lun, enum reader_state state, int64_t held_ms)
{
    static const char *const STATES[] = { "served", "silent", "late", "held", "dead" };
    const int64_t until_ms = held_ms > 0 ? run_file_clock_ms() + held_ms : 0;
    char name[RUN_FILE_NAME], text[128];
    const int directory = run_directory();
    if (directory < 0)
        return;
    run_file_name(name, bus, address, KIND);
    const int length = snprintf(text, sizeof text, "pid=%ld\nnumber=%lu\nstate=%s\nuntil=%lld\n", (long)getpid(),
                                lun >> 16, STATES[state], (long long)until_ms);
    if (!run_file_write(directory, name, text, (size_t)length))
        (void)unlinkat(directory, name, 0); /* that of a driver that was killed */
    close(directory);
}

void reader_file_remove(uint8_t bus, uint8_t address)
{
    char name[RUN_FILE_NAME];
    const int directory = run_directory();
    if (directory < 0)
        return;
    run_file_name(name, bus, address, KIND);
    (void)unlinkat(directory, name, 0);
    close(directory);
}
