#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# siblings.test.sh - the other interfaces of a key stay with the kernel: the disk is read all through a generation.
. "$(dirname "$0")/lib.sh" || exit

bound_to() {
    local interface
    for interface in "$(device_of "$1")"/*:*; do
        [ "$(basename "$(readlink "$interface/driver")" 2>/dev/null)" = "$2" ] && return
    done
    ls -l "$(device_of "$1")"/*:*/driver
    return 1
}

disk() {
    local found
    found=$(ls -d "$(device_of storage)"/*/host*/target*/*/block/* 2>/dev/null | head -n 1)
    [ -n "$found" ] && echo "/dev/$(basename "$found")"
}

# Past the cache.
read_disk() {
    dd if="$(disk)" iflag=direct bs=4096 count=8 of="$work/read" status=none && [ "$(stat -c %s "$work/read")" = 32768 ]
}

# reads_till COMMAND [ARGUMENT...]: many times and the same bytes each time, till it says that it is enough.
reads_till() {
    local reads=0
    read_disk && cp "$work/read" "$work/first" || return
    until "$@"; do
        read_disk && cmp "$work/read" "$work/first" && [ $((reads += 1)) -lt 5000 ] || return
    done
    echo "it was read $reads times only"
    [ "$reads" -ge 5 ]
}

recoveries() {
    grep -c 'ifd-nitrokey: .*: the card has to be reset' "$work/pcscd.log"
}

# Reads go on until there were so many recoveries.
five_recoveries() {
    [ "$(recoveries)" -ge 5 ]
}

computing() {
    equal "$(tell storage busy)" "ok busy"
}

undisturbed() {
    ! dmesg | grep -iE 'reset (full|high)-speed|I/O error|usb.*disconnect'
}

model=nitrokey-storage-hs-261
check "a Storage is plugged in" start_key storage --generate 20,silent=20
model=nitrokey-3
check "and a Nitrokey 3" start_key three
check "the disk is there" wait_until 30 disk
check "pcscd starts" start_pcscd
check "they have cards" wait_until 30 cards_present 2
expect "the disk is the kernel's" bound_to storage usb-storage
expect "the Storage's HID interface too" bound_to storage usbhid
expect "the Nitrokey 3's, for FIDO, too" bound_to three usbhid
"$apdu" --reader "Nitrokey Nitrokey Storage" "$select" "$verify_admin" "$generate" >"$work/generated" &
client=$!
check "the key is being generated" wait_until 30 computing
check "the disk is read all through that" reads_till ended "$client"
check "it is generated" grep -q "$generate 7F49" "$work/generated"
tell storage corrupt edc 1000 >/dev/null
until [ -e "$work/enough" ]; do
    "$apdu" --reader "Nitrokey Nitrokey Storage" "$get_aid"
done >/dev/null &
check "and all through five recoveries of its card" reads_till five_recoveries
touch "$work/enough"
wait $!
tell storage corrupt edc 0 >/dev/null
check "the card is there again" wait_until 60 cards_present 2
check "and serves" answers 9000 --reader "Nitrokey Nitrokey Storage" "$select" "$get_aid"
expect "the disk is still the kernel's" bound_to storage usb-storage
expect "and so are the HID interfaces" eval 'bound_to storage usbhid && bound_to three usbhid'
expect "nothing has disturbed the disk" undisturbed
check "pcscd ends" stop_pcscd
summary
