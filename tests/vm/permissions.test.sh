#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# permissions.test.sh - pcscd as a user of its own in the sandbox of newer ones: with our rules it serves, without it
# says what to do. It needs systemd, which makes the sandbox.
. "$(dirname "$0")/lib.sh" || exit
rules=/lib/udev/rules.d/70-ifd-nitrokey.rules

with_group() {
    "$here/../../readers/generate.py" rules --group=pcscd "$rules" "$here/../../udev/70-ifd-nitrokey.rules.in" \
        "$here"/../../readers/*.toml && udevadm control --reload
}

without_rules() {
    rm "$rules" && udevadm control --reload
}

# A unit as pcsc-lite 2.5 has it (PrivateUsers=identity there, which systemd 252 does not know: "yes" shows it less).
make_unit() {
    groupadd --system pcscd && useradd --system --gid pcscd --no-create-home pcscd || return
    cat >/run/systemd/system/pcscd.service <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/sbin/pcscd --foreground --debug --apdu $(without_polkit)
StandardOutput=append:$work/pcscd.log
StandardError=append:$work/pcscd.log
User=pcscd
RuntimeDirectory=pcscd
ProtectProc=invisible
CapabilityBoundingSet=
NoNewPrivileges=yes
UMask=0077
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallFilter=@system-service
SystemCallFilter=~@resources @privileged
SystemCallArchitectures=native
END
    systemctl daemon-reload
}

start_pcscd_in_sandbox() {
    systemctl start pcscd && pcscd_pid=$(systemctl show --property=MainPID --value pcscd) && wait_until 60 pcscd_answers
}

# What the kernel says of it: no capability to be had, a filter of system calls, a user and a file system of its own.
is_in_sandbox() {
    local status=/proc/$pcscd_pid/status
    equal "$(awk '$1 ~ /^(CapBnd|CapEff|NoNewPrivs|Seccomp):/ { printf "%s%s ", $1, $2 }' "$status")" \
        "CapEff:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1 Seccomp:2 " &&
        equal "$(stat -c %U "/proc/$pcscd_pid")" pcscd &&
        not nsenter --target "$pcscd_pid" --mount touch /usr/written
}

node_is_for_group() {
    equal "$(stat -c '%G %a' "$(node_of key)")" "pcscd $1"
}

# change_event: as by "udevadm trigger", with which a package's installation ends.
change_event() {
    udevadm trigger && udevadm settle -t 60
}

# A person's ifd-nitrokey sees what pcscd writes, whatever its umask.
is_watched() {
    setpriv --reuid nobody --regid nogroup --clear-groups ifd-nitrokey watch --once | grep 'generates a key pair'
}

check "a user and a unit for pcscd" make_unit
check "rules for the group of pcscd" with_group
check "a key is plugged in" start_key key --generate 20,silent=20
check "its node is the group's" wait_until 10 node_is_for_group 660
check "and the person's at the seat" wait_until 10 tagged
check "udevadm trigger" change_event
check "its node is still the group's" node_is_for_group 660
check "and the person's at the seat" tagged
check "pcscd starts as a user of its own" start_pcscd_in_sandbox
check "in a sandbox" is_in_sandbox
check "it has a card" wait_until 30 cards_present 1
check "the key serves" serves
"$apdu" "$select" "$verify_admin" "$generate" >"$work/generated" &
client=$!
check "anybody can see how a key is generated" wait_until 15 is_watched
check "udevadm trigger meanwhile" change_event
wait "$client"
check "the key is generated" grep -q "$generate 7F49" "$work/generated"
check "pcscd ends" systemctl stop pcscd

check "the rules are taken away" without_rules
check "and the key is plugged in anew" replug key
check "pcscd starts" start_pcscd_in_sandbox
check "it says what to do" wait_until 30 logged 'ifd-nitrokey: .*may not be opened.*udevadm control --reload'
check "there is no card" cards_present 0
check "the rules are put back" with_group
check "and the key is plugged in anew, as it said" replug key
check "it has a card" wait_until 30 cards_present 1
check "the key serves" serves
check "pcscd ends" systemctl stop pcscd
summary
