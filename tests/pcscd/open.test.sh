#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# open.test.sh - keys that cannot be used, or not yet: pcscd goes on, its log says what to do, and the next key works.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

node() {
    printf '/dev/bus/usb/001/%03d' "$(<"/sys/devices/usb1/1-${key_ports[$1]}/devnum")"
}

# descriptors KIND: the key is plugged in anew and has them.
descriptors() {
    unplug key && wait_until 10 reader_count 0 && tell key descriptors "$1" && plug key
}

goes_away_at_once() {
    unplug key && plug key && unplug key && wait_until 10 reader_count 0
}

scdaemon_takes_the_key() {
    sed -i /disable-ccid/d "$GNUPGHOME/scdaemon.conf"
    LD_PRELOAD=$usbfs_shim gpg --batch --card-status
}

is_without_card() {
    wait_until 10 reader_count 1 && cards_present 0
}

lets_go() {
    stop_gpg && wait_until 10 cards_present 1
}

sends_nothing_to_hid() {
    equal "$(tell key stats | grep -o 'interrupt=[0-9]*')" "interrupt=0"
}

new_gpg_home
check "a patience that is nonsense does not stop pcscd" start_pcscd IFD_NITROKEY_PATIENCE=generate=for-ever
check "a key is there" start_key key
check "it has a card" wait_until 10 cards_present 1
expect "the log says what of the patience is not understood" logged 'IFD_NITROKEY_PATIENCE is ignored.*generate=for-ever'
check "the HID interface of the key became no reader" reader_count 1
expect "the log says why" logged 'libudev:0:.* is not a CCID interface'
expect "libccid was not tried on it" not logged 'libudev:0:.*libccid'
expect "nothing was asked of it" sends_nothing_to_hid
check "the key serves" serves
for kind in garbage cut total-long total-short endless; do
    check "a key with $kind descriptors is plugged in" descriptors "$kind"
    check "$kind: pcscd goes on" took_at_most 5 pcscd_answers
done
check "the key has its right descriptors again" descriptors right
check "it has a card" wait_until 10 cards_present 1
check "it serves" serves
check "a key that goes away while it is opened harms nothing" goes_away_at_once
check "it comes back" plug key
check "it has a card" wait_until 10 cards_present 1
check "it serves" serves
check "pcscd ends" stop_pcscd

check_keys
others_send[key]=scdaemon
check "scdaemon's own driver takes the key" scdaemon_takes_the_key
check "pcscd starts" start_pcscd
check "the reader is there without a card" is_without_card
expect "the log says what to do" logged 'held by another program.*disable-ccid.*scdaemon.conf'
check "when scdaemon lets go, the card is there" lets_go
check "and serves" serves
check "pcscd ends" stop_pcscd
summary
