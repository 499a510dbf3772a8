#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# uninstall.test.sh - "meson install" as README.md tells, used, then "ninja uninstall": nothing of ours is left, and
# libccid serves the key.
. "$(dirname "$0")/lib.sh" || exit
export PYTHONDONTWRITEBYTECODE=1 # or meson leaves something of its own

# What the machine was given of ours before, whether by its layer or by its host.
as_if_never_installed() {
    (cd "$BUILD/vm/installed" && find . -name '*ifd?nitrokey*' -prune) | sed 's,^\.,,' | xargs rm -r &&
        udevadm control --reload
}

# Whatever this machine has written since it was started; a character device says that a file is gone.
written() {
    (cd /run/layer/upper && find . -not -type c -not -path ".$BUILD/*") | while read -r path; do
        [[ .$BUILD/ == "$path"/* ]] || echo "$path" # ninja has its log there
    done | sort
}

nothing_is_left() {
    written | comm -13 "$work/written" - >"$work/left"
    cat "$work/left"
    [ ! -s "$work/left" ]
}

udev_knows_nothing() {
    not grep -rE 'ifd-nitrokey|ifd_nitrokey' /lib/udev/rules.d /etc/udev/rules.d
}

install() {
    meson install -C "$BUILD" --no-rebuild
}

uninstall() {
    ninja -C "$BUILD" uninstall
}


serves_by() {
    local begin
    begin=$(wc -l <"$work/pcscd.log")
    start_pcscd && wait_until 60 cards_present 1 && serves || return
    tail -n "+$((begin + 1))" "$work/pcscd.log" >"$work/served"
    grep -q "using .*/$1/Contents/" "$work/served" && not grep "/$2/Contents/" "$work/served"
}

touch "$work/pcscd.log"
check "the machine has never seen it" as_if_never_installed
written >"$work/written"
check "meson install" install
check "it was written somewhere" not nothing_is_left
udevadm control --reload
check "a key is plugged in" start_key key
check "our bundle serves it, not libccid" serves_by ifd-nitrokey.bundle ifd-ccid.bundle
check "pcscd ends" stop_pcscd
check "ninja uninstall" uninstall
check "leaves nothing" nothing_is_left
check "udev's rules know nothing of it" udev_knows_nothing
check "the key is plugged in anew" replug key
check "libccid serves it, not our bundle" serves_by ifd-ccid.bundle ifd-nitrokey.bundle
check "pcscd ends" stop_pcscd
summary
