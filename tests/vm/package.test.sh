#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# package.test.sh - a package with README's maintainer scripts, on a machine where a key is plugged in already and pcscd
# runs: when it is installed udev and pcscd know of it, when it is removed libccid serves again; a replug is never needed.
# It needs systemd, for the units of pcscd.
. "$(dirname "$0")/lib.sh" || exit
. "$here/../pcscd/diagnosis.sh"

# Nothing of ours is there.
prepare_machine() {
    (cd "$BUILD/vm/installed" && find . -type f) | (cd / && xargs rm) && rm -r "$drivers/ifd-nitrokey.bundle" &&
        udevadm control --reload &&
        pcscd_units ExecStart= "ExecStart=/usr/sbin/pcscd --foreground --debug" "StandardOutput=append:$work/pcscd.log"
}

# shown SCRIPT: as README shows it.
shown() {
    "$here/../checks/shown.py" "$here/../../README.md" "$1"
}

# The files and the scripts; what debhelper would add is not needed.
make_package() {
    local tree=$work/tree
    mkdir -p "$tree/DEBIAN" && cp -r "$BUILD"/vm/installed/usr "$tree" && cp -r "$tree"/usr/local/* "$tree/usr" &&
        rm -r "$tree/usr/local" &&
        shown debian/postinst >"$tree/DEBIAN/postinst" &&
        sed 's/configure/remove/' "$tree/DEBIAN/postinst" >"$tree/DEBIAN/postrm" && chmod 755 "$tree"/DEBIAN/post* &&
        { shown debian/control | sed -n '/^Package/,$p' | grep -v '^Depends' | sed "s/linux-any/all/" &&
            printf '%s\n' "Version: 1" "Maintainer: You <you@example.org>"; } >"$tree/DEBIAN/control" &&
        mkdir "$work/archive" && cd "$work/archive" &&
        dpkg-deb --root-owner-group -Znone --build "$tree" ifd-nitrokey.deb && dpkg-scanpackages . >Packages &&
        archive "$work/archive"
}

pcscd_runs() {
    systemctl enable --now pcscd.socket && wait_until 60 cards_present 1
}

# served_by BUNDLE OTHER: pcscd has loaded the one and not the other.
served_by() {
    local maps
    wait_until 60 cards_present 1 && serves && maps=/proc/$(pgrep -x pcscd)/maps && grep -F "/$1/" "$maps" &&
        not grep -F "/$2/" "$maps"
}

# As a software centre would compare them, with what the kernel says of the key's interfaces.
is_offered() {
    local modalias pattern
    while read -r pattern; do
        for modalias in $(cat "$(device_of key)"/*:*/modalias); do
            # shellcheck disable=SC2053
            [[ $modalias != $pattern ]] || return 0
        done
    done < <(sed -nE 's,.*<modalias>(.*)</modalias>,\1,p' /usr/share/metainfo/*.ifd_nitrokey.metainfo.xml)
    cat "$(device_of key)"/*:*/modalias
    return 1
}

others_send[key]=yes # libccid does
check "a machine without the driver" prepare_machine
check "a package with the scripts that README shows" make_package
check "a key is plugged in" start_key key
check "pcscd is started by its socket" pcscd_runs
check "libccid serves the key" served_by ifd-ccid.bundle ifd-nitrokey.bundle
check "apt install ifd-nitrokey" bash -c "apt install -y ifd-nitrokey </dev/null"
check "our bundle serves it, without a replug" served_by ifd-nitrokey.bundle ifd-ccid.bundle
check "the key is the person's at the seat, without a replug" wait_until 20 tagged
check "software centres offer the driver for it" is_offered
check "dpkg --install once more, as an upgrade" dpkg --install "$work/archive/ifd-nitrokey.deb"
check "our bundle serves it" served_by ifd-nitrokey.bundle ifd-ccid.bundle
tool=/usr/bin/ifd-nitrokey
new_gpg_home
check "doctor says that nothing is wrong" works_again
check "a file of it is damaged" sed -i /0x20A0/d "$drivers/ifd-nitrokey.bundle/Contents/Info.plist"
check "doctor finds it" finds bundle 'has been damaged'
check "its line is typed" type_line
check "and the key works" works_again
check "dpkg --verify" equal "$(dpkg --verify ifd-nitrokey)" ""
check "dpkg --purge" dpkg --purge ifd-nitrokey
check "libccid serves the key again" served_by ifd-ccid.bundle ifd-nitrokey.bundle
check "nothing of it is left" equal "$(find /usr/lib/pcsc "$rules" /usr/bin /usr/share -name '*ifd?nitrokey*')" ""
summary
