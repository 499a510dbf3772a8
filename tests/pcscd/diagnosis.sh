# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
# diagnosis.sh - what the scenarios of ifd-nitrokey doctor have in common. To be sourced by bash after story.sh.

tool=$(built ifd-nitrokey)
export PATH=$work/bin:$PATH

# stand_in NAME: a script on standard input, before all others in PATH.
stand_in() {
    mkdir -p "$work/bin" && { echo '#!/bin/bash' && cat; } >"$work/bin/$1" && chmod +x "$work/bin/$1"
}

# Where udev has its rules; from Debian 13 on pkg-config knows only if systemd-dev is there.
rules=$(pkg-config --variable=udevdir udev 2>/dev/null || echo /usr/lib/udev)/rules.d

# What "meson install" writes to, empty; and pcscd as a service of this machine.
private_machine() {
    local directory
    stand_in sudo <<<'exec "$@"'
    stand_in service <<END
pid=\$(cat /run/pcscd/pcscd.pid 2>/dev/null)
[ "\$2" = start ] || { kill "\$pid" && kill -CONT "\$pid" && while kill -0 "\$pid" 2>/dev/null; do sleep 0.05; done; }
[ "\$2" != stop ] || exit 0
LD_PRELOAD=$usbfs_shim USBFS_SHIM_LOG=$work/shim.log pcscd --foreground --debug --apdu >>$work/pcscd.log 2>&1 &
until $pcsc_list >/dev/null 2>&1; do sleep 0.05; done
END
    for directory in /usr/local "$rules" /etc/udev/rules.d; do
        mkdir -p "$directory" && mount -t tmpfs -o mode=755 tmpfs "$directory" || return
    done
}

# finds CHECK PATTERN: doctor finds something wrong, and says so; its line is to be typed next.
finds() {
    "$tool" doctor --json >"$work/found"
    equal $? 1 || return
    line=$(python3 - "$work/found" "$@" 2>&1 <<'END'
import json, re, sys
found = [f for f in json.load(open(sys.argv[1])) if f["verdict"] == "wrong"]
for f in found:
    if f["check"] == sys.argv[2] and re.search(sys.argv[3], f["says"]):
        print(f["type"] or "")
        sys.exit()
sys.exit(f"it finds {found}")
END
    ) || { echo "$line" && line= && return 1; }
}

# In the shell of a person.
type_line() {
    echo "$line" >>"$work/typed.log"
    [ -n "$line" ] && bash -c "$line" </dev/null
}

nothing_is_wrong() {
    "$tool" doctor || { grep -A 1 '^✗' "$work/check" | tail -n 2 && return 1; }
}

# works_again: nothing is wrong, and the key answers.
works_again() {
    wait_until 20 cards_present 1 && nothing_is_wrong && serves
}
