#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# suspend.test.sh - what suspend and resume do to a key: the reader comes back, and the next command is right. The host
# controller of this machine cannot sleep, so its parts are played: a bus reset, autosuspend, a detach as without persist.
. "$(dirname "$0")/lib.sh"

bus_reset() {
    python3 - "$(node_of key)" <<'END'
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), 0x5514)  # USBDEVFS_RESET
END
}

# An open node keeps the key awake, so what can be seen is only that nothing is lost.
autosuspend() {
    local power
    power=$(device_of key)/power
    echo 0 >"$power/autosuspend_delay_ms" && echo auto >"$power/control" && next_is_right && echo on >"$power/control"
}

next_is_right() {
    wait_until 30 cards_present 1 && wait_until 30 answers 9000 "$select" "$get_aid"
}

persist_is_off() {
    equal "$(<"$(device_of key)/power/persist")" 0
}

for model in nitrokey-pro-2 nitrokey-start-rtm13 nitrokey-3; do
    check "$model is plugged in" start_key key
    check "$model: it is not carried over a suspend" wait_until 10 persist_is_off
    [ -n "$pcscd_pid" ] || check "pcscd starts" start_pcscd
    check "$model: it serves" next_is_right
    check "$model: a bus reset" bus_reset
    check "$model: the next command is right" next_is_right
    check "$model: autosuspend" autosuspend
    check "$model: the next command is right" next_is_right
    check "$model: a detach and a new enumeration" replug key
    check "$model: the next command is right" next_is_right
    check "$model is taken out" stop_key key
    check "$model: its reader goes" wait_until 30 reader_count 0
done
check "pcscd ends" stop_pcscd
summary
