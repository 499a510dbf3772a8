#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# packets.test.sh [MODEL] - a USB packet fails, anywhere in a command, or pcscd ends between two: that command may fail
# for it, and the next one is right within 5 s. The key executes what was sent and nothing else, no PIN loses a try, and
# what is stored is the old content or the new one, whole.
. "$(dirname "$0")/../bus/lib.sh"

[ $# != 0 ] || each_model gnuk nitrokey-3 nitrokey-hsm-2 nitrokey-pro-2 nitrokey-start-rtm13 nitrokey-storage-hs-261

on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/card.sh"
. "$(dirname "$0")/hsm.sh"
model=$1
application=$(described application)

# ---- what this card is told ----

# repeated HEX N
repeated() {
    printf "%.0s$1" $(seq "$2")
}

login=() # before all that only the owner of the key may do
long_pin=$(repeated 37 60)
verify=002000813C$long_pin
write=put_certificate read=$get_certificate
size=556 # so that, as here, the last packet of the answer is full, and an empty one follows
verify_packets=2
case $application in
gnuk) size=500 generate=0047800002B60000 ;;
opcard*) size=1524 ;;
smartcard-hsm-*)
    select=$select_hsm verify=$verify_user_of_hsm verify_packets=1 login=("$verify_user_of_hsm")
    get_aid=00B12F02045402000020 write=put_object read=00B1CF0100000454020000$(printf %04X "$size")
    generate=$(generate_on_hsm 2048) tries_left[key]="3 0 15"
    ;;
esac
case $model in nitrokey-storage-hs-*) verify_packets=1 ;; esac # packets of 512 bytes

