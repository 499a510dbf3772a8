# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154,SC2034
# piv.sh - what people do with OpenSC and the PIV card of the Nitrokey 3 named "key". To be sourced by bash after
# story.sh.

select_piv=00A404000BA00000030800001000010000
verify_user_of_piv=0020008008313233343536FFFF
wrong_pin_of_piv=0020008008393939393939FFFF
is_verified_by_piv=00200080

# as_administrator OPTION...: piv-tool with the management key that the card leaves the factory with.
as_administrator() {
    echo 01:02:03:04:05:06:07:08:01:02:03:04:05:06:07:08:01:02:03:04:05:06:07:08 >"$work/management"
    PIV_EXT_AUTH_KEY=$work/management piv-tool --admin M:9B:03 "$@"
}

# answer_in_log APDU: what the card has answered to it at last, put together from its parts, without status words.
answer_in_log() {
    sed -nE 's/.* (APDU|SW): /\1 /p' "$work/pcscd.log" | tr -d ' ' | awk -v wanted="APDU$1" '
        /^APDU/ { on = $0 == wanted || (on && /^APDU00C0/); if ($0 == wanted) answer = "" }
        /^SW/ && on { answer = answer substr($0, 3, length($0) - 6) }
        END { print answer }'
}

# piv_public_key RSA | EC REFERENCE: in PEM, from the answer to its generation.
piv_public_key() {
    local answer
    case $1 in
    RSA)
        answer=$(answer_in_log "004700${2}05AC0380010700")
        answer=30820122300D06092A864886F70D01010105000382010F003082010A0282010100${answer:18:512}0203010001
        ;;
    EC)
        answer=$(answer_in_log "004700${2}05AC0380011100")
        answer=3059301306072A8648CE3D020106082A8648CE3D030107034200${answer:10}
        ;;
    esac
    printf '%b' "$(sed 's/../\\x&/g' <<<"$answer")" | openssl pkey -pubin -inform DER
}

# opensc_is VERSION: this one, or a later one.
opensc_is() {
    is_at_least "$1" "$(opensc-tool --info | sed -nE '1s/^OpenSC ([0-9.]+).*/\1/p')"
}

# piv_generates RSA | EC REFERENCE: the public key is in $work/REFERENCE.pem afterwards. From 0.26 on piv-tool writes the
# same one; before, it cannot write what it has got.
piv_generates() {
    local algorithm=07 written=0
    [ "$1" = RSA ] || algorithm=11
    as_administrator --genkey "$2:$algorithm" --out "$work/$2.written" || written=1
    piv_public_key "$1" "$2" >"$work/$2.pem" || return
    if opensc_is 0.26; then
        equal "$(openssl pkey -pubin -in "$work/$2.written")" "$(<"$work/$2.pem")"
    else
        equal "$written" 1
    fi
}

# piv_certificate REFERENCE CHARACTERS: a certificate of its key in $work/REFERENCE.der, longer by so many characters.
piv_certificate() {
    [ -e "$work/ca.key" ] || openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=issuer -keyout "$work/ca.key" \
        -out "$work/ca.pem" || return
    echo "nsComment=$(content "$(($2 / 2))")" >"$work/extensions"
    openssl req -new -key "$work/ca.key" -subj "/CN=virtual $1" | openssl x509 -req -days 3650 -CA "$work/ca.pem" \
        -CAkey "$work/ca.key" -CAcreateserial -force_pubkey "$work/$1.pem" -extfile "$work/extensions" \
        -out "$work/$1.crt" && openssl x509 -in "$work/$1.crt" -outform DER -out "$work/$1.der"
}
