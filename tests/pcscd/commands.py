#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""commands.py FILE... - prints each command that a page (Markdown) or a manual page (mdoc) shows, a line each."""
import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PROGRAMS = ("apt", "gpg", "gpgconf", "ifd-nitrokey", "journalctl", "man", "meson", "modprobe", "ninja",
            "opensc-tool", "pkg-config", "readers", "sudo", "systemctl", "tests", "udevadm", "usbip")


def is_command(text):
    """A program's name alone is only its name, but a program in a directory of ours is a command, and no other file is."""
    program, *arguments = text.split()[:2] or [""]
    directory = program.split("/")[0]
    if program.startswith("build-tests/tests/"):
        return True
    if "/" in program:
        path = TOP / program
        return directory in PROGRAMS and path.is_file() and os.access(path, os.X_OK)
    return program in PROGRAMS and bool(arguments) and not arguments[0].isdigit()


def shown(path, text):
    if not path.endswith(".md"):
        return re.findall(r"^\.Dl (.*)$", text, re.M) + re.findall(r"^\.Ql ((?:\w|-)+ .*)$", text, re.M)
    blocks = re.findall(r"^ {4,}(\S.*)$", text, re.M)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^ {4,}.*$", "", text, flags=re.M))
    return blocks + [" ".join(each.split()) for each in inline]


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for text in shown(path, file.read()):
                if is_command(text):
                    print(text)


if __name__ == "__main__":
    main()
