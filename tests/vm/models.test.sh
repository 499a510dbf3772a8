#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# models.test.sh - each model on a real kernel: enumerated, served by our bundle beside libccid; a key is generated.
. "$(dirname "$0")/lib.sh"

card_status() {
    gpg --batch --card-status
}

served_by_us() {
    grep -q 'using .*/ifd-nitrokey.bundle/' "$work/pcscd.log"
}

has_atr() {
    equal "$(atr_of "")" "$(sed -nE 's/^atr = "([^"]*)".*/\1/p' "$here/../../readers/$model.toml" | tr -d ' ')"
}

check "pcscd starts" start_pcscd
new_gpg_home
for model in $("$virtual_nitrokey" --list); do
    : >"$work/pcscd.log"
    check "$model: it is plugged in" start_key "$model"
    check "$model: it has a card" wait_until 30 cards_present 1
    check "$model: our bundle serves it" served_by_us
    check "$model: its ATR is the card's" has_atr
    if ! grep -qE '^application = "(none|smartcard-hsm-.*)"' "$here/../../readers/$model.toml"; then
        check "$model: gpg sees it" card_status
    fi
    stop_gpg
    check "$model: it is taken out" stop_key "$model"
    check "$model: its reader goes" wait_until 30 reader_count 0
    unset "key_ports[$model]"
done
model=nitrokey-pro-2
check "a Pro 2 is plugged in" start_key key --generate 20,silent=20 --generate 1
check "it has a card" wait_until 30 cards_present 1
check "gpg generates three keys, the first one 20 s without any sign of life" gpg_generate_on_card
check "signs, and the signature verifies" signs
check "pcscd ends" stop_pcscd
summary
