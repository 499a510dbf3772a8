#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# unplug.test.sh - the key is taken out in the middle of a generation: one error at once, and all goes on.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

# A generation in the background, until the card works on it.
begin_generation() {
    send "$select" "$verify_admin" "$generate" >"$work/generation" &
    generation=$!
    wait_until 10 grep -q "^[0-9.]* SCARD_S_SUCCESS $verify_admin" "$work/generation" && wait_until 10 computing key
}

computing() {
    [ "$(tell "$1" busy)" = "ok busy" ]
}

has_failed() {
    wait_until 1 ended "$generation" || {
        echo "the client waits on"
        return 1
    }
    grep -Eq "^[0-9.]+ SCARD_(E_NOT_TRANSACTED|W_REMOVED_CARD|E_READER_UNAVAILABLE|E_NO_SUCH_DEVICE) $generate" \
        "$work/generation" || {
        echo "$(tail -n 1 "$work/generation")"
        return 1
    }
}

check "a key with a card is there" start_key key --generate 60,silent=60
check "a second key too" start_key other --serial 00000002
check "pcscd starts" start_pcscd
check "both have cards" wait_until 10 cards_present 2
for round in 1 2 3; do
    check "round $round: a generation begins" begin_generation
    check "round $round: the key is unplugged" unplug key
    check "round $round: the client has its error within a second" has_failed
    check "round $round: pcscd goes on, with the other key" wait_until 5 reader_count 1
    check "round $round: the other key serves" serves
    check "round $round: the key is plugged in again" plug key
    check "round $round: both have cards" wait_until 10 cards_present 2
done
check "the first key serves" serves
expect "it has executed each command once, in order" once_and_in_order key 3
check "pcscd ends" stop_pcscd
summary
