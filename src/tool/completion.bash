# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# completion.bash - bash completes the verbs of ifd-nitrokey and their options, as --help tells them, and ports and files.

_ifd_nitrokey() {
    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words
    [ "$COMP_CWORD" -gt 1 ] || verb=
    words=$(ifd-nitrokey ${verb:+"$verb"} --help 2>/dev/null | sed -nE 's/^  ([a-z]+|--[a-z]+) .*/\1/p')
    [ "$verb" != describe ] || words+=" $(ifd-nitrokey list --json 2>/dev/null | grep -o '"port":"[^"]*' | cut -d '"' -f 4)"
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _ifd_nitrokey ifd-nitrokey
