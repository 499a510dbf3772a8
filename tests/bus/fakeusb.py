#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fakeusb.py - the kernel's and udevd's part when a USB device is plugged in: sysfs, /dev/bus/usb, and udev's events.

Usage: fakeusb.py init                 makes a bus with nothing but a root hub
       fakeusb.py plug PORT SOCKET     plugs the device of the USB/IP server at the AF_UNIX path SOCKET into PORT
       fakeusb.py unplug PORT          takes out what is in PORT

Works in a private namespace only (see enter): /sys, /run and /dev are ordinary file systems there. A node
/dev/bus/usb/BBB/DDD is a file of the device's descriptors, and /run/usbfs/BBB-DDD links to the server's socket;
usbfs_shim.c makes a USB device of the two. Speaks USB/IP as in the kernel's Documentation/usb/usbip_protocol.
"""
from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYS = Path('/sys')
NODES = Path('/dev/bus/usb')
SOCKETS = Path('/run/usbfs')
BUS = 1
BUS_ID = '1-1'          # as every server calls its device
ADDRESS_MAX = 127
USB_MAJOR = 189
ROOT_HUB = '/devices/usb1'
ROOT_HUB_DESCRIPTORS = bytes.fromhex('12010002090000406b1d0200060103020101'
                                     '09021900010100e000' '090400000109000000' '0705810304000c')

DESCRIPTOR_DEVICE, DESCRIPTOR_CONFIGURATION, DESCRIPTOR_STRING, DESCRIPTOR_INTERFACE = 1, 2, 3, 4
REQUEST_GET_DESCRIPTOR, REQUEST_SET_CONFIGURATION = 6, 9
SPEEDS = {1: '1.5', 2: '12', 3: '480', 5: '5000'}   # Mbit/s, by the kernel's enum usb_device_speed


# ---- the device, asked by USB/IP ----

class UsbIp:
    """A connection that has imported the device."""

    TIMEOUT_S = 5.0
    VERSION, OP_REQ_IMPORT, CMD_SUBMIT, RET_SUBMIT = 0x0111, 0x8003, 1, 3
    IN = 0x80

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(self.TIMEOUT_S)
        self.socket.connect(path)
        self.sequence = 0
        self.socket.sendall(struct.pack('>HHI32s', self.VERSION, self.OP_REQ_IMPORT, 0, BUS_ID.encode()))
        status, = struct.unpack('>4xI', self.read(8))
        if status:
            raise OSError(f'{path}: the server refuses to export its device, status {status}')
        self.bus, self.address, self.speed = struct.unpack('>III', self.read(312)[288:300])

    def __enter__(self) -> UsbIp:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self, length: int) -> bytes:
        data = b''
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise EOFError('the USB/IP server has closed the connection')
            data += part
        return data

    def control(self, kind: int, request: int, value: int, index: int, length: int) -> bytes:
        """A control transfer without data to the device (USB 2.0 §9.3); a stall is an OSError."""
        self.sequence += 1
        incoming = bool(kind & self.IN)
        self.socket.sendall(struct.pack('>10I', self.CMD_SUBMIT, self.sequence, self.bus << 16 | self.address,
                                        incoming, 0, 0, length, 0, 0xffffffff, 0)
                            + struct.pack('<BBHHH', kind, request, value, index, length))
        command, sequence, status, actual = struct.unpack('>II12xiI20x', self.read(48))
        if (command, sequence) != (self.RET_SUBMIT, self.sequence) or actual > length:
            raise OSError('the USB/IP server does not answer what it was asked')
        data = self.read(actual) if incoming else b''
        if status:
            raise OSError(-status, os.strerror(-status))
        return data

    def descriptor(self, kind: int, index: int = 0, length: int = 255, language: int = 0) -> bytes:
        return self.control(self.IN, REQUEST_GET_DESCRIPTOR, kind << 8 | index, language, length)

    def string(self, index: int) -> str | None:
        if not index:
            return None
        try:
            language, = struct.unpack_from('<H', self.descriptor(DESCRIPTOR_STRING), 2)
            data = self.descriptor(DESCRIPTOR_STRING, index, language=language)
            return data[2:data[0]].decode('utf-16-le')
        except (OSError, struct.error, IndexError, UnicodeDecodeError):
            return None     # the kernel goes on as well


@dataclass(frozen=True)
class Interface:
    descriptor: bytes
    name: str | None

    @property
    def number(self) -> int:
        return self.descriptor[2]

    @property
    def classes(self) -> bytes:
        return self.descriptor[5:8]


@dataclass(frozen=True)
class Device:
    """What is known of a device that is plugged in."""

    port: int
    address: int
    speed: int
    descriptor: bytes
    configuration: bytes
    strings: list[str | None]       # manufacturer, product, serial number
    interfaces: list[Interface]

    @property
    def ids(self) -> tuple[int, int, int]:
        """vendor, product, version"""
        return struct.unpack_from('<HHH', self.descriptor, 8)


def default_interfaces(configuration: bytes) -> Iterator[bytes]:
    """The descriptors of the alternate settings 0 of all interfaces."""
    at = 0
    while at + 9 <= len(configuration) and configuration[at]:
        descriptor = configuration[at:at + configuration[at]]
        if descriptor[1] == DESCRIPTOR_INTERFACE and descriptor[3] == 0:
            yield descriptor
        at += configuration[at]


def enumerate_device(server: UsbIp, port: int, address: int) -> Device:
    """Asks what a kernel asks, and configures the device."""
    descriptor = server.descriptor(DESCRIPTOR_DEVICE, length=18)
    total, = struct.unpack_from('<H', server.descriptor(DESCRIPTOR_CONFIGURATION, length=9), 2)
    configuration = server.descriptor(DESCRIPTOR_CONFIGURATION, length=total)
    device = Device(port, address, server.speed, descriptor, configuration,
                    [server.string(index) for index in descriptor[14:17]],
                    [Interface(interface, server.string(interface[8]))
                     for interface in default_interfaces(configuration)])
    server.control(0, REQUEST_SET_CONFIGURATION, configuration[5], 0, 0)
    return device


# ---- names ----

def device_path(port: int) -> str:
    return f'{ROOT_HUB}/{BUS}-{port}'


def node_name(address: int) -> str:
    return f'{BUS:03}/{address:03}'


def node_properties(address: int) -> dict[str, object]:
    return {'MAJOR': USB_MAJOR, 'MINOR': (BUS - 1) * 128 + address - 1, 'DEVNAME': f'bus/usb/{node_name(address)}'}


def device_properties(device: Device) -> dict[str, object]:
    vendor, product, version = device.ids
    return {'DEVTYPE': 'usb_device', 'PRODUCT': f'{vendor:x}/{product:x}/{version:x}',
            'TYPE': '/'.join(map(str, device.descriptor[4:7])),
            'BUSNUM': f'{BUS:03}', 'DEVNUM': f'{device.address:03}'} | node_properties(device.address)


def interface_properties(device: Device, interface: Interface) -> dict[str, object]:
    shared = device_properties(device)
    return {'DEVTYPE': 'usb_interface', 'PRODUCT': shared['PRODUCT'], 'TYPE': shared['TYPE'],
            'INTERFACE': '/'.join(map(str, interface.classes))}


def interface_path(device: Device, interface: Interface) -> str:
    path = device_path(device.port)
    return f'{path}/{os.path.basename(path)}:{device.configuration[5]}.{interface.number}'


# ---- files ----

def write_attributes(path: str, properties: dict[str, object], attributes: dict[str, object]) -> None:
    """A directory of sysfs. An attribute that is None is not there."""
    directory = SYS / path[1:]
    directory.mkdir(parents=True)
    (directory / 'uevent').write_text(''.join(f'{key}={value}\n' for key, value in properties.items()))
    (directory / 'subsystem').symlink_to('../' * path.count('/') + 'bus/usb')
    for name, value in attributes.items():
        if isinstance(value, bytes):
            (directory / name).write_bytes(value)
        elif value is not None:
            (directory / name).write_text(f'{value}\n')


def link(path: str) -> None:
    """From here on programs that look for devices find it."""
    (SYS / 'bus/usb/devices' / os.path.basename(path)).symlink_to(f'../../..{path}')


def unlink(path: str) -> None:
    (SYS / 'bus/usb/devices' / os.path.basename(path)).unlink()


def write_device(device: Device) -> None:
    d, c = device.descriptor, device.configuration
    vendor, product, version = device.ids
    manufacturer, name, serial = device.strings
    write_attributes(device_path(device.port), device_properties(device), {
        'busnum': BUS, 'devnum': device.address, 'devpath': device.port, 'speed': SPEEDS.get(device.speed, 'unknown'),
        'version': f'{d[3]:2x}.{d[2]:02x}', 'idVendor': f'{vendor:04x}', 'idProduct': f'{product:04x}',
        'bcdDevice': f'{version:04x}', 'bDeviceClass': f'{d[4]:02x}', 'bDeviceSubClass': f'{d[5]:02x}',
        'bDeviceProtocol': f'{d[6]:02x}', 'bMaxPacketSize0': d[7], 'bNumConfigurations': d[17],
        'bNumInterfaces': f'{c[4]:2}', 'bConfigurationValue': c[5], 'bmAttributes': f'{c[7]:02x}',
        'manufacturer': manufacturer, 'product': name, 'serial': serial, 'descriptors': d + c})
    for interface in device.interfaces:
        i = interface.descriptor
        write_attributes(interface_path(device, interface), interface_properties(device, interface), {
            'bInterfaceNumber': f'{i[2]:02x}', 'bAlternateSetting': f'{i[3]:2}', 'bNumEndpoints': f'{i[4]:02x}',
            'bInterfaceClass': f'{i[5]:02x}', 'bInterfaceSubClass': f'{i[6]:02x}', 'bInterfaceProtocol': f'{i[7]:02x}',
            'interface': interface.name})


def write_node(address: int, descriptors: bytes) -> None:
    node = NODES / node_name(address)
    node.parent.mkdir(parents=True, exist_ok=True)
    node.write_bytes(descriptors)
    node.chmod(0o666)


def socket_link(address: int) -> Path:
    return SOCKETS / node_name(address).replace('/', '-')


def take_address() -> int:
    """Addresses are used in turn, so that a device that comes back has a new one, as with a kernel."""
    counter = SOCKETS / 'address'
    last = int(counter.read_text()) if counter.exists() else 1
    in_turn = [*range(last + 1, ADDRESS_MAX + 1), *range(2, last + 1)]
    address = next(address for address in in_turn if not (NODES / node_name(address)).exists())
    counter.write_text(str(address))
    return address


# ---- udev's events ----

def murmur_hash_2(data: bytes) -> int:
    """The 32-bit MurmurHash2 with seed 0, by which libudev's socket filters know subsystem and type."""
    factor, mask = 0x5bd1e995, 0xffffffff
    result = len(data)
    whole = len(data) & ~3
    for word, in struct.iter_unpack('<I', data[:whole]):
        word = word * factor & mask
        word = (word ^ word >> 24) * factor & mask
        result = (result * factor & mask) ^ word
    if data[whole:]:
        result = (result ^ int.from_bytes(data[whole:], 'little')) * factor & mask
    result = (result ^ result >> 13) * factor & mask
    return result ^ result >> 15


