#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# udev.test.sh - what the real udevadm makes of each key by our rules.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
export SYSTEMD_DEVICE_VERIFY_SYSFS=0 # /sys is the test bus's
rules=/usr/lib/udev/rules.d
generate=$here/../../readers/generate.py

# Only our rules: the system's might do the same.
only_our_rules() {
    mount -t tmpfs tmpfs "$rules" && cp "$(built 70-ifd-nitrokey.rules)" "$rules"
}

our_rules_for_group() {
    "$generate" rules "--group=$1" "$rules/70-ifd-nitrokey.rules" "$here/../../udev/70-ifd-nitrokey.rules.in" \
        "$here"/../../readers/*.toml
}

# event ACTION: what udev makes of such an event of the key, of which it knows nothing yet.
event() {
    rm -rf /run/udev/data
    udevadm test --action="$1" /sys/devices/usb1/1-1 >"$work/event" 2>&1
}

says() {
    grep -q -e "$1" "$work/event" || { grep 70-ifd "$work/event" | tail -n 1 && return 1; }
}

is_silent() {
    not grep -E '70-ifd-nitrokey.rules:[0-9]|uaccess|SMARTCARD' "$work/event"
}

has_disk() {
    grep -q '^class = 0x08' "$here/../../readers/$model.toml"
}

keeps_over_suspend() {
    if has_disk; then
        not says persist
    else
        says "persist\(' writing '0'\|}=\"0\"\)" # before version 256 of udevadm, or from it on
    fi
}

check "only our rules are there" only_our_rules
if udevadm verify --help >/dev/null 2>&1; then
    expect "udevadm verify finds nothing" udevadm verify "$rules/70-ifd-nitrokey.rules"
    check "rules for a group that there is not" our_rules_for_group no-such-group
    expect "udevadm verify finds nothing in them either" udevadm verify "$rules/70-ifd-nitrokey.rules"
    check "the rules as they were built" cp "$(built 70-ifd-nitrokey.rules)" "$rules"
else
    skip "udevadm verify finds nothing" "this udevadm has no such command, it came with version 254"
fi
for model in $("$virtual_nitrokey" --list); do
    check "$model is plugged in" start_key "$model"
    for action in add change; do
        check "$model: udevadm test --action=$action" event "$action"
        expect "$model: it is for the person at the seat" says '^ *TAGS=.*:uaccess:'
        expect "$model: it is told to be a card reader" says '^ *ID_SMARTCARD_READER=1'
        expect "$model: it is enumerated anew after a suspend, but for one with a disk" keeps_over_suspend
    done
    event remove
    expect "$model: nothing is done when it goes" is_silent
    check "$model is taken out" stop_key "$model"
    unset "key_ports[$model]"
done
model=nitrokey-pro-2
check "a key is plugged in" start_key key
check "rules for a group" our_rules_for_group daemon
event add
expect "give it to the group" says "GROUP daemon($(getent group daemon | cut -d : -f 3))"
has_become() {
    echo "$2" >"/sys/devices/usb1/1-1/$1" && event add && is_silent
}

expect "one whose firmware is being updated, with the same identifier, is left alone" has_become bDeviceClass ff
echo 00 >/sys/devices/usb1/1-1/bDeviceClass
for id in 42b4 42dd 42e8 42f4 4287 42b1; do # bootloaders, and keys for FIDO only
    expect "20a0:$id is left alone" has_become idProduct "$id"
done
summary
