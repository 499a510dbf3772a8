#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hotplug.test.sh - keys come and go, at bad moments too: pcscd keeps on serving, and nothing of it is lost.
. "$(dirname "$0")/lib.sh"

descriptors() {
    find "/proc/$pcscd_pid/fd" -mindepth 1 | wc -l
}

threads() {
    find "/proc/$pcscd_pid/task" -mindepth 1 -maxdepth 1 | wc -l
}

resident_kb() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$pcscd_pid/status"
}

# replugs N: with a client that never stops asking.
replugs() {
    local i
    while "$apdu" "$select" "$get_aid" >>"$work/load" 2>&1 || sleep 0.1; do :; done &
    load=$!
    for ((i = 0; i < $1; i++)); do
        unplug key && plug key || break
    done
    { kill "$load" && wait "$load"; } 2>/dev/null
    [ "$i" = "$1" ]
}

# not_more COUNT MAXIMUM: with COUNT one of the above.
not_more() {
    local found
    found=$("$1")
    [ "$found" -le "$2" ] || { ls -l "/proc/$pcscd_pid/fd" && echo "$found instead of $2 at most" && return 1; }
}

fails_and_comes_back() {
    sleep "$1"
    unplug key && { wait "$client"; true; } && plug key && wait_until 30 cards_present 1 && serves
}

check "a key is plugged in" start_key key --generate 60,silent=60
check "pcscd starts" start_pcscd
check "it has a card" wait_until 30 cards_present 1
check "5 replugs under load" replugs 5
check "it has a card again" wait_until 30 cards_present 1
sleep 6
before_descriptors=$(descriptors) before_threads=$(threads) before_kb=$(resident_kb)
check "100 replugs under load" replugs 100
check "the key serves, when pcscd has come to the last of them" wait_until 60 serves
check "no file descriptor is lost" wait_until 30 not_more descriptors "$before_descriptors"
check "no thread is lost" wait_until 30 not_more threads "$before_threads"
check "no memory is lost" not_more resident_kb $((before_kb + 1024))

"$apdu" "$select" "$verify_admin" "$generate" >"$work/generated" 2>&1 &
client=$!
check "an unplug during a generation ends it, and the key comes back" fails_and_comes_back 5
unplug key
for moment in 0.1 0.3 0.6 1.0 1.5; do
    plug key
    client=$$
    check "an unplug $moment s after plugging in does no harm" fails_and_comes_back "$moment"
done
check "pcscd ends" stop_pcscd
unplug key
start_pcscd &
plug key
wait "$!"
pcscd_pid=$(pgrep -x pcscd)
check "a key that is plugged in while pcscd starts has a card" wait_until 30 cards_present 1
check "and serves" serves
check "each command was executed once, in order" executed_once key
summary
