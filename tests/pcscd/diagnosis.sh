# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
# diagnosis.sh - what the scenarios of ifd-nitrokey doctor have in common. To be sourced by bash after story.sh.

tool=$(built ifd-nitrokey)
mkdir -p "$work/bin"
export PATH=$work/bin:$PATH

# stand_in NAME: a script on standard input, before all others in PATH.
stand_in() {
    { echo '#!/bin/bash' && cat; } >"$work/bin/$1" && chmod +x "$work/bin/$1"
    hash -r # this shell may remember the real one
}

# Where udev has its rules; from Debian 13 on pkg-config knows only if systemd-dev is there.
rules=$(pkg-config --variable=udevdir udev 2>/dev/null || echo /usr/lib/udev)/rules.d

# A machine of its own without systemd: what "meson install" writes to is empty, Debian's own script starts pcscd, its log
# is in a file, and pcscd sees the bus however it is started. An ordinary user's sudo does not work in here.
private_machine() {
    local directory all=()
    mkdir /run/etc && { cp -a /etc/. /run/etc 2>/dev/null || true; } && mount --bind /run/etc /etc || return
    for directory in /usr/local "$rules" /var/log; do
        mkdir -p "$directory" && hide "$directory" || return
    done
    rm -rf /etc/udev/rules.d && mkdir -p /etc/udev/rules.d /etc/sudoers.d && cat >/etc/default/pcscd <<END &&
export SYSTEMD_DEVICE_VERIFY_SYSFS=0 LD_PRELOAD=$usbfs_shim USBFS_SHIM_LOG=$work/shim.log
DAEMON_ARGS='${pcscd_options[*]/--foreground/}'
END
        echo 'Defaults env_keep += "SYSTEMD_DEVICE_VERIFY_SYSFS LD_PRELOAD USBFS_SHIM_LOG"' >/etc/sudoers.d/bus &&
        touch "$work/pcscd.log" && ln -s "$work/pcscd.log" /var/log/syslog || return
    [ -z "$(busybox syslogd --help 2>&1 | grep -w -e -s)" ] || all=(-s 0) # else it keeps the last 200 KB only
    busybox syslogd -n -O "$work/pcscd.log" "${all[@]}" &
    sudo -n true 2>/dev/null || stand_in sudo <<<'SUDO_USER=$(id -un) exec "$@"'
    wait_until 10 test -e /dev/log
}

# tells VERDICT CHECK PATTERN: doctor has this finding; its line is to be typed next.
tells() {
    line=$(python3 - "$work/found" "$@" 2>&1 <<'END'
import json, re, sys
found = [f for f in json.load(open(sys.argv[1])) if f["verdict"] == sys.argv[2]]
for f in found:
    if f["check"] == sys.argv[3] and re.search(sys.argv[4], f["says"]):
        print(f["type"] or "")
        sys.exit()
sys.exit(f"it finds {found}")
END
    ) || { echo "$line" && line= && return 1; }
}

# finds CHECK PATTERN: it finds something wrong, and says so.
finds() {
    "$tool" doctor --json >"$work/found"
    equal $? 1 && tells wrong "$@"
}

# leaves_open CHECK PATTERN: it does not know whether this is wrong.
leaves_open() {
    "$tool" doctor --json >"$work/found"
    tells unseen "$@"
}

# hold_key NAME [ARGUMENT]: a program of this name has the key. USBDEVFS_CLAIMINTERFACE, linux/usbdevice_fs.h.
hold_key() {
    rm -f "$work/claimed"
    LD_PRELOAD=${usbfs_shim:-} python3 -c 'import fcntl, glob, os, struct, sys, time
fcntl.ioctl(os.open(max(glob.glob("/dev/bus/usb/001/*")), os.O_RDWR), 0x8004550f, struct.pack("I", 1))
open("/proc/self/comm", "w").write(sys.argv[1])
open("/run/work/claimed", "w")
time.sleep(3600)' "$@" &
    holder=$!
    wait_until 10 test -e "$work/claimed"
}

# As an ordinary user, whose doctor is to be used.
nobody() {
    HOME=/nonexistent GNUPGHOME=/nonexistent setpriv --reuid nobody --regid nogroup --clear-groups "$@"
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
