#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# steps.test.sh - what lib.sh makes of a scenario's checks: the first step that fails ends it, with what that has printed
# and the sum; what nothing rests on does not end it.
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

# A scenario of its own.
write_scenario() {
    printf '. %q\nwork=%q BUILD=%q scenario=\nmkdir "$work"\n' "$here/lib.sh" "$work/inner" "$work/build" && cat <<'END'
fails() {
    printf '%s\n' first last && return 1
}
echo pcscd is at work >"$work/pcscd.log"
check "a step succeeds" true
expect "nothing rests on this" fails
skip "this" "it cannot be tried"
check "so this is tried" true
check "a step fails" fails
check "so this is not tried" touch "$work/tried"
summary
END
}

runs_and_fails() {
    bash "$work/story.test.sh" >"$work/log" 2>"$work/errors"
    equal $? 1
}

prints() {
    diff "$work/log" - <<'END'
ok a step succeeds
not ok nothing rests on this: last
ok this # SKIP it cannot be tried
ok so this is tried
not ok a step fails: last
# what follows is not run
2 passed, 2 failed, 1 skipped
END
}

shows_the_logs() {
    grep -x 'pcscd is at work' "$work/errors" && test -e "$work/build/failed/story/pcscd.log" &&
        tail -n 3 "$work/errors" | diff - <(printf '%s\n' first last "all of it is in $work/build/failed/story")
}

write_scenario >"$work/story.test.sh"
check "a scenario with a step that fails ends with a failure" runs_and_fails
expect "it prints each check up to that step, and the sum" prints
expect "it shows the logs, last what the step has printed, and keeps them" shows_the_logs
expect "what follows is not tried" not test -e "$work/inner/tried"
finish
