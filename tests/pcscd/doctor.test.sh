#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# doctor.test.sh - each finding of ifd-nitrokey doctor is provoked, and its line typed as it stands; then the key works.
#
# What is udev's, systemd's or apt's is in ../vm/doctor.test.sh, what another computer has of a key in
# ../vm/passthrough.test.sh. What polkit refuses is in ../debian/polkit.test.sh, since Debian 12's pcscd does not ask it.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/diagnosis.sh"

# ---- the machine ----

prepare_machine() {
    private_machine && mkdir "$work/source" && ln -s "$BUILD" "$work/source/build" && cd "$work/source" &&
        meson install -C build --no-rebuild
}

# ---- what goes wrong ----

pcscd_stops() {
    kill "$(</run/pcscd/pcscd.pid)" && wait_until 10 not pgrep -x pcscd
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

# installed_elsewhere: where another pcscd would look.
installed_elsewhere() {
    use_drivers ifd-ccid.bundle && service pcscd restart &&
        meson setup "$work/elsewhere" "$here/../.." -Dtests=disabled -Dbundledir=/usr/local/lib/pcsc/drivers &&
        meson install -C "$work/elsewhere" && tool=$work/elsewhere/src/tool/ifd-nitrokey
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

# Its library is no library.
opensc_cannot_start() {
    library=$(ldconfig -p | awk '/libopensc.so/ { print $NF; exit }') && mount --bind /dev/null "$library"
}

# The line that doctor tells to type says why.
opensc_says_why() {
    bash -c "$line" 2>&1 | grep 'error while loading shared libraries'
}

opensc_can_start() {
    umount "$library"
}

# The driver says why there is no card, in the log that doctor's line shows.
card_is_mute() {
    tell key mute on && service pcscd restart && wait_until 10 reader_count 1
}

log_says_why() {
    bash -c "$line" | grep 'ifd-nitrokey: Nitrokey Nitrokey Pro (001/[0-9]*): the card does not answer to power on'
}

card_answers_again() {
    tell key mute off && replug key
}

kernel_shows_no_devices() {
    mount -t tmpfs tmpfs /sys/bus/usb
}

kernel_shows_devices() {
    umount /sys/bus/usb
}

# Beside the other, and no model has this one.
key_is_new() {
    start_key new --product 4fff
}

new_key_is_taken_out() {
    stop_key new
}

is_a_reader_file() {
    LD_PRELOAD=$usbfs_shim bash -c "$line" | tee "$work/new.toml" | grep -x 'product_id = 0x4fff' &&
        "$here/../../readers/generate.py" check "$work/new.toml"
}

# sudo's own doctor does not see the person's settings.
by_sudo() {
    sudo "$tool" doctor --json >"$work/found"
    tells unseen gnupg 'settings for each person: those of [a-z]* are seen without sudo' && equal "$line" "ifd-nitrokey doctor"
}

# As in a container that has pcscd's socket.
pcscd_is_hidden() {
    unshare --pid --fork --mount-proc "$tool" doctor --json >"$work/found"
    tells unseen rundir 'whether pcscd may write to /run/pcscd cannot be seen here'
}

program_holds_it() {
    pcscd_stops && hold_key python3 && service pcscd start
}

# QEMU's name in /proc, and an argument that libvirt would not give it. Its line is typed by a person.
machine_of_evil_name_holds_it() {
    pcscd_stops && hold_key qemu-system-x86 'guest=a;touch' && service pcscd start
}

evil_ends() {
    kill "$holder"
}

# in_machine_whose FILE CONTENT PATTERN: what doctor says where the kernel shows this.
in_machine_whose() {
    local found
    echo "$2" >"$work/shown" && mount --bind "$work/shown" "$1" || return
    found=$("$tool" doctor)
    umount "$1"
    grep -q "$3" <<<"$found" || { echo "$found" && return 1; }
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

# Where pcscd asks polkit, it is that pcscd does not answer nobody.
says_what_it_cannot_see() {
    local found cannot="*? which of its drivers pcscd uses only root can see*sudo ifd-nitrokey list*"
    [ -z "$(pcscd --version | grep ' polkit ')" ] || cannot="*pcscd runs but turns nobody away*"
    found=$(nobody "$work/bin/doctor" doctor)
    # shellcheck disable=SC2053
    [[ $found == $cannot ]] || { echo "$found" && return 1; }
}

# by_hand PROVOKE FIND CHECK PATTERN SHOWS MEND: what a person's hand mends, or doctor can only ask about.
by_hand() {
    check "provoked: ${1//_/ }" "$1"
    check "doctor finds it" "$2" "$3" "$4"
    check "${5//_/ }" "$5"
    check "mended: ${6//_/ }" "$6"
    check "and the key works" works_again
}

has_no_line() {
    equal "$line" ""
}

# ---- the story ----

check "a machine with the driver installed" prepare_machine
new_gpg_home
others_send[key]=scdaemon
check "without pcscd and without a key doctor says so" finds key 'no Nitrokey .* is plugged in'
check "pcscd starts by the line" finds pcscd 'does not run' && check "that is shown" type_line
expect "in a virtual machine of QEMU it has a line for the host" in_virtual_machine QEMU q35 'virsh attach-device'
expect "in one of VirtualBox it names the menu" in_virtual_machine "innotek GmbH" VirtualBox 'Devices, USB'
expect "in one of Hyper-V it says how else" in_virtual_machine "Microsoft Corporation" "Virtual Machine" 'by USB/IP'
expect "in one of VMware it names the menu" in_virtual_machine "VMware, Inc." "VMware20,1" 'Removable Devices'
expect "in one of Xen it names xl" in_virtual_machine Xen "HVM domU" 'usbdev-attach of xl'
expect "in a cloud it knows that no key is there" in_virtual_machine "Amazon EC2" t3.micro 'in a cloud'
expect "and in another" in_virtual_machine Google "Google Compute Engine" 'in a cloud'
expect "a computer of the same maker's is none" not in_virtual_machine "Microsoft Corporation" "Surface Pro" Hyper-V
expect "in another virtual machine it says that it is one" in_machine_whose /proc/cpuinfo "flags : fpu hypervisor lahf_lm" \
    'this is a virtual machine: the computer'
expect "in WSL it says how from Windows" in_machine_whose /proc/sys/kernel/osrelease 5.15.153.1-microsoft-standard-WSL2 \
    'usbipd attach --wsl'
check "a key is plugged in, as it says" start_key key
check "then nothing is wrong" works_again
expect "the kernel of the bus does not tell about suspend, and doctor says so" leaves_open suspend 'the kernel does not tell'
cp "$tool" "$work/bin/doctor"
if nobody "$work/bin/doctor" --version >/dev/null 2>&1; then
    expect "without root it says what it cannot see" says_what_it_cannot_see
else
    skip "without root it says what it cannot see" "there is nobody else in this namespace"
fi
expect "by sudo it says what it cannot see" by_sudo
expect "and where pcscd's process is hidden" pcscd_is_hidden
while read -r provoke check says; do
    check "provoked: ${provoke//_/ }" "$provoke"
    check "doctor finds it" finds "$check" "$says"
    check "its line is typed" type_line
    check "and the key works" works_again
done <<'END'
pcscd_stops pcscd pcscd does not run
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
installed_elsewhere bundle and ifd-nitrokey.bundle is in /usr/local/lib/pcsc/drivers
END
tool=$(built ifd-nitrokey)
by_hand card_is_mute finds reader 'is there without a card' log_says_why card_answers_again
by_hand opensc_cannot_start leaves_open opensc 'does not tell which readers' opensc_says_why opensc_can_start
by_hand key_is_new leaves_open key 'is new to this driver' is_a_reader_file new_key_is_taken_out
by_hand kernel_shows_no_devices finds key 'the kernel shows no USB devices' has_no_line kernel_shows_devices
by_hand node_is_missing finds node 'is missing: a container has to be given it' has_no_line node_is_given
# No part of such a name becomes part of a line.
by_hand machine_of_evil_name_holds_it finds holder 'the virtual machine of qemu-system-x86 .* in its menu of USB devices' \
    has_no_line evil_ends
summary
