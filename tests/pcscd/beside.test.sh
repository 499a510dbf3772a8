#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# beside.test.sh - keys of different models, and of the same, beside each other.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

readers_are() {
    equal "$(pcsc_readers | sed 's/ [[(].*//; s/ 0[0-9] 00$//' | sort | paste -sd ,)" "$1"
}

check "pcscd starts" start_pcscd
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
