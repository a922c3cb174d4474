"""Decompression of Snappy's raw format, in which version 1 checkpoints store their blocks.

The format: https://github.com/google/snappy/blob/main/format_description.txt
"""

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.protobuf import varint
from tfkernels.saved_models.limits import check_expansion


def decompress(data: memoryview) -> bytes:
    size, place = varint(data, 0)
    check_expansion(size, len(data), "a block of it")
    found = bytearray()
    while place < len(data):
        tag = data[place]
        place += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                more = length - 60
                length = _little(data, place, more) + 1
                place += more
            if length > len(data) - place:
                raise _damaged()
            found += data[place : place + length]
            place += length
        else:
            if kind == 1:
                length, high = (length - 1 & 7) + 4, tag >> 5
                back = high << 8 | _little(data, place, 1)
                place += 1
            else:
                more = 2 if kind == 2 else 4
                back = _little(data, place, more)
                place += more
            if not 0 < back <= len(found):
                raise _damaged()
            start = len(found) - back
            piece = found[start : start + length]
            found += (piece * (length // len(piece) + 1))[:length]
        if len(found) > size:
            raise _damaged()
    if len(found) != size:
        raise _damaged()
    return bytes(found)


def _little(data: memoryview, place: int, length: int) -> int:
    if place + length > len(data):
        raise _damaged()
    return int.from_bytes(data[place : place + length], "little")


def _damaged() -> UnreadableFile:
    return UnreadableFile("a compressed block of it is damaged")
