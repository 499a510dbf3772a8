#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""unpack-kernel.py VMLINUZ VMLINUX: the ELF kernel in a bzImage, which QEMU starts in half the time.

The Linux boot protocol tells where the compressed kernel is: Documentation/arch/x86/boot.rst, payload_offset.
"""
import lzma
import struct
import sys

XZ_MAGIC = b"\xfd7zXZ\x00"


def payload(image):
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    return image[begin:begin + length]


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        packed = payload(file.read())
    if not packed.startswith(XZ_MAGIC):
        sys.exit(f"{source}: the kernel is not packed by xz")
    with open(target, "wb") as file:
        file.write(lzma.LZMADecompressor().decompress(packed))  # its length follows the stream


if __name__ == "__main__":
    main()
