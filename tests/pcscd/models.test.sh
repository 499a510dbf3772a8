#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# models.test.sh [MODEL] - what people do with a key, by gpg and OpenSC, for each model in readers/, or for one.
. "$(dirname "$0")/../bus/lib.sh"

# All models at once, each on a bus of its own: most of their time is waiting.
if [ $# = 0 ]; then
    logs=$(mktemp -d) && trap 'rm -rf "$logs"' EXIT
    for model in $("$(built virtual-nitrokey)" --list); do
        "$0" "$model" >"$logs/$model" &
    done
    wait
    for log in "$logs"/*; do
        sed -E "s/^(ok|not ok) /&${log##*/}: /; /^[0-9]+ passed, /d" "$log"
        tail -n 1 "$log" | grep -q ' skipped$' || echo "not ok ${log##*/}: runs to its end"
    done | tee "$logs/all"
    failed=$(grep -c '^not ok' "$logs/all")
    skipped=$(grep -c '^ok.* # SKIP' "$logs/all")
    echo "$(($(grep -c '^ok' "$logs/all") - skipped)) passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
fi

on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/gpg.sh"
model=$1

# ---- what this model has ----

application=yes curves=() forgets=yes long=1500
case $model in
nitrokey-hsm-* | nitrokey-passkey) application= ;;
nitrokey-start-* | gnuk) curves=("ed25519 cv25519" "nistp256 nistp256") long=500 ;;
nitrokey-3*) curves=("ed25519 cv25519" "nistp256 nistp256" "brainpoolP256r1 brainpoolP256r1") long=3000 ;;
gnuk-old) curves=("ed25519 cv25519") long=500 ;;
esac
case $model in
nitrokey-3* | nitrokey-passkey | gnuk-old) forgets= ;;
esac

# ---- steps ----

# alone COMMAND...: without gpg, whose scdaemon holds the card.
alone() {
    stop_gpg && "$@"
}

# Two keys, since OpenSC would also decrypt with the third, which these cards cannot do; a PIN that is good for more than one signature.
generates_by_opensc() {
    openpgp-tool --verify CHV3 --pin 12345678 --gen-key 1 --key-type rsa2048 &&
        openpgp-tool --verify CHV3 --pin 12345678 --gen-key 2 --key-type rsa2048 &&
        "$apdu" "$select" "$verify_admin" 00DA00C40101
}

# tests_itself SLOT
tests_itself() {
    pkcs11-tool --slot "$1" --login --pin 123456 --test && return
    pkcs11-tool --list-slots
    return 1
}

# A certificate of so many bytes, in an extended APDU each way.
certificate_there_and_back() {
    local data answer
    data=$(head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n' | tr a-f A-F)
    answer=$("$apdu" "$select" "$verify_admin" "00DA7F2100$(printf %04X "$1")$data" 00CA7F21000000 | tail -n 1)
    [[ $answer == *" ${data}9000" ]] || { echo "${answer: -60}" && return 1; }
}

# A PIN that was verified is forgotten by a reset, or, where the firmware does not, stays verified.
reset_forgets() {
    local expected=$1 answer
    answer=$("$apdu" "$select" "$verify_user" --reset "$select" 00200081 | tail -n 1)
    [[ $answer == *"$expected" ]] || { echo "$answer instead of $expected" && return 1; }
}

check "a key is there" start_key key --generate 1 --sign 0.1
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "opensc-tool tells its ATR" opensc-tool --atr
if [ -z "$application" ]; then
    check "it has no OpenPGP application" answers 6A82 "$select"
    check "pcscd ends" stop_pcscd
    summary
fi
new_gpg_home
check "gpg generates three keys" gpg_generate_on_card
check "signs" signs
check "decrypts" decrypts
check "authenticates" authenticates
check "changes the user PIN" changes_user_pin
check "changes the admin PIN" changes_admin_pin
check "resets to factory settings" factory_reset
check "opensc-tool knows it" alone opensc-tool --name
check "openpgp-tool reads it" alone openpgp-tool --card-info --key-info --user-info
if [ "$forgets" ]; then
    check "a reset forgets the PIN" alone reset_forgets 63C3
else
    check "a reset does not forget the PIN, as README says" alone reset_forgets 9000
fi
for pair in "rsa2048 rsa2048" "${curves[@]}"; do
    # shellcheck disable=SC2086
    check "takes keys that were made elsewhere: $pair" imports $pair
    check "signs with it" signs
    check "decrypts with it" decrypts
done
check "resets to factory settings again" factory_reset
check "openpgp-tool generates two keys" alone generates_by_opensc
if alone pkcs11-tool --list-slots 2>&1 | grep -q 'token not recognized' && grep -q ' 00A5000406.* 6D00 ' "$work/key/apdus"; then
    skip "pkcs11-tool's own test" "this OpenSC asks a Gnuk for SELECT DATA, which no card of version 2 knows, and gives it up"
else
    for slot in 0 1; do
        check "pkcs11-tool's own test passes in slot $slot" alone tests_itself "$slot"
    done
fi
check "takes and gives a certificate of $long bytes" certificate_there_and_back "$long"
check "is given a wrong PIN" send "$select" "$verify_user_wrong"
check "each command was executed once, in order, and only the wrong PIN cost a try" once_and_in_order key 2
check "pcscd ends" stop_pcscd
summary
