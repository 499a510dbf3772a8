#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ifd-nitrokey, run as people run it, where it takes neither key nor pcscd: watch and trace."""
import contextlib
import gzip
import json
import os
import pathlib
import pty
import struct
import subprocess
import sys
import tempfile
import time

TOOL = sys.argv[1]
BULK = 3


def run(*arguments, env=None):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, env=env, timeout=30, check=False)


def on_terminal(*arguments):
    ours, its = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    subprocess.run([TOOL, *arguments], stdout=its, stderr=subprocess.DEVNULL, env=env, timeout=30, check=False)
    os.close(its)
    seen = b""
    with contextlib.suppress(OSError):
        while part := os.read(ours, 4096):
            seen += part
    os.close(ours)
    return seen.decode()


# ---- watch ----

def status(directory, began, heard, silence_ends, total_ends):
    """A command that began and was heard so many seconds ago, usually takes 20 to 60 s, and is given up in so many."""
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000
    fields = {"reader": "Key", "class": "generate", "bus": 1, "address": 5, "pid": os.getpid(), "begun": now - began * 1000,
              "heard": now - heard * 1000, "signs": 4, "silence-ends": now + int(silence_ends * 1000),
              "total-ends": now + int(total_ends * 1000), "usually-from": 20000, "usually-to": 60000}
    pathlib.Path(directory, "ifd-nitrokey-001-005").write_text(
        "".join(f"{name}={value}\n" for name, value in fields.items()), encoding="ascii")


def watch_tells_how_a_command_is_getting_on(directory):
    status(directory, 3600, 7, 1193.9, 3600.9)
    line = run("watch", "--once", "--directory", directory).stdout.splitlines()[0]
    assert "Key (001/005) generates a key pair: 1:00:00; sign of life 0:07 ago (4); usually 0:20 to 1:00; " \
        "given up after 19:53 more of silence, 1:00:00 at most" in line, line
    told = json.loads(run("watch", "--once", "--json", "--directory", directory).stdout.splitlines()[0])
    assert told["command"] == "generate" and told["running"] is True and told["usually"] == [20000, 60000], told
    assert 3600000 <= told["elapsed"] < 3610000 and 1180000 < told["silence_left"] < 1194000, told


def watch_is_green_as_usual_then_yellow_and_red_when_it_is_given_up_soon(directory):
    for colour, times in ((32, (10, 5, 1000, 7000)), (33, (100, 5, 1000, 7000)), (31, (1000, 900, 50, 7000)),
                          (31, (7000, 5, 1000, 50))):
        status(directory, *times)
        line = on_terminal("watch", "--once", "--directory", directory).splitlines()[0]
        assert f"\033[{colour}m" in line and "generates a key pair" in line, (times, line)


def watch_fails_where_there_is_nothing_to_watch(directory):
    result = run("watch", "--once", "--directory", f"{directory}/none")
    assert result.returncode == 1 and "none" in result.stderr and "(pcscd does not run)" in result.stderr, result


# ---- trace ----

