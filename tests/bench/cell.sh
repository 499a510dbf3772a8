#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# cell.sh STACK MODEL BEHAVIOUR - one cell of the survival table: what a client sees of a key that behaves so.
# Prints a line of tabs: BEHAVIOUR MODEL STACK VERDICT FIRST NEXT WRONG RECOVERED ONCE SECONDS-LOST REMARK
#   FIRST      the command succeeded: yes, no, or - where it cannot
#   NEXT       the command sent right after it got its own answer
#   WRONG      an answer that belongs to another command was delivered
#   RECOVERED  a client got right answers in the end, without a replug
#   ONCE       by the card's own log, each APDU was executed at most once and in order, and no PIN try was lost
#   SECONDS-LOST until right answers came: from the moment at which a command that succeeded was done, else from the
#              beginning
#   VERDICT    green: all that this behaviour allows was reached; otherwise red
# Of this driver more is asked: every reset that it needed was told to all programs, pcscd has used less than a second of
# CPU time, and other programs got their answers from pcscd while a key was at work.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/../pcscd/story.sh"
stack=$1 model=$2 behaviour=$3
aid_of_any='D2760001240[0-9A-F]*9000'
admin_tries=3 # that must be left at the end
case $behaviour in
initialize-* | hsm-*) # what a SmartCard-HSM is asked: its certificate instead of the AID
    . "$(dirname "$0")/../pcscd/hsm.sh"
    select=$select_hsm get_aid=00B12F02045402000020 aid_of_any='7F21[0-9A-F]{60}9000' admin_tries=15
    verify_admin=$verify_user_of_hsm
    generate=$(generate_on_hsm 4096)
    ;;
esac
# Extended APDUs are for those who take them.
case $model in nitrokey-start-*) generate=0047800002B60000 sign=${sign/0000333031/333031} sign=${sign%0000}00 ;; esac
exec 3>&1 >"$work/story" 2>&1

# ---- the stacks ----

start_stack() {
    case $stack in
    ifd-nitrokey) use_drivers ifd-nitrokey.bundle && start_pcscd ;;
    libccid) use_drivers ifd-ccid.bundle && start_pcscd ;;
    scdaemon) export GNUPGHOME=$work/gnupg && mkdir -p -m 700 "$GNUPGHOME" ;;
    esac
}

# client STEP...: in one connection; goes on after a failure, and connects anew. What came is added to $work/answers.
client() {
    if [ "$stack" = scdaemon ]; then
        timeout 1000 "$here/../bench/scd_apdu.py" "$usbfs_shim" "$@"
    else
        timeout 1000 "$apdu" --keep-going --reconnect "$@"
    fi >"$work/answers.$BASHPID"
    sed "s/^/$BASHPID /" "$work/answers.$BASHPID" >>"$work/answers"
    cat "$work/answers.$BASHPID"
}

# What clients have sent, for executed_once. The answers of a client that was killed are there as well.
client_apdus() {
    cat "$work/steps"
}

# sends STEP...: remembers them, and plays the client.
sends() {
    printf '%s\n' "$@" | grep -xE '[0-9A-F]+' >>"$work/steps"
    client "$@"
}

ready() {
    if [ "$stack" = scdaemon ]; then
        return
    fi
    wait_until 10 cards_present "${1:-1}"
}

# ---- what came ----

# right STEP RESULT: whether the answer can be one to this APDU; a status word alone always can.
right() {
    [[ $2 =~ ^[0-9A-F]{4}$ && $1 != "$get_aid" && $1 != "$generate" && $1 != "$initialize" ]] && return
    case $1 in
    "$get_aid") [[ $2 =~ ^($aid_of_any|6[0-9A-F]{3})$ ]] ;;
    "$generate") [[ $2 =~ ^((7F49|67)[0-9A-F]*(9000|61..)|6[0-9A-F]{3})$ ]] ;;
    "$select") [[ $2 =~ 9000$ ]] ;;
    "$initialize") [[ $2 = 9000 ]] ;;
    "$sign") [[ $2 =~ ^([0-9A-F]{512}9000|6[0-9A-F]{3})$ ]] ;;
    *) true ;;
    esac
}

