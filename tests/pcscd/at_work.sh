# SPDX-License-Identifier: LGPL-2.1-or-later
# at_work.sh - a Nitrokey 3 named "key" that generates while something happens to pcscd or its clients. To be sourced by
# bash after story.sh.

model=${at_work_model:-nitrokey-3} aid=D276000124010304000F1234567800009000
tool=$(built ifd-nitrokey)

# begin: a client generates; until the key is at work.
begin() {
    send "$select" "$verify_admin" "$generate" >"$work/generation" 2>&1 &
    client=$!
    wait_until 10 grep -q "SCARD_S_SUCCESS $verify_admin" "$work/generation" && wait_until 10 busy_is busy
}

busy_is() {
    equal "$(tell key busy)" "ok $1"
}

# lists WORDS: ifd-nitrokey list and watch say so of the key.
lists() {
    "$tool" list | grep -q "^  state .*$1" && "$tool" watch --once | grep -q "$1"
}

lists_nothing() {
    "$tool" list >"$work/listed" && grep -q '^  reader ' "$work/listed" && not grep '^  state' "$work/listed"
}

doctor_says() {
    "$tool" doctor >"$work/doctor"
    grep -q "$1" "$work/doctor"
}

# serves_within SECONDS
serves_within() {
    wait_until "$1" cards_present 1 && serves && lists_nothing
}

# serves_anew: plugged in anew, at once.
serves_anew() {
    unplug key && wait_until 10 reader_count 0 && plug key && serves_within 10
}

# is_held_back: and list, watch and the log say so.
is_held_back() {
    wait_until 10 lists "held back for [0-9:]* at most" && cards_present 0 &&
        logged "may be at work for a pcscd that has ended"
}

# serves_or_is_held_back: when it has ended; or else, as it could not be heard again, until it is plugged in anew.
serves_or_is_held_back() {
    wait_until 30 cards_present 1 || { is_held_back && serves_anew; }
}

# ends_in_peace: the key is at work no more; whoever does not know that goes on to wait.
ends_in_peace() {
    wait_until 40 busy_is idle
}
