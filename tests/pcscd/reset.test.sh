#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# reset.test.sh - when only a reset helps, every program that has a connection learns that its PIN is gone.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

# A client that stays connected and takes its steps from this shell.
connect() {
    mkfifo "$work/steps" && touch "$work/other" || return
    "$apdu" --keep-going - <"$work/steps" >>"$work/other" &
    exec 9>"$work/steps" && wait_until 60 line_after 0
}

# other CODE STEP: what the connected client gets.
other() {
    local before
    before=$(wc -l <"$work/other")
    echo "$2" >&9
    wait_until 60 line_after "$before" || return
    tail -n 1 "$work/other" | grep -E " $1 $2 "
}

line_after() {
    [ "$(wc -l <"$work/other")" -gt "$1" ]
}

fails() {
    local last
    last=$("$apdu" "$get_aid" | tail -n 1)
    [[ $last != *SCARD_S_SUCCESS* ]] || { echo "$last" && return 1; }
}

check "a key is there" start_key key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "a program connects" connect
check "selects the application" other SCARD_S_SUCCESS "$select"
check "and verifies its PIN" other SCARD_S_SUCCESS "$verify_user"
check "all that the card says is garbled from now on" tell key corrupt edc 1000
check "another program's command fails" fails
check "the line is good again" tell key corrupt edc 0
check "the card is there again" wait_until 20 cards_present 1
check "the first program is told" other 'SCARD_W_(REMOVED|RESET)_CARD' "$get_aid"
check "the driver says why" logged 'the card has to be reset to be usable again; programs must verify the PIN anew'
check "a new connection works" serves
check "each command was executed once, in order" once_and_in_order key 3
exec 9>&-
check "pcscd ends" stop_pcscd
summary
