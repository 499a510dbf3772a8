#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# passthrough.test.sh - a key of the computer that this virtual machine runs on: doctor, in here and there, says how it
# comes in and how it goes back; each line is typed where it says, and then the key works. It needs a host, see "host".
. "$(dirname "$0")/lib.sh" || exit
. "$here/../pcscd/diagnosis.sh"

# on_host WORD...: a function or program of "host"; its output and status.
on_host() {
    wanted=$((${wanted:-0} + 1))
    printf '%s\n' "$@" >/run/out/wanted && mv /run/out/wanted "/run/out/wanted.$wanted"
    wait_until 120 test -e "/run/out/status.$wanted" || return
    cat "/run/out/answer.$wanted"
    return "$(<"/run/out/status.$wanted")"
}

# typed_on_host LINE: by a person, in a shell.
typed_on_host() {
    on_host bash -c "$1"
}

# advises PATTERN: what doctor says about virtual machines has this; its line is to be typed on the host, and a person
# who has read "lsusb" and "virsh list" there fills it in.
advises() {
    line=$("$tool" doctor --json | python3 -c 'import json, re, sys
for f in json.load(sys.stdin):
    if f["check"] == "virtual-machine" and re.search(sys.argv[1], f["says"]):
        print(f["type"])' "$1")
    line=${line/NAME-OF-THE-MACHINE/guest} line=${line/VENDOR/20a0} line=${line/PRODUCT/4108}
    [ -n "$line" ] || { "$tool" doctor && return 1; }
}

# type_what_ends_pcscd: on the host, as doctor says in what it has found.
type_what_ends_pcscd() {
    typed_on_host "$(grep -o 'sudo systemctl stop[^\\"]*' "$work/found")"
}

# wrong_there CHECK PATTERN: doctor finds it on the host; its line is to be typed there.
wrong_there() {
    on_host finds "$@" && on_host eval 'echo "$line"' && line=$(<"/run/out/answer.$wanted")
}

# In QEMU's monitor, which libvirt has as well.
monitor() {
    on_host virsh qemu-monitor-command guest --hmp "$1" && ! grep -q '[^[:space:]]' "/run/out/answer.$wanted"
}

# As for another computer. The kernel does not share a key that has itself come by USB/IP, so it can only be tried here.
is_shared() {
    usbip bind --busid="$(basename "$(dirname "$(grep -lx 4108 /sys/bus/usb/devices/*/idProduct)")")"
}

generates() {
    "$apdu" "$select" "$verify_admin" "$generate" | tee "$work/generated" | tail -n 1 | grep -q ' 7F49.*9000$' ||
        { cat "$work/generated" && return 1; }
}

# By the card's clock, which is not this machine's.
took_20_s() {
    on_host awk '$3 ~ /^00478000/ { took = $2 - $1 } END { print took " ms"; exit took < 20000 }' /run/work/key/apdus
}

check "the host: a key is plugged in" on_host start_key key --generate 20,silent=20
check "its pcscd starts" on_host service pcscd start
check "nothing is wrong there, and the key works" on_host works_again
stand_in sudo <<<'exec "$@"' # its own file is not root's here, where libvirt has no right to show whose files are
new_gpg_home
check "here: pcscd starts" start_pcscd
check "doctor says that there is no key" finds key 'no Nitrokey .* is plugged in'
check "it knows how libvirt passes one through" advises 'with libvirt'
check "its line is typed on the host, but not the one before it" typed_on_host "$line"
check "doctor says that the host still has it" wait_until 20 finds key 'is there but is not configured'
check "what it names is typed on the host" type_what_ends_pcscd
check "its line is typed here" type_line
check "nothing is wrong here, and the key works" works_again
check "it waits for a generation" generates
check "that took 20 s without a sign of life" took_20_s
check "which was executed once" on_host eval '[ "$(card_apdus key | grep -c ^00478000)" = 1 ]'

check "provoked: it is shared by USB/IP" is_shared
check "doctor finds it" finds holder 'is shared by USB/IP, and so is not for this computer'
check "its line is typed" type_line
check "and the key works" works_again

check "the host: its pcscd starts again" on_host service pcscd start
check "doctor says there that this machine has the key" wrong_there holder 'the virtual machine of qemu'
check "its line is typed there" typed_on_host "$line"
check "nothing is wrong there, and the key works" on_host works_again
check "here its reader goes" wait_until 20 reader_count 0

check "doctor knows what comes first on the host" advises 'First, there'
check "that is typed there" typed_on_host "$line"
check "it knows what QEMU's monitor wants" advises 'monitor'
check "that is typed there" monitor "$line"
check "nothing is wrong here, and the key works" works_again
check "it is taken out in the monitor" monitor "device_del nitrokey"
check "the host: its pcscd starts again" on_host service pcscd start
check "nothing is wrong there, and the key works" on_host works_again
check "nothing has cost a try" on_host tries_are_left key
summary
