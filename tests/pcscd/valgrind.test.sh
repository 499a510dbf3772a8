#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# valgrind.test.sh - pcscd under valgrind with a key of each exchange level: what goes well, what goes wrong, unplugging.
# Nothing is read or written where it must not be, and nothing is lost.
. "$(dirname "$0")/../bus/lib.sh"
on_bus "$@"
. "$(dirname "$0")/story.sh"

impatient=IFD_NITROKEY_PATIENCE=ordinary=1s/3s # or a lost answer takes half a minute
memcheck=(valgrind "--log-file=$work/valgrind.log" --leak-check=full --errors-for-leak-kinds=definite,indirect
    --show-leak-kinds=definite,indirect --num-callers=30)

generates() {
    answers 9000 "$select" "$verify_admin" "$generate"
}

# is_right: the answer to what was asked; each model has another AID behind the application's name.
is_right() {
    local last
    last=$(send "$select" "$get_aid" | tail -n 1)
    [[ $last == *" SCARD_S_SUCCESS $get_aid D27600012401"*9000 ]] || {
        echo "$last"
        return 1
    }
}

# spoilt KEY FAULT: one answer is; the command may fail, and a later one is right.
spoilt() {
    tell "$1" answer "$2" 1 >/dev/null || return
    send "$select" >/dev/null
    wait_until 20 is_right
}

generation_is_cut_off() {
    tell "$1" generate 60 >/dev/null || return
    send "$select" "$verify_admin" "$generate" >"$work/generation" &
    wait_until 20 grep -q "^[0-9.]* SCARD_S_SUCCESS $verify_admin" "$work/generation" && unplug "$1" &&
        wait_until 10 ended $!
}

# Errors of memcheck, of which it prints the number last.
no_errors() {
    grep -q 'ERROR SUMMARY: 0 errors' "$work/valgrind.log" || {
        cat "$work/valgrind.log" >&2
        grep 'ERROR SUMMARY' "$work/valgrind.log"
        return 1
    }
}

check "pcscd starts under valgrind" start_pcscd "$impatient" "${memcheck[@]}"
for model in nitrokey-pro-2 nitrokey-start-rtm13 nitrokey-3; do
    check "$model: a key is plugged in" start_key "$model" --generate 2,wtx=0.5
    check "$model: it has a card" wait_until 30 cards_present 1
    check "$model: a key is generated" generates
    for fault in long short cut repeat; do
        check "$model: an answer is spoilt ($fault)" spoilt "$model" "$fault"
    done
    check "$model: it is unplugged while it generates" generation_is_cut_off "$model"
    check "$model: the reader is gone" wait_until 20 reader_count 0
    check "$model: it is plugged in again" plug "$model"
    check "$model: it has a card again" wait_until 30 cards_present 1
    check "$model: it serves" is_right
    check "$model: it goes" stop_key "$model"
    check "$model: its reader too" wait_until 20 reader_count 0
done
check "pcscd ends" stop_pcscd
check "valgrind has found nothing" no_errors
summary
