#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# trace.test.sh [MODEL] - a session with gpg and OpenSC is recorded: no secret is in the trace, tshark reads it, and
# ifd-nitrokey trace tells what happened; with a key of each exchange level and an HSM, or with one.
. "$(dirname "$0")/../bus/lib.sh"

[ $# != 0 ] || each_model nitrokey-pro-2 nitrokey-storage-hs-261 nitrokey-start-rtm13 nitrokey-3 nitrokey-hsm-2

on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/gpg.sh"
. "$(dirname "$0")/hsm.sh"
model=$1
tool=$(built ifd-nitrokey)
traces=$work/traces
mkdir "$traces"

secret_text="a secret between friends"
secrets=(123456 12345678 654321 87654321 Gutenberg "$secret_text" 648219 57621880 2718281828)

no_secret() {
    "$(dirname "$0")/trace_secrets.py" "$work/pcscd.log" "${secrets[@]}" -- "$@"
}

deciphers() {
    printf '%s' "$secret_text" | gpg --batch --yes --trust-model always --recipient virtual@example.org \
        --output "$work/secret.gpg" --encrypt && equal "$(gpg --batch --quiet --decrypt "$work/secret.gpg")" "$secret_text"
}

writes_names() {
    card_edit admin name Gutenberg Johannes login Gutenberg && equal "$(status_field login)" Gutenberg
}

reads_with_opensc() {
    stop_gpg && openpgp-tool --verify CHV3 --pin 87654321 --card-info
}

generation_runs() {
    "$tool" trace "$1" | tail -n 3 | grep 'GENERATE KEY PAIR'
}

is_private() {
    equal "$(stat -c '%a %U' "$1")" "600 $(id -un)"
}

dissected() {
    tshark -r "$1" 2>/dev/null >"$work/tshark" || { tshark -r "$1" 2>&1 | tail -n 1 && return 1; }
    tshark -r "$1" -Y usbccid -T fields -e usbccid.bMessageType 2>/dev/null >"$work/types"
    [ "$(grep -cix 0x6f "$work/types")" -gt 20 ] && [ "$(grep -cix 0x80 "$work/types")" -gt 20 ] || {
        sort "$work/types" | uniq -c | tr '\n' ';'
        return 1
    }
}

nothing_malformed() {
    equal "$(tshark -r "$1" -Y '_ws.malformed' 2>/dev/null | head -n 1)" ""
}

# Every message is what the tool and tshark say that it is.
same_messages() {
    equal "$("$tool" trace --json "$1" | grep -c '"sequence"')" "$(grep -c -v 0x00 "$work/types")"
}

# tells TRACE TEXT...: in this order, among other things.
tells() {
    local file=$1 text from=1 line
    shift
    "$tool" trace "$file" >"$work/story" || return
    for text; do
        line=$(tail -n "+$from" "$work/story" | grep -n -m 1 -F -e "$text" | cut -d : -f 1)
        [ -n "$line" ] || { echo "after line $from of the story there is no \"$text\"" && return 1; }
        from=$((from + line))
    done
}

json_is_json() {
    "$tool" trace --json "$1" | python3 -c 'import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert any(l.get("command") == "SIGN" and l.get("status") == "9000" and l["took"] > 0 for l in lines), lines
pins = [l["length"] for l in lines if l.get("command", "").startswith(("VERIFY user", "VERIFY admin", "CHANGE")) and
        l["direction"] == "out" and "verified" not in l["command"]]
assert len(pins) > 3 and len(set(pins)) == 1, pins' &&
        "$tool" trace --summary --json "$1" | python3 -c 'import json, sys
totals = {t["command"]: t for t in map(json.loads, sys.stdin)}
assert totals["SIGN"]["answered"] == totals["SIGN"]["sent"] >= 1, totals
assert 0 < totals["SIGN"]["shortest"] <= totals["SIGN"]["mean"] <= totals["SIGN"]["longest"], totals'
}

summary_tells() {
    "$tool" trace --summary "$1" | grep -E '^ +[1-9][0-9]* +[1-9][0-9]* +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+  SIGN$'
}

names_the_serial_number() {
    gzip -dc "$1" | od -An -v -tx1 | tr -d ' \n' | grep -q 'd27600012401........12345678'
}

changes_pin_of_hsm() {
    as_user --change-pin --new-pin 2718281828 && user_pin=2718281828 && hsm_has RSA
}

file=$traces/key-001-002-1.pcap.gz session=$work/session.pcap.gz

if [[ $(described application) == smartcard-hsm-* ]]; then
    tries_left[key]="3 0 15"
    check "a key is there" start_key key --reset 1 --generate 1 --sign 0.1
    check "pcscd starts" start_pcscd IFD_NITROKEY_TRACE="$traces/key.pcap.gz"
    check "it has a card" wait_until 10 cards_present 1
    check "sc-hsm-tool initialises it" hsm_initializes
    check "it generates a key pair" hsm_generates rsa:2048 10
    check "signs" hsm_signs 10
    check "deciphers" hsm_decrypts 10
    check "keeps data" hsm_keeps_data 1000
    check "its PIN is changed" changes_pin_of_hsm
    cp "$file" "$session"
    expect "tshark sees CCID messages" dissected "$session"
    expect "none of them malformed" nothing_malformed "$session"
    expect "no secret is in it" no_secret "$session"
    expect "ifd-nitrokey trace tells what happened" tells "$session" "INITIALIZE DEVICE" "s after INITIALIZE DEVICE" \
        "VERIFY user PIN (81)" "GENERATE KEY PAIR" "success (9000)" "SIGN with key" "DECIPHER with key" "CHANGE user PIN"
    check "pcscd ends" stop_pcscd
    summary
fi

check "a key is there" start_key key --generate 6 --sign 0.1
check "pcscd starts" start_pcscd IFD_NITROKEY_TRACE="$traces/key.pcap.gz"
check "it has a card" wait_until 10 cards_present 1
check "gpg imports keys" imports rsa2048 rsa2048
check "signs" signs
check "deciphers" deciphers
check "writes names" writes_names
check "changes the admin PIN" changes_admin_pin # first: without it a Gnuk takes the user's for both
check "changes the user PIN" changes_user_pin
check "openpgp-tool verifies the admin PIN" reads_with_opensc
cp "$file" "$session" # pcscd goes on with it
expect "the trace is private" is_private "$file"
expect "tshark sees CCID messages" dissected "$session"
expect "none of them malformed" nothing_malformed "$session"
expect "as many as ifd-nitrokey" same_messages "$session"
expect "no secret is in it" no_secret "$session"
expect "ifd-nitrokey trace tells what happened" tells "$session" "exchange level: " "power on" "SELECT application OpenPGP" \
    "success (9000)" "VERIFY admin PIN" "IMPORT KEY" "IMPORT KEY" "VERIFY user PIN (81)" "SIGN" "s after SIGN" \
    "VERIFY user PIN (82)" "DECIPHER" "PUT DATA 005B" "CHANGE admin PIN" "CHANGE user PIN" "VERIFY admin PIN" "success (9000)"
expect "as JSON, without the PINs' lengths" json_is_json "$session"
expect "and how long it took" summary_tells "$session"

"$apdu" "$select" 0020008308"$(printf 87654321 | od -An -tx1 | tr -d ' \n')" "$generate" >/dev/null 2>&1 &
check "a generation begins" wait_until 20 generation_runs "$file"
check "pcscd is killed" kill_pcscd
expect "the trace is whole" gzip -t "$file"
check "its end is the generation" generation_runs "$file"
check "pcscd starts again, and may record names" start_pcscd IFD_NITROKEY_TRACE="$traces/key.pcap.gz" \
    IFD_NITROKEY_TRACE_NAMES=yes
check "the key is there when it is free" wait_until 60 cards_present 1
check "and serves" answers 9000 "$select" "$get_aid"
expect "in another file" test -s "$traces/key-001-002-2.pcap.gz"
expect "which has the serial number" names_the_serial_number "$traces/key-001-002-2.pcap.gz"
expect "the first one has not" not names_the_serial_number "$file"
check "another key is plugged in" start_key other
check "both have cards" wait_until 20 cards_present 2
expect "it has a file of its own" tells "$traces/key-001-003-1.pcap.gz" "at 001/003" "power on" "s after power on"
expect "in which the first key is not" not grep 001/002 "$work/story"
check "pcscd ends" stop_pcscd
expect "nobody has taken the first file" gzip -t "$file"
summary
