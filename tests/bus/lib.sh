# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034
# lib.sh - what scenarios on the test bus are made of. To be sourced by bash; a scenario begins with
#
#     . "$(dirname "$0")/lib.sh"        (or ../bus/lib.sh)
#     on_bus "$@"
#
# BUILD is the build directory, ../../build-tests if unset. TEST_ROOT is another Debian, whose programs are to be used,
# see enter. Everything a scenario leaves is in $work: pcscd.log, gpg.log, shim.log, NAME/log and NAME/apdus of each key. It
# goes with the scenario, but a failed one is kept in $BUILD/failed/SCRIPT or $BUILD/failed/SCRIPT-ARGUMENTS.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${BUILD:=$(cd "$here/../.." && pwd)/build-tests}"
[[ $BUILD == /* ]] || BUILD=$PWD/$BUILD
export BUILD
. "$here/hide.sh"
export LC_ALL=C.UTF-8
work=/run/work

# built NAME: the path of a program or bundle in the build directory.
built() {
    local found
    found=$(find "$BUILD" -mindepth 1 \( -name '*.p' -o -name 'meson-*' -o -name failed -o -name vm -o -name debian \
        -o -name completions \) -prune -o -name "$1" -print -quit)
    [ -n "$found" ] || {
        echo "$1 is not in $BUILD" >&2
        return 1
    }
    echo "$found"
}

# on_bus [ARGUMENT...]: runs the script once more on a bus of its own, with our bundle beside libccid.
on_bus() {
    scenario=${*:+-$*}
    [ "${TEST_BUS:-}" = "$(readlink /proc/self/ns/mnt)" ] ||
        exec "$here/enter" ${TEST_ROOT:+--root "$TEST_ROOT"} "$0" "$@"
    usbfs_shim=/run/usbfs_shim.so # where everybody gets, and as LD_PRELOAD takes it: without a space
    virtual_nitrokey=$(built virtual-nitrokey) && cp "$(built usbfs_shim.so)" "$usbfs_shim" && apdu=$(built apdu) &&
        pcsc_list=$(built pcsc_list) && judge=$(built judge) && mkdir -p "$work" || exit 1
    drivers=$(pkg-config --variable=usbdropdir libpcsclite) && lay_out_bundle || exit 1
    pcscd_options=(--foreground --debug --apdu)
    [ -e /run/dbus ] || pcscd_options+=($(without_polkit))
}

# Our bundle, as "meson install" lays it out.
lay_out_bundle() {
    local contents=$drivers/ifd-nitrokey.bundle/Contents
    mkdir -p "$contents/Linux" && cp "$(built Info.plist)" "$contents" &&
        cp "$(built libifd-nitrokey.so)" "$contents/Linux"
}

# What tells pcscd not to ask polkit, which is not there, if it would.
without_polkit() {
    pcscd --help | grep -o -e --disable-polkit
}

# ---- waiting ----

look_every=0.05 # seconds

# wait_until SECONDS COMMAND...: until COMMAND succeeds. If it does not within SECONDS: fails, and prints what COMMAND
# has printed at last.
wait_until() {
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@" >"$work/attempt" 2>&1; do
        if [ "${EPOCHREALTIME/[.,]/}" -gt "$end" ]; then
            cat "$work/attempt"
            return 1
        fi
        sleep "$look_every"
    done
}

# not COMMAND...: succeeds if COMMAND fails.
not() {
    ! "$@"
}

# ended PID: whether a child has ended.
ended() {
    ! kill -0 "$1" 2>/dev/null
}

# is_at_least VERSION FOUND: whether the version that was found is this one, or a later one.
is_at_least() {
    printf '%s\n' "$1" "$2" | sort -V --check=quiet
}

# ---- results ----

passed=0 failed=0 skipped=0

# check NAME COMMAND...: prints "ok NAME" if COMMAND succeeds, "not ok NAME: why" if not, which ends the scenario: what
# follows rests on it. The last line that COMMAND prints is why. COMMAND may be a function, and runs in this shell.
check() {
    expect "$@" || { echo "# what follows is not run" && finish; }
}

# expect NAME COMMAND...: as check, but the scenario goes on: nothing rests on it.
expect() {
    local name=$1 status=0 why
    shift
    "$@" >"$work/check" 2>&1 || status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        echo "ok $name"
        return
    fi
    failed=$((failed + 1))
    why=$(tail -n 1 "$work/check")
    echo "not ok $name: ${why:-$* failed with status $status}"
    return 1
}

# skip NAME WHY
skip() {
    skipped=$((skipped + 1))
    echo "ok $1 # SKIP $2"
}

# equal FOUND EXPECTED: a comparison that tells why.
equal() {
    [ "$1" = "$2" ] || {
        echo "'$1' instead of '$2'"
        return 1
    }
}

# show_logs: the ends of the logs; last what the check that failed has printed.
show_logs() {
    tail -n 20 "$work"/*.log "$work"/*/log "$work/check" >&2 2>/dev/null
}

# keep_work: copies what a failed scenario has left, and shows the ends of the logs.
keep_work() {
    local kept
    kept=$BUILD/failed/$(basename "$0" .test.sh)$scenario
    rm -rf "$kept" && mkdir -p "$BUILD/failed" && cp -r "$work" "$kept" 2>/dev/null
    show_logs
    echo "all of it is in $kept" >&2
}

# tries_are_left NAME: as tries_left and piv_tries_left say.
tries_are_left() {
    # shellcheck disable=SC2086
    counters_equal "$1" ${tries_left[$1]:-3 0 3} && piv_counters_equal "$1" ${piv_tries_left[$1]:-3 5}
}

# check_keys: what must hold of each key after every scenario in which pcscd had it.
check_keys() {
    local name
    for name in "${!key_pids[@]}"; do
        [ -s "$work/pcscd.log" ] && [ -s "$work/$name/apdus" ] || continue
        [ -n "${others_send[$name]:-}" ] ||
            expect "$name: each command of a client was executed at most once, in order, and no other" executed_once "$name"
        ended "${key_pids[$name]}" || expect "$name: nothing but wrong PINs has cost a try" tries_are_left "$name"
    done
}

# finish: the last line of a scenario, and its end.
finish() {
    [ "$failed" = 0 ] || keep_work
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}

# summary: what must hold after each scenario, and its end.
summary() {
    check_keys
    finish
}

# each_model MODEL...: runs the script once more for each, all at once, since most of their time is waiting, and each on a
# bus of its own; sums up, and ends.
each_model() {
    local logs log model
    logs=$(mktemp -d)
    for model; do
        "$0" "$model" >"$logs/$model" &
    done
    wait
    for log in "$logs"/*; do
        sed -E "s/^(ok|not ok) /&${log##*/}: /; /^[0-9]+ passed, /d" "$log"
        tail -n 1 "$log" | grep -q ' skipped$' || echo "not ok ${log##*/}: runs to its end"
    done | tee "$logs.all"
    failed=$(grep -c '^not ok' "$logs.all")
    skipped=$(grep -c '^ok.* # SKIP' "$logs.all")
    passed=$(($(grep -c '^ok' "$logs.all") - skipped))
    rm -r "$logs" "$logs.all"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}

