"""Shapes and tensors as protobuf has them: TensorShapeProto and TensorProto."""

from typing import Any, List, Optional, Tuple

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers import dtypes
from tfkernels.saved_models.containers.protobuf import Message, varint
from tfkernels.saved_models.limits import MOST_DIMENSIONS, check_shape, count_of

_FIELDS = {"float32": 5, "float64": 6, "string": 8, "complex64": 9, "int64": 10, "bool": 11, "complex128": 12}
_FIELDS.update({"float16": 13, "bfloat16": 13, "uint32": 16, "uint64": 17})
_FIXED = {"float32": "<f4", "float64": "<f8", "complex64": "<c8", "complex128": "<c16"}


def shape_of(message: Message) -> Tuple[int, ...]:
    """A known shape."""
    found = partial_shape(message)
    if found is None or None in found:
        raise UnreadableFile("a tensor of it has an unknown shape")
    return check_shape(found, "a tensor of it")


def partial_shape(message: Message) -> Optional[Tuple[Optional[int], ...]]:
    """A shape whose sizes, or all of it, may be unknown."""
    if message.integer(3):
        return None
    sizes = [dim.integer(1) for dim in message.messages(2)]
    if len(sizes) > MOST_DIMENSIONS:
        raise UnreadableFile(f"a tensor of it has {len(sizes)} dimensions")
    return tuple(None if size < 0 else size for size in sizes)


class Tensor:
    """A TensorProto: its dtype and shape at once, its values when they are asked for."""

    def __init__(self, data: memoryview, dtype: str = "", shape: Optional[Tuple[int, ...]] = None) -> None:
        """``dtype`` and ``shape`` are for those that stand elsewhere, as in checkpoints of version 1."""
        self._message = Message(data)
        self.dtype = dtype or dtypes.name_of(self._message.integer(1))
        self.shape = shape_of(self._message.message(2)) if shape is None else shape

    @property
    def count(self) -> int:
        return count_of(self.shape)

    def read(self, limit: int) -> "np.ndarray[Any, Any]":
        """Raises ``UnreadableFile`` for more than ``limit`` values: one stored value can stand for any number."""
        if self.count > limit:
            raise UnreadableFile(f"a tensor of it claims {self.count:,} values, more than the file can hold")
        values = self.values()
        if len(values) > self.count or (self.count and not len(values) and self.dtype == "string"):
            raise UnreadableFile("a tensor of it has another number of values than its shape")
        if len(values) < self.count:  # the last one stands for the rest; without any it is zero
            last = values[-1:] if len(values) else np.zeros(1, values.dtype)
            values = np.concatenate([values, np.repeat(last, self.count - len(values))])
        return values.reshape(self.shape)

    def values(self) -> "np.ndarray[Any, Any]":
        """The values that are stored, as a flat array of its own."""
        message, name = self._message, self.dtype
        if name == "string":
            found = np.empty(len(message.all_bytes(8)), object)
            found[:] = [bytes(one) for one in message.all_bytes(8)]
            return found
        dtype = dtypes.in_numpy(name)
        content = message.data(4)
        if len(content):
            if len(content) != self.count * dtype.itemsize:
                raise UnreadableFile("a tensor of it has another size than its shape")
            return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
        if name in _FIXED:
            raw = b"".join(message.all_bytes(_FIELDS[name]))
            fixed = np.dtype(_FIXED[name])
            return np.frombuffer(raw[: len(raw) // fixed.itemsize * fixed.itemsize], fixed).astype(dtype)
        integers = message.integers(_FIELDS.get(name, 7))
        if name in ("float16", "bfloat16"):  # their bits
            return np.array(integers, np.int64).astype(np.uint16).view(dtype)
        return np.array([value % (1 << 64) for value in integers], np.uint64).astype(np.int64).astype(dtype)


def strings(data: memoryview, count: int) -> List[bytes]:
    """Texts as tensor bundles hold them: all lengths, a checksum of these, all texts."""
    lengths, place = [], 0
    if count > len(data):
        raise UnreadableFile("a tensor of texts is cut off")
    for _ in range(count):
        length, place = varint(data, place)
        lengths.append(length)
    place += 4
    if place + sum(lengths) != len(data):
        raise UnreadableFile("a tensor of texts has another size than its lengths say")
    found = []
    for length in lengths:
        found.append(bytes(data[place : place + length]))
        place += length
    return found
