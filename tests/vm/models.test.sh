#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# models.test.sh - a key of each firmware and speed on a real kernel: enumerated, served by our bundle beside libccid; a key
# is generated. The other models differ from these in what ../pcscd/models.test.sh shows.
. "$(dirname "$0")/lib.sh" || exit
. "$here/../pcscd/card.sh"

card_status() {
    gpg --batch --card-status
}

set_mark() {
    mark=$(wc -l <"$work/pcscd.log")
}

served_by_us_alone() {
    tail -n "+$((mark + 1))" "$work/pcscd.log" >"$work/served"
    [ -e "$drivers/ifd-ccid.bundle/Contents/Info.plist" ] &&
        grep -q 'using .*/ifd-nitrokey.bundle/Contents/' "$work/served" &&
        not grep 'ifd-ccid.bundle' "$work/served"
}

has_atr() {
    equal "$(atr_of "")" "$(described atr | tr -d ' ')"
}

# The card's own log tells from when to when it worked on the commands, in milliseconds.
one_took_20_s() {
    awk '$3 ~ /^004780/ && $2 - $1 >= 20000 { found = 1 } END { exit !found }' \
        "$work/key/apdus"
}

check "pcscd starts" start_pcscd
new_gpg_home
for model in crypto-stick-1.2 gnuk-old nitrokey-3 nitrokey-hsm-first nitrokey-hsm-2 nitrokey-passkey nitrokey-start-rtm13 \
    nitrokey-storage-fs nitrokey-storage-hs-261; do
    set_mark
    check "$model: it is plugged in" start_key "$model"
    check "$model: it has a card" wait_until 30 cards_present 1
    expect "$model: our bundle serves it, and libccid beside it is not asked" served_by_us_alone
    expect "$model: its ATR is the card's" has_atr
    if [[ $(described application) != none && $(described application) != smartcard-hsm-* ]]; then
        expect "$model: gpg sees it" card_status
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
check "the card has really worked on one for so long" one_took_20_s
check "gpg signs, and the signature verifies" signs
check "it decrypts what was encrypted" decrypts
stop_gpg
check "pcscd ends" stop_pcscd
summary
