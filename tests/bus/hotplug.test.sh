#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hotplug.test.sh - Debian's pcscd finds virtual keys that come and go: with libccid alone, then with our driver beside it.
. "$(dirname "$0")/lib.sh"
on_bus "$@"

atr=3BDA18FF81B1FE751F030031F573C001600090001C

# loaded LIBRARY: whether the running pcscd has loaded this library for a driver, and no other.
loaded() {
    equal "$(grep -F "$drivers/" "/proc/$pcscd_pid/maps" | grep -o '[^/]*\.so$' | sort -u)" "$1"
}

# answers SERIAL: whether a command to the key with this serial number is answered.
answers() {
    local name
    name=$("$pcsc_list" | grep -o "^.*$1)")
    "$apdu" --reader "${name:-none}" 00CA004F00
}

# goes_with_an_event NAME: whether a client that waits for changes is told of the unplugging.
goes_with_an_event() {
    "$pcsc_list" --wait >"$work/events" &
    local watcher=$!
    wait_until 10 grep -q PRESENT "$work/events" && unplug "$1" && wait_until 10 grep -q '^event' "$work/events"
    local status=$?
    kill "$watcher"
    return "$status"
}

restart_by() {
    "$1" && start_pcscd && wait_until 10 cards_present 2
}

# scenario DRIVER LIBRARY
scenario() {
    local driver=$1 library=$2
    check "$driver: a key is plugged in before pcscd starts" start_key one --serial 00000001
    check "$driver: pcscd starts" start_pcscd
    check "$driver: the key that was there has a card" wait_until 10 cards_present 1
    check "$driver: its ATR is that of the model" equal "$(atr_of "Nitrokey Nitrokey Pro")" "$atr"
    check "$driver: pcscd has loaded $library" loaded "$library"
    check "$driver: a command is answered" answers 00000001
    check "$driver: a client is told that the key is unplugged" goes_with_an_event one
    check "$driver: its reader goes" wait_until 10 reader_count 0
    check "$driver: the key is plugged in again" plug one
    check "$driver: it has a card again" wait_until 10 cards_present 1
    check "$driver: a command is answered after that" answers 00000001
    check "$driver: a second key is plugged in while pcscd runs" start_key two --serial 00000002
    check "$driver: both have a card" wait_until 10 cards_present 2
    check "$driver: the second one answers" answers 00000002
    check "$driver: the first key is replugged at once" replug one
    check "$driver: it answers after that" wait_until 10 answers 00000001
    check "$driver: the second one still does" answers 00000002
    check "$driver: SIGTERM ends pcscd, and the next one finds both" restart_by stop_pcscd
    check "$driver: SIGKILL ends pcscd, and the next one finds both" restart_by kill_pcscd
    check "$driver: both answer" eval 'answers 00000001 && answers 00000002'
    check "$driver: the first key goes for good" stop_key one
    check "$driver: the second one stays" wait_until 10 reader_count 1
    check "$driver: and answers" answers 00000002
    check "$driver: the second key goes for good" stop_key two
    check "$driver: nothing is left" wait_until 10 reader_count 0
    check "$driver: pcscd ends" stop_pcscd
}

use_drivers ifd-ccid.bundle
scenario libccid libccid.so
use_drivers ifd-ccid.bundle ifd-nitrokey.bundle
scenario ifd-nitrokey libifd-nitrokey.so
summary
