#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# counts.test.sh - what a command costs, counted and not timed, so that it is noticed when it becomes more.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$here/../bench/measure.sh"

costs() {
    equal "$(transfers_of_an_apdu)" "$1"
}

opens_with() {
    local before
    before=$(transfers key out in)
    alone 0 "$select" >/dev/null && equal $(($(transfers key out in) - before - 2)) "$1"
}

others_send[key]=yes # driver_bench, which is no client of pcscd
take_driver ifd-nitrokey.bundle
fresh nitrokey-3
expect "at APDU level an APDU is one transfer each way" costs 2
expect "nothing is allocated for it" equal "$(value_of allocations <"$work/alone")" 0.000
expect "libusb allocates twice, once a transfer" equal "$(value_of allocations_in_libusb <"$work/alone")" 2.000
expect "opening and powering on takes a status, a power on and a probe, each both ways" opens_with 6
expect "no transfer is left" equal "$(pending key)" 0
start_pcscd && wait_until 20 cards_present 1 && wait_until 20 logged POWER_STATE_UNPOWERED
before=$(transfers key)
sleep 2 # a driver that polls does so several times
expect "an idle key causes no transfer" equal $(($(transfers key) - before)) 0
expect "and none is pending" equal "$(pending key)" 0
check "pcscd ends" stop_pcscd
stop_key key

fresh nitrokey-pro-2 "${big_card[@]}"
put_big_object >/dev/null
expect "at TPDU level 2048 bytes are read in 9 blocks" equal "$(read_big_object)" 9
expect "nothing is allocated for them" equal "$(value_of allocations <"$work/alone")" 0.000
stop_key key
summary
