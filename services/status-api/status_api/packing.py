"""A long text that is kept compressed, and sent so with another text behind it.

The two become one member of a gzip file: not every client reads a second one.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LEVEL = 1
RAW = -zlib.MAX_WBITS
"""Deflate without a header or a checksum."""
CHECK = struct.Struct("<II")
"""The checksum and the length of a text, as they end a gzip file. They are kept before the compressed text."""
HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def pack(parts: Iterable[bytes]) -> bytes:
    """Compress a text part by part, so that it is never whole in memory."""
    compressor, check, length = zlib.compressobj(LEVEL, wbits=RAW), 0, 0
    packed = []
    for part in parts:
        check, length = zlib.crc32(part, check), length + len(part)
        packed.append(compressor.compress(part))
    # Not the end: on a byte, so that another text may follow.
    packed.append(compressor.flush(zlib.Z_SYNC_FLUSH))
    return CHECK.pack(check, length % 2**32) + b"".join(packed)


EMPTY = pack(())


def unpacked(packed: bytes) -> bytes:
    """Return the text."""
    return zlib.decompressobj(RAW).decompress(packed[CHECK.size :])


def gzipped(packed: bytes, end: bytes) -> bytes:
    """Return a gzip file of the text and another one behind it."""
    check, length = CHECK.unpack_from(packed)
    tail = zlib.compressobj(LEVEL, wbits=RAW)
    last = CHECK.pack(zlib.crc32(end, check), (length + len(end)) % 2**32)
    return b"".join((HEADER, packed[CHECK.size :], tail.compress(end), tail.flush(), last))
