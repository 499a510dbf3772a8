# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154
# root.sh - another Debian than this machine's, in a directory. To be sourced by bash after ../setup.sh.

debian=$build/debian
suite=trixie
debian_packages=("${bus_packages[@]}" "${client_packages[@]}" mount busybox-static dbus polkitd sudo passwd python3
    pkg-config libpcsclite-dev systemd udev)
makes_no_text=(--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*'
    --dpkgopt='path-exclude=/usr/share/locale/*')

# mirror: where this machine has its packages from.
mirror() {
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(SITE)' | awk '$1 " " $2 == "Debian Debian" { print $3; exit }'
}

# prepare_root: once, and again when it is to have other packages.
prepare_root() {
    local root=$debian/$suite lock
    mkdir -p "$debian" && exec {lock}>"$root.lock" && flock "$lock" || return # two may be started at once
    make_root "$root"
    set -- $?
    exec {lock}>&-
    return "$1"
}

make_root() {
    local root=$1 site
    [ "$(cat "$root.packages" 2>/dev/null)" != "${debian_packages[*]}" ] || return 0
    site=$(mirror)
    as_root rm -rf "$root" "$root.packages" && as_root mmdebstrap --mode=root --variant=essential \
        --include="${debian_packages[*]}" --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
        "${makes_no_text[@]}" "$suite" "$root" "${site:-http://deb.debian.org/debian}" >"$root.log" 2>&1 &&
        echo "${debian_packages[*]}" >"$root.packages"
}

# Without a network, or with a mirror that does not have it, there is nothing to test.
is_not_to_be_had() {
    grep -Eq 'Could not (resolve|connect)|Temporary failure|does not have a Release file|Failed to fetch' \
        "$debian/$suite.log"
}
