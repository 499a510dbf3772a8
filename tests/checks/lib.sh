# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh - what the checks of the code as such have in common. To be sourced by bash.

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

passed=0 failed=0 skipped=0

# verdict STATUS NAME [LOG]: prints "ok NAME" or "not ok NAME"; a failure shows the log's end.
verdict() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok $2"
    else
        failed=$((failed + 1))
        echo "not ok $2"
        [ -z "${3:-}" ] || tail -n 40 "$3" >&2
    fi
    return "$1"
}

# skip NAME WHY
skip() {
    skipped=$((skipped + 1))
    echo "ok $1 # SKIP $2"
}

# summary: the last line of a check, and its end.
summary() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}

# unpack ARCHITECTURE DIRECTORY PACKAGE...: Debian's packages of any architecture into a directory, without installing
# them and without what they depend on. Needs no root.
unpack() {
    local architecture=$1 directory=$2 apt=$2.apt options package
    shift 2
    [ "$(cat "$directory/.complete" 2>/dev/null)" != "$*" ] || return 0
    mkdir -p "$directory" "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    options=(-qq -o "Dir::State=$apt/state" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache"
        -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture")
    apt-get "${options[@]}" update || say "some of apt's lists are missing or old"
    (cd "$apt" && apt-get "${options[@]}" download "$@") || return
    for package in "$apt"/*.deb; do
        dpkg-deb -x "$package" "$directory" || return
    done
    echo "$*" >"$directory/.complete"
}
