"""PNG files written from their parts, for kinds that Pillow reads and does not write."""

import struct
import zlib


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG of packed samples, row by row, with further chunks before the pixels.

    Args:
        width: In pixels.
        height: In pixels.
        bits: Per sample.
        colour: PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA.
        raw: All rows, without filter bytes.
        extra: (kind, data) of chunks.
    """
    length = len(raw) // height
    rows = b"".join(b"\0" + raw[row * length : (row + 1) * length] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)
