# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154,SC2034
# hsm.sh - what people do with OpenSC and the HSM named "key". To be sourced by bash after story.sh.

so_pin=3537363231383830 user_pin=648219
select_hsm=00A404000BE82B0601040181C31F020100
verify_user_of_hsm=0020008106363438323139

# generate_on_hsm BITS: the command that generates a key pair of RSA.
generate_on_hsm() {
    echo "0046010000003A5F29010042095554434130303030317F4915060A04007F000702020201028203010001" \
        "0202$(printf %04X "$1")5F201044454E4B3031303030303130303030310000" | tr -d ' '
}

# hsm_initializes [OPTION...]: sc-hsm-tool says in words only whether that worked.
hsm_initializes() {
    sc-hsm-tool --initialize --so-pin "$so_pin" --pin "$user_pin" "$@" >"$work/initialize" 2>&1
    cat "$work/initialize"
    ! grep -q failed "$work/initialize"
}

# hsm_says LINE: a line of what sc-hsm-tool tells of the device.
hsm_says() {
    sc-hsm-tool >"$work/told" 2>/dev/null
    grep -qx -e "$1" "$work/told" || { tr -s '\n ' ' ' <"$work/told" && return 1; }
}

# as_user ARGUMENT...: pkcs11-tool with the user's PIN.
as_user() {
    pkcs11-tool --login --pin "$user_pin" "$@"
}

# hsm_generates TYPE ID: as pkcs11-tool names them. The public key is in $work/ID.pem afterwards.
hsm_generates() {
    as_user --keypairgen --key-type "$1" --id "$2" --label "$1" && pkcs15-tool --read-public-key "$2" >"$work/$2.pem"
}

# The key pair ID signs a text, and openssl verifies it.
hsm_signs() {
    cat "$0" >"$work/text" && rm -f "$work/text.sig"
    as_user --sign --id "$1" --mechanism SHA256-RSA-PKCS --input-file "$work/text" --output-file "$work/text.sig" &&
        openssl dgst -sha256 -verify "$work/$1.pem" -signature "$work/text.sig" "$work/text"
}

hsm_signs_pss() {
    openssl dgst -sha256 -binary -out "$work/digest" "$0" && rm -f "$work/text.sig"
    as_user --sign --id "$1" --mechanism RSA-PKCS-PSS --hash-algorithm SHA256 --input-file "$work/digest" \
        --output-file "$work/text.sig" &&
        openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -verify "$work/$1.pem" \
            -signature "$work/text.sig" "$0"
}

hsm_signs_ecdsa() {
    openssl dgst -sha256 -binary -out "$work/digest" "$0" && rm -f "$work/text.sig"
    as_user --sign --id "$1" --mechanism ECDSA --signature-format openssl --input-file "$work/digest" \
        --output-file "$work/text.sig" &&
        openssl dgst -sha256 -verify "$work/$1.pem" -signature "$work/text.sig" "$0"
}

# What openssl encrypts for the key pair ID is decrypted by it.
hsm_decrypts() {
    head -c 64 /dev/urandom >"$work/secret" && rm -f "$work/opened"
    openssl pkeyutl -encrypt -pubin -inkey "$work/$1.pem" -in "$work/secret" -out "$work/sealed" &&
        as_user --decrypt --id "$1" --mechanism RSA-PKCS --input-file "$work/sealed" --output-file "$work/opened" &&
        cmp "$work/secret" "$work/opened"
}

# hsm_agrees ID CURVE: with a key of openssl's, on the same secret.
hsm_agrees() {
    rm -f "$work/agreed"
    openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$work/other.pem" &&
        openssl pkey -in "$work/other.pem" -pubout -outform DER -out "$work/other.der" &&
        openssl pkeyutl -derive -inkey "$work/other.pem" -peerkey "$work/$1.pem" -out "$work/expected" &&
        as_user --derive --id "$1" --mechanism ECDH1-DERIVE --input-file "$work/other.der" \
            --output-file "$work/agreed" &&
        cmp "$work/expected" "$work/agreed"
}

# hsm_keeps_certificate ID: one for this key, that comes back as it was written.
hsm_keeps_certificate() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/authority.pem" &&
        openssl x509 -new -force_pubkey "$work/$1.pem" -key "$work/authority.pem" -subj "/CN=Virtual Nitrokey" \
            -outform DER -out "$work/written.der" &&
        as_user --write-object "$work/written.der" --type cert --id "$1" --label certificate &&
        pkcs11-tool --read-object --type cert --id "$1" --output-file "$work/read.der" &&
        cmp "$work/written.der" "$work/read.der" &&
        pkcs15-tool --read-certificate "$1" | openssl x509 -outform DER | cmp - "$work/written.der"
}

# hsm_keeps_data LENGTH: an object that only the user may read.
hsm_keeps_data() {
    head -c "$1" /dev/urandom >"$work/data" && rm -f "$work/data.read"
    as_user --write-object "$work/data" --type data --label secret --private &&
        as_user --read-object --type data --label secret --output-file "$work/data.read" &&
        cmp "$work/data" "$work/data.read"
}

# hsm_has PATTERN: among the objects that the user sees.
hsm_has() {
    as_user --list-objects >"$work/objects" && grep -q -e "$1" "$work/objects"
}

hsm_deletes() {
    as_user --delete-object --type privkey --id "$1" && not hsm_has "ID: *$1\$"
}

# hsm_refuses_pin: a wrong one.
hsm_refuses_pin() {
    not pkcs11-tool --login --pin 999999 --list-objects
}

hsm_tests_itself() {
    as_user --test >"$work/test" 2>&1
    grep -qx 'No errors' "$work/test" || { tail -n 5 "$work/test" && return 1; }
}
