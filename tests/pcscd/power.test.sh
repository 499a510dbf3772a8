#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# power.test.sh [MODEL] - a card without power is powered on for whoever connects, though another program is connected:
# with this driver as with libccid.
. "$(dirname "$0")/../bus/lib.sh"
[ $# != 0 ] || each_model nitrokey-pro-2 nitrokey-3 nitrokey-hsm-2 nitrokey-storage-hs-261
on_bus "$@"
model=$1
pcsc_client=$(built pcsc_client)

powered_off() {
    tail -n "+$logged_before" "$work/pcscd.log" | grep 'POWER_STATE_UNPOWERED'
}

case $(described application) in smartcard-hsm-*) tries_left[key]="0 0 0" ;; esac # nobody has initialised it
logged_before=1
check "a key is there" start_key key
for bundle in ifd-ccid.bundle ifd-nitrokey.bundle; do
    check "$bundle: pcscd has this driver" use_drivers "$bundle"
    check "$bundle: pcscd starts" start_pcscd
    check "$bundle: it has a card" wait_until 10 cards_present 1
    check "$bundle: pcscd powers off a card that nobody uses" wait_until 30 powered_off
    check "$bundle: a program connects directly, then to the card; who connects is served" "$pcsc_client" direct
    check "$bundle: a program disconnects with SCARD_UNPOWER_CARD; who connects is served" "$pcsc_client" unpower
    check "$bundle: and once more" "$pcsc_client" unpower
    check "$bundle: pcscd ends" stop_pcscd
    logged_before=$(wc -l <"$work/pcscd.log")
done
summary
