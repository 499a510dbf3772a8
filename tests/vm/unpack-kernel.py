#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""unpack-kernel.py VMLINUZ VMLINUX: the ELF kernel in a bzImage, which QEMU starts in half the time.

The Linux boot protocol tells where the compressed kernel is: Documentation/arch/x86/boot.rst, payload_offset.
"""
import struct
import subprocess
import sys

UNPACKERS = {b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}  # by what begins it


def payload(image):
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    return image[begin:begin + length - 4]  # the length of the ELF file is behind it


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        packed = payload(file.read())
    unpackers = [name for magic, name in UNPACKERS.items() if packed.startswith(magic)]
    if not unpackers:
        sys.exit(f"{source}: the kernel is packed neither by xz nor by zstd")
    with open(target, "wb") as file:
        subprocess.run([unpackers[0], "--decompress", "--stdout"], input=packed, stdout=file, check=True)


if __name__ == "__main__":
    main()
