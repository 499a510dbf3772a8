#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/devices.md names tests that exist."""
import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`([a-z0-9_/.-]+\.(?:c|sh|toml|build)): ([^`]+)`")


def exists(file, name):
    path = TESTS / file if not file.startswith("readers/") else TESTS.parent / file
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    if file.endswith(".c"):
        registered = len(re.findall(rf"\b{name}\b", text)) >= 2
        return bool(registered and re.search(rf"^static void {name}\(void \*\*", text, re.M))
    return f'"{name}"' in text if file.endswith(".sh") else bool(re.search(rf"^\s*{name} *=", text, re.M))


def main():
    results = []
    for line in (TESTS / "devices.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or set(line) <= set("|- ") or cells[-1] == "the driver":
            continue
        for cell in cells[-2:]:
            named = NAMED.fullmatch(cell)
            good = exists(*named.groups()) if named else cell.startswith("nothing: ")
            results.append((good, f"{cells[-3]}: {cell}"))
    print(f"1..{len(results)}")
    for number, (good, text) in enumerate(results, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {text}".replace("#", ""))
    return 0 if all(good for good, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
