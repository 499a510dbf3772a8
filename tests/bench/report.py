#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares what both drivers were measured by: report.py RESULTS

RESULTS has lines of tabs DRIVER FIGURE VALUE, several of a figure. Prints a table; the exit status is 1 if a figure of
ifd-nitrokey is missing, or behind libccid's by more than the spread.
"""
import statistics
import sys
from collections import defaultdict

OURS, THEIRS = "ifd-nitrokey", "libccid"
MORE_IS_BETTER = {"rate_1", "rate_16"}
PARTS = {"instructions"} # of the figure above, which counts
FIGURES = {
    "apdu_transfers": "bulk transfers for an APDU (Nitrokey 3)",
    "t1_blocks": "T=1 blocks sent for an answer of 2048 bytes (Pro 2)",
    "t1_seconds": "the same, in seconds, at 116129 bit/s and 10 ms a block",
    "idle_transfers_nitrokey-3": "transfers in 60 s of idleness, no interrupt endpoint (Nitrokey 3)",
    "idle_transfers_nitrokey-pro-2": "transfers in 60 s of idleness, with one (Pro 2)",
    "idle_pending_nitrokey-3": "transfers pending on the idle key (Nitrokey 3)",
    "idle_pending_nitrokey-pro-2": "transfers pending on the idle key (Pro 2)",
    "idle_wake_ups_nitrokey-3": "wake-ups of pcscd in 60 s of idleness (Nitrokey 3)",
    "idle_wake_ups_nitrokey-pro-2": "wake-ups of pcscd in 60 s of idleness (Pro 2)",
    "open_transfers": "transfers from open to ATR (Nitrokey 3)",
    "open_ms": "milliseconds from open to ATR (Nitrokey 3)",
    "open_beyond_ms": "milliseconds from open to ATR beyond the key's own (Pro 2)",
    "system_calls": "system calls for an APDU, libusb's included (real kernel)",
    "latency_p50_us": "microseconds from program to answer through pcscd, median (Nitrokey 3)",
    "latency_p99_us": "the same, 99th percentile",
    "instructions_all": "instructions for an APDU, with libusb and the C library",
    "instructions": "of them in the driver itself",
    "allocations": "allocations for an APDU in the driver itself",
    "pcscd_memory_kb": "memory of pcscd for the driver and a reader, KiB",
    "so_bytes": "bytes of the shared object",
    "rate_1": "APDUs a second, one Pro 2",
    "rate_16": "APDUs a second, 16 of them at once",
    "unplug_ms": "milliseconds from an unplug in mid-command to the program's error",
}


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def spread(values: list[float]) -> float:
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def main() -> int:
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    with open(sys.argv[1], encoding="ascii") as lines:
        for line in lines:
            driver, figure, value = line.split()
            values[driver, figure].append(float(value))
    behind, better = [], 0
    print(f"| figure | {OURS} | {THEIRS} | ratio | spread |\n|---|---|---|---|---|")
    for figure, text in FIGURES.items():
        ours, theirs = values[OURS, figure], values[THEIRS, figure]
        if not ours or not theirs:
            behind.append(f"{text}: not measured")
            continue
        a, b, tolerance = statistics.median(ours), statistics.median(theirs), max(spread(ours), spread(theirs))
        ratio = number(a / b) if b else "–"
        print(f"| {text} | {number(a)} | {number(b)} | {ratio} | {f'{tolerance:.0%}' if tolerance else 'none'} |")
        more = figure in MORE_IS_BETTER
        better += a > b if more else a < b
        if figure in PARTS:
            continue
        if a < b * (1 - tolerance) if more else a > b * (1 + tolerance):
            behind.append(text)
    for text in behind:
        print(f"behind: {text}")
    print(f"{len(FIGURES)} figures, {better} better than {THEIRS}'s, {len(behind)} behind by more than the spread")
    return bool(behind)


if __name__ == "__main__":
    sys.exit(main())