wrong_answers() {
    local id time code step result
    while read -r id time code step result _; do
        [ "$code" = SCARD_S_SUCCESS ] && [[ $step =~ ^[0-9A-F]+$ ]] || continue
        right "$step" "$result" || echo "$step got ${result:0:40}"
    done <"$work/answers"
}

# succeeded STEP: the last one of this kind among the lines on standard input.
succeeded() {
    awk -v step="$1" '$3 == step { last = ($2 == "SCARD_S_SUCCESS" && $4 ~ /(9000|61..)$/) } END { exit !last }'
}

answers_right() {
    local lines
    lines=$(sends "$select" "$get_aid")
    succeeded "$get_aid" <<<"$lines"
}

# ---- behaviours: set first and next ----

initialize=805000001980020001810636343832313982083537363231383830910103
first=- next=no key_options=() limit=60 card=() slowest=
case $behaviour-$model in
initialize-* | hsm-*) ;;
*-nitrokey-hsm-*) card=(--application openpgp-card-3.4) ;; # in a reader there may be any card
esac

# quiet SECONDS: a generation without a sign of life. There is none at APDU level: that firmware gives its own.
quiet() {
    case $model in
    nitrokey-start-* | nitrokey-3) echo "$1" ;;
    *) echo "$1,silent=$1" ;;
    esac
}

generation() {
    start_key key "${key_options[@]}" "${card[@]}" && start_stack && ready || return
    sends "$select" "$verify_admin" "$generate" "$get_aid" >"$work/lines" &
    background=$!
    [ "$stack" = scdaemon ] || look_on "$background"
    wait "$background"
    first=no
    succeeded "$generate" <"$work/lines" && first=yes
    succeeded "$get_aid" <"$work/lines" && next=yes
}

# look_on PID: how long pcscd lets another program wait meanwhile, in milliseconds; about 20 looks.
look_on() {
    local begun took
    slowest=0
    for ((second = 0; ; second++)); do
        ! ended "$1" || return
        sleep 1
        [ $((second % (1 + seconds / 20))) = 0 ] || continue
        begun=${EPOCHREALTIME/[.,]/}
        pcscd_answers
        took=$(((${EPOCHREALTIME/[.,]/} - begun) / 1000))
        [ "$took" -le "$slowest" ] || slowest=$took
    done
}

initialize() {
    start_key key "${key_options[@]}" && start_stack && ready || return
    sends "$select" "$initialize" "$get_aid" >"$work/lines"
    first=no
    succeeded "$initialize" <"$work/lines" && first=yes
    succeeded "$get_aid" <"$work/lines" && next=yes
}

# A SmartCard-HSM is initialised before, which here takes no time to speak of.
hsm_generation() {
    start_key key --reset 0.1 "${key_options[@]}" && start_stack && ready || return
    sends "$select" "$initialize" "$verify_admin" "$generate" "$get_aid" >"$work/lines"
    first=no
    succeeded "$generate" <"$work/lines" && first=yes
    succeeded "$get_aid" <"$work/lines" && next=yes
}

# after COMMAND...: something happens to a key in use, then a command and the one after it.
after() {
    start_key key "${key_options[@]}" "${card[@]}" && start_stack && ready && answers_right || return
    "$@"
    sends "$select" "$get_aid" >"$work/lines"
    first=no
    succeeded "$get_aid" <"$work/lines" && first=yes
    answers_right && next=yes
}

# while_generating SECONDS COMMAND...: that happens so long after the command.
while_generating() {
    local seconds=$1 begun=$EPOCHREALTIME
    shift
    start_key key "${key_options[@]}" "${card[@]}" && start_stack && ready || return
    printf '%s\n' "$select" "$verify_admin" "$generate" >>"$work/steps"
    client "$select" "$verify_admin" "$generate" >"$work/lines" &
    background=$!
    sleep "$seconds"
    "$@"
    wait "$background"
    first=no
    succeeded "$generate" <"$work/lines" && first=yes
    answers_right && next=yes
}

url=00DA5F50B4$(printf '%.0s61' {1..180}) # more than a packet

