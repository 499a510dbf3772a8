#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns the reader files into what is made from them, and refuses the ones with mistakes.

    generate.py check [--readme README]          nothing but the check; also that README has the table of models
    generate.py list [--level LEVEL]             their names, a line each; of one exchange level: tpdu or apdu
    generate.py models OUT                       the driver's table of models (C)
    generate.py identities OUT                   descriptors, strings and ATRs of the virtual keys (C)
    generate.py quirks OUT                       what reader files say of each product, for describe (C)
    generate.py plist OUT TEMPLATE               Info.plist of the bundle
    generate.py rules [--group=GROUP] OUT TEMPLATE
                                                 udev rules, for members of GROUP as well
    generate.py metainfo OUT TEMPLATE            AppStream metadata of the driver
    generate.py table OUT                        the README's table of models (Markdown)
    generate.py readme README                    puts that table into README, in the place of the one that is there

Reader files are all files *.toml beside this program, or those that follow the other arguments. With --depfile=FILE it
writes down, for Ninja, what OUT was made from.
"""
import argparse
import re
import struct
import sys
import tomllib
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent
ENDPOINT_TYPES = {"bulk": 2, "interrupt": 3}
CCID_CLASS = 0x0B
MASS_STORAGE_CLASS = 0x08
CCID_DESCRIPTOR_LENGTH = 54
FULL_SPEED_PACKET = 64
OWN_STRINGS = range(4, 8)  # indices of strings that are not manufacturer, product or serial number
TPDU, SHORT_APDU, EXTENDED_APDU = 0x10000, 0x20000, 0x40000  # CCID 1.1 §5.1, dwFeatures
LEVELS = {TPDU: "TPDU", SHORT_APDU: "short APDU", EXTENDED_APDU: "short and extended APDU"}
FIRMWARES = {  # of the virtual keys, and the exchange level that each has
    "pro": TPDU, "storage": TPDU, "storage-0.43": TPDU, "storage-0.29": TPDU, "gnuk": SHORT_APDU,
    "gnuk-1.0": SHORT_APDU, "gnuk-2010": EXTENDED_APDU, "nk3": EXTENDED_APDU,
}


class Mistake(Exception):
    """A mistake in a reader file: the message names file and key."""


def hex_bytes(text):
    return bytes.fromhex(text)


def even(value):
    if value % 2:
        raise ValueError("must be an even number")
    return value


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


def endpoint_address(value):
    """USB 2.0 table 9-13: the number, and 80 for IN."""
    if U8(value) & 0x70 or value & 0x0F == 0:
        raise ValueError("must be the number of an endpoint, 1 to 15, and 0x80 if it is IN")
    return value


def descriptors(value):
    """Class descriptors, each of which begins with its length."""
    data = bytes_from(0, 255)(value)
    at = 0
    while at < len(data):
        if data[at] < 2 or at + data[at] > len(data):
            raise ValueError(f"the length of a descriptor is not that of its first byte, {data[at]:02x}")
        at += data[at]
    return data


def answer_to_reset(value):
    """As long as it says: ISO 7816-3 §8.2. TCK may be wrong: there is a firmware that changes the rest only."""
    atr = bytes_from(2, 33)(value)
    if atr[0] not in (0x3B, 0x3F):
        raise ValueError("must begin with 3B or 3F")
    length, announced, protocols = 2, atr[1], set()
    while True:
        length += (announced >> 4).bit_count()
        if not announced & 0x80 or length > len(atr):
            break
        announced = atr[length - 1]
        protocols.add(announced & 0x0F)
    length += (atr[1] & 0x0F) + bool(protocols - {0})
    if length != len(atr):
        raise ValueError(f"has {len(atr)} bytes, but says by itself that it has {length}")
    return atr


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


def strings(value):
    """Strings by their index."""
    if not isinstance(value, dict):
        raise ValueError("must be a table")
    result = {}
    for index, string in value.items():
        if not index.isdecimal() or int(index) not in OWN_STRINGS:
            raise ValueError(f"{index}: an index is a number from {OWN_STRINGS[0]} to {OWN_STRINGS[-1]}")
        try:
            result[int(index)] = text(string)
        except ValueError as error:
            raise ValueError(f"{index}: {error}") from None
    return result


def string_lengths(value):
    if not isinstance(value, list) or not 1 <= len(value) <= 3:
        raise ValueError("must be up to three numbers: of manufacturer, product and serial number")
    return [even(number(2, 254)(length)) for length in value]


def span(value):
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two numbers, from and to")
    low, high = (number(0, 0xFFFF)(v) for v in value)
    if low > high:
        raise ValueError("the first number must not be the larger one")
    return [low, high]


REQUIRED = object()
U8, U16 = number(0, 0xFF), number(0, 0xFFFF)
DEVICE = {
    "vendor_id": (U16, REQUIRED), "product_id": (U16, REQUIRED), "usb": (U16, REQUIRED), "release": (U16, REQUIRED),
    "class": (U8, 0), "subclass": (U8, 0), "protocol": (U8, 0),
    "manufacturer": (text, None), "product": (text, None), "serial": (text, None),
    "strings": (strings, {}),  # what else the key tells, by index
    "string_lengths": (string_lengths, []),  # bLength where it is more than the text: what is missing is NUL
    "total_length_extra": (number(0, 255), 0),  # how many bytes too many wTotalLength says
    "max_power_ma": (lambda value: even(number(2, 500)(value)), 100),
}
INTERFACE = {
    "number": (U8, REQUIRED), "class": (U8, REQUIRED), "subclass": (U8, 0), "protocol": (U8, 0),
    "string": (number(OWN_STRINGS[0], OWN_STRINGS[-1]), 0),  # iInterface
    "extra": (descriptors, b""),  # class descriptors
    "endpoints": (list, REQUIRED),
}
ENDPOINT = {
    "address": (endpoint_address, REQUIRED), "type": (one_of(*ENDPOINT_TYPES), REQUIRED),
    "size": (number(1, 1024), REQUIRED), "interval": (U8, 0),
}
APPLICATIONS = ("openpgp-card-3.4", "openpgp-card-2.1", "gnuk", "opcard", "opcard+piv", "smartcard-hsm-2.6",
                "smartcard-hsm-3.4", "smartcard-hsm-4.0", "none")
CARD = {
    "atr": (answer_to_reset, REQUIRED),
    "application": (one_of(*APPLICATIONS), REQUIRED),  # of the virtual key: what runs on its card
}
DRIVER_QUIRKS = {  # what the driver does otherwise for this product, whatever its generation
    "ifsd": (number(32, 254), 32),  # T=1: the INF size to ask the card for by S(IFS request); 32: do not ask
    "mute_answer": (bytes_from(0, 4), None),  # a success that means: the card stayed silent. Empty: an empty block
    "cut_message": (one_of("overshoot", "short-packet", "abort"), "short-packet"),  # what ends a message that was cut
    "sign_of_life_ms": (number(0, 10000), 0),  # a key at work is heard at least this often; 0: it may be silent
    "extended_sign_of_life_ms": (number(0, 10000), 0),  # ... in first releases, extended APDU; 0: there are none
    "dies_when_disturbed": (yes_or_no, False),  # a command or an Abort while it is at work ends its service
    "abort_from": (U16, None),  # the Abort pair ends a chain of parts from this bcdDevice on; absent: never
    "abort_cut_from": (U16, None),  # ... and a message that was cut
    "dead_from": (U16, None),  # the bcdDevices whose silence was seen to mean that they are dead: from
    "dead_to": (U16, 0),  # ... and to
    "watchdog_s": (number(0, 7200), 0),  # no command lasts longer than this ...
    "watchdog_from": (U16, 0),  # ... from this bcdDevice on
    "max_command": (U16, 0),  # the longest command APDU that the firmware takes, in bytes; 0: no limit is known
    "set_configuration": (yes_or_no, False),  # SET_CONFIGURATION ends a command
    "one_packet_ends": (yes_or_no, False),  # a message that fills one packet has no zero-length one behind it
    "one_packet_requests": (yes_or_no, False),  # of a request of more than one packet the first is executed
    "power_on_resets_from": (U16, 0),  # IccPowerOn resets a card that has power from this bcdDevice on
    "startup_ms": (number(0, 3000), 0),  # after it was plugged in nothing is answered for so long
    "generation_s": (span, [0, 0]),  # how long the generation of one key usually takes, in seconds: from, to
    "reset_s": (span, [0, 0]),  # ... and a factory reset; 0, 0: not known
}
NOTES = {  # what only the README's table tells: the driver treats all products alike here
    "keeps_pin_over_reset": (yes_or_no, False),  # power off and on again do not forget a verified PIN
}
QUIRKS = {**DRIVER_QUIRKS, **NOTES}
TOP = {
    "name": (text, REQUIRED), "model": (text, REQUIRED),
    "firmware": (one_of(*FIRMWARES), REQUIRED),
    "speed": (one_of("full", "high"), "full"),
    "device": (dict, REQUIRED), "interface": (list, REQUIRED), "card": (dict, REQUIRED), "quirks": (dict, {}),
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


def level(interface):
    """The bits of dwFeatures that name the exchange level: CCID 1.1 table 5.1-1."""
    return int.from_bytes(interface["extra"][40:44], "little") & (TPDU | SHORT_APDU | EXTENDED_APDU)


def check_ccid(path, interface):
    """The interface with the class descriptor the driver relies on: CCID 1.1 table 5.1-1."""
    extra = interface["extra"]
    if len(extra) != CCID_DESCRIPTOR_LENGTH or extra[:2] != bytes([CCID_DESCRIPTOR_LENGTH, 0x21]):
        raise Mistake(f"{path}: interface.extra: the CCID class descriptor has 54 bytes and begins with 36 21")
    for direction, name in ((0x00, "OUT"), (0x80, "IN")):
        if not any(e["type"] == "bulk" and e["address"] & 0x80 == direction for e in interface["endpoints"]):
            raise Mistake(f"{path}: interface.endpoints.address: a CCID interface has a bulk {name} endpoint")
    if level(interface) not in LEVELS:
        raise Mistake(f"{path}: interface.extra: dwFeatures names no exchange level that the driver knows")


def check_twice(path, key, values):
    for n, value in enumerate(values):
        if value in values[:n]:
            raise Mistake(f"{path}: {key}: {value:#04x} is there twice")


def check_firmware(path, reader):
    found, expected = level(reader["ccid"]), FIRMWARES[reader["firmware"]]
    if found != expected:
        raise Mistake(f"{path}: firmware: {reader['firmware']} is of the level {LEVELS[expected]}, "
                      f"but interface.extra says {LEVELS[found]}")
    if reader["firmware"].startswith("storage") and not has_disk(reader):
        raise Mistake(f"{path}: firmware: {reader['firmware']} has an interface of class 0x08 (mass storage)")


def check_usb(path, reader):
    """What the interfaces say about themselves fits the rest: USB 2.0 §5.8.3, §9.6.5."""
    check_twice(path, "interface.number", [i["number"] for i in reader["interface"]])
    check_twice(path, "interface.endpoints.address",
                [e["address"] for i in reader["interface"] for e in i["endpoints"]])
    for interface in reader["interface"]:
        if interface["string"] and interface["string"] not in reader["device"]["strings"]:
            raise Mistake(f"{path}: interface.string: device.strings has none of this index")
        for endpoint in interface["endpoints"]:
            if reader["speed"] == "full" and endpoint["size"] > FULL_SPEED_PACKET:
                raise Mistake(f"{path}: interface.endpoints.size: a packet has at most 64 bytes at full speed")


def load(path):
    if not re.fullmatch(r"[a-z0-9.-]+", path.stem):
        raise Mistake(f"{path}: the name of the file is the model's, of a-z, 0-9, . and -")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Mistake(f"{path}: {error}") from None
    reader = checked(path, "", raw, TOP)
    reader["file"] = path.stem
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
    check_firmware(path, reader)
    check_usb(path, reader)
    return reader


def has_disk(reader):
    return any(i["class"] == MASS_STORAGE_CLASS for i in reader["interface"])


def usb_id(reader):
    return reader["device"]["vendor_id"], reader["device"]["product_id"]


def driver_sees(reader):
    """What cannot differ between the generations of one product, which pcscd and the driver do not tell apart."""
    return {"name": reader["name"], **{key: reader["quirks"][key] for key in DRIVER_QUIRKS}}


def load_all(paths):
    """All readers, in the order of their identifiers: the files with the same identifier are one product."""
    first = {}
    readers = sorted((load(p) for p in paths), key=lambda r: (usb_id(r), r["file"]))
    for reader in readers:
        other = first.setdefault(usb_id(reader), reader)
        for key, value in driver_sees(reader).items():
            if value != driver_sees(other)[key]:
                raise Mistake(f"{reader['file']}.toml: {key}: differs from {other['file']}.toml, "
                              "which has the same vendor_id and product_id")
    return readers


def products(readers):
    """The first reader of each product."""
    first = {}
    for reader in readers:
        first.setdefault(usb_id(reader), reader)
    return list(first.values())


def c_bytes(data):
    return ", ".join(f"0x{b:02x}" for b in data)


def c_bool(value):
    return "true" if value else "false"


def models(products):
    vendors = [usb_id(r)[0] for r in products]
    lines = ["/* Generated from readers/ */", f"#define MAIN_VENDOR_ID 0x{max(vendors, key=vendors.count):04x}",
             "static const struct model models[] = {"]
    for r in products:
        vendor, product = usb_id(r)
        mute = r["quirks"]["mute_answer"]
        lines.append(f'    {{ .vendor_id = 0x{vendor:04x}, .product_id = 0x{product:04x}, .name = "{r["name"]}", '
                     f'.ifsd = {r["quirks"]["ifsd"]},')
        quirks = r["quirks"]
        lines.append(f'      .cut_message = CUT_{quirks["cut_message"].replace("-", "_").upper()}, '
                     f'.sign_of_life_ms = {quirks["sign_of_life_ms"]}, '
                     f'.extended_sign_of_life_ms = {quirks["extended_sign_of_life_ms"]}, '
                     f'.dies_when_disturbed = {c_bool(quirks["dies_when_disturbed"])},')
        lines.append(f'      .abort_from = 0x{quirks["abort_from"] or 0xffff:04x}, '
                     f'.abort_cut_from = 0x{quirks["abort_cut_from"] or 0xffff:04x}, '
                     f'.dead_from = 0x{quirks["dead_from"] or 0xffff:04x}, .dead_to = 0x{quirks["dead_to"]:04x}, '
                     f'.watchdog_s = {quirks["watchdog_s"]}, .watchdog_from = 0x{quirks["watchdog_from"]:04x},')
        lines.append(f'      .set_configuration = {c_bool(quirks["set_configuration"])}, '
                     f'.one_packet_ends = {c_bool(quirks["one_packet_ends"])}, '
                     f'.max_command = {quirks["max_command"]},')
        lines.append(f'      .one_packet_requests = {c_bool(quirks["one_packet_requests"])}, '
                     f'.power_on_resets_from = 0x{quirks["power_on_resets_from"]:04x}, '
                     f'.startup_ms = {quirks["startup_ms"]},')
        lines.append("      .generation_s = {{ {}, {} }}, .reset_s = {{ {}, {} }},".format(
            *r["quirks"]["generation_s"], *r["quirks"]["reset_s"]))
        lines.append(f"      .mute_answer = {{ {c_bytes(mute or b'') or '0'} }}, "
                     f".mute_answer_len = {len(mute or b'')}, .has_mute_answer = {c_bool(mute is not None)} }},")
    return "\n".join(lines + ["};", ""])


def toml(value):
    """As it stands in a reader file."""
    if isinstance(value, bool):
        return c_bool(value)
    if isinstance(value, bytes):
        return f'"{value.hex(" ").upper()}"'
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{value[0]}, {value[1]}]" if isinstance(value, list) else str(value)


def usual(products):
    """What a key that nobody has described yet most probably has: by exchange level, and for one with a disk."""
    def most(readers):
        values = [(r["firmware"], r["card"]["application"]) for r in readers]
        return '{{ "{}", "{}" }}'.format(*max(values, key=values.count))

    plain = [r for r in products if not has_disk(r)]
    lines = [f"    [{name}] = {most([r for r in plain if level(r['ccid']) == bits])}," for name, bits in (
        ("CCID_TPDU", TPDU), ("CCID_SHORT_APDU", SHORT_APDU), ("CCID_EXTENDED_APDU", EXTENDED_APDU))]
    return ["static const struct usual {", "    const char *firmware, *application;",
            f"}} WITH_DISK = {most([r for r in products if has_disk(r)])},", "USUAL[] = {", *lines, "};"]


def quirks(products):
    lines = ["/* Generated from readers/ */", "static const struct {", "    uint16_t vendor_id, product_id;",
             "    const char *text;", "} QUIRKS[] = {"]
    for reader in products:
        said = [f"{key} = {toml(reader['quirks'][key])}\n" for key, (_, default) in DRIVER_QUIRKS.items()
                if reader["quirks"][key] != default]
        escaped = "".join(said).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        vendor, product = usb_id(reader)
        lines.append(f'    {{ 0x{vendor:04x}, 0x{product:04x}, "{escaped}" }},')
    return "\n".join([*lines, "};", *usual(products), ""])


def device_descriptor(device):
    indices = [1 + i if device[key] else 0 for i, key in enumerate(("manufacturer", "product", "serial"))]
    return struct.pack("<BBHBBBBHHHBBBB", 18, 1, device["usb"], device["class"], device["subclass"], device["protocol"],
                       64, device["vendor_id"], device["product_id"], device["release"], *indices, 1)


def configuration_descriptor(reader):
    body = b""
    for i in reader["interface"]:
        body += struct.pack("<9B", 9, 4, i["number"], 0, len(i["endpoints"]), i["class"], i["subclass"], i["protocol"],
                            i["string"])
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


def c_strings(device):
    """By index; 0 is the list of languages."""
    known = [device[key] for key in ("manufacturer", "product", "serial")]
    known += [device["strings"].get(index) for index in OWN_STRINGS]
    return ", ".join(["NULL"] + [f'"{string}"' if string else "NULL" for string in known])


def identity(n, reader):
    device, ccid = reader["device"], reader["ccid"]
    return (f'    {{ .name = "{reader["file"]}", .firmware = "{reader["firmware"]}", '
            f'.high_speed = {c_bool(reader["speed"] == "high")},\n'
            f"      .device = device_{n}, .configuration = configuration_{n}, "
            f".configuration_len = sizeof configuration_{n},\n"
            f"      .strings = {{ {c_strings(device)} }}, "
            f".string_lengths = {{ {', '.join(map(str, [0] + device['string_lengths']))} }}, "
            f".ccid_interface = {ccid['number']},\n"
            f"      .bulk_out = {endpoint(reader, 'bulk', 0)}, .bulk_in = {endpoint(reader, 'bulk', 0x80)}, "
            f".interrupt_in = {endpoint(reader, 'interrupt', 0x80)},\n"
            f'      .atr = atr_{n}, .atr_len = sizeof atr_{n}, .application = "{reader["card"]["application"]}" }},')


def identities(readers):
    lines = ["/* Generated from readers/ */", '#include "identity.h"', ""]
    for n, r in enumerate(readers):
        for name, data in (("device", device_descriptor(r["device"])), ("configuration", configuration_descriptor(r)),
                           ("atr", r["card"]["atr"])):
            lines.append(f"static const uint8_t {name}_{n}[] = {{ {c_bytes(data)} }};")
    lines += ["", "const struct identity identities[] = {"] + [identity(n, r) for n, r in enumerate(readers)]
    return "\n".join(lines + ["};", "const size_t identity_count = sizeof identities / sizeof identities[0];", ""])


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
        marked = f', ENV{{.IFD_NITROKEY_GROUP}}="{group}"' if group else ""
        lines.append(f'{match}, ENV{{ID_SMARTCARD_READER}}="1"{marked}, TAG+="uaccess"{persist}')
    if group:
        lines += ["# udev refuses a name that it does not know when it reads the rules, so this one is told at the event.",
                  f'ENV{{.IFD_NITROKEY_GROUP}}=="{group}", PROGRAM=="/usr/bin/getent group {group}", '
                  'GROUP="$env{.IFD_NITROKEY_GROUP}"']
    return template.replace("@RULES@", "\n".join(lines))


def metainfo(template, products):
    """modalias: the kernel writes the identifiers in upper-case hexadecimal; any bcdDevice."""
    ids = (usb_id(r) for r in products)
    lines = [f"    <modalias>usb:v{vendor:04X}p{product:04X}d*</modalias>" for vendor, product in ids]
    return template.replace("@MODALIASES@", "\n".join(lines))


USES = {"gnuk": "GnuPG, OpenSC", "none": "", "opcard": "GnuPG, OpenSC", "opcard+piv": "GnuPG, OpenSC",
        "openpgp-card-2.1": "GnuPG, OpenSC", "openpgp-card-3.4": "GnuPG, OpenSC"}  # by the application on the card


def used_with(reader):
    """An HSM's application is OpenSC's; a key with nothing but FIDO is a reader whose card knows no application."""
    by_firmware = "no program: FIDO goes by HID" if reader["firmware"] == "nk3" else "OpenSC"
    return USES.get(reader["card"]["application"]) or by_firmware


def row(generations):
    """Of the README's table; the generations of a product have the same quirks as far as the driver goes."""
    quirks = generations[0]["quirks"]
    end = "reset after 3 minutes of silence" if quirks["set_configuration"] else "waited for"
    keeping = [r["quirks"]["keeps_pin_over_reset"] for r in generations]
    forgets = "no" if all(keeping) else "yes, but for the oldest" if any(keeping) else "yes"
    levels = dict.fromkeys(LEVELS[level(r["ccid"])] for r in generations)
    names = ", ".join(sorted({r["model"] for r in generations}))
    vendor, product = usb_id(generations[0])
    uses = used_with(generations[0])
    return f'| {names} | {vendor:04x}:{product:04x} | {uses} | {" or ".join(levels)} | {end} | {forgets} |'


