# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
# card.sh - what any PC/SC client does with the key named "key", of any model. To be sourced by bash after story.sh.

# alone COMMAND...: without gpg, whose scdaemon holds the card.
alone() {
    stop_gpg && "$@"
}

has_its_name() {
    opensc-tool --list-readers | grep -E "Yes +$(described name) "
}

has_its_atr() {
    equal "$(opensc-tool --atr 2>/dev/null | tr -d : | tr a-f A-F)" "$(described atr | tr -d ' ')"
}

# content LENGTH: so many random bytes.
content() {
    head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n' | tr a-f A-F
}

# put_certificate CONTENT: an extended APDU.
put_certificate() {
    printf '00DA7F2100%04X%s' $((${#1} / 2)) "$1"
}

get_certificate=00CA7F21000000

# long_way LENGTH: a certificate of that size goes to the card and comes back, in an extended APDU each way.
long_way() {
    local sent answer
    sent=$(content "$1")
    answer=$("$apdu" "$select" "$verify_admin" "$(put_certificate "$sent")" "$get_certificate" | tail -n 1)
    [[ $answer == *" ${sent}9000" ]] || { echo "${answer: -60}" && return 1; }
}

# answer_to APDU...: the last answer.
answer_to() {
    "$apdu" "$@" | awk 'END { print $4 }'
}

# is_sent APDU: the model's firmware takes as many bytes.
is_sent() {
    local most
    most=$(described max_command)
    [ $((${#1} / 2)) -le "${most:-65544}" ]
}

# is_not_sent APDU: the driver refuses it at once, and the card executes nothing.
is_not_sent() {
    local executed
    executed=$(wc -l <"$work/key/apdus")
    took_at_most 1 refused_by_driver "$1" && equal "$(wc -l <"$work/key/apdus")" "$executed"
}

refused_by_driver() {
    [[ $("$apdu" "$1" | tail -n 1) == *" SCARD_E_"* ]]
}

# is_refused APDU: it reaches the card, which refuses it.
is_refused() {
    equal "$(answer_to "$select" "$verify_admin" "$1")" 6700 || return
    grep -qF " $1 6700 " "$work/key/apdus" || { echo "the card has not got it" && return 1; }
}

# too_long LENGTH: a certificate of that size is refused, by the card or, if its firmware cannot take as much, by the
# driver; and the card keeps the one that it has.
too_long() {
    local before sent
    before=$(answer_to "$select" "$get_certificate")
    sent=$(put_certificate "$(content "$1")")
    if is_sent "$sent"; then is_refused "$sent"; else is_not_sent "$sent"; fi || return
    [ "$(answer_to "$select" "$get_certificate")" = "$before" ] || {
        echo "the certificate is another one"
        return 1
    }
}

# pin_after_reconnect STATUS-WORD STEP: what the card says of the PIN that was verified before this step of apdu.
pin_after_reconnect() {
    answers "$1" "$select" "$verify_user" "$2" "$select" "$is_verified"
}

# pin_after_disconnect STATUS-WORD ACTION: the same after another client, OpenSC, has gone, with this disconnect_action.
pin_after_disconnect() {
    echo "app default { reader_driver pcsc { disconnect_action = $2; } }" >"$work/opensc.conf"
    OPENSC_CONF=$work/opensc.conf opensc-tool --card-driver default --send-apdu "$select" --send-apdu "$verify_user" &&
        answers "$1" "$select" "$is_verified"
}
