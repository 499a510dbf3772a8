#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# refusal.test.sh - what would change a computer refuses when it is started by hand, as root: it says why, and has written
# nothing. All of it happens under a layer over this computer's files, and as process 1, as in the virtual machine.
. "$(dirname "$0")/../bus/lib.sh"

if [ "$(id -u)" != 0 ]; then
    skip "scripts refuse" "an ordinary user may not have a layer over this computer's files, nor change them"
    finish
fi
if [ "${1:-}" != --private ]; then
    work=$(mktemp -d)
    unshare --mount --propagation private "$0" --private "$work"
    status=$?
    rmdir "$work"
    exit "$status"
fi
top=$(cd "$here/../.." && pwd) work=$2 layer=$2/layer root=$2/root

# A computer with these files, where nothing is known of this one's services and devices.
prepare_computer() {
    local kept device
    mkdir -p "$layer/upper" "$layer/work" "$root" &&
        mount -t overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" overlay "$root" &&
        mount -t tmpfs tmpfs "$root/run" && mount -t tmpfs tmpfs "$root/sys" &&
        mount -t tmpfs tmpfs "$root/dev" || return
    for kept in "$top" "$BUILD"; do
        mkdir -p "$root$kept" && mount --bind "$kept" "$root$kept" || return
    done
    for device in null zero urandom; do
        touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device" || return
    done
}

# everything: what was written, and where something is mounted.
everything() {
    find "$layer/upper" "$root/run" "$root/sys" "$root/dev"
}

# by_hand COMMAND...: in that computer.
by_hand() {
    timeout -k 5 60 unshare --net --pid --mount --fork --kill-child --propagation private sh -c \
        'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" "$@"
}

# refuses PATTERN COMMAND...
refuses() {
    local pattern=$1 status=0
    shift
    by_hand "$@" >"$work/said" 2>&1 </dev/null || status=$?
    cat "$work/said"
    [ "$status" != 0 ] && [ "$(wc -l <"$work/said")" = 1 ] && grep -q -e "$pattern" "$work/said"
}

has_written_nothing() {
    everything | diff "$work/before" -
}

keep_work() {
    show_logs
}

mount -t tmpfs tmpfs "$work" || exit
check "a computer that nothing can happen to" prepare_computer
check "in which programs run" by_hand true
everything >"$work/before"
for script in "$top"/tests/vm/{init,guest,*.test.sh}; do
    name=$(basename "$script")
    expect "vm/$name refuses" refuses ': refused, .*tests/vm/run' "$script" syscalls
    expect "vm/$name: and has written nothing" has_written_nothing
done
expect "bus/enter --inside refuses" refuses 'for itself' sh -c '"$0" --inside true; exit' "$here/enter"
expect "bus/fakeusb.py refuses" refuses 'refused, since this is no test bus' "$here/fakeusb.py" init
expect "even where TEST_BUS is set" refuses 'refused, since this is no test bus' env TEST_BUS=1 "$here/fakeusb.py" init
expect "debian/polkit.test.sh refuses" refuses 'refused, .*tests/debian/run' "$top/tests/debian/polkit.test.sh"
expect "and they have written nothing" has_written_nothing
finish
