#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hid.test.sh - on a Storage the Nitrokey App uses the card by the HID interface between two commands of a program: the
# program gets the answers to its own commands, or an error.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
model=${1:-nitrokey-storage-hs-261}

of_others[key]=00CA00C400 # GET DATA of the PIN status
hid_commands=0

hid_has_done() {
    equal "$(card_apdus key | grep -c "^${of_others[key]}$") commands" "$1 commands"
}

# uses_hid N: the App has so many commands.
uses_hid() {
    hid_commands=$((hid_commands + $1))
    tell key hid "$1" >/dev/null && wait_until 10 hid_has_done "$hid_commands"
}

# A wrong PIN costs a try, or the command has failed and costs none.
is_answered_to_a_wrong_pin() {
    local line
    line=$(step $verify_user_wrong)
    case $line in
    *" SCARD_S_SUCCESS "*" 6982") counters_equal key 2 0 3 ;;
    *" SCARD_S_SUCCESS "*) echo "$line" && return 1 ;;
    *) counters_equal key 3 0 3 ;;
    esac
}

# serves_again: after one error at most.
serves_again() {
    is_answered "* 9000" "$select" || is_answered "* 9000" "$select" &&
        is_answered "* SCARD_S_SUCCESS * 9000" $verify_user && counters_equal key 3 0 3
}

check "pcscd starts" start_pcscd
check "a Storage is plugged in" start_key key
check "it has a card" wait_until 10 cards_present 1
check "a program begins" start_program
for commands in 1 2 3 4; do
    check "the card is switched off and on" is_answered "* SCARD_S_SUCCESS *" --unpower
    check "the program is served" serves_again
    check "the App has $commands commands for the card" uses_hid $commands
    check "a wrong PIN of the program's is not right" is_answered_to_a_wrong_pin
    check "the program is served after that" serves_again
done
check "pcscd ends" stop_pcscd
summary
