"""Decoder: messages back into named values; ``protocol`` has the format. Runs no code that arrived."""

import collections
import contextlib
import json
import re
import struct
import typing

import numpy as np

from tfkernels import protocol
from tfkernels.errors import ExchangeError
from tfkernels.protocol import ALIGNMENT, HEADER_BYTES, MIN_VIEW_BYTES
from tfkernels.transfer.dtype_encoding import Array, decode_dtype
from tfkernels.transfer.encoder import Descriptor, check
from tfkernels.transfer.shared_memory.reader import read
from tfkernels.transfer.types import registry

Node = typing.Any
Values = typing.Dict[str, typing.Any]


@contextlib.contextmanager
def _exchange_errors() -> typing.Iterator[None]:
    """Turns every error of reading into an ``ExchangeError``."""
    try:
        yield
    except RecursionError as error:
        raise ExchangeError.too_deep("The message is damaged, or it is") from error
    except MemoryError as error:
        raise ExchangeError("There is not enough memory here for what arrived. Free some, or pass less.") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, StopIteration, struct.error) as error:
        raise ExchangeError(f"The message is damaged, or from another version of tfkernels: {error!r}.") from error


@_exchange_errors()
def unpack(descriptor: Descriptor) -> Values:
    """The named values: independent, writable, ordinary. Raises ``ExchangeError``."""
    values: Values = {}
    for part in check(descriptor)["parts"]:
        memory, skeleton = read(part["segment"], part["buffers"], part["skeleton"])
        forwarded = [read(address, size)[0] for address, size in part["forwarded"]]
        values.update(_decoded(memory, skeleton, forwarded))
    return values


@_exchange_errors()
def from_bytes(content: bytes) -> Values:
    """The named values of ``ValueMessage.to_bytes``: independent, writable, ordinary. Raises ``ExchangeError``.

    The bytes may come from anywhere: they run no code.
    """
    line = re.fullmatch(rb"tfkernels values (\d{1,9}) (\d{1,18}) (\d{1,18}) *\n", content[:HEADER_BYTES])
    if line is None:
        raise ExchangeError("These bytes are not a value that tfkernels recorded.")
    written, buffers, length = map(int, line.groups())
    if written != protocol.MESSAGE_FORMAT:
        raise ExchangeError(
            f"The value was recorded in format {written}, and this tfkernels reads format {protocol.MESSAGE_FORMAT}. "
            f"Use one version of tfkernels for recording and reading."
        )
    if len(content) != HEADER_BYTES + buffers + length:
        raise ExchangeError(
            f"The recorded value is damaged: it has {len(content)} bytes of {HEADER_BYTES + buffers + length}."
        )
    memory = np.empty(buffers + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    memory = memory[start : start + buffers]
    memory[:] = np.frombuffer(content, np.uint8, buffers, HEADER_BYTES)
    return _decoded(memory, content[HEADER_BYTES + buffers :])


def _decoded(memory: typing.Any, skeleton: typing.Any, forwarded: typing.Sequence[typing.Any] = ()) -> Values:
    written = json.loads(bytes(skeleton).decode("ascii"))
    decoder = Decoder(memory, written["forms"], written["views"], forwarded)
    return {name: decoder.decode(node) for name, node in written["values"].items()}


class Decoder:
    """Turns the nodes of one skeleton, in their order, back into values. Damaged ones raise errors of any kind.

    ``memory`` is a writable buffer of this process; ``forwarded`` are those of other segments.
    """

    def __init__(
        self,
        memory: typing.Any,
        forms: typing.Sequence[typing.Any],
        min_view_bytes: int,
        forwarded: typing.Sequence[typing.Any],
    ) -> None:
        self._memory = memory
        self._forwarded = forwarded
        self._min_view_bytes = max(min_view_bytes, MIN_VIEW_BYTES)
        self._forms = [_of_form(memory, *form) for form in forms]
        self._complete: typing.List[typing.Any] = []

    def decode(self, node: Node) -> typing.Any:
        """The value of one node. One call per level of nesting: users' own functions are on the stack, too."""
        if type(node) in _LITERALS:
            return node
        tag = node[0]
        if type(tag) is int:
            value = next(self._forms[tag])
        elif tag == "kind" or tag in _FROM_ITEMS:
            start, make = (2, registry.builder(node[1])) if tag == "kind" else (1, _FROM_ITEMS[tag])
            value = []
            for part in node[start:]:  # no comprehension: before Python 3.12 that is one more call per level
                value.append(self.decode(part))
            if tag != "list":
                value = make(value)
        else:
            value = self._DECODERS[tag](self, *node[1:])
        if type(tag) is int or tag in _NUMBERED:
            self._complete.append(value)
        return value

    def _array(self, spec: Node, shape: Node, order: Node, offset: int, *number: int) -> Array:
        memory = self._forwarded[number[0]] if number else self._memory
        array = _as_array(memory, tuple(shape), decode_dtype(spec), order, offset)
        # An empty one is not copied: the copy of text without characters would have one.
        if number or not array.nbytes or array.nbytes >= self._min_view_bytes:
            return array
        return array.copy(order="K")

    def _objects(self, shape: Node, order: Node, *nodes: Node) -> Array:
        flat = np.empty(len(nodes), dtype=object)
        for index, node in enumerate(nodes):  # not flat[:] = …: NumPy would read nested sequences as more dimensions
            flat[index] = self.decode(node)
        return flat.reshape(shape, order=order)

    def _texts(self, shape: Node, order: Node, offset: int, length: int, lengths_offset: int, *nodes: Node) -> Array:
        text = self._bytes(offset, length).decode("utf-8", "surrogatepass")
        others = [self.decode(node) for node in nodes]
        lengths = _as_array(self._memory, (int(np.prod(shape)),), np.dtype("<i8"), "C", lengths_offset)
        ends = np.maximum(lengths, 0).cumsum()
        if (ends[-1] if len(ends) else 0) != len(text):
            raise ValueError(f"text of {len(text)} characters, and other lengths of its parts")
        flat = np.empty(len(lengths), dtype=object)
        starts = ends - np.maximum(lengths, 0)
        flat[:] = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist())]
        for position in np.flatnonzero(lengths < 0).tolist():
            flat[position] = others[-1 - lengths[position]]
        return flat.reshape(shape, order=order)

    def _same(self, number: int) -> typing.Any:
        if number < 0:
            raise ValueError(f"number {number}")
        return self._complete[number]

    def _scalar(self, spec: Node, offset: int) -> typing.Any:
        # An array's own copy, because a structured scalar keeps looking into the array it comes from.
        return _as_array(self._memory, (), decode_dtype(spec), "C", offset).copy()[()]

    def _bytes(self, offset: int, length: int) -> bytes:
        found = bytes(memoryview(self._memory)[offset : offset + length])
        if len(found) != length:
            raise ValueError(f"{len(found)} of {length} bytes are there")
        return found

    _DECODERS: typing.ClassVar[typing.Dict[str, typing.Callable[..., typing.Any]]] = {
        "array": _array,
        "objects": _objects,
        "texts": _texts,
        "bytes": _bytes,
        "bytearray": lambda self, *place: bytearray(self._bytes(*place)),
        "same": _same,
        "scalar": _scalar,
        "npbytes": lambda self, *place: np.bytes_(self._bytes(*place)),
        "npstr": lambda _, text: np.str_(text),
        "int": lambda _, digits: int(digits, 16),
        "float": lambda _, digits: struct.unpack(">d", bytes.fromhex(digits))[0],
        "complex": lambda self, real, imaginary: complex(self.decode(real), self.decode(imaginary)),
    }


