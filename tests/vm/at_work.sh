# SPDX-License-Identifier: LGPL-2.1-or-later
# at_work.sh - Debian's pcscd.service ends while a Nitrokey 3 is at work. To be sourced by bash after lib.sh; pcscd.socket
# is started by the scenario.
. "$here/../pcscd/at_work.sh"

# The next pcscd gives a generation up after 8 s.
restarts_impatiently() {
    printf '%s\n' '[Service]' Environment=IFD_NITROKEY_PATIENCE=generate=8s/8s \
        >/run/systemd/system/pcscd.service.d/patience.conf &&
        systemctl daemon-reload && systemctl restart pcscd.service && wait_until 60 pcscd_answers
}

# pcscd_has_ended SECONDS: within them; looked at rarely, since to look is slow here.
pcscd_has_ended() {
    timeout "$1" tail --pid="$(pgrep -x pcscd)" -f /dev/null
}

service_ends_at_work() {
    check "a Nitrokey 3 is plugged in that generates for 20 s" start_key key --generate 20 --generate 90
    check "it has a card" wait_until 60 cards_present 1
    check "a client generates" begin
    check "pcscd.service is restarted" restarts_impatiently
    check "the key serves when it has ended, or else is held back" serves_or_is_held_back
    check "it serves" serves_within 30
    check "a client generates, for 90 s" begin
    check "it is given up after 8 s" wait_until 20 ended "$client"
    check "pcscd ends by itself a minute later" pcscd_has_ended 80
    check "the next program starts it" wait_until 60 pcscd_answers
    check "the key serves when it has ended, or else is held back" serves_or_is_held_back
    check "it serves" serves_within 30
}
