#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# models.test.sh - each model in readers/ under pcscd: gpg generates, signs and decrypts; models beside each other.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

executed_as_sent() {
    scdaemon_apdus >"$work/sent" && executed_once "$1" "$work/sent" && counters_equal "$1" 3 0 3
}

readers_are() {
    equal "$(pcsc_readers | sed 's/ (.*//' | sort | paste -sd ,)" "$1"
}

check "pcscd starts" start_pcscd
for model in $("$virtual_nitrokey" --list); do
    new_gpg_home
    check "$model: it is plugged in" start_key "$model" --generate 1
    check "$model: it has a card" wait_until 10 cards_present 1
    check "$model: gpg generates three keys" gpg_generate_on_card
    check "$model: signs" signs
    check "$model: decrypts" decrypts
    check "$model: opensc-tool knows it" opensc-tool --atr
    check "$model: each command was executed once, in order" executed_as_sent "$model"
    stop_gpg
    check "$model: it is taken out" stop_key "$model"
    check "$model: its reader goes" wait_until 10 reader_count 0
done

model=nitrokey-storage-hs-261 && check "a Storage is plugged in" start_key storage
model=nitrokey-pro-2 && check "and a Pro 2" start_key pro
model=nitrokey-pro-2 && check "and another Pro 2" start_key twin --serial 00000002
check "all have cards" wait_until 10 cards_present 3
check "each has its name" readers_are "Nitrokey Nitrokey Pro,Nitrokey Nitrokey Pro,Nitrokey Nitrokey Storage"
check "the Storage serves" answers 9000 --reader "Nitrokey Nitrokey Storage" "$select"
check "the Pro 2 serves" answers 9000 --reader "Nitrokey Nitrokey Pro" "$select"
for name in pro storage twin; do
    check "$name is taken out" unplug "$name"
done
check "all readers go" wait_until 10 reader_count 0
for name in twin pro storage; do
    check "$name is plugged in again" plug "$name"
done
check "all have cards again" wait_until 10 cards_present 3
check "the Storage serves again" answers 9000 --reader "Nitrokey Nitrokey Storage" "$select"
check "pcscd ends" stop_pcscd
summary
