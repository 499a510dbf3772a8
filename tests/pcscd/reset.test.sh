#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# reset.test.sh - when only a reset helps, every program that has a connection learns that its PIN is gone.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

# connect N: a client that stays connected and takes its steps from this shell.
declare -A steps=()
connect() {
    mkfifo "$work/steps-$1" && touch "$work/client-$1" || return
    "$apdu" --keep-going - <"$work/steps-$1" >>"$work/client-$1" &
    exec {fd}>"$work/steps-$1" && steps[$1]=$fd && wait_until 60 line_after "$1" 0
}

# client N CODE STEP: what this client gets.
client() {
    local before
    before=$(wc -l <"$work/client-$1")
    echo "$3" >&"${steps[$1]}"
    wait_until 60 line_after "$1" "$before" || return
    tail -n 1 "$work/client-$1" | grep -E " $2 $3 "
}

line_after() {
    [ "$(wc -l <"$work/client-$1")" -gt "$2" ]
}

fails() {
    local last
    last=$("$apdu" "$get_aid" | tail -n 1)
    [[ $last != *SCARD_S_SUCCESS* ]] || { echo "$last" && return 1; }
}

check "a key is there" start_key key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
for program in 1 2 3; do
    check "program $program connects" connect $program
    check "and selects the application" client $program SCARD_S_SUCCESS "$select"
done
check "program 1 verifies its PIN" client 1 SCARD_S_SUCCESS "$verify_user"
check "all that the card says is garbled from now on" tell key corrupt edc 1000
check "another program's command fails" fails
check "the line is good again" tell key corrupt edc 0
check "the card is there again" wait_until 20 cards_present 1
for program in 1 2 3; do
    check "program $program is told" client $program 'SCARD_W_(REMOVED|RESET)_CARD' "$get_aid"
done
check "the driver says why" logged 'the card has to be reset to be usable again; programs must verify the PIN anew'
check "a new connection works" serves
expect "each command was executed once, in order" once_and_in_order key 3
for fd in "${steps[@]}"; do exec {fd}>&-; done
check "pcscd ends" stop_pcscd
summary
