#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""trace_secrets.py PCSCD-LOG SECRET... -- TRACE... - looks for what is secret in traces.

Secret is all data that went to the card or came from it as pcscd has logged it (--apdu), but for SELECT and what a card
tells everybody of itself; and the texts SECRET, of which no four characters may be there. Says what it finds.
"""
import gzip
import re
import sys

WINDOW = 6  # bytes; in some 100 kB none of that length is there by chance
PUBLIC_OBJECTS = {0x4F, 0x6E, 0x7A, 0xC4, 0x5F52, 0x7F66, 0xFA}
NAMES = {0xC5: 60, 0xC6: 60, 0xCD: 12}  # in 6E: tag and length


def exchanges(path):
    """Pairs of command and answer."""
    command = None
    for line in open(path, errors="replace"):
        found = re.search(r" (APDU|SW): ((?:[0-9A-F]{2} )+)", line)
        if found and found[1] == "APDU":
            command = bytes.fromhex(found[2])
        elif found and command:
            yield command, bytes.fromhex(found[2])
            command = None


def names_in(template):
    """What is about the holder in application related data."""
    aid = template.find(bytes.fromhex("D27600012401"))
    if aid >= 0:
        yield template[aid + 8 : aid + 14]  # manufacturer and serial number
    for tag, length in NAMES.items():
        at = template.find(bytes([tag, length]))
        if at >= 0:
            yield template[at + 2 : at + 2 + length]


def classify(path):
    """All that is secret, and all that is public, in pieces."""
    secret, public = [], []
    for command, answer in exchanges(path):
        if command[1] == 0xA4:
            public.append(command)
        elif command[1] == 0xCA and (command[2] << 8 | command[3]) in PUBLIC_OBJECTS:
            names = list(names_in(answer))
            secret += names
            for name in names:
                answer = answer.replace(name, bytes(len(name)))
            public.append(answer)
        elif command[:4] == bytes.fromhex("00CA0065"):
            pass  # what is in it has been written before, by a command that is secret
        else:
            secret += [command[5:], answer[:-2]]
    return secret, public


def windows(data, size):
    return {data[i : i + size] for i in range(len(data) - size + 1)}


def main():
    log, arguments = sys.argv[1], sys.argv[2:]
    texts, traces = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    secret, public = classify(log)
    wanted = set().union(*(windows(piece, WINDOW) for piece in secret))
    wanted -= set().union(*(windows(piece, WINDOW) for piece in public))
    wanted |= set().union(*(windows(text.encode(), 4) for text in texts))
    # zeros are no secret, and two bytes before them may be a time in the trace: its records have zeros, too
    wanted = {window for window in wanted if len(set(window)) > 2 and window.count(0) < 4}
    found = 0
    for trace in traces:
        content = gzip.open(trace).read()
        for window in wanted & (windows(content, WINDOW) | windows(content, 4)):
            found += 1
            print(f"{window.hex()} is in {trace} at {content.find(window)}")
    print(f"{len(wanted)} secret windows looked for, {found} found")
    sys.exit(found > 0 or len(wanted) < 100)


main()
