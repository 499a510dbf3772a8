#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# opensc.test.sh - OpenSC as Debian ships it: sees the reader, generates a key that takes its time, and signs with it.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

lists_the_reader() {
    opensc-tool --list-readers | grep -q 'Yes.*Nitrokey Nitrokey Pro'
}

knows_the_card() {
    equal "$(opensc-tool --name)" "OpenPGP card v3.4 (0005 12345678)"
}

sends_extended_apdus() {
    opensc-tool --send-apdu "$select" --send-apdu 00:CA:00:6E:00:00:00 | grep -q 'SW1=0x90, SW2=0x00'
}

generates() {
    openpgp-tool --verify CHV3 --pin 12345678 --gen-key 1 --key-type rsa2048
}

signs() {
    sed 's/x/y/' "$0" >"$work/text"
    pkcs15-tool --read-public-key 1 >"$work/public.pem" &&
        pkcs11-tool --slot 1 --login --pin 123456 --sign --id 01 --mechanism SHA256-RSA-PKCS --input-file "$work/text" \
            --output-file "$work/text.sig" &&
        openssl dgst -sha256 -verify "$work/public.pem" -signature "$work/text.sig" "$work/text"
}

check "a key is there" start_key key --generate 20,silent=20
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
expect "opensc-tool lists the reader" lists_the_reader
expect "opensc-tool knows the card" knows_the_card
expect "opensc-tool sends extended APDUs" sends_extended_apdus
check "openpgp-tool generates a key, 20 s without any sign of life" generates
check "pkcs11-tool signs with it, and openssl verifies" signs
expect "no PIN try was lost" counters_equal key 3 0 3
check "pcscd ends" stop_pcscd
summary
