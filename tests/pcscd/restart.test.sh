#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# restart.test.sh - a Start that says nothing for 3 minutes is started anew; no program finds the PIN of another one.
. "$(dirname "$0")/../bus/lib.sh"
on_bus nitrokey-start-rtm13
. "$(dirname "$0")/story.sh"
model=nitrokey-start-rtm13

put_url=00DA5F5003616263
generate_nothing=00478000020000 # refused at once, and of the class that is waited for longest
is_admin=00200083

# Two swallowed messages: the time extension and the status word.
loses_its_pin() {
    tell key answer swallow 2 || return
    not answers 9000 "$generate_nothing"
}

check "a key is there" start_key key
check "pcscd starts, and waits 181 s for a generation" start_pcscd IFD_NITROKEY_PATIENCE=generate=181s/190s
check "it has a card" wait_until 10 cards_present 1
check "a program verifies both PINs" answers 9000 "$select" "$verify_user" "$verify_admin" "$put_url"
check "the next command has no answer, and the key says nothing for 3 minutes" loses_its_pin
check "the driver starts it anew" logged 'starting it anew'
check "the card is there again" wait_until 20 cards_present 1
check "another program finds no verified user PIN" answers 63C3 "$select" "$is_verified"
check "nor a verified admin PIN" answers 63C3 "$select" "$is_admin"
check "and cannot write" answers 6982 "$select" "$put_url"
check "it serves" answers 9000 "$select" "$get_aid"
check "pcscd ends" stop_pcscd
summary
