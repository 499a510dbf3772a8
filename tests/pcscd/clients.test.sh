#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# clients.test.sh - programs of many kinds on one key, one after the other and at the same time.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/card.sh"
pcsc_client=$(built pcsc_client)
pyscard_client=$(dirname "$0")/pyscard_client.py

scan_tells_reader_and_card() {
    pcsc_scan -r 2>&1 | grep -F 'Nitrokey Nitrokey Pro' &&
        pcsc_scan -c -n 2>&1 | tr -d ' ' | grep -F "$(described atr | tr -d ' ')"
}

# scriptor comes with its own words around what the card answers.
scriptor_asks_for_the_name() {
    printf '%s\n' "$select" "$get_aid" | sed 's/../& /g' | scriptor -p T=1 >"$work/scriptor" 2>&1
    cat "$work/scriptor"
    tr -d ' \n' <"$work/scriptor" | grep -F "<$aid"
}

knows_the_card() {
    equal "$(opensc-tool --name 2>/dev/null)" "OpenPGP card v3.4 (0005 12345678)" &&
        pkcs15-tool --list-keys --list-pins | grep 'Admin PIN'
}

# monitor_sees_the_card: pyscard from 2.2 on does not count one that was there before it looked, so that it has to come.
monitor_sees_the_card() {
    if ! is_at_least 2.2 "$(dpkg-query -W -f '${Version}' python3-pyscard)"; then
        wait_until 30 grep -q ready "$work/monitor"
        return
    fi
    for _ in 1 2 3; do
        replug key && wait_until 10 grep -q ready "$work/monitor" && return
    done
    return 1
}

monitor_sees_it_go_and_come() {
    local monitor
    "$pyscard_client" monitor >"$work/monitor" 2>&1 &
    monitor=$!
    monitor_sees_the_card && replug key && wait_until 30 ended "$monitor" && wait "$monitor" && return
    cat "$work/monitor"
    return 1
}

# ---- a generation in one program, while others do what pcscd allows ----

busy() {
    equal "$(tell key busy)" "ok busy"
}

begins_to_generate() {
    openpgp-tool --verify CHV3 --pin 12345678 --gen-key 1 --key-type rsa2048 >"$work/generation" 2>&1 &
    generation=$!
    wait_until 30 in_log 'APDU: 00 47 80 00' && busy
}

in_log() {
    grep -q -e "$1" "$work/pcscd.log"
}

# They ask pcscd, not the card, and get their answer at once: the key is still at work afterwards.
others_see_the_reader() {
    "$pcsc_list" | grep 'PRESENT.*INUSE' && pcsc_scan -r 2>&1 | grep -F 'Nitrokey Nitrokey Pro' && busy
}

# They want the card, and wait for it. What they get is theirs.
others_wait() {
    local program
    waiting=()
    for program in 1 2 3; do
        "$apdu" "$select" "$get_aid" >"$work/waiting-$program" 2>&1 &
        waiting+=($!)
    done
    wait_until 30 programs_are 3 && busy
}

programs_are() {
    equal "$(pgrep -cf "^$apdu ")" "$1"
}

all_are_served() {
    local program
    wait "$generation" || { cat "$work/generation" && return 1; }
    for program in 1 2 3; do
        wait "${waiting[program - 1]}" && grep -q "SCARD_S_SUCCESS 00CA004F00 $aid" "$work/waiting-$program" ||
            { cat "$work/waiting-$program" && return 1; }
    done
}

key_is_that_of_the_card() {
    pkcs15-tool --read-public-key 1 | openssl pkey -pubin -noout -text | grep 'Public-Key: (2048 bit)'
}

sent_at_once[key]=yes
check "a key is there" start_key key --generate 20,silent=20 --sign 0.1
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
expect "pcsc_scan tells the reader and the ATR" scan_tells_reader_and_card
expect "scriptor asks the card for its name" scriptor_asks_for_the_name
expect "opensc-tool and pkcs15-tool know the card" knows_the_card
expect "a program in C: a transaction is not disturbed, and who waits is served after it" "$pcsc_client" transactions
expect "sharing modes keep others out, and let them in again" "$pcsc_client" sharing
expect "a reset is told to every other program" "$pcsc_client" reconnects
expect "who waits for the card to go can be called back" "$pcsc_client" cancel
expect "attributes are those of this key" "$pcsc_client" attributes
expect "100 threads are served, each with its own answers" "$pcsc_client" threads
expect "a program in Python: TLV properties are those of this key" "$pyscard_client" properties
expect "short and extended APDUs" "$pyscard_client" apdus
expect "transactions of ten at once" "$pyscard_client" transactions
check "it sees the key go and come" monitor_sees_it_go_and_come
check "openpgp-tool generates a key, 20 s without any sign of life" begins_to_generate
check "meanwhile others see the reader at once" others_see_the_reader
check "others who want the card wait" others_wait
check "the key is generated, and each gets its own answer" all_are_served
check "it is that of the card" key_is_that_of_the_card
check "pcscd ends" stop_pcscd
summary
