"""Reader of protobuf's wire format, field by field. It needs no generated classes, and never recurses by itself.

The format: https://protobuf.dev/programming-guides/encoding/
"""

import struct
from typing import Any, Dict, Iterator, List, Tuple, Union

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.limits import MOST_PARTS

Value = Union[int, memoryview]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(data: memoryview, place: int) -> Tuple[int, int]:
    """An integer of variable length, and the place behind it."""
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise UnreadableFile("a number in it has no end")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def fields(data: memoryview) -> Iterator[Tuple[int, Value]]:
    """The fields of a message: their numbers, and integers or bytes. Fixed numbers are their bytes, too."""
    place, end, parts = 0, len(data), 0
    while place < end:
        parts += 1
        if parts > MOST_PARTS:
            raise UnreadableFile(f"a message in it has more than {MOST_PARTS:,} fields")
        tag = data[place]
        if tag < 0x80:
            place += 1
        else:
            tag, place = varint(data, place)
        kind = tag & 7
        if kind == _VARINT:
            number, place = varint(data, place)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            length, place = varint(data, place)
        elif kind == _FIXED32:
            length = 4
        elif kind == _FIXED64:
            length = 8
        else:
            raise UnreadableFile(f"a field in it has the unknown wire type {kind}")
        if not tag >> 3 or length > end - place:
            raise UnreadableFile("a message in it is cut off or damaged")
        yield tag >> 3, data[place : place + length]
        place += length


class Message:
    """The fields of a message by number. Fields of another kind than asked for count as missing."""

    def __init__(self, data: Union[bytes, memoryview]) -> None:
        self._fields: Dict[int, List[Value]] = {}
        for number, value in fields(memoryview(data)):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def all_bytes(self, number: int) -> List[memoryview]:
        return [value for value in self._fields.get(number, ()) if not isinstance(value, int)]

    def data(self, number: int) -> memoryview:
        found = self.all_bytes(number)
        return found[-1] if found else memoryview(b"")

    def message(self, number: int) -> "Message":
        """A message in this one. Parts of it may stand apart; they are one."""
        return Message(b"".join(self.all_bytes(number)))

    def messages(self, number: int) -> List["Message"]:
        return [Message(value) for value in self.all_bytes(number)]

    def text(self, number: int) -> str:
        return as_text(self.data(number))

    def texts(self, number: int) -> List[str]:
        return [as_text(value) for value in self.all_bytes(number)]

    def integer(self, number: int, default: int = 0) -> int:
        """An ``int64`` or ``int32``; both are written as 64 bits."""
        found = [value for value in self._fields.get(number, ()) if isinstance(value, int)]
        return signed(found[-1]) if found else default

    def integers(self, number: int) -> List[int]:
        """Repeated integers, packed or not."""
        found: List[int] = []
        for value in self._fields.get(number, ()):
            found += [signed(value)] if isinstance(value, int) else [signed(int(one)) for one in varints(value)]
        return found

    def fixed32(self, number: int) -> int:
        data = self.data(number)
        return int(struct.unpack("<I", data)[0]) if len(data) == 4 else 0

    def mapping(self, number: int) -> Dict[str, memoryview]:
        """A map field with texts as keys."""
        return {entry.text(1): entry.data(2) for entry in self.messages(number)}


def as_text(data: memoryview) -> str:
    return bytes(data).decode("utf-8", "replace")


def signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def varints(data: memoryview) -> "np.ndarray[Any, Any]":
    """Integers of variable length behind each other: a million at once."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if not len(raw):
        return np.zeros(0, np.uint64)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.zeros(0, int)
    if not len(ends) or ends[-1] != len(raw) - 1 or (ends - starts).max() > 9:
        raise UnreadableFile("numbers in it have no end")
    values = np.zeros(len(ends), np.uint64)
    for step in range(int((ends - starts).max()) + 1):
        there = starts + step <= ends
        part = (raw[(starts + step)[there]] & 0x7F).astype(np.uint64)
        values[there] |= part << np.uint64(7 * step)
    return values