# ---- keys ----

declare -A key_ports=() key_pids=()
declare -A others_send=() # by the name of a key: set if others than pcscd's clients have sent it commands
declare -A of_others=() # by the name of a key: the command that its other interface sends to the card
declare -A sent_at_once=() # by the name of a key: set if several clients send at once, whom pcscd lets in as it likes
declare -A tries_left=() # by the name of a key: what the wrong PINs of a scenario leave, if not "3 0 3"
declare -A piv_tries_left=() # the same of its PIV card, if not "3 5"

model=nitrokey-pro-2 # of the keys that are made

# start_key NAME [OPTION...]: makes a virtual key of this model with these options of virtual-nitrokey and plugs it in,
# each name into a port of its own.
start_key() {
    local name=$1 directory=$work/$1
    shift
    mkdir -p "$directory" && echo "$model" >"$directory/model"
    : "${key_ports[$name]:=$((${#key_ports[@]} + 1))}"
    "$virtual_nitrokey" --model "$model" --shared --listen "unix:$directory/usbip" \
        --control "$directory/control" --log "$directory/apdus" "$@" >"$directory/log" 2>&1 &
    key_pids[$name]=$!
    wait_until 10 grep -q '^listening on ' "$directory/log" || {
        echo "the virtual key does not start: $(tail -n 1 "$directory/log")"
        return 1
    }
    plug_in_port "$name"
}

