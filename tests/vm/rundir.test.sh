#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rundir.test.sh - pcscd's run directory, by Debian 13's own unit: pcscd may write there, and watch and list know what the
# driver knows. Where it may not they say that they do not know, and doctor what to type.
# It needs Debian 13. It needs systemd, for that unit.
. "$(dirname "$0")/lib.sh"
. "$here/../pcscd/diagnosis.sh"
. "$here/../vm/at_work.sh" # a model without a serial number, so that two have readers of one name

# The bus is there for polkit, which pcscd asks.
prepare_machine() {
    echo 'PCSCD_ARGS="--debug --apdu"' >/etc/default/pcscd && stand_in sudo <<<'exec "$@"' &&
        pcscd_units "StandardOutput=append:$work/pcscd.log" "StandardError=append:$work/pcscd.log" &&
        systemctl start dbus.socket
}

# What is said of it here is of standard output only.
unit_is_debians() {
    equal "$(systemctl show --property=ProtectSystem,UMask,RuntimeDirectory,ReadWritePaths pcscd | sort | xargs)" \
        "ProtectSystem=strict ReadWritePaths= RuntimeDirectory= UMask=0077" &&
        grep -x PrivateUsers=identity /usr/lib/systemd/system/pcscd.service
}

pcscd_runs() {
    systemctl start pcscd.socket && wait_until 60 cards_present 2 && pcscd_pid=$(pgrep -x pcscd)
}

system_is_read_only() {
    not nsenter --target "$pcscd_pid" --mount touch /usr/written
}

# To an ordinary user.
watch_says() {
    nobody "$tool" watch --once | grep -e "$1"
}

# reader_of NAME: its key's, as list says, if it is sure.
reader_of() {
    local port
    port=$(basename "$(device_of "$1")")
    not list_is_not_sure && "$tool" list --json | python3 -c 'import json, sys
print(*[key["reader"] for key in json.load(sys.stdin) if key["port"] == sys.argv[1] and key["reader"]])' "$port"
}

list_is_not_sure() {
    "$tool" list | grep -e 'or another of that name' >&2
}

# generates NAME: in the background, by the reader that list says.
generates() {
    local reader
    reader=$(reader_of "$1") && [ -n "$reader" ] || return
    "$apdu" --reader "$reader" "$select" "$verify_admin" "$generate" >"$work/generated" &
    client=$!
}

is_watched() {
    local device
    device=$(device_of "$1")
    watch_says "($(printf '%03d/%03d' "$(<"$device/busnum")" "$(<"$device/devnum")")) generates a key pair"
}

# Whatever the umask is. What each of the two keys owes is pcscd's own.
files_are_readable() {
    equal "$(cd /run/pcscd && stat -c '%a %n' . ifd-nitrokey-* | sed 's/-[0-9].*//' | sort | uniq -c | xargs)" \
        "2 600 ifd-nitrokey 3 644 ifd-nitrokey 1 755 ."
}

is_generated() {
    wait "$client" && grep "$generate 7F49" "$work/generated"
}

# A stricter unit. By ProtectProc=, as Debian has it, systemd mounts the "API file systems" and leaves them writable; /run is
# one of them.
run_is_read_only() {
    printf '%s\n' '[Service]' ReadOnlyPaths=/run >/run/systemd/system/pcscd.service.d/strict.conf &&
        systemctl daemon-reload && systemctl restart pcscd
}

check "Debian 13, with the driver installed" prepare_machine
check "its unit makes the system read-only" unit_is_debians
check "a key is plugged in" start_key one --generate 20
check "and another" start_key two --generate 20
check "pcscd is started by its socket" pcscd_runs
check "it sees a system that is read-only" system_is_read_only
check "doctor finds that it may write to its run directory" not finds rundir .
check "watch knows that nothing runs" watch_says 'no long command runs'
check "list knows the reader of each, and one generates a key" generates two
check "watch shows it to anybody" wait_until 60 is_watched two
check "what it reads may be read" files_are_readable
check "the key is generated" is_generated

check "provoked: a unit by which pcscd may only read /run" run_is_read_only
check "pcscd has cards" wait_until 60 cards_present 2
check "watch says that it does not know" watch_says ': not known, the driver says nothing of it'
check "list says so of equal keys" list_is_not_sure
check "doctor finds it" finds rundir 'pcscd may only read /run/pcscd'
check "its line is typed" type_line
check "pcscd has cards" wait_until 60 cards_present 2
check "doctor finds it no more" not finds rundir .
check "watch knows that nothing runs" watch_says 'no long command runs'
check "list knows the reader of each" reader_of one
check "one key is taken away" stop_key one
check "and the other" stop_key two
service_ends_at_work
check "pcscd ends" systemctl stop pcscd.socket pcscd.service
check "watch says that no pcscd runs" watch_says 'not known, no pcscd is seen to run'
summary
