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
# reaches NAME APDU: whether this command to the reader of this key, one of two Pros, reaches it and no other.
reaches() {
    local reader
    reader=$("$pcsc_list" | cut -f 1 | grep -F "$(serial_of "$1"))") && answers 9000 --reader "$reader" "$select" "$2" || return
    equal "$(cd "$work" && grep -l " $2 9000 " ./*/apdus)" "./$1/apdus"
}

# The last digits of the USB serial number, as in the reader's name.
serial_of() {
    if [ "$1" = twin ]; then echo 00000002; else echo 12345678; fi
}

check "the Storage serves" answers 9000 --reader "Nitrokey Nitrokey Storage" "$select"
check "one Pro 2 serves" reaches pro 00CA005E00
check "the other Pro 2 serves" reaches twin 00CA00C400
for name in pro storage twin; do
    check "$name is taken out" unplug "$name"
done
check "all readers go" wait_until 10 reader_count 0
for name in twin pro storage; do
    check "$name is plugged in again" plug "$name"
done
check "all have cards again" wait_until 10 cards_present 3
check "the Storage serves again" answers 9000 --reader "Nitrokey Nitrokey Storage" "$select"
check "one Pro 2 serves again, by its own name" reaches pro 00CA006500
check "the other Pro 2 serves again, by its own name" reaches twin 00CA5F5000
check "pcscd ends" stop_pcscd
summary
