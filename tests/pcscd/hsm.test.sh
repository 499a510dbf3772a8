#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hsm.test.sh - OpenSC and a Nitrokey HSM 2: it is initialised in a silence of 40 s, makes keys, uses and moves them.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/hsm.sh"
model=nitrokey-hsm-2
tries_left[key]="3 0 15"

# ---- steps ----

gives_random_numbers() {
    equal "$(pkcs11-tool --generate-random 512 2>/dev/null | wc -c)" 512
}

# hsm_counts USER-TRIES SO-TRIES
hsm_counts() {
    counters_equal key "$1" 0 "$2"
}

counts_wrong_pin() {
    hsm_refuses_pin && hsm_counts 2 15 && hsm_says 'User PIN tries left  : 2' && hsm_has RSA && hsm_counts 3 15
}

changes_pin() {
    as_user --change-pin --new-pin 1234567890 && user_pin=1234567890 && hsm_has RSA
}

blocks_after_three_wrong_pins() {
    hsm_refuses_pin && hsm_refuses_pin && hsm_refuses_pin && hsm_counts 0 15 && hsm_says 'User PIN locked' &&
        not hsm_has RSA
}

unblocks_with_so_pin() {
    pkcs11-tool --login --login-type so --so-pin "$so_pin" --init-pin --new-pin 765432 && user_pin=765432 && hsm_has RSA
}

changes_so_pin() {
    pkcs11-tool --login --login-type so --so-pin "$so_pin" --change-pin --new-pin 0123456789ABCDEF &&
        so_pin=0123456789ABCDEF
}

# Another SO-PIN, and all is as it was.
refuses_to_initialize() {
    local so_pin=FEDCBA9876543210
    not hsm_initializes && grep 'PIN code or key incorrect' "$work/initialize" && hsm_counts 3 14
}

# A share, 00 01 ... 1F, as sc-hsm-tool --create-dkek-share writes one. To make it takes as long as to bring it to the
# device: ten million times MD5 of the password.
share=U2FsdGVkX192aXJ0dWFsIYvZSWKAUkEjzpvyqIJeVWMKqIBmUmgkdt6Z0q6hx1MenS+7HxoYn6F7DXgzBmnGlQ==

# The second one comes without sc-hsm-tool. The check value is the beginning of SHA-256 of one added to the other.
brings_dkek() {
    hsm_says 'DKEK import pending, 2 share(s) still missing' && base64 --decode <<<"$share" >"$work/share" &&
        sc-hsm-tool --import-dkek-share "$work/share" --password "a long one" | grep '1 share(s) still missing' &&
        answers 9000 "$select_hsm" 8052000020030A11181F262D343B424950575E656C737A81888F969DA4ABB2B9C0C7CED5DC00 &&
        hsm_says 'DKEK key check value : A8B95B52EE84D895'
}

# moves_key REFERENCE ID: the key leaves its place wrapped, and comes back as another one.
moves_key() {
    sc-hsm-tool --wrap-key "$work/wrapped" --key-reference "$1" --pin "$user_pin" && hsm_deletes "$2" &&
        sc-hsm-tool --unwrap-key "$work/wrapped" --key-reference 77 --pin "$user_pin" && hsm_signs "$2"
}

refuses_changed_blob() {
    printf '\xff' | dd of="$work/wrapped" bs=1 seek=100 conv=notrunc 2>/dev/null
    sc-hsm-tool --unwrap-key "$work/wrapped" --key-reference 78 --pin "$user_pin" --force 2>&1 |
        grep 'Wrapped key does not match DKEK'
}

erases_all() {
    tell key reset 1 && hsm_initializes && not hsm_has 'Private Key' && hsm_counts 3 15
}

# ---- the story ----

check "a key is there" start_key key --sign 0.1 --generate 2,silent=1 --generate 25,silent=25 --generate 2
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "opensc-tool knows it" eval 'equal "$(opensc-tool --name 2>/dev/null)" "SmartCard-HSM version 3.4"'
check "it was never initialised" hsm_says 'SmartCard-HSM has never been initialized.*'
check "sc-hsm-tool initialises it, 40 s without any sign of life" hsm_initializes --dkek-shares 2 --label virtual
check "it has its PINs" hsm_says 'SO-PIN tries left    : 15'
check "both shares of the DKEK are brought to it" brings_dkek
check "pkcs11-tool generates a key pair RSA 2048" hsm_generates rsa:2048 10
check "RSA 4096, 25 s without any sign of life" hsm_generates rsa:4096 11
check "RSA 3072" hsm_generates rsa:3072 12
for curve in prime256v1 secp384r1 secp521r1 brainpoolP256r1 brainpoolP512r1; do
    check "EC $curve" hsm_generates "EC:$curve" $((20 + i++))
done
for id in 10 11 12; do
    expect "key $id signs, openssl verifies" hsm_signs $id
    expect "key $id signs by PSS" hsm_signs_pss $id
    expect "key $id decrypts what openssl encrypted" hsm_decrypts $id
done
for id in 20 21 22 23 24; do
    expect "key $id signs by ECDSA" hsm_signs_ecdsa $id
done
expect "key 20 agrees on a secret with openssl" hsm_agrees 20 prime256v1
expect "key 23 agrees on a secret with openssl" hsm_agrees 23 brainpoolP256r1
expect "it gives random numbers" gives_random_numbers
check "pkcs11-tool's whole test passes" hsm_tests_itself
check "a certificate comes back as it was written" hsm_keeps_certificate 10
check "3000 bytes come back as they were written" hsm_keeps_data 3000
check "a key is wrapped, deleted, unwrapped, and signs" moves_key 1 10
check "a wrapped key that was changed is refused" refuses_changed_blob
check "a key is deleted" hsm_deletes 12
check "a wrong PIN costs one try, the right one gives it back" counts_wrong_pin
check "the PIN is changed" changes_pin
check "three wrong PINs block it" blocks_after_three_wrong_pins
check "the SO-PIN unblocks it" unblocks_with_so_pin
check "the SO-PIN is changed" changes_so_pin
check "a wrong SO-PIN costs one try, and nothing is lost" refuses_to_initialize
expect "the keys are still there" hsm_signs 11
check "the right one erases all" erases_all
check "pcscd ends" stop_pcscd
summary
