#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sends APDUs through GnuPG's own CCID driver in scdaemon, without pcscd, and prints what apdu prints.

    scd_apdu.py SHIM STEP...      SHIM is preloaded into scdaemon; a STEP is an APDU in hexadecimal, or - for steps on
                                  standard input

Each step prints a line SECONDS CODE STEP RESULT; CODE is SCARD_S_SUCCESS or scdaemon's error. Exit status 0: all succeeded.
"""
import os
import subprocess
import sys
import time
from urllib.parse import unquote_to_bytes


class Scdaemon:
    def __init__(self, shim):
        self.process = subprocess.Popen(
            ["/usr/lib/gnupg/scdaemon", "--server", "--homedir", os.environ["GNUPGHOME"]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "LD_PRELOAD": shim})
        self.answer()

    def answer(self):
        """The data of an Assuan answer, and its last line."""
        data = b""
        while True:
            line = self.process.stdout.readline().rstrip(b"\n")
            if line.startswith(b"D "):
                data += unquote_to_bytes(line[2:])
            elif not line.startswith((b"S ", b"#")):
                return data, line.decode("ascii", "replace")

    def ask(self, command):
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return b"", "scdaemon has ended"
        return self.answer()


def steps(arguments):
    for argument in arguments:
        if argument != "-":
            yield argument
            continue
        for line in sys.stdin:
            yield from line.split()


def main():
    scdaemon = Scdaemon(sys.argv[1])
    begun, failed, connected = time.monotonic(), False, False
    for step in steps(sys.argv[2:]):
        data, last = b"", "OK"
        if not connected:
            data, last = scdaemon.ask("SERIALNO undefined")
            connected = last.startswith("OK")
        if connected:
            data, last = scdaemon.ask("APDU --exlen=8192 " + step)
        good = last.startswith("OK")
        connected = connected and good
        failed = failed or not good
        code = "SCARD_S_SUCCESS" if good else last.replace(" ", "_") or "END"
        print(f"{time.monotonic() - begun:.3f} {code} {step} {data.hex().upper() or '-'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
