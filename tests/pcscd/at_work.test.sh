#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# at_work.test.sh - a Nitrokey 3 generates for 20 s while its command is given up, its client is killed, or pcscd ends.
# A command meanwhile would make its firmware panic when the 20 s are over: nobody sends one, and it goes on to serve.
# Where nothing tells the driver whether it is still at work, the user is told to plug it in anew.
. "$(dirname "$0")/../bus/lib.sh"
if [ $# = 0 ]; then # firmware before 1.6 dies even of not being read
    each_model given-up given-up-later client-killed two-clients killed-0 killed-2 killed-10 killed-60 stopped-0 \
        stopped-10 unplugged-given-up unplugged-client-killed unplugged-killed dead \
        given-up@1.5 client-killed@1.5 killed-0@1.5 killed-10@1.5
fi
on_bus "$@"
[[ $1 != *@* ]] || at_work_model=nitrokey-3-${1#*@}
set -- "${1%@*}"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/at_work.sh"

is_given_up() {
    wait_until 15 ended "$client" && tail -n 1 "$work/generation" | grep -E " SCARD_E_(TIMEOUT|NOT_TRANSACTED) "
}

client_is_killed() {
    pkill -KILL -x apdu && wait_until 5 ended "$client"
}

# generation_succeeds: that of the first client, beside whom others have asked.
generation_succeeds() {
    wait_until 40 ended "$client" && tail -n 1 "$work/generation" | grep -q "SCARD_S_SUCCESS.*9000$"
}

# comes_back AFTER: pcscd is started again when the time has come.
comes_back() {
    sleep "$1" # this is what is tried
    start_pcscd
}

# As after a panic: GetSlotStatus is answered as ever.
has_stopped() {
    tell key answer swallow 1 && not send "$get_aid" && logged "its firmware has stopped"
}

patience=
[[ $1 != *given-up* ]] || patience=IFD_NITROKEY_PATIENCE=generate=8s/8s
check "a key is there that generates for 20 s" start_key key --generate 20
check "pcscd starts" start_pcscd $patience
check "it has a card" wait_until 10 cards_present 1
[ "$1" = dead ] || check "a client generates" begin
case $1 in
*given-up*) check "it is given up after 8 s" is_given_up ;;
*client-killed) check "it is killed" client_is_killed ;;
*killed*) check "pcscd is killed" kill_pcscd ;;
stopped*) check "pcscd ends" stop_pcscd ;;
esac
case $1 in
given-up | client-killed)
    check "the next command waits for its end" serves
    ;;
given-up-later)
    check "list and watch say that it is at work" lists "a command was given up"
    check "the 20 s are over" ends_in_peace
    check "pcscd has read the answer meanwhile" wait_until 5 lists_nothing
    ;;
two-clients)
    check "another client waits for it" serves
    check "the first one has its key" generation_succeeds
    ;;
killed-0 | stopped-0)
    check "pcscd is started again at once" comes_back 0
    check "there is no card yet" cards_present 0
    ;;
killed-2) # when it may be heard again or not
    check "pcscd is started again after 2 s" comes_back 2
    check "the key serves when it has ended, or else is held back" serves_or_is_held_back
    ;;
dead)
    check "the key serves" serves
    check "its firmware has stopped: a command has no answer, nor a sign of life" has_stopped
    check "list and watch say so" lists "unplug it and plug it in again"
    check "doctor says what to do" doctor_says 'serves no command any more: unplug it and plug it in again'
    check "there is no card" cards_present 0
    check "plugged in anew it serves at once" serves_anew
    ;;
killed-* | stopped-*)
    check "pcscd is started again after ${1#*-} s" comes_back "${1#*-}"
    check "the key is held back, and list and watch say for how long" is_held_back
    check "doctor says what to do" doctor_says 'unplug it and plug it in again'
    check "the 20 s are over" ends_in_peace
    check "which nobody can know" lists "held back for [0-9:]* at most"
    check "plugged in anew it serves at once" serves_anew
    ;;
unplugged-killed)
    check "pcscd is started again at once" comes_back 0
    ;;&
unplugged*)
    check "plugged in anew it serves at once" serves_anew
    ;;
esac
check "it serves" serves_within 30
check "pcscd ends" stop_pcscd
summary
