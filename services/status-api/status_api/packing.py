"""Compresses answers. A long text is kept compressed, and sent so with another text behind it.

The two become one member of a gzip file: not every client reads a second one.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Response

LEVEL = 1
LEAST_BYTES = 1000
"""A shorter answer is one packet anyway."""
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


def compress(response: Response) -> Response:
    """Compress an answer if it is long and the client takes gzip; events and what is compressed stay as they are."""
    if response.status_code != HTTPStatus.OK or (response.is_streamed and not response.direct_passthrough):
        return response
    response.vary.add("Accept-Encoding")
    if "Content-Encoding" in response.headers or request.accept_encodings.quality("gzip") <= 0:
        return response
    response.direct_passthrough = False  # a file of the page
    data = response.get_data()
    if len(data) >= LEAST_BYTES:
        response.set_data(gzip.compress(data, LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        if (tag := response.get_etag()[0]) is not None:
            response.set_etag(tag, weak=True)
    return response
