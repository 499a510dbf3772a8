#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# models.test.sh [MODEL] - what people do with a key, by gpg and OpenSC, for each model in readers/, or for one.
. "$(dirname "$0")/../bus/lib.sh"

# Of one that differs only in what becomes of a fault, tests/driver/test_packet_faults.c tells all.
[ $# != 0 ] || each_model $("$(built virtual-nitrokey)" --list | grep -vx nitrokey-3-1.5)

on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/gpg.sh"
. "$(dirname "$0")/card.sh"
. "$(dirname "$0")/hsm.sh"
model=$1

# ---- what this model has ----

application=$(described application) curves=() options=() generated=
nist="nistp256 nistp256" brainpool="brainpoolP256r1 brainpoolP256r1"
case $application in
smartcard-hsm-*) options=(--reset 1) ;; # not 40 s
openpgp-card-2.1) longest=2048 ;;
openpgp-card-3.4) longest=1536 curves=("$nist" "$brainpool") generated=brainpoolP256r1 ;;
gnuk) longest=526 curves=("ed25519 cv25519" "$nist") generated=25519 ;;
opcard*) longest=3065 curves=("ed25519 cv25519" "$nist" "$brainpool") generated=25519 ;;
esac
[ "$application" != opcard+piv ] || opensc_uses openpgp
touch=00DA00D602 # and the flag of the signature key; this gpg has no command for it
after_reset=63C3
[ -z "$(described keeps_pin_over_reset)" ] || after_reset=9000

# ---- steps ----

# counts_wrong_pin RIGHT-PIN: gpg tries a wrong one, then the right one.
counts_wrong_pin() {
    echo 999999 >"$GNUPGHOME/pins/user"
    not signs && counters_equal key 2 0 3 || return
    echo "$1" >"$GNUPGHOME/pins/user"
    signs && counters_equal key 3 0 3
}

# OpenSC is told that extended APDUs of any length go through, and they do.
goes_through_extended() {
    OPENSC_DEBUG=9 opensc-tool --list-readers 2>&1 | grep 'dwMaxAPDUDataSize property returned 65536' &&
        answers "$1" 00A40400000006D276000124010000
}

opensc_knows_it() {
    opensc-tool --name | grep OpenPGP
}

refuses_gpg() {
    not gpg --batch --card-status && gpg --batch --card-status 2>&1 | grep 'OpenPGP card not available'
}

# reads_with_opensc FINGERPRINT
reads_with_opensc() {
    openpgp-tool --card-info --key-info --user-info | tr -d : | grep -i "Sig Fingerprint *$1"
}

# Two keys, since OpenSC would also decrypt with the third, which these cards cannot do; a PIN that is good for more
# than one signature.
generates_by_opensc() {
    openpgp-tool --verify CHV3 --pin 12345678 --gen-key 1 --key-type rsa2048 &&
        openpgp-tool --verify CHV3 --pin 12345678 --gen-key 2 --key-type rsa2048 &&
        answers 9000 "$select" "$verify_admin" 00DA00C40101
}

# tests_itself SLOT
tests_itself() {
    pkcs11-tool --slot "$1" --login --pin 123456 --test && return
    pkcs11-tool --list-slots
    return 1
}

# OpenSC 0.23 asks even a Gnuk for SELECT DATA, which came with version 3, and then gives it up (OpenSC issue 2752).
opensc_gives_up() {
    alone pkcs11-tool --list-slots 2>&1 | grep -q 'token not recognized' &&
        grep -q ' 00A5000406.* 6D00 ' "$work/key/apdus"
}

# A reconnection with this step resets the card: then nothing is selected on it, and nobody is logged in.
hsm_is_reset_by() {
    answers 9000 "$select_hsm" "$verify_user_of_hsm" "$is_verified" &&
        answers 6D00 "$select_hsm" "$verify_user_of_hsm" "$1" "$is_verified"
}

gpg_does_not_know_it() {
    gpg --batch --card-status | grep 'Application type .: Unknown'
}

