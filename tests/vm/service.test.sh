#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# service.test.sh - Debian 12's pcscd.service is restarted, or ends by --auto-exit, while a Nitrokey 3 generates: the key
# goes on to serve, or the user is told what to do. For Debian 13 that is a part of rundir.test.sh.
# It needs systemd, for that unit.
. "$(dirname "$0")/lib.sh"
. "$here/../vm/at_work.sh"

prepare_machine() {
    echo 'PCSCD_ARGS="--debug --apdu"' >/etc/default/pcscd &&
        pcscd_units "StandardOutput=append:$work/pcscd.log" "StandardError=append:$work/pcscd.log" &&
        systemctl start pcscd.socket
}

check "Debian's unit" prepare_machine
service_ends_at_work
check "pcscd ends" systemctl stop pcscd.socket pcscd.service
summary
