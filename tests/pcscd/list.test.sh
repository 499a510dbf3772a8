#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# list.test.sh - ifd-nitrokey list and describe: what they say of each key, and that they disturb none.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
tool=$(built ifd-nitrokey)
readers=$here/../../readers

lists() {
    "$tool" list >"$work/listed" || return
    grep -q -e "$1" "$work/listed" || { tail -n 1 "$work/listed" && return 1; }
}

lists_only() {
    equal "$("$tool" list "${@:2}")" "$1"
}

# json CODE: Python that looks at the list "keys".
json() {
    "$tool" list --json | python3 -c "import json, sys; keys = json.load(sys.stdin)
$1"
}

# describes KIND: as the key's own file in readers/ says, but for what cannot be told from outside; and the file is
# accepted, alone and beside the others.
describes() {
    local new=$work/$1.toml
    "$tool" describe "1-${key_ports[$1]}" >"$new" && "$readers/generate.py" check "$new" &&
        "$readers/generate.py" check "$new" "$readers"/*.toml &&
        python3 - "$new" "$readers/$1.toml" <<'END'
import sys, tomllib
new, old = (tomllib.load(open(path, "rb")) for path in sys.argv[1:])
hexes = lambda text: bytes.fromhex(text)
for reader in (new, old):
    reader["card"]["atr"] = hexes(reader["card"]["atr"])
    for interface in reader["interface"]:
        interface["extra"] = hexes(interface.get("extra", ""))
        interface["string"] = "string" in interface
        for key in ("subclass", "protocol"):
            interface.setdefault(key, 0)
    for key in ("serial", "strings", "string_lengths"):
        reader["device"].pop(key, None)
    reader["device"].setdefault("max_power_ma", 100)
    reader["quirks"].setdefault("ifsd", 32)
    reader["quirks"].pop("keeps_pin_over_reset", None)
for part in ("name", "device", "interface", "quirks"):
    if new.get(part) != old.get(part):
        sys.exit(f"{part}: {new.get(part)} instead of {old.get(part)}")
if new.get("speed", "full") != old.get("speed", "full") or new["card"]["atr"] != old["card"]["atr"]:
    sys.exit("speed or ATR differ")
END
}

# generation KIND: how many models before this one have its USB identifiers. pcscd gives the readers of those one name.
generation() {
    local product kind
    product=$(grep -h '^product_id' "$readers/$1.toml" | cut -c 1-20)
    for kind in $kinds; do
        [ "$kind" != "$1" ] || return 0
        grep -q "^$product" "$readers/$kind.toml" && echo .
    done
}

# of_generation N: the models.
of_generation() {
    local kind
    for kind in $kinds; do
        [ "$(generation "$kind" | wc -l)" != "$1" ] || echo "$kind"
    done
}

# The reader of the key in this port.
reader_in() {
    "$tool" list --json | python3 -c 'import json, sys
print(*[k["reader"] for k in json.load(sys.stdin) if k["port"] == sys.argv[1]])' "$1"
}

# readers_are_theirs PORT-OF-THREE PORT-OF-FOUR: a command to the reader that list shows goes to that key, though both
# readers are held while list is asked; and list is sure of it.
readers_are_theirs() {
    local name port reader before
    for name in three four; do
        port=$1 && [ $name = three ] || port=$2
        reader=$(reader_in "$port") && hold "$reader" list_is_sure || return
        before=$(grep -c "$select" "$work/$name/apdus")
        "$apdu" --reader "$reader" "$select" && [ "$(grep -c "$select" "$work/$name/apdus")" -gt "$before" ] || {
            echo "$reader is not the one of the key in $port"
            return 1
        }
    done
}

# hold READER COMMAND...: while another program has the reader exclusively; then it is free again.
hold() {
    local holder status
    "$apdu" --reader "$1" --share exclusive - < <(sleep 60) &
    holder=$!
    wait_until 10 not "$apdu" --reader "$1" --status
    "${@:2}"
    status=$?
    kill $holder
    wait_until 10 "$apdu" --reader "$1" --status || return
    return $status
}

list_is_sure() {
    not grep 'or another' <("$tool" list)
}

change_places() {
    unplug three && unplug four && wait_until 10 reader_count 1 || return
    key_ports[three]=3 key_ports[four]=2
    plug four && plug three
}

plug_in() {
    for model; do
        start_key "$model" --serial 24242424 || return
    done
    wait_until 20 cards_present $#
}

take_out() {
    local name
    for name; do
        stop_key "$name" || return
    done
    wait_until 10 reader_count 0
}

serial_is_not_told() {
    equal "$(grep -h '^serial' "$work"/*.toml | grep -c 24242424)" 0
}

expect "nothing is plugged in, and list says so" lists_only "no Nitrokey is plugged in"
expect "as JSON too" lists_only "[]" --json
check "a key is there" start_key key
expect "without pcscd list says so" lists 'reader    none: '
expect "and that nobody has it" lists 'open in   nothing$'
expect "without pcscd describe asks the card itself" env LD_PRELOAD="$usbfs_shim" "$tool" describe
check "pcscd starts" start_pcscd
check "the key has a card" wait_until 10 cards_present 1
expect "list tells its name" lists '^Nitrokey Pro (20a0:4108)$'
expect "its serial number" lists 'serial    0000000000000000'
expect "where it is" lists 'usb       1-1, /dev/bus/usb/001/002'
expect "who has it, by which driver" lists 'open in   pcscd ([0-9]*, driver ifd-nitrokey)$'
expect "its reader" lists 'reader    Nitrokey Nitrokey Pro (0000000000000000.*) 00 00$'
model=nitrokey-3
check "two keys without a serial number" start_key three
check "are plugged in" start_key four
check "all have cards" wait_until 10 cards_present 3
expect "the version of their firmware is told" lists 'firmware  1.8'
expect "each key is there once" json 'assert [k["port"] for k in keys] == ["1-1", "1-2", "1-3"], keys'
expect "with its holder" json 'assert all([h["name"] for h in k["holders"]] == ["pcscd"] and k["card"] for k in keys), keys'
expect "no two have one reader" json 'assert len({k["reader"] for k in keys}) == 3, keys'
check "whoever has them exclusively, each key's reader is its own" readers_are_theirs 1-2 1-3
check "they change places" change_places
check "all have cards" wait_until 10 cards_present 3
check "each key's reader is its own again" readers_are_theirs 1-3 1-2
expect "with several keys describe asks which one" not "$tool" describe
expect "and describes that one" "$tool" describe 1-3
# By 00C0000000 the driver asks whether the key listens.
expect "no APDU but for that was sent" equal "$(cat "$work"/*/apdus | grep -vcE "reset|00C0000000|$select")" 0
check "they are taken out" take_out key three four
kinds=$("$virtual_nitrokey" --list) described=0
for n in {0..9}; do
    mapfile -t some < <(of_generation "$n")
    [ ${#some[@]} -gt 0 ] || break
    check "${#some[@]} models are plugged in" plug_in "${some[@]}"
    for kind in "${some[@]}"; do
        expect "$kind is described as its file in readers/ says" describes "$kind" && described=$((described + 1))
    done
    check "they are taken out" take_out "${some[@]}"
done
expect "those are all models" equal "$described" "$(wc -w <<<"$kinds")"
expect "a serial number is not given away" serial_is_not_told
check "pcscd ends" stop_pcscd
summary
