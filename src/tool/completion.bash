# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# completion.bash - bash completes the verbs of ifd-nitrokey, their options, and the ports of the keys plugged in.

_ifd_nitrokey() {
    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} verbs="list doctor describe watch" words="--json --help"
    COMPREPLY=()
    case $COMP_CWORD:$verb in
    1:*) words="$verbs --help --version" ;;
    *:list | *:doctor) ;;
    *:watch) words+=" --once --directory" ;;
    *:describe) words+=" $(ifd-nitrokey list --json 2>/dev/null | grep -o '"port":"[^"]*' | cut -d '"' -f 4)" ;;
    *) return ;;
    esac
    if [ "${COMP_WORDS[COMP_CWORD - 1]}" = --directory ]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}
complete -F _ifd_nitrokey ifd-nitrokey
