#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""seeds.py - the inputs that the fuzzers begin with, as lines of hexadecimal.

  seeds.py generate FILE           writes each action of hostile_device.c at each step of a session, for each kind of key
  seeds.py unpack DIRECTORY FILE...  writes each line of the files to a file of its own, as fuzzers want them
  seeds.py pack FILE DIRECTORY...  the other way round
"""
import pathlib
import sys

MODELS = (0, 2, 3, 5, 8, 9, 12, 14, 15, 17)
STEPS = 5
# One or two of each action, with its operands, as hostile_device.c reads them.
ACTIONS = (
    "0206 020b 03030500 0304ff01 0404012000 0503800000 06029000 07010600 070205010081 088000 089000 088200 08c30105 08c10110"
    " 08c200 08e000 0800029000 0840029000 082003010203 090002900055 0a05 0a0b 0b 0c 0d 0e 0f 1000 11400080 12020206 1301 13ff"
    " 1440fe 144100 148001 1501 1510 176110 176c10 18ff00 19 1a e0 e1 e207 e307 c0 c20b"
    " e200e0 e200e1 e200e207 e200e200e1"  # at the second packet of a message, and at the third
).split()


def generated():
    for model in MODELS:
        for flags in ("00", "01", "0201002800"):
            yield f"{model:02x}07{flags}"
        for step in range(STEPS):
            for action in ACTIONS:
                yield f"{model:02x}0700" + "00" * step + action


def unpack(directory, files):
    directory.mkdir(parents=True, exist_ok=True)
    lines = [line for file in files for line in pathlib.Path(file).read_text().splitlines()]
    for number, line in enumerate(lines):
        (directory / f"{number:05}").write_bytes(bytes.fromhex(line))


def pack(file, directories):
    inputs = {path.read_bytes() for directory in directories for path in pathlib.Path(directory).iterdir()}
    file.write_text("".join(data.hex() + "\n" for data in sorted(inputs, key=lambda d: (len(d), d))))


def main():
    command, target, *rest = sys.argv[1:]
    target = pathlib.Path(target)
    if command == "generate":
        target.write_text("".join(line + "\n" for line in generated()))
    elif command == "unpack":
        unpack(target, rest)
    else:
        pack(target, rest)


if __name__ == "__main__":
    main()
