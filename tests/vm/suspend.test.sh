#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# suspend.test.sh - what suspend and resume do to a key: the reader comes back, and the next command is right. The host
# controller of this machine cannot sleep while a key is plugged in, so its parts are played one by one.
. "$(dirname "$0")/lib.sh" || exit

bus_reset() {
    python3 - "$(node_of key)" <<'END'
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), 0x5514)  # USBDEVFS_RESET
END
}

autosuspend() {
    local power
    power=$(device_of key)/power
    echo 0 >"$power/autosuspend_delay_ms" && echo auto >"$power/control"
}

is() {
    equal "$(<"$(device_of key)/power/runtime_status")" "$1"
}

next_is_right() {
    wait_until 60 cards_present 1 && wait_until 60 answers 9000 "$select" "$get_aid"
}

persist_is_off() {
    equal "$(<"$(device_of key)/power/persist")" 0
}

# What a resume without persist does, while the key keeps its power: its interfaces go and come again.
detach() {
    echo 0 >"$(device_of key)/authorized" && wait_until 30 reader_count 0
}

attach() {
    echo 1 >"$(device_of key)/authorized" && wait_until 20 is_enumerated key
}

begin_generation() {
    "$apdu" "$select" "$verify_admin" "$generate" >"$work/generated" &
    client=$!
    wait_until 30 grep -q "SUCCESS $verify_admin" "$work/generated" && wait_until 30 computing
}

computing() {
    equal "$(tell key busy)" "ok busy"
}

for model in nitrokey-pro-2 nitrokey-start-rtm13 nitrokey-3; do
    check "$model is plugged in" start_key key --generate 20
    check "$model: it is not carried over a suspend" wait_until 10 persist_is_off
    check "$model: autosuspend is allowed" autosuspend
    check "$model: nobody uses it, and it sleeps" wait_until 30 is suspended
    check "pcscd starts" start_pcscd
    check "$model: the first command is right" next_is_right
    check "$model: it is awake while pcscd has it" is active
    check "$model: a bus reset" bus_reset
    check "$model: the next command is right" next_is_right
    check "$model: a key generation begins" begin_generation
    check "$model: a bus reset meanwhile" bus_reset
    check "$model: the client is not left alone" wait_until 60 ended "$client"
    check "$model: the next command is right" next_is_right
    check "$model: its interfaces go" detach
    check "$model: and come again" attach
    check "$model: the next command is right" next_is_right
    check "$model: a new enumeration" replug key
    check "$model: the next command is right" next_is_right
    check "$model is taken out" stop_key key
    check "$model: its reader goes" wait_until 30 reader_count 0
    check "pcscd ends" stop_pcscd
done
summary
