#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lengths.test.sh [MODEL] - gpg reads objects of 52 characters, whose answers fill a packet of 64 bytes, as any other.
. "$(dirname "$0")/../bus/lib.sh"

[ $# != 0 ] || each_model nitrokey-pro-2 nitrokey-start-rtm13

on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/gpg.sh"
model=$1
application=$(described application)

# text LENGTH: so many characters.
text() {
    printf "%0$1d" 7
}

# keeps OBJECT LENGTH: gpg writes an object of that size, and lists the card with it, in no time to speak of.
keeps() {
    card_edit admin "$1" "$(text "$2")" || return
    took_at_most 5 gpg --batch --card-status >"$work/status" || return
    grep -q ": $(text "$2")\$" "$work/status"
}

# keeps_private LENGTH
keeps_private() {
    text "$1" >"$work/private"
    card_edit admin "privatedo 2 < $work/private" || return
    took_at_most 5 gpg --batch --card-status >"$work/status" || return
    grep -q "Private DO 2 .*: $(text "$1")\$" "$work/status"
}

check "a key is there" start_key key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
new_gpg_home
for length in 51 52 53; do
    check "a URL of $length characters" keeps url $length
    check "a login of $length characters" keeps login $length
    [ "$application" = gnuk ] || check "a private object of $length characters" keeps_private $length
done
check "gpg can list the card again and again" took_at_most 5 gpg --batch --card-status
check "pcscd ends" stop_pcscd
summary
