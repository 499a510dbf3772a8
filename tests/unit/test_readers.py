#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mistake in a reader file is an error that names the file and the key, and what is generated cannot go wrong later."""
import plistlib
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
GENERATE = TOP / "readers/generate.py"
READERS = sorted((TOP / "readers").glob("*.toml"))
GOOD = (TOP / "readers/nitrokey-pro-2.toml").read_text(encoding="utf-8")


def run(*arguments):
    return subprocess.run([sys.executable, GENERATE, *map(str, arguments)], capture_output=True, text=True, check=False)


class Directory(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def generated(self, kind, *arguments, readers=READERS):
        out = self.directory / "out"
        options = [a for a in arguments if str(a).startswith("--")]
        result = run(kind, *options, out, *(a for a in arguments if a not in options), *readers)
        self.assertEqual(result.returncode, 0, result.stderr)
        return out.read_text(encoding="utf-8")

    def reader(self, text, name="some-key.toml"):
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path


class Mistakes(Directory):
    def refused(self, key, text):
        path = self.reader(text)
        result = run("check", path)
        self.assertNotEqual(result.returncode, 0, f"accepted: {key}")
        self.assertIn("some-key.toml", result.stderr)
        self.assertIn(key, result.stderr)
        self.assertNotIn("Traceback", result.stderr)

    def changed(self, pattern, replacement):
        text, count = re.subn(pattern, lambda _: replacement, GOOD, count=1, flags=re.MULTILINE)
        self.assertEqual(count, 1, pattern)
        return text

    def test_a_good_file_is_accepted(self):
        self.assertEqual(run("check", self.reader(GOOD)).returncode, 0)

    def test_each_required_key_is_missed(self):
        for key in ("name", "model", "firmware", "vendor_id", "product_id", "usb", "release", "number", "class", "atr"):
            self.refused(key, self.changed(rf"^{key} *=.*\n", ""))
        self.refused("endpoints", self.changed(r"^endpoints = \[ .*\n", ""))

    def test_a_key_that_is_not_known_is_named(self):
        self.refused("vendor", self.changed(r"^vendor_id.*$", "vendor = 1\nvendor_id = 1"))
        self.refused("ifds", self.changed(r"^ifsd", "ifds"))
        self.refused("colour", 'colour = "red"\n' + GOOD)

    def test_numbers_have_bounds_and_are_numbers(self):
        self.refused("vendor_id", self.changed(r"^vendor_id.*$", "vendor_id = 0x10000"))
        self.refused("vendor_id", self.changed(r"^vendor_id.*$", "vendor_id = -1"))
        self.refused("vendor_id", self.changed(r"^vendor_id.*$", 'vendor_id = "20a0"'))
        self.refused("vendor_id", self.changed(r"^vendor_id.*$", "vendor_id = true"))
        self.refused("abort_from", GOOD + "\nabort_from = 0x12345\n")
        self.refused("set_configuration", GOOD + "\nset_configuration = 1\n")
        self.refused("ifsd", self.changed(r"^ifsd *= *254", "ifsd = 255"))
        self.refused("ifsd", self.changed(r"^ifsd *= *254", "ifsd = 31"))

    def test_text_cannot_break_out_of_what_is_generated(self):
        for bad in ("a<b", "a&b", "Schlüssel", "", 'x\\"y', "a\\nb"):
            self.refused("name", self.changed(r'^name *= *"[^"]*"', f'name = "{bad}"'))

    def test_bytes_are_hexadecimal_and_of_the_right_number(self):
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "3B"'))
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "3B ZZ"'))
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "' + "3B" * 34 + '"'))
        self.refused("mute_answer", self.changed(r"^mute_answer.*$", 'mute_answer = "A5 A5 A5 A5 A5"'))

    def test_the_class_descriptor_is_one(self):
        self.refused("extra", self.changed("^36 21 10 01", "36 22 10 01"))
        self.refused("extra", self.changed("^36 21 10 01", "36 21 10"))

    def test_there_is_one_ccid_interface_with_bulk_endpoints(self):
        self.refused("interface", self.changed(r"^class = 0x0b", "class = 0x0c"))
        self.refused("interface", self.changed(r"^class = 0x03", "class = 0x0b"))
        self.refused("endpoints", self.changed(r'address = 0x02, type = "bulk"', 'address = 0x02, type = "interrupt"'))
        self.refused("type", self.changed(r'type = "bulk"', 'type = "isochronous"'))

    def test_what_is_no_toml_is_said_to_be_so(self):
        self.refused("line", GOOD + "\nthis is no TOML\n")

    def test_generations_of_one_product_agree_on_what_pcscd_sees(self):
        self.reader(GOOD, "first.toml")
        self.reader(self.changed(r'^name *= *"[^"]*"', 'name = "Another"'), "second.toml")
        result = run("check", self.directory / "first.toml", self.directory / "second.toml")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("second.toml: name", result.stderr)

    def test_a_file_that_is_not_there_is_named(self):
        result = run("check", self.directory / "none.toml")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("none.toml", result.stderr)


class Plist(Directory):
    def setUp(self):
        super().setUp()
        self.other = self.reader(GOOD.replace("product_id = 0x4108", "product_id = 0x4999")
                                 .replace("Nitrokey Nitrokey Pro", "Another Key"), "other.toml")
        pro = TOP / "readers/nitrokey-pro-2.toml"
        self.text = self.generated("plist", TOP / "src/Info.plist.in", readers=[pro, self.other])
        self.plist = plistlib.loads(self.text.encode())

    def test_the_arrays_are_of_equal_length(self):
        self.assertEqual(self.plist["ifdVendorID"], ["0x20A0", "0x20A0"])
        self.assertEqual(self.plist["ifdProductID"], ["0x4108", "0x4999"])
        self.assertEqual(self.plist["ifdFriendlyName"], ["Nitrokey Nitrokey Pro", "Another Key"])

    def test_pcscd_prefers_the_bundle_to_the_class_driver(self):
        self.assertNotEqual(self.plist["CFBundleName"], "CCIDCLASSDRIVER")

    def test_all_that_pcscd_asks_for_is_there(self):
        self.assertEqual(self.plist["CFBundleExecutable"], "libifd-nitrokey.so")
        self.assertIn("ifdCapabilities", self.plist)

    def test_a_line_holds_one_string_and_there_is_no_comment(self):
        """pcscd takes the first string of a line only, and reads keys in comments as well."""
        for line in self.text.splitlines():
            self.assertLessEqual(line.count("<string>") + line.count("<key>"), 1, line)
        self.assertNotIn("<!--", self.text)

    def test_no_placeholder_is_left(self):
        self.assertNotRegex(self.text, "@[A-Z_]+@")


class Rules(Directory):
    def test_each_product_is_there_in_lower_case(self):
        rules = self.generated("rules", TOP / "udev/70-ifd-nitrokey.rules.in")
        self.assertIn('ATTR{idVendor}=="20a0", ATTR{idProduct}=="4108"', rules)
        self.assertIn('TAG+="uaccess"', rules)
        self.assertNotIn("GROUP", rules)
        self.assertNotRegex(rules, "@[A-Z_]+@")

    def test_a_key_with_a_disk_keeps_it_over_a_suspend(self):
        rules = self.generated("rules", TOP / "udev/70-ifd-nitrokey.rules.in").splitlines()
        self.assertIn("power/persist", next(line for line in rules if '=="4108"' in line))
        self.assertNotIn("power/persist", next(line for line in rules if '=="4109"' in line))

    def test_bootloaders_are_left_alone(self):
        rules = self.generated("rules", TOP / "udev/70-ifd-nitrokey.rules.in")
        for product in ("42b4", "2ff1", "42dd", "42e8", "42f4", "4287", "42b1"):
            self.assertNotIn(product, rules)

    def test_change_events_keep_the_permissions(self):
        rules = self.generated("rules", TOP / "udev/70-ifd-nitrokey.rules.in")
        self.assertIn('ACTION=="remove", GOTO=', rules)
        self.assertNotIn('ACTION!="add"', rules)

    def test_the_group_stands_in_a_line_of_its_own(self):
        rules = self.generated("rules", "--group=pcscd", TOP / "udev/70-ifd-nitrokey.rules.in")
        self.assertRegex(rules, r'(?m)^ATTR\{idVendor\}=="20a0", ATTR\{idProduct\}=="4108", GROUP="pcscd"$')

    def test_a_group_that_is_no_name_is_refused(self):
        result = run("rules", '--group=x", RUN+="/bin/sh', self.directory / "out", TOP / "udev/70-ifd-nitrokey.rules.in",
                     *READERS)
        self.assertNotEqual(result.returncode, 0)


class Tables(Directory):
    def test_the_same_files_give_the_same_text(self):
        for kind in ("models", "identities"):
            self.assertEqual(self.generated(kind), self.generated(kind, readers=READERS[::-1]))


class Tap(unittest.TestResult):
    """Results as TAP, as those of the tests in C."""

    @staticmethod
    def name(test):
        return test.id().rpartition(".test_")[2]

    def addSuccess(self, test):
        print("ok", self.testsRun, "-", self.name(test))

    def addFailure(self, test, err):
        print("not ok", self.testsRun, "-", self.name(test))
        print("#", "\n# ".join(str(err[1]).splitlines()))
        super().addFailure(test, err)

    addError = addFailure


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    print(f"1..{suite.countTestCases()}")
    sys.exit(not suite.run(Tap()).wasSuccessful())