# in_packet FAULT [COMMAND...]: a packet fails of the third command, which takes more than one; then the command after
# it, of another program if meanwhile something happens.
in_packet() {
    start_key key && start_stack && ready && answers_right || return
    # shellcheck disable=SC2086
    tell key packet $1
    printf '%s\n' "$select" "$verify_admin" "$url" "$get_aid" >>"$work/steps"
    client "$select" "$verify_admin" "$url" "$get_aid" >"$work/lines" &
    background=$!
    "${@:2}"
    wait "$background"
    first=no
    succeeded "$url" <"$work/lines" && first=yes
    if [ $# = 1 ]; then succeeded "$get_aid" <"$work/lines"; else answers_right; fi && next=yes
}

kill_pcscd_in_packet() {
    wait_until 10 paused_at_packet key && kill_pcscd && tell key packet go && start_pcscd && ready
}

kill_client() {
    pkill -KILL -f -x "$apdu .*|.*scdaemon --server .*|.*scd_apdu.py .*"
}

kill_and_restart_pcscd() {
    kill_pcscd && start_pcscd
}

b_mute() {
    tell key mute on
    sends "$get_aid" >/dev/null &
    sleep 5
    tell key mute off
    wait $!
}

b_touch() {
    start_key key --generate 1 && start_stack && ready || return
    sends "$select" "$verify_admin" "$generate" 00DA00D6020120 "$verify_user" "$sign" "$get_aid" >"$work/lines"
    first=-
    grep -q " $sign 6[0-9A-F]*$" "$work/lines" && succeeded "$get_aid" <"$work/lines" && next=yes
}

b_two_clients() {
    sent_at_once[key]=yes
    key_options=(--generate "$(quiet 10)")
    while_generating 1 other_client
}

other_client() {
    (answers_right) &
}

b_two_keys() {
    key_options=(--generate "$(quiet 20)")
    start_key key "${key_options[@]}" "${card[@]}" && start_key other && start_stack && ready 2 || return
    printf '%s\n' "$select" "$verify_admin" "$generate" >>"$work/steps"
    client --reader "$(pcsc_readers | head -n 1)" "$select" "$verify_admin" "$generate" >"$work/lines" &
    background=$!
    sleep 1
    first=yes next=yes
    for try in 1 2 3 4 5; do
        sends --reader "$(pcsc_readers | tail -n 1)" "$select" "$get_aid" | succeeded "$get_aid" || next=no
        ! ended "$background" || break
    done
    [ "$try" -gt 1 ] || next=no # the first answer came only when the other key was done
    wait "$background"
    succeeded "$generate" <"$work/lines" || first=no
}

b_replug() {
    start_key key && start_stack && ready || return
    while sends "$select" "$get_aid" >/dev/null; do sleep 0.1; done &
    background=$!
    for try in {1..20}; do
        replug key && sleep 0.3
    done
    kill "$background" && ready
    answers_right && next=yes
}

seconds=${behaviour##*-}
case $behaviour in
signs-each-second-*) key_options=(--generate "$seconds,wtx=1,multiplier=1") ;;
signs-each-10-s-x1-*) key_options=(--generate "$seconds,wtx=10,multiplier=1") ;;
signs-each-10-s-x100-*) key_options=(--generate "$seconds,wtx=10,multiplier=100") ;;
one-sign-at-the-start-*) key_options=(--generate "$seconds,wtx=1,multiplier=1,signs=1") ;;
no-sign-*) key_options=(--generate "$seconds,silent=$seconds") ;;
esac

begun=${EPOCHREALTIME/[.,]/} must=success scripted=0
case $behaviour in
signs-* | one-sign-* | no-sign-*) scripted=$seconds && generation ;;
initialize-*) scripted=$seconds key_options=(--reset "$seconds,silent=$seconds") && initialize ;;
hsm-silent-*) scripted=$seconds key_options=(--generate "$seconds,silent=$seconds") && hsm_generation ;;
hsm-signs-*) scripted=$seconds key_options=(--generate "$seconds,wtx=1,multiplier=1") && hsm_generation ;;
late-answer)
    seconds=16
    case $stack-$model in
    scdaemon-*) scripted=7 ;;
    *) scripted=16 ;;
    esac
    key_options=(--generate "$scripted,silent=$scripted") && generation ;;