# put_object CONTENT: an object of the HSM's that anybody may read.
put_object() {
    printf '00D7CF0100%04X540200005382%04X%s' $((${#1} / 2 + 8)) $((${#1} / 2)) "$1"
}

# A Gnuk takes another user PIN only when it has a key, and for an admin PIN as well unless that was changed before.
prepares_openpgp() {
    local admin=3132333435363738 new_admin=3837363534333231
    verify_admin=0020008308$new_admin login=("$verify_admin")
    answers 9000 "$select" "0020008308$admin" "${generate/B600/B800}" "0024008310$admin$new_admin" \
        "0024008142313233343536$long_pin" "$verify"
}

prepares() {
    case $application in
    smartcard-hsm-*) hsm_initializes ;;
    *) prepares_openpgp ;;
    esac
}

# ---- a program, and what it finds ----

# logs_in: selects the application, and what else the next step needs.
logs_in() {
    local apdu
    for apdu in "$select" "${login[@]}"; do
        is_answered "* SCARD_S_SUCCESS *9000" "$apdu" || return
    done
}

# learns_aid: what the card says of itself, for comparison.
learns_aid() {
    answer_to_aid=$(step "$get_aid") && answer_to_aid=${answer_to_aid##* }
    [[ $answer_to_aid == *9000 ]]
}

# is_served: the next two commands are right, in time.
is_served() {
    took_at_most 5 is_answered "* SCARD_S_SUCCESS * $answer_to_aid" "$get_aid" &&
        took_at_most 5 is_answered "* SCARD_S_SUCCESS * $answer_to_aid" "$get_aid"
}

# An answer without an end is given up when patience ends: on cards that speak T=1 that is 13 s at least.
impatient=IFD_NITROKEY_PATIENCE=ordinary=5s
limit=20 # seconds of a step of which a packet fails, and in which a busy machine may look for an RSA key

# strikes FAULT STEP: a packet of this step fails. Its line is in $struck.
strikes() {
    # shellcheck disable=SC2086
    tell key packet $1 >/dev/null || return
    took_at_most "$limit" step "$2" >"$work/struck" || {
        tail -n 1 "$work/struck"
        return 1
    }
    struck=$(<"$work/struck")
    equal "$(tell key packet)" "ok struck" && tell key packet none >/dev/null
}

# is_right PATTERN: the step that was struck has such an answer, or is told to have failed.
is_right() {
    local code result
    read -r _ code _ result <<<"$struck"
    # shellcheck disable=SC2053
    [ "$code" != SCARD_S_SUCCESS ] || [[ $result == $1 ]] || {
        echo "$struck"
        return 1
    }
}

succeeds() {
    [[ $struck == *" SCARD_S_SUCCESS "* ]] || {
        echo "$struck"
        return 1
    }
}

number=0 stored=''

# new_content: another one each time.
new_content() {
    number=$((number + 1))
    content=$(repeated "$(printf %02X $((16 + number)))" "$size")
}

writes_undisturbed() {
    new_content
    logs_in && is_answered "* SCARD_S_SUCCESS *9000" "$($write "$content")" && stored=$content
}

# keeps_it_whole: what is stored is the old content, or the new one, which it must be if the program was told so.
keeps_it_whole() {
    local found
    found=$(step "$read") && found=${found##* }
    [ "$found" = "${stored}9000" ] || stored=$content
    equal "$found" "${stored}9000" && { not succeeds || equal "$stored" "$content"; }
}

keeps_its_tries() {
    tries_are_left key && is_answered "* SCARD_S_SUCCESS *9000" "$verify"
}

# ---- one step ----

# writes FAULT, verifies FAULT, ...: with that, and what follows.
writes() {
    new_content
    logs_in && strikes "$1" "$($write "$content")" && is_right 9000 && is_served && keeps_it_whole
}

verifies() {
    logs_in && strikes "$1" "$verify" && is_right 9000 && is_served && keeps_its_tries
}

reads() {
    logs_in && strikes "$1" "$read" && is_right "${stored}9000" && is_served
}

generates() {
    logs_in && strikes "$1" "$generate" && is_right "*" && is_served
}

# waits: a packet that takes its time costs nothing.
waits() {
    logs_in && strikes "$1" "$read" && succeeds && is_right "${stored}9000" && is_served
}

# in_packet N STEP COMMAND: before this packet of the step the key stands still, and this happens. The first command of
# the next pcscd is right.
in_packet() {
    tell key packet pause out "$1" && echo "$2" >&3 && wait_until 10 paused_at_packet key && "$3" &&
        tell key packet go && end_program && start_pcscd "$impatient" && took_at_most 5 is_there_again
}

is_there_again() {
    wait_until 10 cards_present 1 && start_program && logs_in && is_served
}

ends_while_writing() {
    struck=''
    new_content
    logs_in && in_packet 2 "$($write "$content")" "$1" && keeps_it_whole
}

ends_while_verifying() {
    logs_in && in_packet "$verify_packets" "$verify" "$1" && keeps_its_tries
}

check "a key is there" start_key key --generate 0.1 --generate 2.2 --reset 0.1
check "pcscd starts" start_pcscd "$impatient"
check "it has a card" wait_until 10 cards_present 1
check "the card is prepared" prepares
check "a program begins" start_program
check "it selects the application" logs_in
check "it learns its name" learns_aid
check "it is served" is_served
check "it writes" writes_undisturbed
for fault in "lost out 2" "halt out 3"; do
    expect "it writes: $fault" writes "$fault"
done
for fault in lost halt unacknowledged; do
    expect "it verifies a PIN: $fault" verifies "$fault out $verify_packets"
done
for fault in "unacknowledged out 1" "lost in 2" "unacknowledged in 2" "babble in 2" "halt in 2"; do
    expect "it reads: $fault" reads "$fault"
done
case $model in
nitrokey-storage-hs-*) ;; # no answer fills a packet of 512 bytes
*) limit=30 expect "it reads: no-zlp in 1" reads "no-zlp in 1" ;;
esac
expect "it generates a key: lost in 4" generates "lost in 4"
for fault in "nak out 1 2" "nak in 2 2"; do
    expect "it waits: $fault" waits "$fault"
done
check "pcscd is killed while it writes" ends_while_writing kill_pcscd
check "pcscd ends while it writes" ends_while_writing stop_pcscd
check "pcscd is killed while it verifies a PIN" ends_while_verifying kill_pcscd
check "pcscd ends" stop_pcscd
summary
