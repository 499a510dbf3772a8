#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# report.test.sh - the story that this driver was made for: somebody waits 5 s for a key that needs more. Even then what
# follows is right: the commands after it fail cleanly while the key is at work, and work when it is free, unreplugged.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

five=status=5s/5s,power=5s/5s,ordinary=5s/5s,sign=5s/5s,secret=5s/5s,reset=5s/5s,generate=5s/5s

impatient_pcscd() {
    stop_gpg && stop_pcscd && start_pcscd "IFD_NITROKEY_PATIENCE=$five" && wait_until 10 cards_present 1
}

# The decryption key; the key to sign with stays.
generation_fails() {
    gpg-connect-agent 'scd serialno openpgp' 'scd genkey --force 2' /bye 2>&1 | tee "$work/genkey"
    grep -q '^ERR .*\(Card error\|timeout\|Timeout\|time out\|Time\)' "$work/genkey"
}

is_busy() {
    [ "$(tell key busy)" = "ok busy" ]
}

is_free() {
    not is_busy
}

card_status() {
    gpg --batch --card-status
}

fails_cleanly() {
    is_busy && took_at_most 12 not answers 9000 "$get_aid"
}

new_gpg_home
check "a key is there" start_key key --generate 1
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "gpg generates three keys" gpg_generate_on_card
check "pcscd starts anew, and waits 5 s at most for any command" impatient_pcscd
check "generations take 45 s from now on, and the key says nothing" tell key generate 45,silent=45
check "gpg cannot generate a key" generation_fails
stop_gpg
check "the next command fails while the key is at work" fails_cleanly
check "and the one after it" fails_cleanly
check "the key gets free by itself" wait_until 60 is_free
check "then gpg --card-status works" wait_until 10 card_status
check "and the next signature verifies" signs
expect "each command was executed once, in order" once_and_in_order key 3
check "pcscd ends" stop_pcscd
summary
