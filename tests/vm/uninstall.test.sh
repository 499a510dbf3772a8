#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# uninstall.test.sh - after "ninja uninstall" nothing of ours is left, and libccid serves the key.
. "$(dirname "$0")/lib.sh"

uninstall() {
    ninja -C "$BUILD" uninstall
}

# In what this machine has written since it was started; a character device says that a file is gone.
nothing_left() {
    ! find /run/layer/upper -name '*ifd-nitrokey*' -not -type c -not -path "*$BUILD/*" | grep .
}

served_by() {
    grep -q "using .*/$1/" "$work/pcscd.log"
}

check "a key is plugged in" start_key key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 30 cards_present 1
check "our bundle serves it" served_by ifd-nitrokey.bundle
check "pcscd ends" stop_pcscd
check "ninja uninstall" uninstall
check "leaves nothing" nothing_left
: >"$work/pcscd.log"
check "the key is plugged in anew" replug key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 60 cards_present 1
check "libccid serves it" served_by ifd-ccid.bundle
check "pcscd ends" stop_pcscd
summary
