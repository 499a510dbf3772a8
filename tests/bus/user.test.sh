#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# user.test.sh - the test bus in the hands of an ordinary user, by user namespaces: a key is plugged in, serves, and goes.
. "$(dirname "$0")/../bus/lib.sh"

# Becomes one. The build directory may be where only root gets, and TMPDIR as well, so what is needed of it is copied to
# where everybody gets, and may run programs.
if [ -z "${TEST_BUS:-}" ] && [ "$(id -u)" = 0 ]; then
    setpriv --reuid nobody --regid nogroup --clear-groups unshare --user --map-root-user true 2>/dev/null || {
        skip "an ordinary user has the bus" "users may not make namespaces here"
        summary
    }
    [ "${1:-}" = --private ] || exec unshare --mount --propagation private "$0" --private
    copy=$(mktemp -d -p /tmp) && trap 'umount "$copy" && rmdir "$copy"' EXIT && mount -t tmpfs tmpfs "$copy" || exit
    mkdir -p "$copy/tests" "$copy/build-tests"
    cp -r "$here" "$copy/tests" && cp -r "$here/../pcscd" "$copy/tests" && cp -r "$here/../../readers" "$copy"
    for name in virtual-nitrokey usbfs_shim.so apdu pcsc_list judge Info.plist libifd-nitrokey.so; do
        cp "$(built "$name")" "$copy/build-tests"
    done
    chown -R nobody "$copy"
    # as /etc/profile has it, without /usr/sbin
    HOME=$copy BUILD=$copy/build-tests PATH=/usr/local/bin:/usr/bin:/bin \
        setpriv --reuid nobody --regid nogroup --clear-groups "$copy/tests/bus/$(basename "$0")"
    exit
fi
on_bus "$@"
. "$(dirname "$0")/../pcscd/story.sh"

is_no_root() {
    [ "$(awk '{ print $2 }' /proc/self/uid_map)" != 0 ]
}

check "this is no root outside" is_no_root
check "a key is plugged in" start_key key
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "the key serves" serves
check "it is taken out" unplug key
check "its reader goes" wait_until 10 reader_count 0
check "it is plugged in again" plug key
check "it has a card again" wait_until 10 cards_present 1
check "the key serves again" serves
expect "each command was executed once, in order" once_and_in_order key 3
check "pcscd ends" stop_pcscd
summary
