# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154
# lib.sh - scenarios in the virtual machine: as ../bus/lib.sh, but with the kernel's own USB. To be sourced by bash.
#
# A virtual key is plugged into the kernel's USB/IP host controller (vhci-hcd), udevd does what it does, pcscd is Debian's
# and finds the bundle where meson has installed it.

. "$(dirname "${BASH_SOURCE[0]}")/guard.sh" || exit
. "$(dirname "${BASH_SOURCE[0]}")/../bus/lib.sh"
. "$here/../pcscd/story.sh"
vhci=/sys/devices/platform/vhci_hcd.0
virtual_nitrokey=$(built virtual-nitrokey) apdu=$(built apdu) pcsc_list=$(built pcsc_list) judge=$(built judge)
vhci_attach=$(built vhci_attach)
drivers=$(pkg-config --variable=usbdropdir libpcsclite)
look_every=0.3 # to look is slow here, and would leave little for what is waited for
mkdir -p "$work"

plug_in_port() {
    "$vhci_attach" "$work/$1/usbip" $((key_ports[$1] - 1)) && look_every=0.05 wait_until 20 is_enumerated "$1"
}

# is_enumerated NAME: configured, and so are its interfaces.
is_enumerated() {
    compgen -G "$vhci/usb*/*-${key_ports[$1]}/*:*/bInterfaceNumber" >/dev/null
}

# The transfers end first, as when contact is lost; the kernel takes the device out when the connection ends.
unplug() {
    tell "$1" unplug >/dev/null && look_every=0.05 wait_until 20 not device_of "$1"
}

stop_key() {
    unplug "$1" 2>/dev/null
    tell "$1" quit >/dev/null
    wait_until 10 ended "${key_pids[$1]}"
}

# device_of NAME: its directory in /sys.
device_of() {
    local device
    for device in "$vhci"/usb*/*-"${key_ports[$1]}"; do
        [ -e "$device/idVendor" ] && echo "$device" && return
    done
    return 1
}

# node_of NAME: its node in /dev.
node_of() {
    local device
    device=$(device_of "$1") && printf '/dev/bus/usb/%03d/%03d\n' "$(<"$device/busnum")" "$(<"$device/devnum")"
}

# tagged: whoever sits at the computer may open it.
tagged() {
    udevadm info "$(device_of key)" | grep -E '^E: CURRENT_TAGS=.*:uaccess:'
}

# keep_work: the guest does it.
keep_work() {
    show_logs
}

# archive DIRECTORY: apt knows this archive only, since there is no network. It is copied to where apt's own user gets.
archive() {
    rm -f /var/lib/man-db/auto-update # the index of all manual pages would take longer than all else
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* &&
        install -d -m 755 /run/archive && install -m 644 -t /run/archive "$1"/* &&
        echo "deb [trusted=yes] file:/run/archive ./" >/etc/apt/sources.list && apt-get -q update
}

# pcscd_units SETTING...: Debian's units and those they need, but started without all else that a computer starts; with
# these of the service.
pcscd_units() {
    local unit
    for unit in pcscd.socket pcscd.service polkit.service dbus.socket dbus.service; do
        mkdir -p "/run/systemd/system/$unit.d"
        printf '[Unit]\nDefaultDependencies=no\n' >"/run/systemd/system/$unit.d/alone.conf"
    done
    printf '%s\n' '[Service]' "$@" >/run/systemd/system/pcscd.service.d/log.conf
    rm -f /usr/sbin/policy-rc.d # a container's, whose services are nobody's to restart
    systemctl daemon-reload
}

# start_pcscd [VARIABLE=VALUE...] [WRAPPER...]
start_pcscd() {
    mkdir -p /run/pcscd
    # by systemd it may ask polkit, see guest
    env "$@" pcscd --foreground --debug --apdu $(without_polkit) >>"$work/pcscd.log" 2>&1 &
    pcscd_pid=$!
    wait_until 60 pcscd_answers || {
        echo "pcscd does not answer: $(tail -n 1 "$work/pcscd.log")"
        return 1
    }
}
