#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mistake in a reader file is an error that names file and key, and what is generated cannot go wrong later."""
import importlib.util
import json
import plistlib
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
GENERATE = TOP / "readers/generate.py"
READERS = sorted((TOP / "readers").glob("*.toml"))
GOOD = (TOP / "readers/nitrokey-pro-2.toml").read_text(encoding="utf-8")
sys.dont_write_bytecode = True # readers/ would be changed, and all that is made of it built anew
SPEC = importlib.util.spec_from_file_location("generate", GENERATE)
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


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


def places(value, place=()):
    """Where there are values and tables in what a TOML file says."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield place + (key,)
        yield from places(part, place + (key,))


def toml(value, place=None, other=None):
    """As TOML, with another value at one place; None: with nothing there."""
    def inline(part, here):
        if here == place:
            return inline(other, None)
        if isinstance(part, (dict, list)):
            items = part.items() if isinstance(part, dict) else enumerate(part)
            kept = [(key, inline(v, None if here is None else here + (key,))) for key, v in items
                    if other is not None or here is None or here + (key,) != place]
            if isinstance(part, dict):
                return "{" + ", ".join(f'"{key}" = {text}' for key, text in kept) + "}"
            return "[" + ", ".join(text for _, text in kept) + "]"
        return json.dumps(part)
    return "\n".join(f"{key} = {inline(part, (key,))}" for key, part in value.items()
                     if other is not None or (key,) != place)


class Mistakes(Directory):
    def refused(self, key, text):
        with self.assertRaises(generate.Mistake, msg=f"accepted: {key}") as refusal:
            generate.load_all([self.reader(text)])
        self.assertIn("some-key.toml: ", str(refusal.exception))
        self.assertIn(key, str(refusal.exception))

    def test_a_mistake_is_told_and_nothing_else(self):
        result = run("check", self.reader(self.changed(r"^name *=.*\n", "")))
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"^error: .*some-key.toml: name: is missing\n$")

    def changed(self, pattern, replacement):
        text, count = re.subn(pattern, lambda _: replacement, GOOD, count=1, flags=re.MULTILINE)
        self.assertEqual(count, 1, pattern)
        return text

    def test_a_good_file_is_accepted(self):
        self.assertEqual(run("check", self.reader(GOOD)).returncode, 0)

    def test_each_required_key_is_missed(self):
        for key in ("name", "model", "firmware", "vendor_id", "product_id", "usb", "release", "number", "class", "atr",
                    "application"):
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
        self.refused("max_power_ma", self.changed(r"^max_power_ma.*$", "max_power_ma = 99"))
        self.refused("abort_from", GOOD + "\nabort_from = 0x12345\n")
        self.refused("max_command", GOOD + "\nmax_command = 0x10000\n")
        self.refused("set_configuration", GOOD + "\nset_configuration = 1\n")
        self.refused("keeps_pin_over_reset", GOOD + "\nkeeps_pin_over_reset = 1\n")
        self.refused("protocol", self.changed(r"^usb = .*$", "usb = 0x0110\nprotocol = 0x100"))
        self.refused("ifsd", self.changed(r"^ifsd *= *254", "ifsd = 255"))
        self.refused("ifsd", self.changed(r"^ifsd *= *254", "ifsd = 31"))

    def test_text_cannot_break_out_of_what_is_generated(self):
        for bad in ("a<b", "a&b", "Schlüssel", "", 'x\\"y', "a\\nb", "a\\u0000"):
            self.refused("name", self.changed(r'^name *= *"[^"]*"', f'name = "{bad}"'))

    def test_bytes_are_hexadecimal_and_of_the_right_number(self):
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "3B"'))
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "3B ZZ"'))
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "' + "3B" * 34 + '"'))
        self.refused("mute_answer", self.changed(r"^mute_answer.*$", 'mute_answer = "A5 A5 A5 A5 A5"'))

    def test_an_atr_is_as_long_as_it_says(self):
        self.refused("atr", self.changed(r"^atr.*$", 'atr = "36 21"'))
        self.refused("atr", self.changed(" 90 00 1C", " 90 00"))
        self.refused("atr", self.changed(" 90 00 1C", " 90 00 1C 1C"))
        self.refused("atr", self.changed("3B DA", "3B DB"))

    def test_endpoints_have_an_address_of_their_own(self):
        for address in ("0x00", "0x80", "0x12", "0x100", "0x81", "0x84"):
            self.refused("address", self.changed("address = 0x02", f"address = {address}"))

    def test_interfaces_have_a_number_of_their_own(self):
        self.refused("interface.number", self.changed(r"^number = 1$", "number = 0"))

    def test_other_class_descriptors_are_whole(self):
        for extra in ("09 21 10 01", "0A 21 10 01 00 01 22 2A 00", "00", "01"):
            self.refused("interface.extra", self.changed(r'^extra = "09.*$', f'extra = "{extra}"'))

    def test_the_class_descriptor_is_one(self):
        self.refused("extra", self.changed("^36 21 10 01", "36 22 10 01"))
        self.refused("extra", self.changed("^36 21 10 01", "36 21 10"))

    def test_there_is_one_ccid_interface_with_bulk_endpoints(self):
        self.refused("interface", self.changed(r"^class = 0x0b", "class = 0x0c"))
        self.refused("interface", self.changed(r"^class = 0x03", "class = 0x0b"))
        self.refused("endpoints", self.changed(r'address = 0x02, type = "bulk"', 'address = 0x02, type = "interrupt"'))
        self.refused("type", self.changed(r'type = "bulk"', 'type = "isochronous"'))

    def test_firmware_and_speed_are_words_that_are_known(self):
        self.refused("firmware", self.changed(r"^firmware.*$", 'firmware = "windows"'))
        self.refused("firmware", self.changed(r"^firmware.*$", 'firmware = "gnuk"')) # which takes short APDUs
        self.refused("firmware", self.changed(r"^firmware.*$", 'firmware = "storage"')) # which has a disk
        self.refused("speed", 'speed = "super"\n' + GOOD)

    def test_a_packet_at_full_speed_has_at_most_64_bytes(self):
        big = self.changed(r'type = "bulk", size = 64', 'type = "bulk", size = 512')
        self.refused("size", big)
        self.assertEqual(run("check", self.reader('speed = "high"\n' + big)).returncode, 0)

    def test_an_exchange_level_that_the_driver_does_not_know_is_refused(self):
        self.refused("dwFeatures", self.changed("BA 04 01 00", "BA 04 00 00"))
        self.refused("dwFeatures", self.changed("BA 04 01 00", "BA 04 03 00"))

    def test_more_strings_have_an_index_of_their_own(self):
        for index in ("3", "8", "x"):
            self.refused("strings", self.changed(r"^4 = .*$", f'{index} = "a"'))
        self.refused("strings", self.changed(r"^4 = .*$", '4 = "a<b"'))
        self.refused("strings", self.changed(r"^\[device.strings\]\n4 = .*$", 'strings = "a"'))

    def test_lengths_of_strings_are_those_of_the_first_three(self):
        for lengths in ("52", "[]", "[52, 36, 50, 16]", "[51]", "[256]", '["52"]'):
            self.refused("string_lengths", self.changed(r"^string_lengths = .*$", f"string_lengths = {lengths}"))

    def test_an_interface_names_a_string_that_there_is(self):
        named = self.changed(r"^number = 1$", "number = 1\nstring = 5")
        self.refused("interface.string", named)
        path = self.reader(named.replace('4 = "CS SmCd"', '5 = "CS SmCd"'))
        self.assertEqual(run("check", path).returncode, 0)

    def test_what_is_no_toml_is_said_to_be_so(self):
        self.refused("line", GOOD + "\nthis is no TOML\n")
        path = self.directory / "some-key.toml"
        path.write_bytes(GOOD.encode("utf-16"))
        result = run("check", path)
        self.assertIn("some-key.toml", result.stderr)
        self.assertNotIn("Traceback", result.stderr)

    def test_whatever_stands_for_a_value_is_accepted_or_refused_by_name(self):
        """Each value of a file in turn, and each table, is replaced by values of all kinds, or left out."""
        for name in ("nitrokey-3", "nitrokey-storage-hs-48"):
            whole = tomllib.loads((TOP / f"readers/{name}.toml").read_text(encoding="utf-8"))
            for place in places(whole):
                for value in (True, -1, 1.5, "", 'é"', [1], {"4": 1}, None):
                    self.replaced(whole, place, value)

    def replaced(self, whole, place, value):
        path = self.reader(toml(whole, place, value))
        try:
            generate.identities([generate.load(path)])
        except generate.Mistake as mistake:
            self.assertIn("some-key.toml: ", str(mistake))
            key = next(step for step in reversed(place) if isinstance(step, str))
            self.assertRegex(str(mistake), rf"\b{key}\b|interface: exactly one|interface.string: ", (place, value))

    def test_the_name_of_a_file_is_the_name_of_its_key(self):
        result = run("check", self.reader(GOOD, "Some Key.toml"))
        self.assertIn("Some Key.toml: the name of the file", result.stderr)

    def test_generations_of_one_product_agree_on_what_pcscd_and_the_driver_see(self):
        first = self.reader(GOOD, "first.toml")
        for key, text in (("name", self.changed(r'^name *= *"[^"]*"', 'name = "Another"')),
                          ("ifsd", self.changed(r"^ifsd *= *254", "ifsd = 32")),
                          ("mute_answer", self.changed(r"^mute_answer.*$", "")),
                          ("abort_from", GOOD + "\nabort_from = 0x0103\n"),
                          ("max_command", GOOD + "\nmax_command = 3072\n"),
                          ("set_configuration", GOOD + "\nset_configuration = true\n")):
            result = run("check", first, self.reader(text, "second.toml"))
            self.assertNotEqual(result.returncode, 0, key)
            self.assertIn(f"second.toml: {key}", result.stderr)

    def test_generations_of_one_product_may_differ_in_what_the_driver_does_not_see(self):
        first = self.reader(GOOD, "first.toml")
        second = self.reader(GOOD + "\nkeeps_pin_over_reset = true\n", "second.toml")
        self.assertEqual(run("check", first, second).returncode, 0)

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

    def test_the_group_is_given_where_there_is_one(self):
        rules = self.generated("rules", "--group=pcscd", TOP / "udev/70-ifd-nitrokey.rules.in")
        self.assertRegex(rules, r'(?m)^ATTR\{idVendor\}=="20a0", ATTR\{idProduct\}=="4108", .*GROUP\}="pcscd"')
        self.assertRegex(rules, r'(?m)^ENV\{.*GROUP\}=="pcscd", PROGRAM=="/usr/bin/getent group pcscd", GROUP="\$env')

    def test_a_group_that_is_no_name_is_refused(self):
        result = run("rules", '--group=x", RUN+="/bin/sh', self.directory / "out",
                     TOP / "udev/70-ifd-nitrokey.rules.in", *READERS)
        self.assertNotEqual(result.returncode, 0)


class Readme(Directory):
    def setUp(self):
        super().setUp()
        self.table = self.generated("table")
        self.readme = self.directory / "README.md"

    def check(self, text):
        self.readme.write_text(text, encoding="utf-8")
        return run("check", "--readme", self.readme, *READERS)

    def refused(self, text):
        result = self.check(text)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("README.md: the table of models is missing or stale", result.stderr)
        self.assertIn("generate.py readme", result.stderr) # what to do

    def test_the_table_is_found_wherever_it_stands(self):
        for text in (self.table, f"# Title\n\n{self.table}\n## More\n", f"Text\n\n{self.table}"):
            self.assertEqual(self.check(text).returncode, 0, text)

    def test_a_table_that_is_missing_or_stale_is_refused(self):
        lines = self.table.splitlines(keepends=True)
        self.refused("# Title\n")
        self.refused("".join(lines[:-1]))
        self.refused(self.table.replace("Nitrokey Pro 2", "Nitrokey Pro 3"))
        self.refused(self.table + "| a key that is gone | 20a0:0001 | all APDUs |\n")
        self.refused("a line that belongs to it\n" + self.table)

    def test_the_readme_of_this_tree_has_it(self):
        result = run("check", "--readme", TOP / "README.md")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_it_is_renewed_in_its_place(self):
        stale = self.table.replace("Nitrokey Pro 2", "Nitrokey Pro 3") + "| a key that is gone | 20a0:0001 | all |\n"
        self.readme.write_text(f"# Title\n\n{stale}\n## More\n", encoding="utf-8")
        self.assertEqual(run("readme", self.readme, *READERS).returncode, 0)
        self.assertEqual(self.readme.read_text(encoding="utf-8"), f"# Title\n\n{self.table}\n## More\n")

    def test_where_there_is_none_nothing_is_renewed(self):
        for text in ("# Title\n", f"{self.table}\n{self.table}"):
            self.readme.write_text(text, encoding="utf-8")
            result = run("readme", self.readme, *READERS)
            self.assertIn("README.md: there is no table", result.stderr)
            self.assertEqual(self.readme.read_text(encoding="utf-8"), text)

    def test_there_is_one_line_for_each_product(self):
        lines = self.table.splitlines()[2:]
        self.assertEqual(len(lines), len({line.split("|")[2] for line in lines}))
        self.assertEqual(sum("Nitrokey Pro, Nitrokey Pro 2 | 20a0:4108" in line for line in lines), 1)

    def test_a_readme_that_is_not_there_is_named(self):
        result = run("check", "--readme", self.directory / "none.md", *READERS)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("none.md", result.stderr)
        self.assertNotIn("Traceback", result.stderr)


class Names(unittest.TestCase):
    def test_each_product_has_the_name_that_users_know_from_libccid(self):
        names = {(r["device"]["vendor_id"], r["device"]["product_id"]): r["name"]
                 for r in (tomllib.loads(path.read_text(encoding="utf-8")) for path in READERS)}
        known = {
            (0x20a0, 0x4107): "German Privacy Foundation Crypto Stick v1.2", (0x20a0, 0x4108): "Nitrokey Nitrokey Pro",
            (0x20a0, 0x4109): "Nitrokey Nitrokey Storage", (0x20a0, 0x4211): "Nitrokey Nitrokey Start",
            (0x20a0, 0x4230): "Nitrokey Nitrokey HSM", (0x20a0, 0x42b2): "Nitrokey Nitrokey 3",
            (0x20a0, 0x42f3): "Nitrokey Nitrokey Passkey", (0x316d, 0x4c4b): "Purism, SPC Librem Key",
            (0x234b, 0x0000): "Free Software Initiative of Japan Gnuk",
            (0x1209, 0x2440): "GnuPG e.V. Gnuk"}  # which libccid does not know
        self.assertEqual({usb_id: names.get(usb_id) for usb_id in known}, known)

    def test_nothing_in_the_driver_is_named_after_a_vendor_or_a_model(self):
        """Models are data: what a key does otherwise has a name of its own."""
        readers = [tomllib.loads(path.read_text(encoding="utf-8")) for path in READERS]
        words = {word for r in readers for word in re.findall("[A-Z][A-Za-z]+", r["model"])}
        words -= {"Nitrokey", "Key", "Token", "USB"} # the project's own name, and words of everybody
        ids = {f"{r['device'][key]:04x}" for r in readers for key in ("vendor_id", "product_id")} - {"0000"}
        # Commands are named by who defined them: the SmartCard-HSM is a card's application.
        names = re.compile(rf"(?<!SmartCard-)\b({'|'.join(words)})\b|gnuk|nk3|librem|(?i:{'|'.join(ids)})")
        for path in sorted((TOP / "src").rglob("*.[ch]")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                self.assertIsNone(names.search(line), f"{path.name}:{number}: {line.strip()}")


class Tables(Directory):
    def test_the_same_files_give_the_same_text(self):
        for kind in ("models", "identities", "table"):
            self.assertEqual(self.generated(kind), self.generated(kind, readers=READERS[::-1]))

    def test_the_files_are_those_beside_the_program_unless_others_are_named(self):
        for kind in ("models", "identities", "table"):
            self.assertEqual(self.generated(kind), self.generated(kind, readers=[]))

    def test_names_are_told_by_level(self):
        tpdu, apdu = (run("list", f"--level={level}").stdout.split() for level in ("tpdu", "apdu"))
        self.assertEqual(sorted(tpdu + apdu), sorted(path.stem for path in READERS))
        self.assertEqual(sorted(run("list").stdout.split()), sorted(path.stem for path in READERS))
        self.assertIn("nitrokey-pro-2", tpdu)
        self.assertIn("nitrokey-start-rtm13", apdu)

    def test_the_driver_is_told_its_quirks(self):
        text = GOOD + "\nabort_from = 0x0103\nset_configuration = true\nmax_command = 3072\none_packet_ends = true\n"
        models = self.generated("models", readers=[self.reader(text)])
        for field in (".ifsd = 254", ".has_abort = true", ".abort_from = 0x0103", ".set_configuration = true",
                      ".max_command = 3072", ".one_packet_ends = true", ".mute_answer = { 0xa5, 0xa5 }",
                      ".mute_answer_len = 2", ".has_mute_answer = true"):
            self.assertIn(field, models)

    def test_a_model_without_quirks_has_none(self):
        models = self.generated("models", readers=[self.reader(GOOD.partition("[quirks]")[0])])
        for field in (".ifsd = 32", ".has_abort = false", ".set_configuration = false", ".has_mute_answer = false",
                      ".max_command = 0", ".one_packet_ends = false"):
            self.assertIn(field, models)


class Identities(Directory):
    def setUp(self):
        super().setUp()
        self.text = self.generated("identities")

    def identity(self, name):
        """What the generated C says of this virtual key, and its descriptors by name."""
        entries = re.findall(r"^    \{ (.*?) \},$", self.text, re.DOTALL | re.MULTILINE)
        n, entry = next((n, e) for n, e in enumerate(entries) if e.startswith(f'.name = "{name}"'))
        arrays = re.findall(rf"^static const uint8_t (\w+)_{n}\[\] = \{{ (.*) \}};$", self.text, re.MULTILINE)
        return entry, {key: bytes(int(byte, 16) for byte in data.split(",")) for key, data in arrays}

    def test_the_total_length_is_wrong_only_where_the_firmwares_is(self):
        for path in READERS:
            configuration = self.identity(path.stem)[1]["configuration"]
            extra = 25 if path.stem == "nitrokey-hsm-first" else 0
            self.assertEqual(int.from_bytes(configuration[2:4], "little"), len(configuration) + extra, path.name)

    def test_configurations_are_as_long_as_the_firmwares(self):
        for name, length in (("nitrokey-pro-2", 118), ("nitrokey-hsm-2", 93), ("nitrokey-storage-fs", 141),
                             ("nitrokey-storage-hs-48", 141), ("nitrokey-start-rtm13", 93), ("gnuk", 93)):
            self.assertEqual(len(self.identity(name)[1]["configuration"]), length, name)

    def test_class_of_the_device_and_strings_go_into_the_descriptors(self):
        text, descriptors = self.identity("nitrokey-3")
        self.assertEqual(descriptors["device"][4:7], b"\xef\x02\x01")
        self.assertEqual(descriptors["device"][14:17], b"\x01\x02\x00")  # no serial number
        self.assertEqual(descriptors["configuration"][9 + 8], 4)  # iInterface of the first interface
        self.assertIn('{ NULL, "Nitrokey", "Nitrokey 3", NULL, "CCID/ICCD Interface", NULL, NULL, NULL }', text)

    def test_a_key_without_an_interrupt_endpoint_has_none(self):
        for name in ("nitrokey-3", "nitrokey-passkey", "nitrokey-start-rtm1", "gnuk-old"):
            self.assertIn(".interrupt_in = 0 ", self.identity(name)[0].replace(",", " "), name)

    def test_the_speed_is_told(self):
        self.assertIn(".high_speed = true", self.identity("nitrokey-storage-hs-48")[0])
        self.assertIn(".high_speed = false", self.identity("nitrokey-storage-fs")[0])


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
