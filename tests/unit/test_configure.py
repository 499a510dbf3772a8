#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A new model is one new file in readers/, and a mistake in it is one that configuring tells, by file and key. The rules
are for the group pcscd, or for another one."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PARTS = ("COPYING", "README.md", "meson.build", "meson_options.txt", "readers", "src", "tests", "udev")
MADE = ("models.h", "Info.plist", "70-ifd-nitrokey.rules")


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


class Tree:
    """A copy of the sources, with a build directory."""

    def __init__(self, directory):
        self.top, self.build = directory / "tree", directory / "build"
        self.top.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (TOP / part).is_dir() else shutil.copy2
            copy(TOP / part, self.top / part)
        self.good = (self.top / "readers/nitrokey-3.toml").read_text(encoding="utf-8")

    def add(self, name, product_id, pattern="", replacement=""):
        text = self.good.replace("0x42b2", product_id).replace("Nitrokey 3", name).replace(pattern, replacement, 1)
        (self.top / f"readers/{name.lower()}.toml").write_text(text, encoding="utf-8")

    def configure(self):
        return run("meson", "setup", "-Dtests=disabled", self.build, self.top)

    def make(self):
        return run("ninja", "-C", self.build, *MADE)

    def ask_for_group(self, group):
        run("meson", "configure", f"-Dpcscd_group={group}", self.build)
        return self.make()

    def rules(self):
        return (self.build / "70-ifd-nitrokey.rules").read_text(encoding="utf-8")

    def knows(self, product_id):
        """What is made from the reader files and names this one."""
        return [name for name in MADE if product_id in (self.build / name).read_text(encoding="utf-8").lower()]


def story(tree):
    """What must hold, and whether it does."""
    tree.add("Another", "0x4aaa")
    configured = tree.configure()
    yield "with a new file the tree is configured", configured.returncode == 0, configured.stdout
    yield "and says that the README does not know it yet", "generate.py readme" in configured.stdout, configured.stdout
    made = tree.make()
    yield "the new file is in all that is made from readers/", tree.knows("4aaa") == list(MADE), made.stdout
    tree.add("Later", "0x4bbb")
    made = tree.make()
    yield "so is one that comes when all is configured", tree.knows("4bbb") == list(MADE), made.stdout
    (tree.top / "readers/later.toml").unlink()
    made = tree.make()
    yield "until it goes", made.returncode == 0 and tree.knows("4bbb") == [], made.stdout
    listed = run(tree.top / "readers/generate.py", "list")
    yield "it is listed for the tests and as a virtual key", "another\n" in listed.stdout, listed.stderr
    tree.add("Wrong", "0x4ccc", "release = 0x0108", "release = 1.8")
    made = tree.make()
    yield "a mistake ends the build", "wrong.toml: device.release: must be a number" in made.stdout, made.stdout
    (tree.top / "readers/wrong.toml").unlink()
    yield "the rules are for the group pcscd", 'getent group pcscd"' in tree.rules(), ""
    made = tree.ask_for_group("no-such-group")
    yield "for another group if that is asked for", 'getent group no-such-group"' in tree.rules(), made.stdout
    made = tree.ask_for_group("")
    yield "and for none if that is", "GROUP" not in tree.rules(), made.stdout
    tree.add("Wrong", "0x4ccc", "release = 0x0108", "release = 1.8")
    shutil.rmtree(tree.build)
    configured = tree.configure()
    yield ("a mistake ends the configuring", configured.returncode != 0 and
           "wrong.toml: device.release: must be a number" in configured.stdout + configured.stderr, configured.stdout)


def main():
    all_good, number = True, 0
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:  # /tmp may be mounted noexec
        for number, (text, good, why) in enumerate(story(Tree(Path(directory))), 1):
            print(f"{'ok' if good else 'not ok'} {number} - {text}")
            if not good:
                print("# " + "\n# ".join(why.splitlines()[-12:]))
            all_good = all_good and good
    print(f"1..{number}")
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
