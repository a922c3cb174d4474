"""Parts of divided variables, and the keys under which checkpoints of both versions hold them (ordered codes).

The format: TensorFlow's ``ordered_code.h`` and ``saved_tensor_slice_util.cc``.
"""

from typing import List, Tuple

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.limits import MOST_DIMENSIONS
from tfkernels.saved_models.saved_file import Shape

Slice = Tuple[Tuple[int, int], ...]
"""Start and length in each dimension; the length -1 is all of it."""


def extents(part: Slice, shape: Shape) -> "Tuple[slice, ...]":
    """The part as an index of an array of this shape. Raises ``UnreadableFile`` if it lies outside."""
    if len(part) != len(shape):
        raise UnreadableFile("a part of a variable has another number of dimensions")
    found: List[slice] = []
    for (start, length), size in zip(part, shape):
        stop = size if length == -1 else start + length
        if not 0 <= start <= stop <= size:
            raise UnreadableFile("a part of a variable lies outside of it")
        found.append(slice(start, stop))
    return tuple(found)


def decode_key(key: bytes) -> Tuple[str, Slice]:
    """The name of a tensor and the part of it."""
    zero, place = _number(key, 0)
    name, place = _text(key, place)
    dimensions, place = _number(key, place)
    if zero or dimensions > MOST_DIMENSIONS:
        raise UnreadableFile("a key of it is damaged")
    found = []
    for _ in range(dimensions):
        start, place = _signed(key, place)
        length, place = _signed(key, place)
        found.append((start, length))
    return name.decode("utf-8", "replace"), tuple(found)


def _number(key: bytes, place: int) -> Tuple[int, int]:
    length = key[place] if place < len(key) else 9
    if length > 8 or place + 1 + length > len(key):
        raise UnreadableFile("a key of it is damaged")
    return int.from_bytes(key[place + 1 : place + 1 + length], "big"), place + 1 + length


def _text(key: bytes, place: int) -> Tuple[bytes, int]:
    found = bytearray()
    while True:
        pair = key[place : place + 2]
        if pair == b"\x00\x01":
            return bytes(found), place + 2
        if pair == b"\x00\xff":
            found += b"\x00"
            place += 2
        elif pair == b"\xff\x00":
            found += b"\xff"
            place += 2
        elif pair and pair[:1] not in (b"\x00", b"\xff"):
            found += pair[:1]
            place += 1
        else:
            raise UnreadableFile("a key of it is damaged")


def _signed(key: bytes, place: int) -> Tuple[int, int]:
    """The leading bits that equal the sign say how many bytes there are; behind them is the number."""
    if place >= len(key):
        raise UnreadableFile("a key of it is damaged")
    negative = key[place] < 0x80
    first = key[place] ^ (0xFF if negative else 0)
    if first == 0xFF:
        raise UnreadableFile("a number in a key of it is too large")
    length = 8 - (first ^ 0xFF).bit_length()
    data = bytes(byte ^ (0xFF if negative else 0) for byte in key[place : place + length])
    if len(data) < length:
        raise UnreadableFile("a key of it is damaged")
    value = int.from_bytes(data, "big") & ((1 << (8 * length - length)) - 1)
    return (-value - 1 if negative else value), place + length
