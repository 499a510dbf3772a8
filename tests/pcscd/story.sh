# SPDX-License-Identifier: LGPL-2.1-or-later
# story.sh - what the scenarios with our driver have in common. To be sourced by bash after on_bus.

select=00A4040006D27600012401
verify_admin=00200083083132333435363738
verify_user=0020008106313233343536
is_verified=00200081
verify_user_wrong=0020008106393939393939
generate=00478000000002B6000000
read_key=00478100000002B6000000
get_aid=00CA004F00
aid=D27600012401030400051234567800009000 # and the status word
sign=002A9E9A0000333031300D060960864801650304020105000420$(printf '%064d' 7)0000

# send APDU...: all in one connection, printed as apdu does, and remembered before.
send() {
    "$apdu" "$@"
}

# answers STATUS-WORD APDU...: all calls succeed, and the last answer ends so.
answers() {
    local expected=$1 last
    shift
    last=$(send "$@" | tail -n 1)
    [[ $last == *" SCARD_S_SUCCESS "*"$expected" ]] || {
        echo "$last instead of $expected"
        return 1
    }
}

# opensc_uses DRIVER: of two applications on a card OpenSC takes the one that it tries first, PIV before OpenPGP. From now
# on it tries this one, by its name in opensc.conf.
opensc_uses() {
    echo "app default { card_drivers = $1; }" >"$work/opensc-$1.conf"
    export OPENSC_CONF=$work/opensc-$1.conf
}

# serves: the key answers, and what it answers is the answer to what was asked.
serves() {
    answers " $aid" "$select" "$get_aid"
}

# once_and_in_order KEY USER-TRIES: what must hold after each story.
once_and_in_order() {
    executed_once "$1" && counters_equal "$1" "$2" 0 3
}

# took_at_most SECONDS COMMAND...
took_at_most() {
    local limit=$1 begun=${EPOCHREALTIME/[.,]/} took
    shift
    "$@" || return
    took=$((${EPOCHREALTIME/[.,]/} - begun))
    [ "$took" -le $((limit * 1000000)) ] || {
        echo "it took $((took / 1000)) ms"
        return 1
    }
}

# logged PATTERN: pcscd's log has such a line.
logged() {
    grep -q -e "$1" "$work/pcscd.log" || {
        echo "there is no line with \"$1\" in pcscd's log"
        return 1
    }
}

# signs: gpg signs with the key on the card, and the signature verifies.
signs() {
    gpg --batch --yes --output "$work/text.sig" --detach-sign "$0" && gpg --batch --verify "$work/text.sig" "$0"
}

# decrypts: what is encrypted for the key on the card is decrypted by it.
decrypts() {
    gpg --batch --yes --trust-model always --recipient virtual@example.org --output "$work/secret.gpg" --encrypt "$0" &&
        gpg --batch --quiet --decrypt "$work/secret.gpg" | cmp - "$0"
}

# start_program: a program with one connection, which takes steps as they come and connects anew after one that failed.
start_program() {
    rm -f "$work/steps" "$work/answers" # of the last one, which may not have ended yet
    mkfifo "$work/steps" && touch "$work/answers" || return
    "$apdu" --reconnect - <"$work/steps" >>"$work/answers" &
    exec 3>"$work/steps"
}

end_program() {
    exec 3>&-
}

has_taken() {
    [ "$(grep -c -e " $1" "$work/answers")" -ge "$2" ]
}

# step STEP: the program takes it; prints the line of its answer.
step() {
    local times
    times=$(grep -c -e " $1" "$work/answers")
    echo "$1" >&3
    wait_until 30 has_taken "$1" $((times + 1)) && grep -e " $1" "$work/answers" | tail -n 1
}

# is_answered PATTERN STEP
is_answered() {
    local line
    line=$(step "$2")
    # shellcheck disable=SC2053
    [[ $line == $1 ]] || {
        echo "$line"
        return 1
    }
}