# stop_key NAME: takes it out, for good. Only what --state has kept comes back by start_key.
stop_key() {
    [ ! -e "/sys/devices/usb1/1-${key_ports[$1]}" ] || unplug "$1" || return
    tell "$1" quit >/dev/null
    wait_until 10 ended "${key_pids[$1]}"
}

# tell NAME COMMAND...: a command to the key, see virtual-nitrokey --help; prints the answer.
tell() {
    local name=$1
    shift
    "$virtual_nitrokey" --tell "$work/$name/control" "$@"
}

# paused_at_packet NAME: whether the key stands still at the packet of "tell NAME packet pause ...".
paused_at_packet() {
    equal "$(tell "$1" packet)" "ok paused"
}

plug_in_port() {
    "$here/fakeusb.py" plug "${key_ports[$1]}" "$work/$1/usbip"
}

# plug NAME, unplug NAME, replug NAME: as by hand. An unplug ends the transfers before anybody hears of it.
plug() {
    tell "$1" plug >/dev/null && plug_in_port "$1"
}

unplug() {
    tell "$1" unplug >/dev/null && "$here/fakeusb.py" unplug "${key_ports[$1]}"
}

replug() {
    unplug "$1" && plug "$1"
}

# ---- pcscd ----

pcscd_pid=

# pcscd_answers: whether a client gets an answer.
pcscd_answers() {
    "$pcsc_list" >/dev/null 2>&1
}

# start_pcscd [VARIABLE=VALUE...] [WRAPPER...]: in this environment, and by a wrapper such as "valgrind -q"; until it
# answers.
start_pcscd() {
    env LD_PRELOAD="$usbfs_shim" USBFS_SHIM_LOG="$work/shim.log" "$@" pcscd "${pcscd_options[@]}" \
        >>"$work/pcscd.log" 2>&1 &
    pcscd_pid=$!
    wait_until 30 pcscd_answers || {
        echo "pcscd does not answer: $(tail -n 1 "$work/pcscd.log")"
        return 1
    }
}

# end_pcscd SIGNAL: fails if it does not end within 10 s.
end_pcscd() {
    kill "-$1" "$pcscd_pid" && wait_until 10 ended "$pcscd_pid" || {
        echo "pcscd does not end by SIG$1"
        return 1
    }
    { wait "$pcscd_pid"; } 2>/dev/null
    pcscd_pid=
}

stop_pcscd() {
    end_pcscd TERM
}

kill_pcscd() {
    end_pcscd KILL
}

