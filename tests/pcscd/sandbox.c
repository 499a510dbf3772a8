/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox.c - runs a command in the sandbox that pcsc-lite's systemd unit makes for pcscd, without systemd.
 *
 *     sandbox SYSTEM-CALLS WRITABLE... -- COMMAND...
 *
 * No capabilities and no new privileges; everything but /dev, /proc, /sys, a private /tmp and the directories WRITABLE is
 * read-only (ProtectSystem=strict); no memory that can be written and executed (MemoryDenyWriteExecute); any system call
 * that is not named in the file SYSTEM-CALLS kills the process (SystemCallFilter).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "sandbox: %s: %s\n", what, strerror(errno));
    exit(126);
}

/* ---- files ---- */

static void set_writable(const char *path, bool writable, unsigned flags)
{
    struct mount_attr attributes = { .attr_set = writable ? 0 : MOUNT_ATTR_RDONLY,
                                     .attr_clr = writable ? MOUNT_ATTR_RDONLY : 0 };
    if (mount_setattr(AT_FDCWD, path, flags, &attributes, sizeof attributes) != 0)
        die(path);
}

/* The directories keep what is mounted in them. */
static void protect_files(char **writable, int count)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0)
        die("private /tmp");
    for (int i = 0; i < count; i++)
        if (mount(writable[i], writable[i], NULL, MS_BIND | MS_REC, NULL) != 0)
            die(writable[i]);
    set_writable("/", false, AT_RECURSIVE);
    static const char *const API[] = { "/dev", "/proc", "/sys", "/tmp" };
    for (size_t i = 0; i < sizeof API / sizeof API[0]; i++)
        set_writable(API[i], true, AT_RECURSIVE);
    for (int i = 0; i < count; i++)
        set_writable(writable[i], true, 0);
}

/* ---- capabilities ---- */

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    const struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            die("capability bounding set");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &header, none) != 0)
        die("capabilities");
}

/* ---- system calls ---- */

static void allow_named(scmp_filter_ctx filter, const char *path)
{
    char name[64];
    FILE *file = fopen(path, "re");
    if (!file)
        die(path);
    while (fscanf(file, "%63s", name) == 1) {
        const int number = seccomp_syscall_resolve_name(name);
        /* those with conditions come below; of other architectures' calls there is none here */
        if (number != __NR_SCMP_ERROR && number != SCMP_SYS(mmap) && number != SCMP_SYS(mprotect) && number >= 0)
            (void)seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    fclose(file);
}

/* Allowed without one of the two bits, refused with both. */
static int deny_together(scmp_filter_ctx filter, int call, unsigned first, unsigned second)
{
    const int denied = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1,
                                        SCMP_A2(SCMP_CMP_MASKED_EQ, first | second, first | second));
    const int allowed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, first, 0));
    if (first == second)
        return denied != 0 ? denied : allowed;
    const int also = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, second, 0));
    return denied != 0 ? denied : allowed != 0 ? allowed : also;
}

static void filter_system_calls(const char *path)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        die("seccomp");
    allow_named(filter, path);
    if (deny_together(filter, SCMP_SYS(mmap), PROT_WRITE, PROT_EXEC) != 0 ||
        deny_together(filter, SCMP_SYS(mprotect), PROT_EXEC, PROT_EXEC) != 0 || seccomp_load(filter) != 0)
        die("seccomp");
    seccomp_release(filter);
}

int main(int argc, char *argv[])
{
    int command = 2;
    while (command < argc && strcmp(argv[command], "--") != 0)
        command++;
    if (argc < 3 || command + 1 >= argc) {
        fputs("Usage: sandbox SYSTEM-CALLS WRITABLE... -- COMMAND...\n", stderr);
        return 126;
    }
    protect_files(argv + 2, command - 2);
    drop_capabilities();
    filter_system_calls(argv[1]);
    execvp(argv[command + 1], argv + command + 1);
    die(argv[command + 1]);
}
