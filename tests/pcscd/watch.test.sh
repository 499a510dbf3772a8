#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# watch.test.sh - ifd-nitrokey watch: what people see of long commands, and that nothing else suffers meanwhile.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
tool=$(built ifd-nitrokey)

served_while_busy() {
    reader_count 2 && equal "$(tell "$1" busy)" "ok busy"
}

# generate_in_background NAME [READER]
generate_in_background() {
    local name=$1
    shift
    "$apdu" "$@" "$select" "$verify_admin" "$generate" >"$work/$name.generation" 2>&1 &
    generation=$!
}

generation_succeeds() {
    wait "$generation" && tail -n 1 "$work/$1.generation" | grep -q 'SCARD_S_SUCCESS .*9000$'
}

shows() {
    grep -q -e "$2" "$work/$1" || { tail -n 1 "$work/$1" && return 1; }
}

once_shows() {
    "$tool" watch --once | grep -e "$1"
}

nothing_runs() {
    equal "$("$tool" watch --once | sed 's/^[^(]*(001\/00[0-9]): //' | sort | uniq -c | xargs)" "2 no long command runs"
}

# in_terminal NAME VARIABLE...: what a terminal gets to see, in this environment.
in_terminal() {
    timeout 2 env TERM=xterm "${@:2}" script -qfc "'$tool' watch" "$work/$1" >/dev/null 2>&1
    [ -s "$work/$1" ]
}

# status NAME BEGUN HEARD SILENCE-ENDS ADDRESS: a command that began and was heard of so many seconds ago; usually 20 to
# 60 s.
status() {
    local now
    now=$(awk '{ print int($1 * 1000) }' /proc/uptime)
    mkdir -p "$work/colours" && printf '%s\n' "reader=$1" class=generate bus=1 address=9 pid=$$ \
        begun=$((now - $2 * 1000)) heard=$((now - $3 * 1000)) signs=1 silence-ends=$((now + $4 * 1000)) total-ends=$((now + 7200000)) \
        usually-from=20000 usually-to=60000 >"$work/colours/ifd-nitrokey-001-00$5"
}

# usual, late and nearly given up
has_colours() {
    status green 10 5 1000 1 && status yellow 100 5 1000 2 && status red 100 900 50 3 || return
    TERM=xterm script -qfc "'$tool' watch --once --directory $work/colours" "$work/coloured" >/dev/null
    shows coloured $'\033\\[32m.* green (' && shows coloured $'\033\\[33m.* yellow (' &&
        shows coloured $'\033\\[31m.* red ('
}

has_no_colour() {
    in_terminal "$@" && shows "$1" 'generates a key pair' && not grep -q $'\033\\[[0-9]*m' "$work/$1"
}

is_dumb() {
    in_terminal dumb TERM=dumb && shows dumb 'generates a key pair' && not grep -q $'\033' "$work/dumb"
}

begins_shown() {
    equal "$(grep -c 'key pair: 0:00' "$work/watched") begins" "$1 begins"
}

# Somebody who may only read pcscd's run directory.
anybody_may_watch() {
    setpriv --reuid=65534 --regid=65534 --clear-groups "$tool" watch --once | grep -e 'generates a key pair'
}

json_is_json() {
    "$tool" watch --once --json | python3 -c 'import json, sys; s = json.loads(sys.stdin.readline())
assert s["command"] == "generate" and s["running"] and 0 < s["elapsed"] < 60000 and s["usually"][1] > 0, s'
}

# Neither the PIN nor anything of the commands in hexadecimal.
no_secret() {
    ! grep -ariE '12345678|3132333435363738|002000|0047|B600' "$work"/watched* /run/pcscd
}

cpu_ticks() {
    awk '{ print $14 + $15 }' "/proc/$pcscd_pid/stat"
}

pcscd_works_little() {
    local ticks=$(($(cpu_ticks) - before))
    [ "$((ticks * 1000 / $(getconf CLK_TCK)))" -lt 1000 ] || { echo "$ticks ticks" && return 1; }
}

ends_at_once() {
    took_at_most 2 end_pcscd TERM
}

check "a key is there" start_key key --generate 20,wtx=2,multiplier=10
# pcscd lets no other key in while one of the same driver is at work, so this one comes first.
model=nitrokey-3 && check "and a key of another model" start_key three --generate 10
check "pcscd starts" start_pcscd
check "they have cards" wait_until 10 cards_present 2
check "nothing is shown when nothing runs" nothing_runs
"$tool" watch >"$work/watched" 2>&1 &
watcher=$!
TERM=xterm script -qfc "'$tool' watch" "$work/watched-terminal" >/dev/null 2>&1 &
before=$(cpu_ticks)
generate_in_background one --reader "Nitrokey Nitrokey Pro"
check "a generation is shown" wait_until 10 shows watched 'Nitrokey Nitrokey Pro (001/...) generates a key pair: 0:0.'
expect "with what is usual" shows watched 'usually 0:20 to 5:00'
expect "and when the driver gives up" shows watched 'given up after 19:5. more of silence, 1:59:5. at most'
check "its signs of life are counted" wait_until 15 once_shows 'sign of life 0:0[0-4] ago ([3-9])'
expect "as JSON too" json_is_json
if setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$tool"; then
    expect "it needs no root" anybody_may_watch
else
    skip "it needs no root" "nobody else may run what is in $BUILD, or there is nobody else in this namespace"
fi
check "on a terminal it is a line that moves" wait_until 5 shows watched-terminal $'\033\\[2A'
expect "green, since it takes as long as usual" shows watched-terminal $'\033\\[32m.*generates a key pair'
expect "with the key that does nothing" shows watched-terminal 'Nitrokey Nitrokey 3 (001/...): no long command runs'
expect "no colours where they are not wanted" has_no_colour plain NO_COLOR=1
expect "nothing moves on a dumb terminal" is_dumb
expect "it is yellow when it takes longer, red before the driver gives up" has_colours
check "other clients are served meanwhile" served_while_busy key
check "the generation succeeds" generation_succeeds one
check "its end is shown" wait_until 5 shows watched 'Nitrokey Pro (001/...): ended after 0:2'
expect "pcscd has used less than a second of CPU time" pcscd_works_little
check "nothing is shown any more" nothing_runs

generate_in_background two --reader "Nitrokey Nitrokey Pro"
check "another one is shown" wait_until 10 begins_shown 2
check "pcscd, told to end, ends at once" ends_at_once
check "its command is not shown any more" wait_until 5 shows watched 'ended after 0:0'
check "pcscd starts again" took_at_most 15 start_pcscd
check "the key is there when it is free" wait_until 40 cards_present 2
check "and serves" answers " $aid" --reader "Nitrokey Nitrokey Pro" "$select" "$get_aid"
generate_in_background three --reader "Nitrokey Nitrokey Pro"
check "the same watcher shows the next one" wait_until 10 once_shows 'generates a key pair'
check "it has never stopped" kill -0 "$watcher"

"$apdu" --reader "Nitrokey Nitrokey 3" "$select" "$verify_admin" "$generate" >"$work/nk3.generation" &
check "both are shown" wait_until 10 once_shows 'Nitrokey Nitrokey 3 '
check "the first as before" once_shows 'Nitrokey Nitrokey Pro '
expect "no secret is shown" no_secret
check "the generation succeeds" generation_succeeds three
expect "each command was executed once, in order" once_and_in_order key 3
kill "$watcher"
check "pcscd ends" stop_pcscd
summary
