"""Takes out of a PNG what is no pixel: texts, times, private chunks and large profiles.

A drawing program may write megabytes of text beside the pixels (ComfyUI: the workflow). Pillow refuses the whole file
when it unpacks to much, so only what the picture needs is given to it. PNG specification: https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"))
_SMALL = frozenset((b"eXIf", b"tEXt", b"zTXt", b"iTXt"))
_ORIENTATION_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""Texts in which some programs say which way up the picture is."""
MAX_TEXT_BYTES = 1_000_000
MAX_PROFILE_BYTES = 16_000_000


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes
    whole: bytes
    """With its length and checksum."""


class Pixels(NamedTuple):
    """A PNG reduced to its pixels, and its colour profile, which Pillow would refuse above 1 MB."""

    data: bytes
    profile: bytes | None


def pixels_of(data: bytes) -> Pixels:
    """The PNG without what is no pixel. Its pixels are not checked here: what is damaged stays so."""
    kept, profile = [SIGNATURE], None
    for chunk in _chunks(data):
        if chunk.kind in _PIXELS or (chunk.kind in _SMALL and _says_orientation(chunk)):
            kept.append(chunk.whole)
        elif chunk.kind == b"iCCP" and profile is None:
            profile = _unpacked(chunk.body.partition(b"\0")[2][1:], MAX_PROFILE_BYTES)
    return Pixels(b"".join(kept), profile)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks up to the end; one that is cut off is given as it is, so that the picture counts as damaged."""
    at = len(SIGNATURE)
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0] if at + 4 <= len(data) else len(data)
        whole = data[at : at + 12 + length]
        kind = whole[4:8] if len(whole) == 12 + length else b"IDAT"
        yield _Chunk(kind, whole[8:-4], whole)
        if kind == b"IEND":
            return
        at += 12 + length


def _says_orientation(chunk: _Chunk) -> bool:
    if len(chunk.body) > MAX_TEXT_BYTES:
        return False
    if chunk.kind == b"eXIf":
        return True
    if not chunk.body.startswith(_ORIENTATION_TEXTS):
        return False
    packed = chunk.body.partition(b"\0")[2]
    if chunk.kind == b"zTXt":
        return _unpacked(packed[1:], MAX_TEXT_BYTES) is not None
    return chunk.kind == b"tEXt" or packed[:1] == b"\0"  # a packed iTXt is rare, and could be a bomb


def _unpacked(packed: bytes, limit: int) -> bytes | None:
    """The unpacked bytes; None when they are damaged or more than the limit."""
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(packed, limit + 1)
    except zlib.error:
        return None
    return data if len(data) <= limit and unpacking.eof else None