def send_event(action: str, path: str, properties: dict[str, object]) -> None:
    """What udevd tells its listeners when it has done its work on an event of the kernel."""
    netlink_kobject_uevent, listeners_of_udevd, header_size = 15, 2, 40
    told = {'ACTION': action, 'DEVPATH': path, 'SUBSYSTEM': 'usb', 'SEQNUM': time.monotonic_ns(),
            'USEC_INITIALIZED': time.monotonic_ns() // 1000} | properties
    if 'DEVNAME' in told:
        told['DEVNAME'] = f'/dev/{told["DEVNAME"]}'
    text = b''.join(f'{key}={value}'.encode() + b'\0' for key, value in told.items())
    header = (struct.pack('>8sI', b'libudev', 0xfeedcafe) + struct.pack('=III', header_size, header_size, len(text))
              + struct.pack('>IIII', murmur_hash_2(b'usb'), murmur_hash_2(str(told['DEVTYPE']).encode()), 0, 0))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_kobject_uevent) as netlink:
        try:
            netlink.sendto(header + text, (0, listeners_of_udevd))
        except ConnectionRefusedError:
            pass            # nobody listens


# ---- commands ----

@contextmanager
def one_at_a_time() -> Iterator[None]:
    with open(SOCKETS / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def init() -> None:
    (SYS / 'bus/usb/devices').mkdir(parents=True)
    (SYS / 'class').mkdir()
    SOCKETS.mkdir(exist_ok=True)
    write_attributes(ROOT_HUB, {'DEVTYPE': 'usb_device'} | node_properties(1), {
        'busnum': BUS, 'devnum': 1, 'speed': 480, 'bConfigurationValue': 1, 'bNumConfigurations': 1,
        'idVendor': '1d6b', 'idProduct': '0002', 'bDeviceClass': '09', 'descriptors': ROOT_HUB_DESCRIPTORS})
    write_node(1, ROOT_HUB_DESCRIPTORS)
    link(ROOT_HUB)


def plug(port: int, server_path: str) -> None:
    path = device_path(port)
    if (SYS / path[1:]).exists():
        sys.exit(f'fakeusb.py: there is something in port {port}')
    with UsbIp(server_path) as server:
        device = enumerate_device(server, port, take_address())
    paths = [interface_path(device, interface) for interface in device.interfaces]
    # All is there before the first event, since a listener looks at once.
    socket_link(device.address).symlink_to(os.path.abspath(server_path))
    # A configuration that says it is longer than it is reads so from the node, with zeros at its end.
    total, = struct.unpack_from('<H', device.configuration, 2)
    write_node(device.address, device.descriptor + device.configuration.ljust(total, b'\0'))
    write_device(device)
    for each in [path, *paths]:
        link(each)
    send_event('add', path, device_properties(device))
    for each, interface in zip(paths, device.interfaces):
        send_event('add', each, interface_properties(device, interface))
    send_event('bind', path, {'DRIVER': 'usb'} | device_properties(device))


def read_properties(path: str) -> dict[str, object]:
    lines = (SYS / path[1:] / 'uevent').read_text().splitlines()
    return dict(line.split('=', 1) for line in lines)


def unplug(port: int) -> None:
    path = device_path(port)
    directory = SYS / path[1:]
    if not directory.exists():
        sys.exit(f'fakeusb.py: there is nothing in port {port}')
    paths = [f'{path}/{entry.name}' for entry in sorted(directory.iterdir()) if ':' in entry.name]
    properties = {each: read_properties(each) for each in [path, *paths]}
    address = int(str(properties[path]['DEVNUM']))
    for each in [*paths, path]:
        unlink(each)
    (NODES / node_name(address)).unlink()
    socket_link(address).unlink()
    shutil.rmtree(directory)
    for each in paths:
        send_event('remove', each, properties[each])
    send_event('unbind', path, properties[path])
    send_event('remove', path, properties[path])


def main(arguments: list[str]) -> None:
    if os.environ.get('TEST_BUS') != os.readlink('/proc/self/ns/mnt'):
        sys.exit('fakeusb.py: refused, since this is no test bus, see enter')
    match arguments:
        case ['init']:
            init()
        case ['plug', port, path] if re.fullmatch('[1-9][0-9]?', port):
            with one_at_a_time():
                plug(int(port), path)
        case ['unplug', port] if re.fullmatch('[1-9][0-9]?', port):
            with one_at_a_time():
                unplug(int(port))
        case _:
            sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
