"""Reader of sorted tables (LevelDB's format), in which checkpoints keep their index.

The format: https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

import struct
from typing import Iterator, List, Tuple

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.checksum import crc32c, unmasked
from tfkernels.saved_models.containers.protobuf import varint
from tfkernels.saved_models.containers.snappy import decompress
from tfkernels.saved_models.limits import MOST_PARTS

_FOOTER = 48
_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_TRAILER = 5  # the kind of compression, and a checksum


def is_table(end: bytes) -> bool:
    """Whether these are the last bytes of a table."""
    return end[-8:] == _MAGIC


Handle = Tuple[int, int]
"""Start and size of a block."""


def entries(data: memoryview) -> Iterator[Tuple[bytes, memoryview]]:
    """All entries of a table, in the order of their keys."""
    return ((key, value) for _, key, value in located(data))


def located(data: memoryview) -> Iterator[Tuple[Handle, bytes, memoryview]]:
    """The same with the block of each entry."""
    if len(data) < _FOOTER or not is_table(bytes(data[-8:])):
        raise UnreadableFile("it does not end as a table does: it is no checkpoint, or it is cut off")
    footer = data[-_FOOTER:]
    _, place = _handle(footer, 0)  # of an index of other things, which is empty
    index, _ = _handle(footer, place)
    count = used = 0
    for _, handle in block_at(data, index):
        block, _ = _handle(handle, 0)
        used += block[1] + _TRAILER
        if used > len(data):  # blocks that are listed again and again
            raise UnreadableFile("its index lists more than the file holds")
        for key, value in block_at(data, block):
            count += 1
            if count > MOST_PARTS:
                raise UnreadableFile(f"it has more than {MOST_PARTS:,} entries")
            yield block, key, value


def _handle(data: memoryview, place: int) -> Tuple[Handle, int]:
    start, place = varint(data, place)
    size, place = varint(data, place)
    return (start, size), place


def block_at(data: memoryview, handle: Handle) -> List[Tuple[bytes, memoryview]]:
    start, size = handle
    if start + size + _TRAILER > len(data):
        raise UnreadableFile("a block of it lies behind its end: it is damaged or cut off")
    kind = data[start + size]
    (stored,) = struct.unpack_from("<I", data, start + size + 1)
    if crc32c(data[start : start + size + 1]) != unmasked(stored):
        raise UnreadableFile("a checksum is wrong: it is damaged")
    if kind > 1:
        raise UnreadableFile(f"a block of it has the unknown compression {kind}")
    content = data[start : start + size]
    return _parse(memoryview(decompress(content)) if kind else content)


def _parse(block: memoryview) -> List[Tuple[bytes, memoryview]]:
    restarts = struct.unpack_from("<I", block, len(block) - 4)[0] if len(block) >= 4 else 1 << 30
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise UnreadableFile("a block of it is damaged")
    found = []
    key, place = b"", 0
    while place < end:
        shared, place = varint(block, place)
        own, place = varint(block, place)
        length, place = varint(block, place)
        if shared > len(key) or place + own + length > end:
            raise UnreadableFile("a block of it is damaged")
        key = key[:shared] + bytes(block[place : place + own])
        place += own
        found.append((key, block[place : place + length]))
        place += length
    return found
