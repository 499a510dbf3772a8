/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* processes.h - which processes there are and what they have open, as far as /proc lets us see it. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#define PROCESSES_MAX 16

struct process {
    pid_t pid;
    char name[32];
};

/* What was found, and whether there may be more that we may not see without root. */
struct processes {
    struct process all[PROCESSES_MAX];
    int count;
    bool some_unseen;
};

/* Those which have this path open. */
void processes_with_open(const char *path, struct processes *found);

/* The first of this name; 0: there is none, or it is hidden from us. */
pid_t process_named(const char *name);

/* Whether one of these has that name. */
bool processes_include(const struct processes *processes, const char *name);

/* Which of pcscd's drivers it has loaded: 1 the bundle of this name, 0 not, -1 we may not see it. */
int process_has_loaded(pid_t pid, const char *bundle);

/* Whether a process may only read what is at this path, as the mounts that it sees are: 1 so, 0 not, -1 we may not see
 * its mounts. path has no symbolic links. */
int process_only_reads(pid_t pid, const char *path);

/* The name by which libvirt knows the virtual machine that this process of QEMU's is. false: libvirt has not started it,
 * or the name needs quoting in a shell. */
bool process_guest(pid_t pid, char *name, size_t size);
