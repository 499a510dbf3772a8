#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# doctor.test.sh - what ifd-nitrokey doctor finds of udev and systemd is provoked, and its line typed; then the key works.
# It needs systemd, for the units of pcscd.
. "$(dirname "$0")/lib.sh" || exit
. "$here/../pcscd/diagnosis.sh"

prepare_machine() {
    pcscd_units "StandardOutput=append:$work/pcscd.log" "StandardError=append:$work/pcscd.log" &&
        archive "$BUILD/vm/archive" || return
    export GNUPGHOME=$work/gnupg && mkdir -m 700 "$GNUPGHOME" && echo disable-ccid >"$GNUPGHOME/scdaemon.conf"
    mkdir "$work/source" && ln -s "$BUILD" "$work/source/build" &&
        ln -s "$BUILD" "$work/source/build-tests" && cd "$work/source" && cp "$tool" "$work/bin/doctor"
}

# ---- what goes wrong ----

pcscd_is_not_installed() {
    dpkg --purge pcscd
}

scdaemon_is_not_installed() {
    dpkg --purge scdaemon
}

socket_is_off() {
    systemctl disable --now pcscd.socket && systemctl stop pcscd
}

socket_is_masked() {
    socket_is_off && systemctl mask pcscd.socket
}

socket_is_off_tomorrow() {
    systemctl disable pcscd.socket
}

rules_are_shadowed() {
    ln -sf /dev/null /etc/udev/rules.d/70-ifd-nitrokey.rules
}

rules_are_late() {
    mv "$rules/70-ifd-nitrokey.rules" "$rules/90-ifd-nitrokey.rules" && udevadm control --reload && replug key
}

rules_are_missing() {
    rm "$rules/70-ifd-nitrokey.rules"
}

rules_are_cut_short() {
    sed -i '/ID_SMARTCARD_READER/d' "$rules/70-ifd-nitrokey.rules"
}

ends_pcscd() {
    systemctl stop pcscd.socket pcscd.service
}

kernel_holds_it() {
    ends_pcscd && echo 20a0 4108 >/sys/bus/usb-serial/drivers/generic/new_id && replug key &&
        wait_until 20 compgen -G "$(device_of key)/*:1.1/driver" && systemctl start pcscd.socket
}

# By a program of root's; the doctor is nobody's.
hidden_program_holds_it() {
    ends_pcscd && hold_key python3 && systemctl start pcscd.socket &&
        nobody "$work/bin/doctor" doctor --json >"$work/found"
    tells unseen holder 'a program that only root can see has /dev/bus/usb'
}

shows_who() {
    bash -c "$line" | grep 'python3 ([0-9]*)'
}

is_not_for_pcscd() {
    groupadd --system pcscd && useradd --system --gid pcscd --no-create-home pcscd &&
        printf '%s\n' '[Service]' User=pcscd ExecStart= \
            "ExecStart=/usr/sbin/pcscd --foreground $(without_polkit)" \
            >/run/systemd/system/pcscd.service.d/user.conf &&
        systemctl daemon-reload && systemctl stop pcscd && chown pcscd: /run/pcscd
}

run_directory_is_roots() {
    chown root: /run/pcscd && systemctl restart pcscd
}

persists() {
    echo 1 >"$(device_of key)/power/persist"
}

# ---- what the pages say ----

# does COMMAND: as README shows it.
does() {
    check "$1" bash -c "$1"
}

# The editor of a person at a terminal.
edits() {
    stand_in editor <<'END'
printf '%s\n' '[Service]' 'Environment=IFD_NITROKEY_PATIENCE=nonsense' >"$1"
END
    SYSTEMD_EDITOR=editor script -qec "$*" "$work/edited"
}

# journald is not needed for anything else. And pcscd is root again, since the group has got that one key only.
with_journal() {
    rm /run/systemd/system/pcscd.service.d/{log,user}.conf && systemctl daemon-reload && systemctl start systemd-journald &&
        systemctl restart pcscd && wait_until 30 cards_present 1
}

journal_says() {
    "$@" | grep 'IFD_NITROKEY_PATIENCE is ignored'
}

served_by_tcp() {
    mkdir -p "$work/source" && cd "$work/source" && $1 >"$work/served" 2>&1 &
    wait_until 20 grep -q '^listening on ' "$work/served"
}

# ---- the story ----

others_send[key]=yes # while pcscd's log is the journal's
check "a machine with the driver installed" prepare_machine
check "a key is plugged in" start_key key
check "doctor says that pcscd does not run" finds pcscd 'does not run'
check "its line is typed" type_line
check "and the key works" works_again
while read -r provoke check says; do
    check "provoked: ${provoke//_/ }" "$provoke"
    check "doctor finds it" finds "$check" "$says"
    check "its line is typed" type_line
    check "and the key works" works_again
done <<'END'
socket_is_off pcscd does not run
socket_is_masked socket is masked
socket_is_off_tomorrow socket is off
rules_are_shadowed rules /etc/udev/rules.d/70-ifd-nitrokey.rules hides
rules_are_late rules comes too late
rules_are_missing rules udev has no
rules_are_cut_short rules does not say what it should
persists suspend would seem the same
pcscd_is_not_installed pcscd is not installed
scdaemon_is_not_installed gnupg without scdaemon
kernel_holds_it holder the kernel's driver usbserial_generic has
is_not_for_pcscd node runs as pcscd, who may not open
run_directory_is_roots rundir runs as pcscd, who may not write to /run/pcscd
END
check "the key is the person's at the seat" tagged
check "provoked: a program holds it that only root can see" hidden_program_holds_it
check "the line for that shows who it is" shows_who
check "doctor finds it" finds holder 'python3 .process [0-9]*. has /dev/bus/usb'
check "its line is typed" type_line
check "and the key works" works_again

does "udevadm control --reload"
does "sudo udevadm control --reload"
check "systemctl edit pcscd" edits systemctl edit pcscd
check "a log by systemd" with_journal
does "systemctl restart pcscd"
does "sudo systemctl restart pcscd"
does "sudo systemctl stop pcscd.socket pcscd.service"
does "sudo systemctl start pcscd.socket"
check "journalctl -u pcscd" wait_until 30 journal_says journalctl -u pcscd
check "the key is taken out" stop_key key
check "build-tests/tests/virtual-nitrokey --model nitrokey-3 --listen tcp:127.0.0.1:3240 &" \
    served_by_tcp "build-tests/tests/virtual-nitrokey --model nitrokey-3 --listen tcp:127.0.0.1:3240"
ip link set lo up
does "usbip attach --remote 127.0.0.1 --busid 1-1"
check "it has a card" wait_until 60 cards_present 1
does "usbip detach --port 0"
check "it is gone" wait_until 60 reader_count 0
summary
