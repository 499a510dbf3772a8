#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# doctor.test.sh - each finding of ifd-nitrokey doctor is provoked, and its line typed as it stands; then the key works.
#
# What is udev's or systemd's is in ../vm/doctor.test.sh. Stand-ins: sudo, which nobody needs here; service, since only
# here pcscd needs the shim; apt, since there is no network. What polkit refuses is in ../debian/polkit.test.sh, since
# Debian 12's pcscd does not ask it.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/diagnosis.sh"

# ---- the machine ----

prepare_machine() {
    private_machine || return
    stand_in apt-get </dev/null
    stand_in apt <<<'[ "$*" = "install pcscd" ] && umount /usr/sbin/pcscd && service pcscd start'
    mkdir "$work/source" && ln -s "$BUILD" "$work/source/build" && cd "$work/source" &&
        meson install -C build --no-rebuild
}

# ---- what goes wrong ----

pcscd_stops() {
    kill "$(</run/pcscd/pcscd.pid)" && wait_until 10 not pgrep -x pcscd
}

pcscd_is_not_installed() {
    pcscd_stops && mount --bind /dev/null /usr/sbin/pcscd
}

# copy_of_libccid EXPRESSION: other.bundle, whose Info.plist sed has changed.
copy_of_libccid() {
    cp -rL "$drivers/ifd-ccid.bundle" "$drivers/other.bundle" &&
        sed -i "$1" "$drivers/other.bundle/Contents/Info.plist" && service pcscd restart
}

other_driver_is_unequal() {
    copy_of_libccid '/<key>ifdVendorID/{n;s/$/\n<string>0x1234<\/string>/}'
}

other_driver_names_the_key() {
    copy_of_libccid 's/CCIDCLASSDRIVER/other/'
}

driver_is_installed_late() {
    use_drivers ifd-ccid.bundle && service pcscd restart && mv "$work/drivers/ifd-nitrokey.bundle" "$drivers"
}

bundle_is_missing() {
    rm -r "$drivers/ifd-nitrokey.bundle" && service pcscd restart
}

plist_is_damaged() {
    sed -i '/0x20A0/d' "$drivers/ifd-nitrokey.bundle/Contents/Info.plist" && service pcscd restart
}

library_is_missing() {
    rm "$drivers"/ifd-nitrokey.bundle/Contents/Linux/* && service pcscd restart
}

# All three lists lose the entry of the key.
plist_does_not_name_the_key() {
    python3 - "$drivers/ifd-nitrokey.bundle/Contents/Info.plist" <<'END' && service pcscd restart
import re, sys
text = open(sys.argv[1]).read()
lists = [re.search(rf"<key>{name}</key>\s*<array>(.*?)</array>", text, re.S).group(1)
         for name in ("ifdVendorID", "ifdProductID", "ifdFriendlyName")]
at = [product.lower() for product in re.findall("<string>(.*?)</string>", lists[1])].index("0x4108")
for one in lists:
    entries = re.findall(r"\s*<string>.*?</string>", one)
    text = text.replace(one, "".join(entries[:at] + entries[at + 1:]) + "\n")
open(sys.argv[1], "w").write(text)
END
}

# The files in it are as old as before.
bundle_comes_back() {
    mv "$drivers/ifd-nitrokey.bundle" "$drivers/away" && service pcscd restart &&
        mv "$drivers/away" "$drivers/ifd-nitrokey.bundle"
}

pcscd_is_frozen() {
    kill -STOP "$(</run/pcscd/pcscd.pid)"
}

pcscd_starts_without_the_node() {
    pcscd_stops && node_is_missing && service pcscd start && mv "$work/node" "$node"
}

# What its file says now it has read too late.
gpg_heeds_the_setting_too_late() {
    gpg_takes_the_key && echo disable-ccid >"$GNUPGHOME/scdaemon.conf"
}

last_line_has_no_end() {
    printf pcsc-shared >"$GNUPGHOME/scdaemon.conf" && gpgconf --kill scdaemon
}

gpg_has_its_own_driver() {
    sed -i /disable-ccid/d "$GNUPGHOME/scdaemon.conf" && gpgconf --kill scdaemon
}

gpg_takes_the_key() {
    gpg_has_its_own_driver && pcscd_stops && LD_PRELOAD=$usbfs_shim gpg --batch --card-status && service pcscd start
}

gpg_wants_another_reader() {
    echo 'reader-port Yubico' >>"$GNUPGHOME/scdaemon.conf"
}

opensc_leaves_it_out() {
    export OPENSC_CONF=$work/opensc.conf
    printf '%s\n' 'app default {' '    ignored_readers = "Nitrokey";' '}' >"$OPENSC_CONF"
}

# USBDEVFS_CLAIMINTERFACE, linux/usbdevice_fs.h
program_holds_it() {
    pcscd_stops || return
    LD_PRELOAD=$usbfs_shim python3 -c 'import fcntl, glob, os, struct, time
fcntl.ioctl(os.open(max(glob.glob("/dev/bus/usb/*/*")), os.O_RDWR), 0x8004550f, struct.pack("I", 1))
open("/run/work/claimed", "w")
time.sleep(3600)' &
    wait_until 10 test -e "$work/claimed" && service pcscd start
}

