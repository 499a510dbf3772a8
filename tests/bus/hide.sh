# SPDX-License-Identifier: LGPL-2.1-or-later
# hide.sh - an empty directory in the place of one of the computer's. To be sourced by bash; changes the mount namespace.

# hide DIRECTORY: mounts an empty file system over it. What is of ours below it, this source tree and the build directory
# BUILD, stays where it is.
hide() {
    local top kept status=0
    local -A descriptors=()
    top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
    for kept in "$top" "$(realpath -m "${BUILD:-$top/build-tests}")"; do
        [ ! -d "$kept" ] || exec {descriptors[$kept]}<"$kept" # the way to what the mount hides
    done
    # not sticky, or a user namespace's root may not write to /dev/null
    mount -t tmpfs -o mode=755 tmpfs "$1" || return
    for kept in "${!descriptors[@]}"; do # one may be below the other: each is looked at by itself
        # -c: mount must not make a plain path, to what is above, of the way below
        [ "$kept" -ef "/proc/self/fd/${descriptors[$kept]}" ] || { mkdir -p "$kept" &&
            mount -c --bind "/proc/self/fd/${descriptors[$kept]}" "$kept"; } || status=1
        exec {descriptors[$kept]}<&-
    done
    return "$status"
}
