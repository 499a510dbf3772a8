#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# readme.test.sh - each command that README, the other pages and the manual pages show is run: here, in a copy of the
# sources and with a key on the bus, or by the test that is named here. And what they say is true.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/diagnosis.sh"
top=$(cd "$here/../.." && pwd)
pages=("$top"/README.md "$top"/readers/README.md "$top"/tests/README.md)
manuals=("$top"/src/man/*)

# ---- commands ----

# does COMMAND: run as it is shown. as COMMAND OTHER...: run in the form of another one.
does() {
    echo "$1" >>"$work/covered"
    check "$1" bash -c "$1"
}

as() {
    echo "$1" >>"$work/covered"
    check "$@"
}

# elsewhere COMMAND FILE TEXT: run by this test, in which this text stands.
elsewhere() {
    echo "$1" >>"$work/covered"
    expect "$1 is run by $2" grep -qF -e "$3" "$top/$2"
}

# tests/run is what runs this, and so are its phases.
all_are_covered() {
    "$here/../pcscd/commands.py" "${pages[@]}" "${manuals[@]}" | sort -u | grep -vxF -f "$work/covered" |
        grep -vE '^tests/run( [a-z]+)*$' >"$work/uncovered"
    equal "$(cat "$work/uncovered")" ""
}

# ---- the machine ----

# copy_sources DIRECTORY
copy_sources() {
    mkdir -p "$1" && (cd "$top" && cp -r src readers udev tests meson.build meson_options.txt README.md COPYING "$1")
}

# packages COMMAND: whether apt would install them; there is no network.
packages() {
    apt-get install --simulate ${1#*apt install }
}

builds() {
    ninja -C build >"$work/built" && not grep -A 4 warning: "$work/built"
}

installs() {
    sudo meson install -C build >"$work/installed"
}

is_installed() {
    test -e "$drivers/ifd-nitrokey.bundle/Contents/Info.plist" -a -e "$rules/70-ifd-nitrokey.rules" \
        -a -x /usr/local/bin/ifd-nitrokey -a -e /usr/local/share/metainfo/io.github.ifd_nitrokey.ifd_nitrokey.metainfo.xml \
        -a -e /usr/local/share/man/man8/ifd-nitrokey.8 -a -e /usr/local/share/bash-completion/completions/ifd-nitrokey
}

nothing_else_is_installed() {
    equal "$(find /usr/local "$rules" -type f | grep -vE 'ifd.nitrokey')" ""
}

nothing_is_left() {
    equal "$(find /usr/local "$rules" "$drivers" -path '*ifd-ccid*' -prune -o \( -type f -o -name '*nitrokey*' \) -print)" ""
}

# ---- what is installed ----

manuals_are_clean() {
    equal "$(mandoc -T lint "${manuals[@]}" 2>&1 | grep -vE 'outdated mandoc.db|referenced manual not found')" ""
}

# completes WANTED WORD...: what bash offers at the end of these words of a command line.
completes() {
    equal "$(
        . "$top/src/tool/completion.bash"
        COMP_WORDS=(ifd-nitrokey "${@:2}") COMP_CWORD=$(($# - 1))
        _ifd_nitrokey
        echo "${COMPREPLY[*]}"
    )" "$1"
}

verbs_are_completed() {
    completes "doctor" "do" && completes "describe" de && completes "--help" list --h && completes "--once" watch --o
}

metainfo_names_all_models() {
    local metainfo=/usr/local/share/metainfo/io.github.ifd_nitrokey.ifd_nitrokey.metainfo.xml
    appstreamcli validate --no-net "$metainfo" && equal "$(grep -c modalias "$metainfo")" \
        "$(grep -hE '^(vendor|product)_id' "$top"/readers/*.toml | cut -c 1-19 | paste - - | sort -u | wc -l)"
}

# packet_faults MODEL NUMBER: so many rows are wrong.
packet_faults() {
    "$(built test_packet_faults)" "$1" --table >"$work/packet-faults-$1" && grep -q "rows, $2 wrong" "$work/packet-faults-$1"
}

packet_fault_rows() {
    local model rest rows=0
    while read -r model rest; do
        [ -e "$work/packet-faults-$model" ] || packet_faults "$model" 0 || return
        grep -qF "$rest" "$work/packet-faults-$model" || { echo "$model: it does not print $rest" && return 1; }
        rows=$((rows + 1))
    done < <(sed -n '/^| virtual key | command/,/^$/ s/^| \([a-z]*-[^ ]*\) /\1 /p' "$top/README.md")
    equal "$rows" 10
}

# The table of patience in README, in the manual page and in the driver.
patience_is_told() {
    local code page manual
    code=$(sed -nE 's/^ *\[PATIENCE_(\w+)\] = \{ ([0-9]+) \* (.)\w+, ([0-9]+) \* (.)\w+ \},/\L\1 \2 \3 \4 \5/p' \
        "$top/src/patience.c")
    page=$(sed -nE 's/^\| (\w+) \| .* \| ([0-9]+) (.)\w* \| ([0-9]+) (.)\w* \|$/\1 \2 \3 \4 \5/p' "${pages[0]}")
    manual=$(sed -nE 's/^\.It (\w+) Ta .* Ta ([0-9]+)\\~(.)\w* Ta ([0-9]+)\\~(.)\w*$/\1 \2 \3 \4 \5/p' \
        "$top/src/man/ifd-nitrokey.5")
    equal "$(wc -l <<<"$code")" 7 && equal "$page" "$code" && equal "$manual" "$code"
}

# In another directory, with the same settings.
is_reproducible() {
    copy_sources "$work/another/place/of/the/sources" && (
        cd "$work/another/place/of/the/sources" && meson setup build --buildtype=release -Dtests=disabled &&
            ninja -C build && DESTDIR=$work/two meson install -C build
    ) && DESTDIR=$work/one meson install -C "$work/sources/build" && diff -r "$work/one" "$work/two"
}

for_a_package() {
    meson setup package --prefix=/usr -Dtests=disabled && ninja -C package 70-ifd-nitrokey.rules &&
        grep -q 'getent group pcscd"' package/70-ifd-nitrokey.rules
}

# ---- what a person does ----

watch_for_a_moment() {
    timeout 1 ifd-nitrokey watch
    equal $? 124
}

# As a new user: gpg has its own driver, which doctor finds, and its line mends it.
doctor_mends() {
    sed -i /disable-ccid/d "$GNUPGHOME/scdaemon.conf"
    finds gnupg 'a driver of its own' && type_line && ifd-nitrokey doctor
}

# pcscd may miss one, when it comes while it turns to sleep; a person presses it again.
ends_by_ctrl_c() {
    kill -INT "$(tr -d '\0' </run/pcscd/pcscd.pid)"
    not pgrep -x pcscd
}

# The recording, from a plugged-in key till Ctrl-C.
records() {
    service pcscd stop
    LD_PRELOAD=$usbfs_shim bash -c "$1" >"$work/recording.log" 2>&1 &
    wait_until 20 cards_present 1 && serves && wait_until 20 ends_by_ctrl_c
}

# trace_tells COMMAND: of the file that there is.
trace_tells() {
    local file=(key-*.pcap.gz)
    ${1/key-*.pcap.gz/${file[0]}} | tee "$work/trace" | grep -q SELECT
}

# ---- the story ----

private_machine
: >"$work/covered"
check "the sources are copied" copy_sources "$work/sources"
cd "$work/sources" || exit
rm -r "$drivers/ifd-nitrokey.bundle"
for line in "sudo apt install meson gcc pkg-config libusb-1.0-0-dev libpcsclite-dev zlib1g-dev pcscd" \
    "sudo apt install gnupg scdaemon" \
    "apt install meson gcc pkg-config libusb-1.0-0-dev libpcsclite-dev zlib1g-dev libssl-dev libcmocka-dev"; do
    as "$line" packages "$line"
done
does "meson setup build --buildtype=release -Dtests=disabled"
as "ninja -C build" builds
as "sudo meson install -C build" installs
check "all that README says is installed" is_installed
check "and nothing else" nothing_else_is_installed
does "pkg-config --variable=usbdropdir libpcsclite"
as "man ifd-nitrokey" mman -M /usr/local/share/man ifd-nitrokey
expect "the manual pages are clean" manuals_are_clean
expect "bash completes the verbs and their options" verbs_are_completed
expect "software centres learn of all models" metainfo_names_all_models
expect "README, the manual page and the driver agree on how long to wait" patience_is_told
expect "a build in another directory is the same byte for byte" is_reproducible
expect "a package's rules name pcscd's group" for_a_package

new_gpg_home
check "a key is plugged in" start_key key --generate 1
others_send[key]=yes # while pcscd runs as README says, without a log of APDUs
check "pcscd starts" service pcscd start
expect "bash completes the port of a key" completes "1-1" describe 1
check "ifd-nitrokey doctor's line is typed, then nothing is wrong" doctor_mends
does "ifd-nitrokey --version"
does "ifd-nitrokey doctor"
does "ifd-nitrokey doctor --json >doctor.json || echo see doctor.json"
does "ifd-nitrokey list"
does "gpgconf --kill scdaemon"
does "gpg --card-status"
as "gpg --card-edit" gpg_generate_on_card
does "ifd-nitrokey watch --once"
as "ifd-nitrokey watch" watch_for_a_moment
does "opensc-tool --list-readers"
as 'sudo env IFD_NITROKEY_TRACE=$PWD/key.pcap.gz pcscd --foreground' records \
    'sudo env IFD_NITROKEY_TRACE=$PWD/key.pcap.gz pcscd --foreground'
export USER=root
does 'sudo chown $USER key-*.pcap.gz'
for line in "ifd-nitrokey trace key-001-005-1.pcap.gz" "ifd-nitrokey trace --summary key-001-005-1.pcap.gz"; do
    as "$line" trace_tells "$line"
done
check "pcscd starts again" service pcscd start
does "ifd-nitrokey describe >new-key.toml"
does "ifd-nitrokey describe >readers/new-key.toml"
does "readers/generate.py check"
does "readers/generate.py readme README.md"
does "tests/demo --help"
does "tests/run --help"
as "build-tests/tests/test_packet_faults nitrokey-3 --table" packet_faults nitrokey-3 0
as "build-tests/tests/test_packet_faults MODEL --table" packet_faults nitrokey-pro-2 0
expect "README's rows of that table are what it prints" packet_fault_rows
as "build-tests/tests/virtual-nitrokey --help" "$virtual_nitrokey" --help
check "what was installed last is uninstalled" meson install -C build
does "sudo ninja -C build uninstall"
does 'sudo rm -rf "$(pkg-config --variable=usbdropdir libpcsclite)/ifd-nitrokey.bundle"'
check "nothing of it is left" nothing_is_left

elsewhere "tests/demo" tests/run 'in_background demo-1 "$top/tests/demo"'
elsewhere "tests/demo --driver libccid" tests/run '"$top/tests/demo" --driver libccid'
elsewhere "tests/demo --model nitrokey-storage-fs" tests/run '"$top/tests/demo" --model "$model"'
elsewhere "tests/demo --model nitrokey-hsm-2" tests/run '"$top/tests/demo" --model "$model"'
elsewhere "tests/prove/run" tests/run 'prove/run'
elsewhere "tests/demo --model new-key" tests/run '"$top/tests/demo" --model "$model"'
elsewhere "tests/bus/enter" tests/bus/lib.sh '$here/enter'
for line in "meson setup build-tests" "ninja -C build-tests tests/virtual-nitrokey"; do
    elsewhere "$line" tests/checks/clone "types '$line'"
done
elsewhere "meson test -C build" tests/run 'meson test -C'
elsewhere "sudo apt update" tests/setup.sh 'apt-get -qq update'
for line in "udevadm control --reload || true" "udevadm trigger --subsystem-match=usb || true"; do
    elsewhere "$line" tests/vm/package.test.sh 'shown debian/postinst'
done
elsewhere "systemctl try-restart pcscd.service || :" tests/checks/package 'shown ifd-nitrokey.spec'
for line in "meson compile -C build" 'meson install -C build --destdir "$pkgdir"'; do
    elsewhere "$line" tests/checks/package 'shown PKGBUILD'
done
elsewhere "modprobe vhci-hcd" tests/vm/run 'modprobe'
for line in "udevadm control --reload" "sudo udevadm control --reload" "systemctl edit pcscd" \
    "sudo systemctl restart pcscd" "systemctl restart pcscd" "journalctl -u pcscd" \
    "sudo systemctl stop pcscd.socket pcscd.service" "sudo systemctl start pcscd.socket" \
    "build-tests/tests/virtual-nitrokey --model nitrokey-3 --listen tcp:127.0.0.1:3240 &" \
    "usbip attach --remote 127.0.0.1 --busid 1-1" "usbip detach --port 0"; do
    elsewhere "$line" tests/vm/doctor.test.sh "\"$line\""
done
# The first two in part: all stacks, and three runs, would take too long.
elsewhere "tests/bench/survival" tests/checks/figures '/bench/survival" '
elsewhere "tests/bench/run --repeat 3" tests/checks/figures '/bench/run" --repeat 1'
elsewhere "tests/pcscd/counts.test.sh" tests/run 'run_scripts pcscd'
elsewhere "tests/bench/hostile" tests/checks/figures '/bench/hostile" --check'
elsewhere "tests/coverage" tests/checks/figures '/coverage"'
elsewhere "tests/fuzz/run SECONDS" tests/run 'tests/fuzz/run" 3'
elsewhere "tests/run fuzz" tests/run 'phase_fuzz'
elsewhere "tests/simulate --count 1000" tests/meson.build "'--count', '500'"
# Of these a part: all of it takes minutes.
elsewhere "tests/simulate --prove" tests/checks/figures '/simulate" --prove'
for line in "tests/mutate" "tests/mutate NAME" "tests/mutate --check"; do
    elsewhere "$line" tests/meson.build "args: '--check'"
done
check "no command is left that no test runs" all_are_covered
summary
