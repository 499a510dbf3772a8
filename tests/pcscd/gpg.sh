# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
# gpg.sh - what people do with gpg and the key named "key". To be sourced by bash after story.sh.

# card_edit LINE...: gpg --card-edit with these answers; what it prints is in $work/edit.
card_edit() {
    printf '%s\n' "$@" quit | gpg --command-fd 0 --status-fd 1 --card-edit >"$work/edit" 2>&1
    cat "$work/edit" >>"$work/gpg.log"
    ! grep -E '^(gpg: .*(error|failed|Bad PIN)|.*SC_OP_FAILURE)' "$work/edit"
}

status_field() {
    gpg --batch --with-colons --card-status 2>/dev/null | awk -F: -v field="$1" '$1 == field { print $2 }'
}

# What ssh needs of gpg-agent.
authenticates() {
    gpg-connect-agent 'scd serialno' "scd setdata $(printf '%064d' 1)" 'scd pkauth OPENPGP.3' /bye >"$work/auth" &&
        grep -aq '^D ' "$work/auth"
}

# passwd NUMBER: an entry of the menu "passwd" in admin mode.
passwd() {
    card_edit admin passwd "$1" Q
}

changes_user_pin() {
    echo 654321 >"$GNUPGHOME/pins/new"
    passwd 1 || return
    echo 654321 >"$GNUPGHOME/pins/user"
    signs
}

changes_admin_pin() {
    echo 87654321 >"$GNUPGHOME/pins/new"
    passwd 3 || return
    echo 87654321 >"$GNUPGHOME/pins/admin"
    card_edit admin login changed && equal "$(status_field login)" changed
}

factory_reset() {
    card_edit admin factory-reset y yes || return
    echo 123456 >"$GNUPGHOME/pins/user"
    echo 12345678 >"$GNUPGHOME/pins/admin"
    equal "$(status_field login)" "" && counters_equal key 3 0 3
}

# soft_keys ALGORITHM ALGORITHM: a key pair to sign and one to decrypt, made by gpg itself.
soft_keys() {
    local fingerprint
    gpg --batch --passphrase '' --quick-generate-key virtual@example.org "$1" sign never || return
    fingerprint=$(gpg --batch --with-colons --list-keys virtual@example.org | awk -F: '$1 == "fpr" { print $10; exit }')
    gpg --batch --passphrase '' --quick-add-key "$fingerprint" "$2" encr never
}

# import_answers: reads gpg's status lines and writes what a person who brings both keys to the card would answer.
import_answers() {
    local commands=(keytocard 'key 1' keytocard save) slot=1 mark kind question
    while read -r mark kind question _; do
        [ "$mark" = '[GNUPG:]' ] && [[ $kind == GET_* ]] || continue
        case $question in
        keyedit.prompt) echo "${commands[0]:-quit}" && commands=("${commands[@]:1}") ;;
        cardedit.genkeys.storekeytype) echo $((slot++)) ;;
        *) echo y ;;
        esac
    done
}

# imports ALGORITHM ALGORITHM: keytocard of such a signature key and such a decryption key, in a gpg home of their own.
imports() {
    local answers=$work/gpg.answers status=$work/gpg.status
    new_gpg_home && gpg --batch --card-status && soft_keys "$1" "$2" || return
    rm -f "$answers" && mkfifo "$answers" || return
    gpg --command-fd 0 --status-fd 1 --edit-key virtual@example.org <"$answers" 2>>"$work/gpg.log" | tee "$status" |
        import_answers >"$answers"
    cat "$status" >>"$work/gpg.log"
    equal "$(gpg --batch --with-colons --list-secret-keys | awk -F: '$1 ~ /^s[es][cb]/ && $15 ~ /^D276/' | wc -l)" 2
}

# is_at_work_on_one_command: for a second, which without a touch is longer than any takes here.
is_at_work_on_one_command() {
    local before
    before=$(tell key apdus) && [ "$(tell key busy)" = "ok busy" ] && sleep 1 &&
        [ "$(tell key busy)" = "ok busy" ] && equal "$(tell key apdus)" "$before"
}

# signs_when_touched: a signature that the card keeps waiting until the touch.
signs_when_touched() {
    signs &
    local signing=$!
    wait_until 10 is_at_work_on_one_command || {
        echo "it did not wait for the touch"
        return 1
    }
    tell key touch && wait "$signing"
}

# The card gets hashes for PINs from now on; it can be set up while there are no keys.
sets_up_kdf() {
    card_edit admin kdf-setup && gpg --batch --card-status | grep 'KDF setting.*on'
}
