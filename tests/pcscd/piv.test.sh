#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# piv.test.sh - the PIV card of a Nitrokey 3, as OpenSC drives it, beside its OpenPGP card.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/card.sh"
. "$(dirname "$0")/piv.sh"
model=nitrokey-3

generated_once() {
    equal "$(grep -c "^[0-9]* [0-9]* 004700${1}05" "$work/key/apdus") generations" "1 generations"
}

# certificate_fits REFERENCE ID: it goes to the card and comes back by OpenSC, which takes small bites.
certificate_fits() {
    piv_certificate "$1" 2400 && [ "$(wc -c <"$work/$1.der")" -gt 2900 ] || return
    as_administrator --cert "$1" --in "$work/$1.crt" # its exit status is some number of bytes
    pkcs15-tool --read-certificate "$2" >"$work/back" &&
        openssl x509 -in "$work/back" -outform DER | cmp - "$work/$1.der"
}

# The same in one extended APDU each way, of 3072 bytes: the firmware takes no more. The card still knows the
# administrator: piv-tool does not reset it.
certificate_fits_in_one() {
    local object
    object=53820BF070820BE7$(content 3047)710100FE00
    as_administrator --name && equal "$(answer_to "00DB3FFF000BF95C035FC10B$object")" 9000 &&
        [ "$(answer_to 00CB3FFF0000055C035FC10B0000)" = "${object}9000" ]
}

signs_rsa() {
    pkcs11-tool --login --pin 123456 --sign --id 01 --mechanism SHA256-RSA-PKCS --input-file "$0" \
        --output-file "$work/text.sig" && openssl dgst -sha256 -verify "$work/9A.pem" -signature "$work/text.sig" "$0"
}

# The signature key wants the PIN each time.
signs_ecdsa() {
    openssl dgst -sha256 -binary "$0" >"$work/digest" && rm -f "$work/text.sig" &&
        pkcs11-tool --login --pin 123456 --sign --id 02 --mechanism ECDSA --signature-format openssl \
            --input-file "$work/digest" --output-file "$work/text.sig" &&
        openssl dgst -sha256 -verify "$work/9C.pem" -signature "$work/text.sig" "$0"
}

deciphers() {
    head -c 32 /dev/urandom >"$work/secret" && rm -f "$work/back" &&
        openssl pkeyutl -encrypt -pubin -inkey "$work/9A.pem" -in "$work/secret" -out "$work/secret.enc" &&
        pkcs11-tool --login --pin 123456 --decrypt --id 01 --mechanism RSA-PKCS --input-file "$work/secret.enc" \
            --output-file "$work/back" && cmp "$work/secret" "$work/back"
}

# It has no random numbers for OpenSC, which asks once, or from 0.26 on three times, in a way that the firmware does not
# know; all else must be right.
tests_itself() {
    local errors="1 errors"
    opensc_is 0.26 && errors="3 errors"
    pkcs11-tool --login --pin 123456 --test >"$work/test" 2>&1
    cat "$work/test"
    equal "$(grep -c 'ERR: C_GenerateRandom' "$work/test") errors, $(tail -n 1 "$work/test")" "$errors, $errors" &&
        grep -q 'all 4 signature functions seem to work' "$work/test"
}

changes_the_pin() {
    pkcs11-tool --login --pin 123456 --change-pin --new-pin 654321 &&
        pkcs11-tool --login --pin 654321 --change-pin --new-pin 123456
}

blocks_and_unblocks() {
    answers " 6983" "$select_piv" "$wrong_pin_of_piv" "$wrong_pin_of_piv" "$wrong_pin_of_piv" &&
        piv_counters_equal key 0 5 &&
        answers " 9000" "$select_piv" 002C0080103132333435363738313233343536FFFF "$verify_user_of_piv" &&
        piv_counters_equal key 3 5
}

# Another one was selected in between.
switching_forgets() {
    answers " 63C3" "$select_piv" "$verify_user_of_piv" "$select" "$select_piv" "$is_verified_by_piv" &&
        answers " 63C3" "$select" "$verify_user" "$select_piv" "$select" "$is_verified"
}

# yubico-piv-tool selects by the first bytes of the name only; a Nitrokey 3 does not take that.
refuses_an_abbreviation() {
    not yubico-piv-tool --reader '' --action status && answers " 6A82" 00A4040005A000000308
}

check "a key is there" start_key key --generate 5 --generate 1
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "OpenSC takes it for a PIV card" equal "$(opensc-tool --name 2>/dev/null)" "Personal Identity Verification Card"
check "piv-tool generates an RSA key" piv_generates RSA 9A
check "once" generated_once 9A
check "piv-tool generates a key on P-256" piv_generates EC 9C
check "a certificate of 3 kB goes to the card and comes back" certificate_fits 9A 1
check "another one, too" certificate_fits 9C 2
check "one of 3 kB goes and comes in one APDU" certificate_fits_in_one
check "pkcs11-tool signs with the RSA key, and openssl verifies" signs_rsa
check "pkcs11-tool signs with the other key, and openssl verifies" signs_ecdsa
check "pkcs11-tool deciphers what openssl has encrypted" deciphers
check "pkcs11-tool's self-test finds no error but that there are no random numbers" tests_itself
check "pkcs11-tool changes the PIN, and changes it back" changes_the_pin
check "wrong PINs block it, the PUK unblocks it" blocks_and_unblocks
check "who selects the other application must verify again" switching_forgets
check "the OpenPGP card beside it serves" answers 9000 "$select" "$get_aid"
check "yubico-piv-tool is refused, and nothing is the worse for it" refuses_an_abbreviation
check "pcscd ends" stop_pcscd
summary
