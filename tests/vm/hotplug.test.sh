#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hotplug.test.sh - keys come and go, at bad moments too: pcscd keeps on serving, and nothing of it is lost.
. "$(dirname "$0")/lib.sh" || exit

# ---- what pcscd owns ----

descriptors() {
    find "/proc/$pcscd_pid/fd" -mindepth 1 | wc -l
}

threads() {
    find "/proc/$pcscd_pid/task" -mindepth 1 -maxdepth 1 | wc -l
}

resident_kb() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$pcscd_pid/status"
}

# not_more COUNT MAXIMUM: with COUNT one of the above.
not_more() {
    local found
    found=$("$1")
    [ "$found" -le "$2" ] || { ls -l "/proc/$pcscd_pid/fd" && echo "$found instead of $2 at most" && return 1; }
}

# ---- many replugs ----

# replugs N: with a client that never stops asking.
replugs() {
    local i
    while "$apdu" "$select" "$get_aid" >>"$work/load" 2>&1 || sleep 0.1; do :; done &
    load=$!
    for ((i = 0; i < $1; i++)); do
        unplug key && plug key || break
    done
    { kill "$load" && wait "$load"; } 2>/dev/null
    [ "$i" = "$1" ]
}

hubs_seen() {
    grep -c 'Looking for a driver for VID: 0x1D6B' "$work/pcscd.log"
}

saw_more_hubs_than() {
    [ "$(hubs_seen)" -gt "$1" ]
}

# pcscd is slower than the replugs, and takes one event after the other: so that of a hub, sent now, is the last.
came_to_the_last() {
    local before
    udevadm settle -t 60
    before=$(hubs_seen)
    udevadm trigger --action=add "$vhci"/usb1/1-0:1.0 && wait_until 120 saw_more_hubs_than "$before" &&
        wait_until 30 cards_present 1 && serves
}

# ---- bad moments ----

set_mark() {
    mark=$(wc -l <"$work/pcscd.log")
}

logged_since_mark() {
    tail -n "+$((mark + 1))" "$work/pcscd.log" | grep -q -e "$1"
}

grown_by() {
    [ "$(wc -l <"$work/pcscd.log")" -ge $((mark + $1)) ]
}

computing() {
    equal "$(tell key busy)" "ok busy"
}

has_ccid() {
    grep -qx 0b "$(device_of key)"/*:*/bInterfaceClass
}

is_gone() {
    unplug key && wait_until 30 reader_count 0
}

comes_back() {
    plug key && wait_until 30 cards_present 1 && serves
}

begin_generation() {
    "$apdu" "$select" "$verify_admin" "$generate" >"$work/generated" &
    client=$!
    wait_until 30 grep -q "SUCCESS $verify_admin" "$work/generated" && wait_until 30 computing
}

client_has_its_error() {
    wait_until 30 ended "$client" && grep -Eq "^[0-9.]+ SCARD_[EW]_[A-Z_]+ $generate" "$work/generated"
}

# arrives_frozen LINE: the key answers nothing from the moment on when pcscd sees it, until pcscd logs the line.
arrives_frozen() {
    set_mark
    kill -STOP "$pcscd_pid"
    plug key && wait_until 20 has_ccid && tell key freeze on
    kill -CONT "$pcscd_pid"
    wait_until 30 logged_since_mark "$1"
}

thaws() {
    tell key freeze off
}

# start_beside_a_plug LINES: the key is plugged in when pcscd has logged so many.
start_beside_a_plug() {
    set_mark
    pcscd --foreground --debug --apdu >>"$work/pcscd.log" 2>&1 &
    pcscd_pid=$!
    wait_until 60 grown_by "$1" && plug key && wait_until 60 cards_present 1
}

check "a key is plugged in" start_key key --generate 600,silent=600
check "pcscd starts" start_pcscd MALLOC_ARENA_MAX=1 # so that memory is used again the same way
check "it has a card" wait_until 30 cards_present 1
check "5 replugs under load" replugs 5
check "pcscd comes to the last of them, and the key serves" came_to_the_last
wait_until 30 logged_since_mark POWER_STATE_UNPOWERED
before_descriptors=$(descriptors) before_threads=$(threads) before_kb=$(resident_kb)
check "20 replugs under load" replugs 20
check "pcscd comes to the last of them, and the key serves" came_to_the_last
expect "no file descriptor is lost" wait_until 30 not_more descriptors "$before_descriptors"
expect "no thread is lost" wait_until 30 not_more threads "$before_threads"
expect "no memory is lost" not_more resident_kb $((before_kb + 128))
echo "# 20 replugs: $(($(resident_kb) - before_kb)) kB more"

check "a key generation begins" begin_generation
check "the key is unplugged meanwhile, and its reader goes" is_gone
check "the client has its error" client_has_its_error
check "the key comes back" comes_back
check "it is unplugged" is_gone
check "pcscd opens it, and it does not answer" arrives_frozen 'path: .*'
check "an unplug meanwhile ends that" is_gone
check "the key answers again" thaws
check "the key comes back" comes_back
check "it is unplugged" is_gone
check "pcscd powers it on, and it does not answer" arrives_frozen 'is busy with a command from before'
check "an unplug meanwhile ends that" is_gone
check "the key answers again" thaws
check "the key comes back" comes_back
for lines in 1 8 32; do
    set_mark
    check "it is unplugged" is_gone
    check "and again when pcscd has logged $lines lines about its return" plug key
    wait_until 30 grown_by "$lines"
    check "its reader goes" unplug key
    check "the key comes back" comes_back
done
expect "nothing is lost by that either" wait_until 30 not_more descriptors $((before_descriptors + 1))
for lines in 1 12; do
    check "pcscd ends" stop_pcscd
    check "the key is unplugged" unplug key
    check "it is plugged in when pcscd has logged $lines lines of its start; it has a card" start_beside_a_plug "$lines"
    check "and serves" serves
done
summary