stalled-in) must=recovery && after tell key stall in ;;
stalled-out) must=recovery && after tell key stall out ;;
lost-wtx-answer) scripted=8 && key_options=(--generate "8,wtx=3,multiplier=1") && while_generating 2 tell key mishear 1 ;;
corrupt-*-once) after tell key corrupt "$(cut -d - -f 2 <<<"$behaviour")" 1 ;;
corrupt-*-20) must=recovery && after tell key corrupt "$(cut -d - -f 2 <<<"$behaviour")" 20 ;;
mute-5-s) must=recovery scripted=5 limit=180 && after b_mute ;; # a Pro waits for its card for two minutes
touch-not-given) must=recovery scripted=15 && b_touch ;;
client-killed) must=recovery scripted=20 && key_options=(--generate "$(quiet 20)") && while_generating 5 kill_client ;;
pcscd-killed) must=recovery scripted=20 && key_options=(--generate "$(quiet 20)") && while_generating 5 kill_and_restart_pcscd ;;
packet-lost) must=recovery && in_packet "lost out 4" ;;
packet-unacknowledged) must=recovery && in_packet "unacknowledged out 4" ;;
packet-babble) must=recovery && in_packet "babble in 3" ;;
pcscd-killed-in-packet) must=recovery && in_packet "pause out 4" kill_pcscd_in_packet ;;
two-clients) scripted=10 && b_two_clients ;;
two-keys) scripted=20 && b_two_keys ;;
replug-20) must=recovery && b_replug ;;
hid-reset) must=recovery && after tell key hid-reset ;;
*) echo "there is no behaviour $behaviour" >&2 && exit 2 ;;
esac

# ---- the verdict ----

cpu_ms() {
    awk -v hertz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hertz) }' "/proc/$pcscd_pid/stat"
}

# of_driver: what is asked of this driver only; prints what is wrong.
of_driver() {
    local resets told
    resets=$(grep -c 'the card has to be reset to be usable' "$work/pcscd.log")
    told=$(grep -c 'Card Removed From' "$work/pcscd.log")
    [ "$resets" -le "$told" ] || echo "$resets resets; programs were told $told times"
    [ "$(cpu_ms)" -lt 1000 ] || echo "$(cpu_ms) ms of CPU time"
    [ "${slowest:-0}" -lt 10000 ] || echo "another program waited $slowest ms for pcscd"
}

recovered=$next
if [ "$next" = no ]; then
    wait_until $((limit + ${scripted%%.*})) answers_right && recovered=yes # a minute after the key is free
fi
[ "$must" = recovery ] || [ "$first" = yes ] || scripted=0
lost=$(((${EPOCHREALTIME/[.,]/} - begun) / 1000000 - ${scripted%%.*}))
wrong=no once=yes
[ -z "$(wrong_answers)" ] || wrong=yes
pins=$(tell key counters)
[ "${pins% pin=*}" = "ok pw1=3 rc=0 pw3=$admin_tries" ] || once=no
executed_once key || once=no
remark=$(wrong_answers | head -n 1)
verdict=red
case $must in
success) [ "$first$next$wrong$recovered$once" = yesyesnoyesyes ] && verdict=green ;;
recovery) [ "$wrong$recovered$once" = noyesyes ] && verdict=green ;;
esac
if [ "$stack" = ifd-nitrokey ]; then
    more=$(of_driver | paste -sd ';')
    [ -z "$more" ] || verdict=red
    remark=${remark:-${more:-$(cpu_ms) ms of CPU time${slowest:+; another program waited $slowest ms at most for pcscd}}}
fi
printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$behaviour" "$model" "$stack" "$verdict" "$first" "$next" "$wrong" \
    "$recovered" "$once" "$lost" "${remark:--}" >&3
[ "$verdict" = green ] || cp -r "$work" "$BUILD/failed/survival-$stack-$model-$behaviour" 2>/dev/null
[ "$stack" = scdaemon ] || end_pcscd KILL
