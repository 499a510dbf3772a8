#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usbmon.test.sh - what goes over the bus, as the kernel sees it: two transfers for an APDU, and none at rest.
. "$(dirname "$0")/lib.sh" || exit

listen() {
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
    cat /sys/kernel/debug/usb/usbmon/0u >"$work/usbmon" &
    wait_until 10 test -e "$work/usbmon"
}

set_mark() {
    mark=$(wc -l <"$work/usbmon")
}

# submitted: the transfers to the key since the mark, a line each: Bo, Bi, Co, Ci, Ii ... and the rest of usbmon's line.
submitted() {
    tail -n "+$((mark + 1))" "$work/usbmon" | awk -v device="$((10#$(<"$(device_of key)/devnum")))" '
        $3 == "S" { split($4, part, ":"); if (part[3] + 0 == device) { $1 = $2 = $3 = ""; print part[1], $0 } }'
}

# transfers [TYPE]: how many.
transfers() {
    submitted | grep -c "^${1:-}"
}

interfaces() {
    find "$(device_of key)/" -maxdepth 1 -name '*:*' | wc -l
}

# pcscd opens each interface of a key to see whether it is a card reader, and at each open libusb asks by
# GET_CONFIGURATION (80 08) which configuration is set. All else is known to the kernel. (A1 FE is the
# kernel's: how many disks there are.)
only_what_is_needed() {
    submitted | grep '^C' | grep -v ' s a1 fe ' >"$work/control-$model"
    equal "$(cut -d ' ' -f 7-8 "$work/control-$model" | sort | uniq -c | xargs)" "$(interfaces) 80 08"
}

connected() {
    grep -q "$select" "$work/apdus"
}

# A client that sends two commands and waits for a word before the second and before its end.
one_apdu() {
    coproc CLIENT { "$apdu" "$select" - >"$work/apdus"; }
    wait_until 30 connected || return
    set_mark
    echo "$get_aid" >&"${CLIENT[1]}"
    wait_until 30 grep -q "SUCCESS $get_aid .*9000$" "$work/apdus"
}

disconnects() {
    exec {CLIENT[1]}>&-
    wait "$CLIENT_PID"
}

check "usbmon listens" listen
for model in nitrokey-start-rtm13 nitrokey-storage-hs-261 nitrokey-pro-2 nitrokey-3; do
    check "$model: it is plugged in" start_key key
    set_mark
    check "$model: pcscd starts" start_pcscd
    check "$model: it has a card" wait_until 30 cards_present 1
    expect "$model: at open no control transfer but what libusb needs" only_what_is_needed
    if [[ $model = *-storage-* ]]; then # its disk is asked all the time
        check "$model: pcscd ends" stop_pcscd && check "$model is taken out" stop_key key
        continue
    fi
    check "$model: a client sends an APDU" one_apdu
    extensions=0
    [[ $model != *-start-* ]] || extensions=1 # its firmware asks for more time once in each command
    expect "$model: that is one transfer each way" \
        equal "$(transfers Bo) $(transfers Bi) $(transfers)" "1 $((1 + extensions)) $((2 + extensions))"
    check "$model: the client ends" disconnects
    [ "$model" = nitrokey-3 ] || { check "$model: pcscd ends" stop_pcscd && check "$model is taken out" stop_key key; }
done
check "pcscd powers the card off" wait_until 20 logged POWER_STATE_UNPOWERED
set_mark
sleep 60
expect "in 60 s of idleness there is no transfer" equal "$(transfers)" 0
check "the key still serves" answers 9000 "$select" "$get_aid"
expect "and usbmon saw that" not equal "$(transfers)" 0
check "pcscd ends" stop_pcscd
summary
