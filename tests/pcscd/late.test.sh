#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# late.test.sh - an answer that comes after its command was given up never reaches another command.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

# With a patience of 13 s, the least that T=1 allows this card.
times_out() {
    local last
    last=$(send "$select" "$verify_user" "$sign" | tail -n 1)
    [[ $last == *" SCARD_E_TIMEOUT "* || $last == *" SCARD_E_NOT_TRANSACTED "* ]] || {
        echo "$last"
        return 1
    }
}

has_key() {
    answers 9000 "$select" "$verify_admin" "$generate"
}

restart_pcscd() {
    kill_pcscd && start_pcscd "$impatient"
}

card_is_there() {
    wait_until 20 cards_present 1
}

impatient=IFD_NITROKEY_PATIENCE=sign=13s/20s
check "a key is there that needs 18 s for a signature" start_key key --generate 1 --sign 18,silent=18
check "pcscd starts, with a patience of 13 s" start_pcscd "$impatient"
check "it has a card" card_is_there
check "it has generated a key" has_key
check "the signature is given up" times_out
check "the next command gets its own answer" serves
check "the signature is given up once more" times_out
check "pcscd is killed and started again" restart_pcscd
check "the card is there" card_is_there
check "the next command gets its own answer" serves
expect "each command was executed once, in order" once_and_in_order key 3
check "pcscd ends" stop_pcscd
summary
