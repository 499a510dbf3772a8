#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# syscalls.test.sh - how many system calls an APDU takes, of this driver and of libccid, libusb's included.
. "$(dirname "$0")/lib.sh" || exit
host=$(built driver_bench)

# system_calls LIBRARY COUNT: of a driver without pcscd, from its start to its end. Asking for the time is none where the
# processor has a clock that programs may read (vDSO); here it has not.
system_calls() {
    strace -f -qq -o "$work/strace" "$host" "$1" "usb:20a0/42b2:libudev:0:$(node_of key)" "$2" "$select" "$get_aid" >"$work/host" || return
    grep -cvE '<\.\.\. .* resumed>|^[0-9]+ (\+\+\+|---|clock_gettime)' "$work/strace"
}

# calls_of_an_apdu BUNDLE
calls_of_an_apdu() {
    local library few many
    library=$(find "$drivers/$1" -name '*.so')
    few=$(system_calls "$library" 10) && many=$(system_calls "$library" 110) || return
    awk -v few="$few" -v many="$many" 'BEGIN { print (many - few) / 100 }'
}

model=nitrokey-3
check "a key is plugged in" start_key key
ours=$(calls_of_an_apdu ifd-nitrokey.bundle)
theirs=$(calls_of_an_apdu ifd-ccid.bundle)
echo "# system calls for an APDU: ifd-nitrokey $ours libccid $theirs"
check "an APDU takes no more system calls than with libccid" awk -v ours="$ours" -v theirs="$theirs" \
    'BEGIN { exit !(ours > 0 && ours <= theirs) }'
summary