hsm_story() {
    check "it has no OpenPGP application" answers 6A82 "$select"
    check "gpg sees a card that it does not know" gpg_does_not_know_it
    check "sc-hsm-tool initialises it" alone hsm_initializes
    check "pkcs11-tool generates an RSA key pair" hsm_generates rsa:2048 10
    check "signs with it, openssl verifies" hsm_signs 10
    check "decrypts with it" hsm_decrypts 10
    check "generates a key pair on a curve" hsm_generates EC:brainpoolP320r1 11
    check "signs with it, openssl verifies" hsm_signs_ecdsa 11
    check "pkcs11-tool's own test passes" hsm_tests_itself
    check "keeps a certificate" hsm_keeps_certificate 10
    for way in reset unpower; do
        check "a reconnection, $way, resets it" hsm_is_reset_by "--$way"
    done
    check "a wrong PIN costs a try" hsm_refuses_pin
    tries_left[key]="2 0 15"
    check "pcscd ends" stop_pcscd
    summary
}

# ---- the story ----

check "a key is there" start_key key "${options[@]}" --generate 1 --sign 0.1
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
expect "opensc-tool tells its name" has_its_name
expect "opensc-tool tells its ATR" has_its_atr
new_gpg_home
case $application in smartcard-hsm-*) hsm_story ;; esac
if [ "$application" = none ]; then
    check "it has no OpenPGP application" answers 6A82 "$select"
    expect "extended APDUs go through, as OpenSC is told" goes_through_extended 6A82
    expect "which gpg says" refuses_gpg
    expect "each command was executed once, in order" alone executed_once key
    check "pcscd ends" stop_pcscd
    summary
fi

expect "extended APDUs go through, as OpenSC is told" goes_through_extended 9000
check "gpg generates three keys" gpg_generate_on_card
check "signs" signs
check "decrypts" decrypts
check "authenticates" authenticates
check "changes the admin PIN" changes_admin_pin # first: without it a Gnuk takes the user's for both
check "changes the user PIN" changes_user_pin
check "a wrong PIN costs one try, the right one gives it back" counts_wrong_pin 654321
fingerprint=$(status_field fpr)
check "opensc-tool knows it" alone opensc_knows_it
expect "openpgp-tool reads it" reads_with_opensc "$fingerprint"
check "resets to factory settings" factory_reset

check "a PIN lasts over a connection that leaves the card as it is" alone pin_after_disconnect 9000 leave
for way in reset unpower; do
    check "after a reconnection, $way, the PIN is as README says" pin_after_reconnect "$after_reset" "--$way"
    check "after a disconnection, $way, too" pin_after_disconnect "$after_reset" "$way"
done

for pair in "rsa2048 rsa2048" "${curves[@]}"; do
    # shellcheck disable=SC2086
    check "takes keys that were made elsewhere: $pair" imports $pair
    check "signs with it" signs
    check "decrypts with it" decrypts
done
check "resets to factory settings again" factory_reset
if [ -n "$generated" ]; then
    check "gpg generates three keys of a curve: $generated" gpg_generate_on_card "$generated"
    check "signs with one" signs
    check "decrypts with one" decrypts
    check "authenticates with one" authenticates
fi
case $application in
gnuk | opcard*)
    check "a touch is asked for from now on" alone answers 9000 "$select" "$verify_admin" "${touch}0120"
    check "signs when it is touched, and not before" signs_when_touched
    check "no touch is asked for from now on" alone answers 9000 "$select" "$verify_admin" "${touch}0020"
    check "resets to factory settings once more" factory_reset
    check "sets up a KDF" sets_up_kdf
    check "takes keys that were made elsewhere: rsa2048 rsa2048, by a hashed PIN" imports rsa2048 rsa2048
    check "signs with a hashed PIN" signs
    check "a wrong PIN costs one try with a KDF, too" counts_wrong_pin 123456
    ;;
esac
check "resets to factory settings at last" factory_reset

check "openpgp-tool generates two keys" alone generates_by_opensc
if [ "$application" = gnuk ] && opensc_gives_up; then
    skip "pkcs11-tool's own test" "this OpenSC gives up a Gnuk that does not know SELECT DATA"
else
    for slot in 0 1; do
        check "pkcs11-tool's own test passes in slot $slot" alone tests_itself "$slot"
    done
fi

check "takes and gives a certificate of $longest bytes" long_way "$longest"
check "refuses a certificate of $((longest + 1)) bytes" too_long $((longest + 1))
check "refuses one of $((longest + 3000)) bytes" too_long $((longest + 3000))
check "is given a wrong PIN" answers 6982 "$select" "$verify_user_wrong"
expect "each command was executed once, in order, and only the wrong PIN cost a try" once_and_in_order key 2
tries_left[key]="2 0 3"
check "it serves" answers 9000 "$select" "$get_aid"
expect "no PIN try was lost by that" counters_equal key 2 0 3
check "pcscd ends" stop_pcscd
summary
