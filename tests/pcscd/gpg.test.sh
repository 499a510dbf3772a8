#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# gpg.test.sh - all that gpg does with a card: generate, sign, decrypt, authenticate, PINs, attributes, factory reset.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/gpg.sh"

new_key() {
    rm -rf "$work/key/state" && start_key key --state "$work/key/state" --generate 3,wtx=1,multiplier=100
}

counts_signatures() {
    local before
    before=$(status_field sigcount)
    signs && equal "$(status_field sigcount)" $((before + 1))
}

sets_attributes() {
    card_edit admin name Card Virtual lang de sex m login virtual url https://example.org/ || return
    equal "$(status_field name) $(status_field lang) $(status_field login)" "Virtual de virtual"
}

sets_reset_code() {
    echo 13579135 >"$GNUPGHOME/pins/new"
    passwd 4 && counters_equal key 0 3 3
}

unblocks_by_reset_code() {
    echo 13579135 >"$GNUPGHOME/pins/user"
    echo 123456 >"$GNUPGHOME/pins/new"
    card_edit unblock || return
    echo 123456 >"$GNUPGHOME/pins/user"
    counters_equal key 3 3 3 && signs
}

unblocks_by_admin_pin() {
    echo 123456 >"$GNUPGHOME/pins/new"
    wrong_pins_block_with 3 && passwd 2 || return
    echo 123456 >"$GNUPGHOME/pins/user"
    counters_equal key 3 3 3 && signs
}

wrong_pins_block_with() {
    local try
    echo 999999 >"$GNUPGHOME/pins/user"
    for try in 1 2 3; do
        not signs || return
    done
    counters_equal key 0 "$1" 3
}

state_is_kept() {
    local before
    before=$(gpg --batch --card-status | grep 'Signature key')
    stop_key key && start_key key --state "$work/key/state" && wait_until 10 cards_present 1 &&
        equal "$(gpg --batch --card-status | grep 'Signature key')" "$before" && signs
}

new_gpg_home
check "a key is there" new_key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "gpg generates three keys" gpg_generate_on_card
check "signs, and the signature verifies" signs
check "decrypts" decrypts
check "authenticates" authenticates
check "the signature counter counts" counts_signatures
check "sets the attributes" sets_attributes
check "changes the user PIN" changes_user_pin
check "changes the admin PIN" changes_admin_pin
check "three wrong PINs block the PIN, one try each" wrong_pins_block_with 0
check "sets a resetting code" sets_reset_code
check "unblocks the PIN by the resetting code" unblocks_by_reset_code
check "unblocks the PIN by the admin PIN" unblocks_by_admin_pin
check "keys survive replugging" state_is_kept
expect "the card has executed each command once, in order" executed_once key
check "resets to factory settings" factory_reset
check "generates RSA 3072 after that" gpg_generate_on_card 3072
check "signs with it" signs
check "pcscd ends" stop_pcscd
summary