def packet(received, data, at_us):
    """One URB as usbmon tells it, in a record of pcap."""
    usbmon = struct.pack("<QcBBBHBBqi", 0, b"C" if received else b"S", BULK, 0x82 if received else 0x02, 5, 1, 45, 0,
                         at_us // 1000000, at_us % 1000000)
    usbmon = usbmon.ljust(64, b"\0") + data
    return struct.pack("<IIII", at_us // 1000000, at_us % 1000000, len(usbmon), len(usbmon)) + usbmon


def message(kind, data, number):
    return struct.pack("<BIBBBBB", kind, len(data), 0, number, 0, 0, 0) + data


def capture(directory, exchanges, cut=0):
    """At short APDU level: commands that take so many microseconds. The descriptors tell the level."""
    classes = bytearray(54)
    classes[0:2], classes[6], classes[40:44] = b"\x36\x21", 2, struct.pack("<I", 0x20000)
    control = packet(True, b"\x09\x02".ljust(9, b"\0") + bytes(classes), 0)
    control = control[:16 + 9] + b"\x02\x80" + control[16 + 11:]
    text, at = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 220) + control, 1000000
    for number, (command, took) in enumerate(exchanges):
        text += packet(False, message(0x6f, command, number % 256), at)
        text += packet(True, message(0x80, b"\x90\0", number % 256), at + took)
        at += took + 1000000
    path = pathlib.Path(directory, "trace.pcap.gz")
    path.write_bytes(gzip.compress(text[:len(text) - cut]))
    return str(path)


VERIFY, SIGN = bytes.fromhex("0020008100"), bytes.fromhex("002a9e9a00")


def trace_tells_each_message_and_how_long_it_took(directory):
    result = run("trace", capture(directory, [(VERIFY, 250000), (SIGN, 500000)]))
    lines = [line for line in result.stdout.splitlines() if "XfrBlock" in line or "DataBlock" in line]
    assert result.returncode == 0 and len(lines) == 4, result
    assert lines[1].split()[:2] == ["1.250", "+0.250"] and "0.250 s after VERIFY user PIN (81)" in lines[1], lines[1]
    assert lines[2].split()[:2] == ["2.250", "+1.000"] and lines[2].endswith("SIGN"), lines[2]
    assert "success (9000), 0.500 s after SIGN" in lines[3], lines[3]


def trace_sums_up_the_slowest_first(directory):
    path = capture(directory, [(VERIFY, 100000), (SIGN, 3000000), (VERIFY, 300000)])
    told = [json.loads(line) for line in run("trace", "--summary", "--json", path).stdout.splitlines()]
    assert [t["command"] for t in told] == ["SIGN", "VERIFY user PIN (81)"], told
    assert told[1] == {"command": "VERIFY user PIN (81)", "sent": 2, "answered": 2, "shortest": 100000,
                       "mean": 200000, "longest": 300000, "sum": 400000}, told


def trace_sums_up_what_was_not_answered(directory):
    last = len(packet(True, message(0x80, b"\x90\0", 0), 0))
    path = capture(directory, [(VERIFY, 100000), (VERIFY, 100000)], last)
    told = json.loads(run("trace", "--summary", "--json", path).stdout)
    assert (told["sent"], told["answered"], told["mean"]) == (2, 1, 100000), told


def trace_sums_up_any_number_of_commands(directory):
    path = capture(directory, [(bytes((0x80, 0x99, i >> 8, i & 255)), 1000) for i in range(300)])
    told = [json.loads(line) for line in run("trace", "--summary", "--json", path).stdout.splitlines()]
    others = [t for t in told if t["command"] == "others"]
    assert len(told) == 256 and others[0]["sent"] == 45 and sum(t["sent"] for t in told) == 300, others


def trace_fails_when_a_trace_ends_in_the_middle(directory):
    result = run("trace", capture(directory, [(VERIFY, 1000)], 3))
    assert result.returncode == 1 and "ends in the middle" in result.stderr and "VERIFY" in result.stdout, result


def trace_fails_when_the_end_of_the_gzip_is_missing(directory):
    path = pathlib.Path(capture(directory, [(VERIFY, 1000)]))
    path.write_bytes(path.read_bytes()[:-6])
    result = run("trace", str(path))
    assert result.returncode == 1 and "ends in the middle" in result.stderr and "VERIFY" in result.stdout, result


def trace_takes_no_record_longer_than_any_is(directory):
    path = pathlib.Path(capture(directory, [(VERIFY, 1000)]))
    text = gzip.decompress(path.read_bytes()) + struct.pack("<IIII", 9, 0, 200000, 200000) + b"\x55" * 200000
    path.write_bytes(text)
    result = run("trace", str(path))
    assert result.returncode == 1 and "ends in the middle" in result.stderr and "VERIFY" in result.stdout, result


def trace_refuses_what_is_no_capture_of_usb(directory):
    for at, byte in ((0, 0), (20, 1)):
        path = pathlib.Path(capture(directory, [(VERIFY, 1000)]))
        text = bytearray(gzip.decompress(path.read_bytes()))
        text[at] = byte
        path.write_bytes(text)
        result = run("trace", str(path))
        assert result.returncode == 1 and "no trace of USB traffic" in result.stderr, result


# ---- verbs ----

def a_verb_that_there_is_not_is_wrong_usage(_directory):
    assert run("lsit").returncode == 2 and "no verb lsit" in run("lsit").stderr
    assert run().returncode == 2
    assert run("--help").returncode == 0 and "watch" in run("--help").stdout
    assert run("trace").returncode == 2 and run("watch", "x").returncode == 2


def main():
    tests = [
        watch_tells_how_a_command_is_getting_on,
        watch_is_green_as_usual_then_yellow_and_red_when_it_is_given_up_soon,
        watch_fails_where_there_is_nothing_to_watch,
        trace_tells_each_message_and_how_long_it_took,
        trace_sums_up_the_slowest_first,
        trace_sums_up_what_was_not_answered,
        trace_sums_up_any_number_of_commands,
        trace_fails_when_a_trace_ends_in_the_middle,
        trace_fails_when_the_end_of_the_gzip_is_missing,
        trace_takes_no_record_longer_than_any_is,
        trace_refuses_what_is_no_capture_of_usb,
        a_verb_that_there_is_not_is_wrong_usage,
    ]
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as directory:
            try:
                test(directory)
                print(f"ok {number} - {test.__name__}")
            except (AssertionError, ValueError, IndexError, KeyError) as error:
                failed += 1
                print(f"not ok {number} - {test.__name__}")
                print("# " + str(error).replace("\n", "\n# "))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
