#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usbmon.test.sh - what goes over the bus, as the kernel sees it: two transfers for an APDU, and none when nothing happens.
. "$(dirname "$0")/lib.sh"

listen() {
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
    cat /sys/kernel/debug/usb/usbmon/0u >"$work/usbmon" &
}

# transfers [TYPE]: submissions to the key since the mark; Bo, Bi, Co, Ci, Ii ...
transfers() {
    tail -n "+$((mark + 1))" "$work/usbmon" | awk -v device="$(printf '%03d' "$((10#$(<"$(device_of key)/devnum")))")" \
        -v type="${1:-}" '$3 == "S" { split($4, part, ":")
            if (part[3] == device && (type == "" || part[1] == type)) n++ } END { print n + 0 }'
}

set_mark() {
    mark=$(wc -l <"$work/usbmon")
}

listen
model=nitrokey-3 mark=0
check "a key is plugged in" start_key key
set_mark
check "pcscd starts" start_pcscd
check "it has a card" wait_until 30 cards_present 1
tail -n "+$((mark + 1))" "$work/usbmon" | awk '$3 == "S" && $4 ~ /^C/' >"$work/control"
check "at open no control transfer is needed but for descriptors and strings" \
    not grep -vE ' s (80 06|80 08|81 06) ' "$work/control"
"$apdu" "$select" - < <(sleep 5 && echo "$get_aid" && sleep 5) >"$work/apdus" &
client=$!
wait_until 20 grep -q "$select" "$work/apdus"
set_mark
wait "$client"
check "an APDU is one transfer each way" equal "$(transfers Bo) $(transfers Bi) $(transfers)" "1 1 2"
check "pcscd powers the card off" wait_until 20 logged POWER_STATE_UNPOWERED
set_mark
sleep 60
check "in 60 s of idleness there is none" equal "$(transfers)" 0
check "pcscd ends" stop_pcscd
summary
