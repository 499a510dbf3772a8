#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""shown.py PAGE NAME - prints the file that a page (Markdown) shows: the indented block after a paragraph that names it in
backquotes and ends in a colon."""
import re
import sys
import textwrap


def shown(page, name):
    """Every such block of the page; a paragraph has no empty line, the block may."""
    blocks = re.findall(r"((?:^(?! {4}).+\n)+)\n((?: {4}.*\n|\n)+)", page, re.M)
    return [block for paragraph, block in blocks if f"`{name}`" in paragraph and paragraph.endswith(":\n")]


def main():
    path, name = sys.argv[1:]
    with open(path, encoding="utf-8") as page:
        found = shown(page.read(), name)
    if len(found) != 1:
        sys.exit(f"{path} shows {name} {len(found)} times")
    sys.stdout.write(textwrap.dedent(found[0]).strip("\n") + "\n")


if __name__ == "__main__":
    main()
