#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns the reader files (readers/*.toml) into what is made from them, and refuses the ones with mistakes.

    generate.py check FILE...                    nothing but the check
    generate.py models OUT FILE...               the driver's table of models (C)
    generate.py identities OUT FILE...           descriptors, strings and ATRs of the virtual keys (C)
    generate.py plist OUT TEMPLATE FILE...       Info.plist of the bundle
    generate.py rules [--group=GROUP] OUT TEMPLATE FILE...
                                                 udev rules, for members of GROUP as well
"""
import argparse
import re
import struct
import sys
import tomllib
from pathlib import Path

ENDPOINT_TYPES = {"bulk": 2, "interrupt": 3}
CCID_CLASS = 0x0B
MASS_STORAGE_CLASS = 0x08
CCID_DESCRIPTOR_LENGTH = 54


class Mistake(Exception):
    """A mistake in a reader file: the message names file and key."""


def hex_bytes(text):
    return bytes.fromhex(text)


def number(low, high):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a number from {low} to {high}")
        return value
    return check


def text(value):
    if not isinstance(value, str) or not re.fullmatch(r"[ -~]+", value) or set(value) & set('"\\<>&'):
        raise ValueError('must be printable ASCII without " \\ < > &')
    return value


def bytes_from(low, high):
    def check(value):
        data = hex_bytes(value) if isinstance(value, str) else None
        if data is None or not low <= len(data) <= high:
            raise ValueError(f"must be {low} to {high} bytes in hexadecimal")
        return data
    return check


def one_of(*words):
    def check(value):
        if value not in words:
            raise ValueError("must be one of " + ", ".join(words))
        return value
    return check


def yes_or_no(value):
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


REQUIRED = object()
U8, U16 = number(0, 0xFF), number(0, 0xFFFF)
DEVICE = {
    "vendor_id": (U16, REQUIRED), "product_id": (U16, REQUIRED), "usb": (U16, REQUIRED), "release": (U16, REQUIRED),
    "manufacturer": (text, None), "product": (text, None), "serial": (text, None),
    "string_padding": (number(0, 16), 0), "total_length_extra": (number(0, 255), 0), "max_power_ma": (number(2, 500), 100),
}
INTERFACE = {
    "number": (U8, REQUIRED), "class": (U8, REQUIRED), "subclass": (U8, 0), "protocol": (U8, 0),
    "extra": (bytes_from(0, 255), b""), "endpoints": (list, REQUIRED),
}
ENDPOINT = {
    "address": (U8, REQUIRED), "type": (one_of(*ENDPOINT_TYPES), REQUIRED), "size": (number(1, 1024), REQUIRED),
    "interval": (U8, 0),
}
CARD = {"atr": (bytes_from(2, 33), REQUIRED)}
QUIRKS = {
    "ifsd": (number(32, 254), 32), "mute_answer": (bytes_from(0, 4), None), "abort_from": (U16, None),
    "set_configuration": (yes_or_no, False),
}
TOP = {
    "name": (text, REQUIRED), "model": (text, REQUIRED), "firmware": (one_of("pro", "storage"), REQUIRED), "device": (dict, REQUIRED), "interface": (list, REQUIRED),
    "card": (dict, REQUIRED), "quirks": (dict, {}),
}


def checked(path, where, table, schema):
    """The table with every key checked and defaults filled in."""
    if not isinstance(table, dict):
        raise Mistake(f"{path}: {where}: must be a table")
    for key in table:
        if key not in schema:
            raise Mistake(f"{path}: {where}{key}: unknown key")
    result = {}
    for key, (check, default) in schema.items():
        if key not in table:
            if default is REQUIRED:
                raise Mistake(f"{path}: {where}{key}: is missing")
            result[key] = default
            continue
        try:
            if isinstance(check, type) and not isinstance(table[key], check):
                raise ValueError(f"must be a {check.__name__}")
            result[key] = table[key] if isinstance(check, type) else check(table[key])
        except (ValueError, TypeError) as error:
            raise Mistake(f"{path}: {where}{key}: {error}") from None
    return result


def check_ccid(path, interface):
    """The interface with the class descriptor the driver relies on: CCID 1.1 table 5.1-1."""
    extra = interface["extra"]
    if len(extra) != CCID_DESCRIPTOR_LENGTH or extra[:2] != bytes([CCID_DESCRIPTOR_LENGTH, 0x21]):
        raise Mistake(f"{path}: interface.extra: the CCID class descriptor has 54 bytes and begins with 36 21")
    for direction, name in ((0x00, "OUT"), (0x80, "IN")):
        if not any(e["type"] == "bulk" and e["address"] & 0x80 == direction for e in interface["endpoints"]):
            raise Mistake(f"{path}: interface.endpoints: a CCID interface has a bulk {name} endpoint")


def load(path):
    try:
        with open(path, "rb") as file:
            raw = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise Mistake(f"{path}: {error}") from None
    reader = checked(path, "", raw, TOP)
    reader["file"] = Path(path).stem
    reader["device"] = checked(path, "device.", reader["device"], DEVICE)
    reader["card"] = checked(path, "card.", reader["card"], CARD)
    reader["quirks"] = checked(path, "quirks.", reader["quirks"], QUIRKS)
    reader["interface"] = [checked(path, "interface.", i, INTERFACE) for i in reader["interface"]]
    for interface in reader["interface"]:
        interface["endpoints"] = [checked(path, "interface.endpoints.", e, ENDPOINT) for e in interface["endpoints"]]
    ccid = [i for i in reader["interface"] if i["class"] == CCID_CLASS]
    if len(ccid) != 1:
        raise Mistake(f"{path}: interface: exactly one must be of class 0x0b (CCID)")
    reader["ccid"] = ccid[0]
    check_ccid(path, ccid[0])
    return reader


def has_disk(reader):
    return any(i["class"] == MASS_STORAGE_CLASS for i in reader["interface"])


def usb_id(reader):
    return reader["device"]["vendor_id"], reader["device"]["product_id"]


def load_all(paths):
    """All readers, in the order of their identifiers. Files with the same identifier are generations of one
    product: pcscd and the driver cannot tell them apart, so what concerns those must be the same."""
    first = {}
    readers = sorted((load(p) for p in paths), key=lambda r: (usb_id(r), r["file"]))
    for reader in readers:
        other = first.setdefault(usb_id(reader), reader)
        for key in ("name", "quirks"):
            if reader[key] != other[key]:
                raise Mistake(f"{reader['file']}.toml: {key}: differs from {other['file']}.toml, "
                              "which has the same vendor_id and product_id")
    return readers, list(first.values())


def c_bytes(data):
    return ", ".join(f"0x{b:02x}" for b in data)


def c_bool(value):
    return "true" if value else "false"


def models(products):
    lines = ["/* Generated from readers/ */", "static const struct model models[] = {"]
    for r in products:
        vendor, product = usb_id(r)
        mute = r["quirks"]["mute_answer"]
        lines.append(f'    {{ .vendor_id = 0x{vendor:04x}, .product_id = 0x{product:04x}, .name = "{r["name"]}", '
                     f'.ifsd = {r["quirks"]["ifsd"]},')
        abort = r["quirks"]["abort_from"]
        lines.append(f"      .has_abort = {c_bool(abort is not None)}, .abort_from = 0x{abort or 0:04x}, "
                     f'.set_configuration = {c_bool(r["quirks"]["set_configuration"])},')
        lines.append(f"      .mute_answer = {{ {c_bytes(mute or b'') or '0'} }}, "
                     f".mute_answer_len = {len(mute or b'')}, .has_mute_answer = {c_bool(mute is not None)} }},")
    return "\n".join(lines + ["};", ""])


def device_descriptor(device):
    strings = [1 + i if device[key] else 0 for i, key in enumerate(("manufacturer", "product", "serial"))]
    return struct.pack("<BBHBBBBHHHBBBB", 18, 1, device["usb"], 0, 0, 0, 64, device["vendor_id"],
                       device["product_id"], device["release"], *strings, 1)


def configuration_descriptor(reader):
    body = b""
    for i in reader["interface"]:
        body += struct.pack("<9B", 9, 4, i["number"], 0, len(i["endpoints"]), i["class"], i["subclass"], i["protocol"], 0)
        body += i["extra"]
        for e in i["endpoints"]:
            body += struct.pack("<BBBBHB", 7, 5, e["address"], ENDPOINT_TYPES[e["type"]], e["size"], e["interval"])
    total = 9 + len(body) + reader["device"]["total_length_extra"]
    return struct.pack("<BBHBBBBB", 9, 2, total, len(reader["interface"]), 1, 0, 0x80,
                       reader["device"]["max_power_ma"] // 2) + body


def endpoint(reader, kind, direction):
    found = [e["address"] for e in reader["ccid"]["endpoints"]
             if e["type"] == kind and e["address"] & 0x80 == direction]
    return found[0] if found else 0


def identities(readers):
    lines = ["/* Generated from readers/ */", '#include "identity.h"', ""]
    table = []
    for n, r in enumerate(readers):
        device, configuration = device_descriptor(r["device"]), configuration_descriptor(r)
        for name, data in (("device", device), ("configuration", configuration), ("atr", r["card"]["atr"])):
            lines.append(f"static const uint8_t {name}_{n}[] = {{ {c_bytes(data)} }};")
        strings = ", ".join(f'"{r["device"][k]}"' if r["device"][k] else "NULL"
                            for k in ("manufacturer", "product", "serial"))
        table.append(f'    {{ .name = "{r["file"]}", .firmware = "{r["firmware"]}", .device = device_{n}, .configuration = configuration_{n},\n'
                     f"      .configuration_len = sizeof configuration_{n}, .strings = {{ NULL, {strings} }},\n"
                     f'      .string_padding = {r["device"]["string_padding"]}, '
                     f'.ccid_interface = {r["ccid"]["number"]}, .bulk_out = {endpoint(r, "bulk", 0)}, '
                     f'.bulk_in = {endpoint(r, "bulk", 0x80)}, .interrupt_in = {endpoint(r, "interrupt", 0x80)},\n'
                     f"      .atr = atr_{n}, .atr_len = sizeof atr_{n} }},")
    return "\n".join(lines + ["", "const struct identity identities[] = {"] + table
                     + ["};", "const size_t identity_count = sizeof identities / sizeof identities[0];", ""])


def plist(template, products):
    """One string a line: pcscd's parser takes only the first. The three arrays have one element for each
    product, so they cannot be of unequal length."""
    def array(values):
        return "\n".join(f"\t\t<string>{v}</string>" for v in values)
    return (template.replace("@VENDOR_IDS@", array(f"0x{usb_id(r)[0]:04X}" for r in products))
            .replace("@PRODUCT_IDS@", array(f"0x{usb_id(r)[1]:04X}" for r in products))
            .replace("@FRIENDLY_NAMES@", array(r["name"] for r in products)))


def rules(template, group, products):
    lines = []
    for r in products:
        vendor, product = usb_id(r)
        match = f'ATTR{{idVendor}}=="{vendor:04x}", ATTR{{idProduct}}=="{product:04x}"'
        lines.append(f'# {r["name"]}')
        # A suspended key comes back as a new one, so that nobody trusts a state that may be gone. A disk must not.
        persist = "" if has_disk(r) else ', ATTR{power/persist}="0"'
        lines.append(f'{match}, ENV{{ID_SMARTCARD_READER}}="1", TAG+="uaccess"{persist}')
        if group: # a line of its own, since udev may drop a line with an unknown group
            lines.append(f'{match}, GROUP="{group}"')
    return template.replace("@RULES@", "\n".join(lines))


def group_name(value):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", value):
        raise argparse.ArgumentTypeError(f"{value!r} is no name of a group")
    return value


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("check", "models", "identities", "plist", "rules"):
        sub = kinds.add_parser(kind)
        if kind == "rules":
            sub.add_argument("--group", type=group_name, default="")
        if kind != "check":
            sub.add_argument("out", type=Path)
        if kind in ("plist", "rules"):
            sub.add_argument("template", type=Path)
        sub.add_argument("file", nargs="+")
    return parser.parse_args()


def main():
    arguments = command_line()
    readers, products = load_all(arguments.file)
    if arguments.kind == "check":
        return
    if arguments.kind == "models":
        result = models(products)
    elif arguments.kind == "identities":
        result = identities(readers)
    elif arguments.kind == "plist":
        result = plist(arguments.template.read_text(encoding="utf-8"), products)
    else:
        result = rules(arguments.template.read_text(encoding="utf-8"), arguments.group, products)
    arguments.out.write_text(result, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (Mistake, OSError) as mistake:
        sys.exit(f"error: {mistake}")
