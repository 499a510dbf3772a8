#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# killed.test.sh - client or pcscd are killed 10 s into a generation of 60 s: pcscd lists readers, and as soon as the card is
# done the key serves again, without a replug.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

generate_decryption_key=00478000000002B8000000 # so the signature key stays

# A client that generates for 10 s and is killed.
kill_client() {
    send "$select" "$verify_admin" "$generate_decryption_key" >"$work/generation" &
    wait_until 10 grep -q "^[0-9.]* SCARD_S_SUCCESS $verify_admin" "$work/generation" || return
    sleep 10 # of the 60 that the generation takes: this is what is tested, not a wait for something
    pkill -KILL -x apdu
}

kill_and_restart_pcscd() {
    send "$select" "$verify_admin" "$generate_decryption_key" >"$work/generation" &
    wait_until 10 grep -q "^[0-9.]* SCARD_S_SUCCESS $verify_admin" "$work/generation" || return
    sleep 10
    kill_pcscd && start_pcscd
}

is_idle() {
    [ "$(tell key busy)" = "ok idle" ]
}

card_status() {
    gpg --batch --card-status 2>&1
}

# scenario NAME COMMAND
scenario() {
    check "$1" "$2"
    check "$1: pcscd lists readers within 5 s" took_at_most 5 wait_until 5 reader_count 1
    check "$1: the card becomes free" wait_until 60 is_idle
    check "$1: gpg --card-status succeeds within 5 s of that" took_at_most 5 wait_until 5 card_status
    stop_gpg
    check "$1: the key serves" serves
    check "$1: the next signature verifies" signs
    stop_gpg
    expect "$1: each command was executed once, in order" once_and_in_order key 3
}

new_gpg_home
check "a key is there" start_key key --generate 1 --generate 1 --generate 1 --generate 60,silent=60
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "gpg generates its keys" gpg_generate_on_card
stop_gpg
scenario "the client is killed" kill_client
scenario "pcscd is killed" kill_and_restart_pcscd
check "pcscd ends" stop_pcscd
summary