# use_drivers BUNDLE...: what pcscd finds when it is started next: names in its directory such as ifd-ccid.bundle,
# all others are put aside.
use_drivers() {
    local bundle
    mkdir -p "$work/drivers"
    for bundle in "$drivers"/*.bundle; do
        [ ! -e "$bundle" ] || mv "$bundle" "$work/drivers"
    done
    for bundle; do
        mv "$work/drivers/$bundle" "$drivers" || return
    done
}

# ---- readers ----

# pcsc_readers: the names of all readers, a line each.
pcsc_readers() {
    "$pcsc_list" | cut -f 1
}

# reader_count N: whether there are N readers; says how many there are.
reader_count() {
    equal "$(pcsc_readers | wc -l) readers" "$1 readers"
}

# cards_present N: whether there are N readers with a card in them that has an ATR.
cards_present() {
    equal "$("$pcsc_list" | awk -F '\t' '$2 ~ /PRESENT/ && $2 !~ /MUTE/ && $3 != ""' | wc -l) cards" "$1 cards"
}

# atr_of PREFIX: the ATR in the first reader whose name begins so, in upper-case hex.
atr_of() {
    "$pcsc_list" | awk -F '\t' -v prefix="$1" 'index($1, prefix) == 1 { print $3; exit }'
}

# ---- gpg ----

# stop_gpg: ends gpg-agent and scdaemon; the next gpg starts new ones.
stop_gpg() {
    gpgconf --kill all
    wait_until 10 not pgrep -x 'gpg-agent|scdaemon'
}

# new_gpg_home: an empty GNUPGHOME whose scdaemon goes through pcscd, and whose pinentry takes the PINs
# from the files pins/user and pins/admin there (those of a new card), and pins/new for a PIN to be set.
new_gpg_home() {
    [ -z "${GNUPGHOME:-}" ] || stop_gpg || return
    GNUPGHOME=$(mktemp -d "$work/gnupg.XXXXXX") || return
    export GNUPGHOME
    mkdir "$GNUPGHOME/pins"
    echo 123456 >"$GNUPGHOME/pins/user"
    echo 12345678 >"$GNUPGHOME/pins/admin"
    echo disable-ccid >"$GNUPGHOME/scdaemon.conf"
    printf '%s\n' "pinentry-program $here/pinentry" >"$GNUPGHOME/gpg-agent.conf"
    printf '%s\n' no-greeting no-tty >"$GNUPGHOME/gpg.conf"
}

# gpg_answers BITS | CURVE: reads gpg's status lines and writes what a person who generates keys would answer.
gpg_answers() {
    local commands=(admin key-attr generate quit) mark kind question algorithm=1 curve= # RSA
    case $1 in
    25519) algorithm=2 curve=1 ;; # as gpg numbers them
    nistp256) algorithm=2 curve=3 ;;
    brainpoolP256r1) algorithm=2 curve=6 ;;
    esac
    [ "$1" != 2048 ] || commands=(admin generate quit) # as the card leaves the factory
    while read -r mark kind question _; do
        [ "$mark" = '[GNUPG:]' ] && [[ $kind == GET_* ]] || continue
        case $question in
        cardedit.prompt) echo "${commands[0]:-quit}" && commands=("${commands[@]:1}") ;;
        cardedit.genkeys.algo) echo "$algorithm" ;;
        keygen.curve) echo "$curve" ;;
        cardedit.genkeys.size) echo "$1" ;;
        cardedit.genkeys.backup_enc) echo n ;;
        keygen.valid) echo 0 ;;
        keygen.name) echo "Virtual Nitrokey" ;;
        keygen.email) echo virtual@example.org ;;
        keygen.comment) echo ;;
        keygen.userid.cmd) echo O ;;
        *) echo y ;;
        esac
    done
}

# gpg_generate_on_card [BITS | CURVE]: three keys, of RSA or a curve, by gpg --card-edit; fails unless gpg says that they
# are made. It may hang when the driver fails it, and has $gpg_limit seconds (600).
gpg_generate_on_card() {
    local answers=$work/gpg.answers status=$work/gpg.status
    rm -f "$answers" && mkfifo "$answers" || return
    timeout -k 5 "${gpg_limit:-600}" gpg --expert --command-fd 0 --status-fd 1 --card-edit <"$answers" \
        2>>"$work/gpg.log" | tee "$status" |
        gpg_answers "${1:-2048}" >"$answers"
    cat "$status" >>"$work/gpg.log"
    grep -q '^\[GNUPG:\] KEY_CREATED ' "$status" || {
        tail -n 1 "$work/gpg.log"
        return 1
    }
}

# ---- what the card has seen ----

# card_apdus NAME: the commands that the key's card has executed or begun, a line of upper-case hex each.
card_apdus() {
    awk '$2 != "reset" { print $3 }' "$work/$1/apdus"
}

# client_apdus: the commands that pcscd has got from its clients, in the same form.
client_apdus() {
    sed -nE 's/.* APDU: //p' "$work/pcscd.log" | tr -d ' '
}

# described NAME: a value in the file of $model in readers/; nothing if it has none.
described() {
    sed -nE "s/^$1 = \"?([^\"#]*[^\"# ]).*/\1/p" "$here/../../readers/$model.toml"
}

# executed_once NAME: whether the card has executed nothing but the commands that pcscd has got from its clients, whole,
# each at most as often as it was sent, and in that order, but for sent_at_once and of_others.
executed_once() {
    local firmware
    firmware=$(model=$(cat "$work/$1/model") && described firmware)
    client_apdus >"$work/sent"
    "$judge" ${sent_at_once[$1]:+--any-order} ${of_others[$1]:+--of-others "${of_others[$1]}"} \
        "$firmware" "$work/sent" "$work/$1/apdus"
}

# counters_equal NAME USER RESETTING ADMIN: whether these tries are left of the PINs.
counters_equal() {
    local line
    line=$(tell "$1" counters)
    equal "${line% pin=*}" "ok pw1=$2 rc=$3 pw3=$4"
}

# piv_counters_equal NAME PIN PUK: the same of its PIV card; nothing is wrong with a key that has none.
piv_counters_equal() {
    local line
    line=$(tell "$1" counters)
    [[ $line != *" pin="* ]] || equal "pin=${line#* pin=}" "pin=$2 puk=$3"
}