def table(readers):
    """One row a product, in the order of the identifiers."""
    generations = {}
    for reader in readers:
        generations.setdefault(usb_id(reader), []).append(reader)
    lines = ["| model | USB id | works with | exchange level | a command that was given up is "
             "| a reset forgets a verified PIN |",
             "|---|---|---|---|---|---|"]
    return "\n".join(lines + [row(group) for group in generations.values()] + [""])


def check_readme(path, readers):
    """The table stands in the file as it is generated, and no line of an older one after it."""
    if f"\n\n{table(readers)}\n" not in f"\n\n{path.read_text(encoding='utf-8')}\n":
        raise Mistake(f"{path}: the table of models is missing or stale: `readers/generate.py readme {path}` renews it")


def renew_readme(path, readers):
    new, head = table(readers), table([])
    text, count = re.subn(re.escape(head.splitlines()[0]) + r"\n(\|.*\n)*", lambda _: new,
                          path.read_text(encoding="utf-8"))
    if count != 1:
        raise Mistake(f"{path}: there is no table of models to renew, or more than one; it begins with {head}")
    path.write_text(text, encoding="utf-8")


def named(readers, wanted):
    """The names of the readers' files, a line each; of one level only if one is wanted."""
    def is_wanted(reader):
        return wanted in (None, "tpdu" if level(reader["ccid"]) == TPDU else "apdu")
    return "".join(f"{r['file']}\n" for r in readers if is_wanted(r))


