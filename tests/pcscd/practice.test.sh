#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# practice.test.sh - what a key is for: ssh, gpg, gpgsm and OpenSSL use the keys on one card, at the same time.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"
. "$(dirname "$0")/gpg.sh"
module=$(pkg-config --variable=libdir libpcsclite)/opensc-pkcs11.so
unset DISPLAY

# As README recommends for other programs beside scdaemon.
shared_gpg_home() {
    new_gpg_home && echo pcsc-shared >>"$GNUPGHOME/scdaemon.conf"
}

# ---- ssh: its agent has the keys by PKCS#11 ----

# An account of this namespace, with a home of its own, that may be logged in to with the authentication key.
new_account() {
    printf '#!/bin/sh\necho 123456\n' >"$work/askpass" && chmod 755 "$work/askpass" &&
        mkdir -p -m 700 "$work/home/.ssh" &&
        printf '%s:/bin/sh\n' "root:x:0:0::$work/home" "virtual:x:1000:1000::$work/home" >"$work/passwd" &&
        mount --bind "$work/passwd" /etc/passwd &&
        ssh-keygen -D "$module" >"$work/keys" && grep 'Authentication key' "$work/keys" >"$work/key.pub" &&
        cp "$work/key.pub" "$work/home/.ssh/authorized_keys"
}

agent_takes_the_keys() {
    eval "$(ssh-agent -a "$work/agent")" && SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force ssh-add -s "$module" &&
        ssh-add -L | grep -qF "$(cut -d ' ' -f 2 "$work/key.pub")"
}

agent_signs() {
    ssh-add -T "$work/key.pub"
}

# As an ordinary user, who need not become another one when somebody logs in.
start_server() {
    ip link set lo up && dropbearkey -t ed25519 -f "$work/host_key" || return
    unshare --user --map-user=1000 --map-group=1000 dropbear -F -E -s -p 127.0.0.1:2222 -P "$work/dropbear.pid" \
        -r "$work/host_key" >"$work/sshd.log" 2>&1 &
    wait_until 10 grep 'Not backgrounding' "$work/sshd.log"
}

# No other key is offered to the server, and no password.
logs_in() {
    equal "$(ssh -F none -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile="$work/hosts" -o BatchMode=yes \
        -o IdentitiesOnly=yes -i "$work/key.pub" virtual@127.0.0.1 'echo came in' 2>"$work/ssh.log")" "came in" || {
        tail -n 3 "$work/sshd.log" "$work/ssh.log"
        return 1
    }
}

# Each leaves the card to the other between two commands.
take_turns() {
    for _ in 1 2 3; do
        signs && agent_signs && decrypts && logs_in || return
    done
}

at_the_same_time() {
    local other
    for _ in 1 2 3 4 5; do agent_signs || exit 1; done >"$work/turns" 2>&1 &
    other=$!
    for _ in 1 2 3 4 5; do signs || return; done
    wait "$other" || { cat "$work/turns" && return 1; }
}

# ---- OpenSSL, by the engine of libp11 ----

openssl_signs() {
    local key='pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id=%03;type=private;pin-value=123456'
    pkcs11-tool --module "$module" --read-object --type pubkey --id 03 --output-file "$work/auth.der" &&
        PKCS11_MODULE_PATH=$module openssl dgst -engine pkcs11 -keyform engine -sign "$key" -sha256 \
            -out "$work/text.sig" "$0" &&
        openssl dgst -keyform DER -sha256 -verify "$work/auth.der" -signature "$work/text.sig" "$0"
}

# ---- gpgsm ----

gpgsm_makes_a_certificate() {
    printf '%s\n' 'Key-Type: card:OPENPGP.3' 'Key-Usage: sign' 'Name-DN: CN=virtual' 'Serial: random' \
        >"$work/parameters"
    gpgsm --batch --gen-key --output "$work/certificate.der" "$work/parameters" &&
        openssl x509 -inform DER -in "$work/certificate.der" -noout -subject
}

# Of an OpenPGP card, gpgsm does not learn it by itself.
certificate_travels() {
    rm -f "$work/back"
    card_edit admin "writecert 3 < $work/certificate.der" && card_edit admin "readcert 3 > $work/back" &&
        cmp "$work/back" "$work/certificate.der" && gpgsm --batch --import "$work/back" &&
        gpgsm --batch --list-secret-keys | grep 'Subject: /CN=virtual'
}

gpgsm_signs() {
    local fingerprint
    fingerprint=$(openssl x509 -inform DER -in "$work/certificate.der" -noout -fingerprint -sha1) &&
        echo "${fingerprint#*=} S relax" >"$GNUPGHOME/trustlist.txt" && gpgconf --reload gpg-agent || return
    rm -f "$work/text.p7s"
    gpgsm --batch --disable-crl-checks --detach-sign --local-user CN=virtual --output "$work/text.p7s" "$0" &&
        gpgsm --batch --disable-crl-checks --verify "$work/text.p7s" "$0" || return
    sed 's/x/y/' "$0" >"$work/text"
    not gpgsm --batch --disable-crl-checks --verify "$work/text.p7s" "$work/text"
}

check "a key is there" start_key key --generate 0.5 --sign 0.1
check "pcscd starts" start_pcscd
check "it has a card" wait_until 10 cards_present 1
check "gpg shares the card" shared_gpg_home
check "gpg generates three keys" gpg_generate_on_card
check "ssh-keygen reads their public keys" new_account
check "ssh-agent takes the keys" agent_takes_the_keys
check "ssh-agent signs" agent_signs
check "a server is there" start_server
check "ssh logs in with it" logs_in
check "gpg and ssh take turns" take_turns
check "gpg and ssh at the same time" at_the_same_time
check "OpenSSL signs by PKCS#11" openssl_signs
check "gpgsm makes a certificate of a key on the card" gpgsm_makes_a_certificate
check "gpg writes it to the card, and gpgsm takes it from there" certificate_travels
check "gpgsm signs with it" gpgsm_signs
check "ssh logs in nevertheless" logs_in
check "ssh-agent ends" ssh-agent -k
check "pcscd ends" stop_pcscd
summary
