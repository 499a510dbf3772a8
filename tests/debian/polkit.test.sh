#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# polkit.test.sh - pcscd asks polkit, which turns away who does not sit at the computer: ifd-nitrokey doctor finds it, and
# its line, typed by that person with sudo, lets them in.
[ -n "${TEST_ROOT:-}" ] || {
    echo "$(basename "$0"): refused, since it would make a person on this computer. It is for tests/debian/run" >&2
    exit 2
}
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/../pcscd/story.sh"
. "$(dirname "$0")/../pcscd/diagnosis.sh"
rule=/etc/polkit-1/rules.d/50-pcscd-person.rules

# What "meson install" has made, and a person who may use sudo. Nobody sits at this computer.
prepare_machine() {
    private_machine && tar -C "$BUILD/debian/installed" -c . | tar -C / -x --keep-directory-symlink &&
        useradd --create-home --shell /bin/bash person &&
        echo 'person ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/person && cp "$apdu" "$work/apdu" || return
    stand_in doctor <<<'exec setpriv --reuid person --regid person --init-groups --reset-env ifd-nitrokey "$@"'
    tool=$work/bin/doctor
}

as_person() {
    setpriv --reuid person --regid person --init-groups --reset-env "$@"
}

# person_types UMASK: the line that doctor has told.
person_types() {
    [ -n "$line" ] && as_person bash -c "umask $1 && $line" </dev/null
}

# polkitd sees a new rule by itself, soon.
is_let_in() {
    wait_until 10 as_person "$work/apdu" "$select"
}

# reaches_card: by the programs of the person.
reaches_card() {
    as_person "$work/apdu" "$select" "$get_aid" | grep " $aid" &&
        as_person opensc-tool --name | grep 'OpenPGP card v3.4' &&
        as_person gpg --batch --card-status | grep 'Reader .*Nitrokey' && as_person gpgconf --kill all
}

is_turned_away() {
    not as_person "$work/apdu" "$select" && not as_person opensc-tool --name
}

# A rule that polkitd has read holds until it has read that it is gone.
rule_goes() {
    rm "$rule" && wait_until 10 is_turned_away
}

rule_is_read_by_polkitd() {
    setpriv --reuid polkitd --regid polkitd --init-groups cat "$rule"
}

bus_ends() {
    kill "$(</run/dbus/pid)" && wait_until 10 not pgrep -x dbus-daemon && rm -f /run/dbus/system_bus_socket &&
        wait_until 10 not pgrep -x polkitd
}

if [ ! -e /run/dbus ]; then
    skip "polkit" "this pcscd does not ask it, or there is one user only"
    summary
fi
check "a machine with the driver installed, and a person" prepare_machine
check "a key is there" start_key key
check "pcscd starts" service pcscd start
check "it has a card" wait_until 10 cards_present 1
check "the person is turned away" is_turned_away
check "doctor finds polkit" finds polkit 'runs but turns person away .Access denied'
check "its line is typed, by a person whose files are nobody else's" person_types 077
check "polkitd may read the rule" rule_is_read_by_polkitd
check "the person is let in" is_let_in
check "now doctor finds what is wrong with gpg" finds gnupg 'uses a driver of its own'
check "its line is typed" person_types 022
check "nothing is wrong any more" nothing_is_wrong
check "and the key works" reaches_card
check "the rule goes, and so does the person" rule_goes
check "doctor finds polkit" finds polkit 'runs but turns person away'
check "its line is typed" person_types 022
check "the person is let in" is_let_in
check "nothing is wrong any more" nothing_is_wrong
check "and the key works" reaches_card
check "the system's bus ends" bus_ends
check "nobody is let in, not even root" not "$apdu" "$select"
check "doctor finds it" finds polkit 'runs but turns everybody away .*there is no /run/dbus'
check "its line is typed" person_types 022
check "the person is let in" is_let_in
check "nothing is wrong any more" nothing_is_wrong
check "and the key works" reaches_card
check "pcscd ends" service pcscd stop
summary