def group_name(value):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", value):
        raise argparse.ArgumentTypeError(f"{value!r} is no name of a group")
    return value


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("check", "list", "models", "identities", "quirks", "plist", "rules", "metainfo", "table", "readme"):
        sub = kinds.add_parser(kind)
        if kind == "check":
            sub.add_argument("--readme", type=Path)
        elif kind == "list":
            sub.add_argument("--level", choices=("tpdu", "apdu"))
        else:
            sub.add_argument("out", type=Path)
            sub.add_argument("--depfile", type=Path)
        if kind == "rules":
            sub.add_argument("--group", type=group_name, default="")
        if kind in ("plist", "rules", "metainfo"):
            sub.add_argument("template", type=Path)
        sub.add_argument("file", nargs="*", type=Path)
    return parser.parse_args()


def result(arguments, readers):
    if arguments.kind == "models":
        return models(products(readers))
    if arguments.kind == "quirks":
        return quirks(products(readers))
    if arguments.kind == "identities":
        return identities(readers)
    if arguments.kind == "table":
        return table(readers)
    template = arguments.template.read_text(encoding="utf-8")
    if arguments.kind == "plist":
        return plist(template, products(readers))
    if arguments.kind == "metainfo":
        return metainfo(template, products(readers))
    return rules(template, arguments.group, products(readers))


def dependencies(out, files):
    """For Ninja: the directory changes when a file is added or goes."""
    return f"{out}: " + " ".join(str(path).replace(" ", "\\ ") for path in [DIRECTORY, *files]) + "\n"


def main():
    arguments = command_line()
    files = arguments.file or sorted(DIRECTORY.glob("*.toml"))
    readers = load_all(files)
    if arguments.kind == "check":
        if arguments.readme:
            check_readme(arguments.readme, readers)
    elif arguments.kind == "list":
        sys.stdout.write(named(readers, arguments.level))
    elif arguments.kind == "readme":
        renew_readme(arguments.out, readers)
    else:
        arguments.out.write_text(result(arguments, readers), encoding="utf-8")
        if arguments.depfile:
            arguments.depfile.write_text(dependencies(arguments.out, files), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (Mistake, OSError) as mistake:
        sys.exit(f"error: {mistake}")
