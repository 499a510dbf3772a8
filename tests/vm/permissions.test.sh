#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# permissions.test.sh - pcscd as a user of its own, as newer ones run: with our rules it serves, without it says what to do.
. "$(dirname "$0")/lib.sh"
rules=/lib/udev/rules.d/70-ifd-nitrokey.rules

with_group() {
    groupadd --system pcscd && useradd --system --gid pcscd --no-create-home pcscd &&
        "$here/../../readers/generate.py" rules --group=pcscd "$rules" "$here/../../udev/70-ifd-nitrokey.rules.in" \
            "$here"/../../readers/*.toml && udevadm control --reload
}

node_is_for_group() {
    equal "$(stat -c '%G %a' "$(node_of key)")" "pcscd 660"
}

tagged() {
    udevadm info "$(device_of key)" | grep -E '^E: CURRENT_TAGS=.*:uaccess:'
}

start_pcscd_as_user() {
    install -d -o pcscd -g pcscd /run/pcscd
    start_pcscd setpriv --reuid pcscd --regid pcscd --init-groups --no-new-privs
}

check "rules for the group of pcscd" with_group
check "a key is plugged in" start_key key
check "its node is the group's" wait_until 10 node_is_for_group
check "and the person's at the seat" wait_until 10 tagged
udevadm trigger --action=change "$(device_of key)" && udevadm settle
check "also after udevadm trigger" node_is_for_group
check "pcscd starts as a user of its own" start_pcscd_as_user
check "it has a card" wait_until 30 cards_present 1
check "the key serves" serves
check "pcscd ends" stop_pcscd
check "the rules are taken away" rm "$rules"
udevadm control --reload
check "and the key is plugged in anew" replug key
chmod 600 "$(node_of key)"
check "pcscd starts" start_pcscd_as_user
check "it says what to do" wait_until 30 logged 'ifd-nitrokey: .*permission'
check "pcscd ends" stop_pcscd
summary
