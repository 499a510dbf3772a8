# SPDX-License-Identifier: LGPL-2.1-or-later
"""coverage.py - the table of tests/coverage from gcovr's summary, what is not covered and why, and the verdict."""
import json
import pathlib
import sys

PURE = ("ccid", "t1", "atr", "apdu", "patience", "model")
LINES, BRANCHES, PURE_LINES = 95, 90, 99


def percent(covered, total):
    return 100 * covered / total if total else 100.0


def main():
    summary = json.loads(pathlib.Path(sys.argv[1]).read_text())
    print(f"{'':22}{'lines':>14}{'':8}{'branches':>14}")
    bad = []
    for file in sorted(summary["files"], key=lambda f: f["filename"]):
        name = pathlib.Path(file["filename"]).stem
        lines = percent(file["line_covered"], file["line_total"])
        branches = percent(file["branch_covered"], file["branch_total"])
        print(f"{file['filename']:22}{file['line_covered']:6} / {file['line_total']:5}{lines:6.1f} %"
              f"{file['branch_covered']:6} / {file['branch_total']:5}{branches:6.1f} %")
        if name in PURE and lines < PURE_LINES:
            bad.append(f"{name}.c: {lines:.1f} % of the lines, at least {PURE_LINES} % are wanted")
    lines = percent(summary["line_covered"], summary["line_total"])
    branches = percent(summary["branch_covered"], summary["branch_total"])
    if lines < LINES or branches < BRANCHES:
        bad.append(f"in all at least {LINES} % of the lines and {BRANCHES} % of the branches are wanted")
    print("\nNot covered, and why:")
    print(pathlib.Path(sys.argv[2]).read_text().rstrip())
    print("\n".join(["", *bad]) if bad else "")
    print(f"lines {lines:.1f} % branches {branches:.1f} %")
    return 1 if bad else 0


sys.exit(main())
