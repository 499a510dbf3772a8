#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# sandbox.test.sh - pcscd with the driver in the sandbox of newer units: @system-service without @resources and @privileged,
# no capabilities, no memory that can be written and executed, a read-only system, a umask of 077; first with its run
# directory read-only as well, then without.
. "$(dirname "$0")/../bus/lib.sh"
if ! sandbox=$(built sandbox 2>/dev/null) || ! command -v systemd-analyze >/dev/null; then
    echo "ok sandbox # SKIP libseccomp-dev or systemd-analyze was not there when this was built"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
on_bus "$@"
. "$(dirname "$0")/story.sh"
tool=$(built ifd-nitrokey)
allowed=$work/system-calls

# system_calls GROUP: the system calls of a group of systemd's, a line each
system_calls() {
    local name
    systemd-analyze syscall-filter --no-pager "$1" </dev/null | sed -n 's/^    \([@a-z0-9_-]*\)$/\1/p' | while read -r name; do
        case $name in @*) system_calls "$name" ;; *) echo "$name" ;; esac
    done
}

write_system_calls() {
    comm -23 <(system_calls @system-service | sort -u) \
        <({ system_calls @resources; system_calls @privileged; } | sort -u) >"$allowed"
    [ "$(wc -l <"$allowed")" -gt 200 ]
}

# inside COMMAND...: in the sandbox, without pcscd
inside() {
    "$sandbox" "$allowed" /run/pcscd "$work" -- "$@" 2>&1
}

# start_in_sandbox [WRITABLE]: by its socket, as by systemd.
start_in_sandbox() {
    start_pcscd bash -c 'umask 077 && exec "$@"' - systemd-socket-activate --listen=/run/pcscd/pcscd.comm -E LD_PRELOAD \
        -E USBFS_SHIM_LOG -E SYSTEMD_DEVICE_VERIFY_SYSFS "$sandbox" "$allowed" "$@" "$work" --
}

status_is() {
    grep -q "^$1:[[:space:]]*$2$" "/proc/$pcscd_pid/status" || {
        grep "^$1:" "/proc/$pcscd_pid/status"
        return 1
    }
}

generate_in_background() {
    send "$select" "$verify_admin" "$generate" >"$work/generation" &
    generation=$!
}

generation_succeeds() {
    wait "$generation" && tail -n 1 "$work/generation" | grep -q 'SCARD_S_SUCCESS .*9000$'
}

# watch_says PATTERN: to anybody; an ordinary user's namespace has nobody else.
watch_says() {
    local anybody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${anybody[@]}" test -x "$tool" 2>/dev/null || anybody=()
    "${anybody[@]}" "$tool" watch --once "${@:2}" | grep -e "$1"
}

doctor_finds() {
    "$tool" doctor | grep -e "$1"
}

check "systemd tells what @system-service is" write_system_calls
check "in the sandbox a program runs" inside true
check "but cannot write to the system" not inside touch /usr/written
check "nor ask for memory that it can write and execute" \
    not inside python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)'
check "nor call what is not allowed" not inside python3 -c 'import os; os.setpriority(os.PRIO_PROCESS, 0, 5)'
check "a key with a card is there" start_key key --generate 3,wtx=0.5
check "pcscd starts in the sandbox, where it may not write to its run directory" start_in_sandbox
check "the reader has a card" wait_until 10 cards_present 1
check "the key serves" serves
check "watch says that it does not know what the key does" watch_says '): not known, the driver says nothing'
check "as JSON too" watch_says '"command":null,"running":null' --json
check "doctor finds that pcscd may only read the directory" doctor_finds 'pcscd may only read /run/pcscd:'
check "pcscd ends" stop_pcscd
rm /run/pcscd/pcscd.comm
check "pcscd starts in the sandbox, where it may" start_in_sandbox /run/pcscd
check "it has a filter of system calls" status_is Seccomp 2
check "no capabilities" status_is CapEff 0000000000000000
check "and cannot get any" status_is NoNewPrivs 1
check "the reader has a card" wait_until 10 cards_present 1
check "the key serves" serves
check "watch knows that it does nothing" watch_says '): no long command runs'
check "doctor finds that pcscd may write to the directory" doctor_finds 'pcscd may write to /run/pcscd'
check "a generation begins" generate_in_background
check "people can watch it: the status file is written" wait_until 3 watch_says 'generates a key pair'
check "the generation succeeds" generation_succeeds
check "the key is unplugged" unplug key
check "the reader is gone" wait_until 5 reader_count 0
check "the key is plugged in again" plug key
check "it has a card again" wait_until 10 cards_present 1
check "and serves" serves
check "each command was executed once, in order" once_and_in_order key 3
check "pcscd ends" stop_pcscd
summary