# QEMU's name in /proc, and an argument that libvirt would not give it. Its line is typed by a person.
machine_of_evil_name_holds_it() {
    pcscd_stops && rm -f "$work/claimed" || return
    LD_PRELOAD=$usbfs_shim python3 -c 'import fcntl, glob, os, struct, time
fcntl.ioctl(os.open(max(glob.glob("/dev/bus/usb/*/*")), os.O_RDWR), 0x8004550f, struct.pack("I", 1))
open("/proc/self/comm", "w").write("qemu-system-x86")
open("/run/work/claimed", "w")
time.sleep(3600)' 'guest=a;touch' &
    evil=$!
    wait_until 10 test -e "$work/claimed" && service pcscd start
}

# in_virtual_machine MAKER PRODUCT PATTERN: what doctor says of the machine that its firmware names so.
in_virtual_machine() {
    local found
    mkdir -p /sys/class/dmi/id && echo "$1" >/sys/class/dmi/id/sys_vendor && echo "$2" >/sys/class/dmi/id/product_name
    found=$("$tool" doctor)
    rm -r /sys/class/dmi
    grep -q "$3" <<<"$found" || { echo "$found" && return 1; }
}

# As in a container that was not given it.
node_is_missing() {
    node=/dev/bus/usb/001/$(printf '%03d' "$(<"/sys/devices/usb1/1-${key_ports[key]}/devnum")")
    mv "$node" "$work/node"
}

node_is_given() {
    mv "$work/node" "$node" && replug key
}

# As an ordinary user, whose doctor is to be used.
nobody() {
    HOME=/nonexistent GNUPGHOME=/nonexistent setpriv --reuid nobody --regid nogroup --clear-groups "$@"
}

# Where pcscd asks polkit, it is that pcscd does not answer nobody.
says_what_it_cannot_see() {
    local found cannot="*? which of its drivers pcscd uses only root can see*sudo ifd-nitrokey list*"
    [ -z "$(pcscd --version | grep ' polkit ')" ] || cannot="*pcscd runs but turns nobody away*"
    found=$(nobody "$work/bin/doctor" doctor)
    # shellcheck disable=SC2053
    [[ $found == $cannot ]] || { echo "$found" && return 1; }
}

# ---- the story ----

check "a machine with the driver installed" prepare_machine
new_gpg_home
others_send[key]=scdaemon
check "without pcscd and without a key doctor says so" finds key 'no Nitrokey .* is plugged in'
check "pcscd starts by the line" finds pcscd 'does not run' && check "that is shown" type_line
check "in a virtual machine of QEMU it has a line for the host" in_virtual_machine QEMU q35 'virsh attach-device'
check "in one of VirtualBox it names the menu" in_virtual_machine "innotek GmbH" VirtualBox 'Devices, USB'
check "in one of Hyper-V it says how else" in_virtual_machine "Microsoft Corporation" "Virtual Machine" 'by USB/IP'
check "a computer of the same maker's is none" not in_virtual_machine "Microsoft Corporation" "Surface Pro" Hyper-V
check "a key is plugged in, as it says" start_key key
check "then nothing is wrong" works_again
cp "$tool" "$work/bin/doctor"
if nobody "$work/bin/doctor" --version >/dev/null 2>&1; then
    check "without root it says what it cannot see" says_what_it_cannot_see
else
    skip "without root it says what it cannot see" "there is nobody else in this namespace"
fi
while read -r provoke check says; do
    check "provoked: ${provoke//_/ }" "$provoke"
    check "doctor finds it" finds "$check" "$says"
    check "its line is typed" type_line
    check "and the key works" works_again
done <<'END'
pcscd_stops pcscd pcscd does not run
pcscd_is_not_installed pcscd is not installed
other_driver_is_unequal bundle then gives up the other drivers
other_driver_names_the_key bundle which driver gets the key is chance
driver_is_installed_late stale before the driver was installed
bundle_is_missing bundle is not there
plist_is_damaged bundle has been damaged
library_is_missing bundle /libifd-nitrokey.so is missing
plist_does_not_name_the_key bundle does not name 20a0:4108
bundle_comes_back driver but by another driver
pcscd_is_frozen pcscd runs but does not answer
pcscd_starts_without_the_node reader no reader for 1-1, although nothing else is wrong
gpg_heeds_the_setting_too_late holder own driver in scdaemon
last_line_has_no_end gnupg uses a driver of its own
program_holds_it holder python3 .process [0-9]*. has /dev/bus/usb
gpg_has_its_own_driver gnupg uses a driver of its own
gpg_takes_the_key gnupg uses a driver of its own
gpg_wants_another_reader gnupg no reader's name begins so
opensc_leaves_it_out opensc does not see
END
check "provoked: machine of evil name holds it" machine_of_evil_name_holds_it
check "doctor finds it" finds holder 'the virtual machine of qemu-system-x86 .* in its menu of USB devices'
check "and has no line that its name is part of" equal "$line" ""
kill "$evil"
check "the key works" works_again
check "provoked: node is missing" node_is_missing
check "doctor finds it" finds node 'is missing: a container has to be given it'
check "it is given it" node_is_given
check "and the key works" works_again
summary