def _as_array(
    memory: typing.Any, shape: typing.Tuple[int, ...], dtype: typing.Any, order: typing.Any, offset: int
) -> Array:
    """An array that looks into ``memory``. Raises ``ValueError`` or ``TypeError`` if it would not lie within."""
    if offset < 0 or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} at {offset}")  # NumPy would take it
    if dtype.itemsize == 0 or 0 in shape:
        return np.ndarray(shape, dtype, order=order)  # np.empty makes S1 of S0
    return np.ndarray(shape, dtype, buffer=memory, offset=offset, order=order)


def _of_form(
    memory: typing.Any, spec: str, shape: typing.List[int], order: str, count: int, offset: int
) -> typing.Iterator[typing.Any]:
    """The arrays or scalars of one form, in their order; arrays are copies."""
    dtype = decode_dtype(spec)
    if offset < 0 or count < 0 or min(shape, default=1) < 1 or dtype.itemsize == 0:
        raise ValueError(f"{count} arrays of shape {shape} at {offset}")  # NumPy would take it
    if order == "F":
        rows = np.ndarray((count, *shape[::-1]), dtype, memory, offset).transpose(0, *range(len(shape), 0, -1))
        return (row.copy("F") for row in rows)
    rows = np.ndarray((count, *shape), dtype, memory, offset)
    return map(np.ndarray.copy, rows) if shape else iter(rows)


def _pairs(items: typing.List[typing.Any]) -> typing.Iterator[typing.Tuple[typing.Any, typing.Any]]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    flat = iter(items)
    return zip(flat, flat)


_FROM_ITEMS: typing.Dict[str, typing.Callable[[typing.List[typing.Any]], typing.Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": lambda items: dict(_pairs(items)),
    "odict": lambda items: collections.OrderedDict(_pairs(items)),
}
_NUMBERED = frozenset([*_FROM_ITEMS, "array", "objects", "texts", "bytes", "bytearray", "kind"])
_LITERALS = frozenset([type(None), bool, int, float, str])
