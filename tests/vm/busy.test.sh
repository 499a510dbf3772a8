#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# busy.test.sh - GnuPG's own driver holds the key: the reader is there without a card, and gets it when that has let go.
. "$(dirname "$0")/lib.sh" || exit

scdaemon_takes_it() {
    export GNUPGHOME=$work/gnupg
    mkdir -m 700 "$GNUPGHOME"
    coproc SCDAEMON { /usr/lib/gnupg/scdaemon --server --homedir "$GNUPGHOME" 2>"$work/scdaemon"; }
    echo "SERIALNO" >&"${SCDAEMON[1]}"
    local line
    while read -r -t 30 line <&"${SCDAEMON[0]}"; do
        [[ $line != "S SERIALNO "* ]] || return 0
    done
    return 1
}

check "a key is plugged in" start_key key
others_send[key]=scdaemon
check "scdaemon takes it by itself" scdaemon_takes_it
check "pcscd starts" start_pcscd
check "the reader is there" wait_until 30 reader_count 1
check "without a card" cards_present 0
check "the log says what to do" logged 'disable-ccid into ~/.gnupg/scdaemon.conf'
kill "$SCDAEMON_PID"
check "when scdaemon has ended, the card is there" wait_until 30 cards_present 1
check "and serves" serves
check "pcscd ends" stop_pcscd
summary
