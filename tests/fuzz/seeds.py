#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""seeds.py - writes what the fuzzers begin with: seeds.py TARGET DIRECTORY

The inputs are tests/fuzz/corpus/TARGET.hex, one a line, and for the whole driver also each action of hostile_device.c at
each step of a session with each kind of model.
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
MODELS = (0, 2, 3, 5, 8, 9, 12, 14, 15, 17)
# One of each action, with its operands, as hostile_device.c reads them.
ACTIONS = (
    b"\x02\x06", b"\x02\x0b", b"\x03\x03\x05\x00", b"\x03\x04\xff\x01", b"\x04\x04\x01\x20\x00", b"\x05\x03\x80\x00\x00",
    b"\x06\x02\x90\x00", b"\x07\x01\x06\x00", b"\x07\x02\x05\x01\x00\x81", b"\x08\x80\x00", b"\x08\x90\x00",
    b"\x08\x82\x00", b"\x08\xc3\x01\x05\x00", b"\x08\xc1\x01\x10\x00", b"\x08\xc2\x00\x00", b"\x08\xe0\x00",
    b"\x08\x00\x02\x90\x00", b"\x08\x40\x02\x90\x00", b"\x08\x20\x03\x01\x02\x03", b"\x09\x00\x02\x90\x00\x55", b"\x0a\x05",
    b"\x0a\x0b", b"\x0b", b"\x0c", b"\x0d", b"\x0e", b"\x0f", b"\x10\x00", b"\x11\x40\x00\x80", b"\x12\x02\x02\x06",
    b"\x13\x01", b"\x13\xff", b"\x14\x40\xfe", b"\x14\x41\x00", b"\x14\x80\x01", b"\x15\x01", b"\x15\x10",
    b"\x17\x61\x10", b"\x17\x6c\x10", b"\x18\xff\x00", b"\x19", b"\xe0", b"\xe1", b"\xe2\x07", b"\xe3\x07", b"\xc0", b"\xc2\x0b",
)


def driver_seeds():
    for model in MODELS:
        yield bytes((model, 7, 0))
        yield bytes((model, 7, 1))
        yield bytes((model, 7, 2, 1, 0, 40, 0))
        for before in range(5):
            for action in ACTIONS:
                yield bytes((model, 7, 0)) + bytes(before) + action


def main():
    target, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    kept = HERE / "corpus" / (target + ".hex")
    inputs = [bytes.fromhex(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    if target == "driver":
        inputs.extend(driver_seeds())
    for number, data in enumerate(inputs):
        (directory / f"{number:05}").write_bytes(data)


if __name__ == "__main__":
    main()
