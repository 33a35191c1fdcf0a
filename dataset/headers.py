"""The size of a picture from its first bytes: ten times as quick as opening it, which counts where there are thousands.

Only what is plain is answered, for JPEG, PNG and WebP; whatever is odd is left to `pictures.header`, which opens it.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib

from dataset.pictures import MAX_PIXELS, Header

FIRST, MORE, LAST = 4096, 65536, 64  # bytes that are read
PNG_MODES = {(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3), (8, 4), (16, 4),
             (8, 6), (16, 6)}  # depth and colour type
FRAMES = (0xC0, 0xC1, 0xC2)  # of JPEGs that everybody can read: baseline, extended, progressive
SIDEWAYS = range(5, 9)  # EXIF orientations


def quick(path: str) -> Header | None:
    """Size and kind of the upright picture, of a file that is whole as far as its ends tell; None: nothing is known."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size < LAST:
            return None
        head = os.read(handle, FIRST)
        found = _header(head, facts.st_size)
        if found is None and facts.st_size > FIRST and head[:2] in (b"\xff\xd8", b"\x89P"):
            found = _header(head + os.read(handle, MORE), facts.st_size)
        if found is None or not 0 < found.width * found.height <= MAX_PIXELS:
            return None
        os.lseek(handle, -LAST, os.SEEK_END)
        return found if _ends(head, os.read(handle, LAST)) else None
    except (OSError, struct.error, IndexError):
        return None
    finally:
        os.close(handle)


def _header(head: bytes, size: int) -> Header | None:
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(head)
    if head.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        return _png(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and int.from_bytes(head[4:8], "little") + 8 <= size:
        return _webp(head)
    return None


def _ends(head: bytes, tail: bytes) -> bool:
    """As `pictures.looks_whole`; of a WebP the length was looked at already."""
    if head.startswith(b"\xff\xd8"):
        return tail.rstrip(b"\0\r\n ").endswith(b"\xff\xd9")
    return b"IEND" in tail if head.startswith(b"\x89PNG") else True


def _jpeg(head: bytes) -> Header | None:
    """Segment after segment up to the pixels: the frame tells the size, the EXIF block the way up."""
    at, frame, turned = 2, None, None
    while at + 4 <= len(head):
        if head[at] != 0xFF:
            return None
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        data = head[at + 4 : at + 2 + length]
        if marker == 0xDA:  # here the pixels begin
            if frame is None:
                return None
            width, height = frame
            return Header(height, width, False, "JPEG") if turned else Header(width, height, False, "JPEG")
        if len(data) != length - 2:
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xCC):
            depth, height, width, parts = struct.unpack_from(">BHHB", data)
            if marker not in FRAMES or frame or depth != 8 or parts not in (1, 3, 4):
                return None
            frame = (width, height)
        elif marker == 0xE1:
            if turned is not None or not data.startswith(b"Exif\0\0") or (turned := _turned(data[6:])) is None:
                return None  # XMP, which may tell the orientation too
        elif not (0xE0 <= marker <= 0xEF or marker in (0xC4, 0xDB, 0xDD, 0xFE)):
            return None
        at += 2 + length
    return None


def _turned(exif: bytes) -> bool | None:
    """Whether the orientation swaps width and height; None where the block isn't plain."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    start, = struct.unpack_from(order + "L", exif, 4)
    count, = struct.unpack_from(order + "H", exif, start)
    for entry in range(count):
        tag, kind, values, value = struct.unpack_from(order + "HHLH", exif, start + 2 + 12 * entry)
        if tag == 0x0112:
            return value in SIDEWAYS if kind == 3 and values == 1 else None
    return False


def _png(head: bytes) -> Header | None:
    """Chunk after chunk up to the pixels; one that may tell of an orientation or an animation is not plain."""
    width, height, depth, colours, packing, filters, laced = struct.unpack_from(">LLBBBBB", head, 16)
    if (depth, colours) not in PNG_MODES or packing or filters or laced > 1:
        return None
    at = 8
    while at + 8 <= len(head):
        length, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind == b"IDAT":
            return Header(width, height, False, "PNG")
        data, check = head[at + 4 : at + 8 + length], head[at + 8 + length : at + 12 + length]
        if kind in (b"eXIf", b"acTL") or b"exif" in data[:64] or b"adobe" in data[:64]:
            return None
        if len(check) < 4 or zlib.crc32(data) != int.from_bytes(check, "big"):
            return None
        at += 12 + length
    return None


def _webp(head: bytes) -> Header | None:
    kind = head[12:16]
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return Header(width & 0x3FFF, height & 0x3FFF, False, "WEBP")
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, False, "WEBP")
    if kind == b"VP8X" and not head[20] & 0b1110:  # animated, with XMP, with EXIF
        return Header(int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1, False,
                      "WEBP")
    return None
