"""Decoder: skeleton nodes back into values; ``protocol`` has the format. Runs no code that arrived."""

import collections
import struct
import typing

import numpy as np

from tfkernels.errors import ExchangeError
from tfkernels.protocol import MIN_VIEW_BYTES
from tfkernels.transfer.dtypes import as_array, decode_dtype
from tfkernels.transfer.small_arrays import Form, unbatch
from tfkernels.transfer.types import registry

Node = typing.Any


class Decoder:
    """Turns the nodes of one encoder, in the same order, back into values. Raises ``ExchangeError``.

    ``memory`` is a writable buffer of this process; ``forwarded`` are those of other segments. ``forms`` and
    ``min_view_bytes`` are the encoder's.
    """

    def __init__(
        self,
        memory: typing.Any,
        forms: typing.Sequence[Form] = (),
        min_view_bytes: int = MIN_VIEW_BYTES,
        forwarded: typing.Sequence[typing.Any] = (),
    ) -> None:
        self._memory = memory
        self._forwarded = forwarded
        self._min_view_bytes = max(min_view_bytes, MIN_VIEW_BYTES)
        try:
            self._batches = [unbatch(form, memory) for form in forms]
        except _DAMAGE_ERRORS as error:
            raise _damaged(error) from error
        self._complete: typing.List[typing.Any] = []

    def decode(self, node: Node) -> typing.Any:
        """The value of one node. Raises ``ExchangeError`` if the node is not one of this format.

        One call per level of nesting, and two where they are encoded: users' own functions are on the stack, too.
        """
        if type(node) in _LITERALS:
            return node
        try:
            tag = node[0]
            if type(tag) is int:
                value = next(self._batches[tag])
            elif tag == "kind" or tag in _FROM_ITEMS:
                start, make = (2, registry.builder(node[1])) if tag == "kind" else (1, _FROM_ITEMS[tag])
                value = []
                for part in node[start:]:  # no comprehension: before Python 3.12 that is one more call per level
                    value.append(self.decode(part))
                if tag != "list":
                    value = make(value)
            else:
                value = self._DECODERS[tag](self, node[1:])
        except _DAMAGE_ERRORS as error:
            raise _damaged(error) from error
        if type(tag) is int or tag in _NUMBERED:
            self._complete.append(value)
        return value

    def _items(self, nodes: typing.Iterable[Node]) -> typing.List[typing.Any]:
        return [self.decode(node) for node in nodes]

    def _array(self, node: Node) -> typing.Any:
        spec, shape, order, offset, *number = node
        memory = self._forwarded[number[0]] if number else self._memory
        array = as_array(memory, tuple(shape), decode_dtype(spec), order, offset)
        # An empty one is not copied: the copy of text without characters would have one.
        if number or not array.nbytes or array.nbytes >= self._min_view_bytes:
            return array
        return array.copy(order="K")

    def _objects(self, node: Node) -> typing.Any:
        items = self._items(node[2:])
        flat = np.empty(len(items), dtype=object)
        for index, item in enumerate(items):  # not flat[:] = …: NumPy would read nested sequences as more dimensions
            flat[index] = item
        return flat.reshape(node[0], order=node[1])

    def _texts(self, node: Node) -> typing.Any:
        shape, order, offset, length, lengths_offset = node[:5]
        text = self._bytes([offset, length]).decode("utf-8", "surrogatepass")
        others = self._items(node[5:])
        lengths = as_array(self._memory, (int(np.prod(shape)),), np.dtype("<i8"), "C", lengths_offset)
        ends = np.maximum(lengths, 0).cumsum()
        if (ends[-1] if len(ends) else 0) != len(text):
            raise ValueError(f"text of {len(text)} characters, and other lengths of its parts")
        flat = np.empty(len(lengths), dtype=object)
        starts = ends - np.maximum(lengths, 0)
        flat[:] = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist())]
        for position in np.flatnonzero(lengths < 0).tolist():
            flat[position] = others[-1 - lengths[position]]
        return flat.reshape(shape, order=order)

    def _same(self, node: Node) -> typing.Any:
        if node[0] < 0:
            raise ValueError(f"number {node[0]}")
        return self._complete[node[0]]

    def _scalar(self, node: Node) -> typing.Any:
        spec, offset = node
        # An array's own copy, because a structured scalar keeps looking into the array it comes from.
        return as_array(self._memory, (), decode_dtype(spec), "C", offset).copy()[()]

    def _bytes(self, node: Node) -> bytes:
        offset, length = node
        found = bytes(memoryview(self._memory)[offset : offset + length])
        if len(found) != length:
            raise ValueError(f"{len(found)} of {length} bytes are there")
        return found

    _DECODERS: typing.ClassVar[typing.Dict[str, typing.Callable[["Decoder", Node], typing.Any]]] = {
        "array": lambda self, node: self._array(node),
        "objects": lambda self, node: self._objects(node),
        "texts": lambda self, node: self._texts(node),
        "bytes": lambda self, node: self._bytes(node),
        "bytearray": lambda self, node: bytearray(self._bytes(node)),
        "same": lambda self, node: self._same(node),
        "scalar": lambda self, node: self._scalar(node),
        "npbytes": lambda self, node: np.bytes_(self._bytes(node)),
        "npstr": lambda _, node: np.str_(node[0]),
        "int": lambda _, node: int(node[0], 16),
        "float": lambda _, node: struct.unpack(">d", bytes.fromhex(node[0]))[0],
        "complex": lambda self, node: complex(self.decode(node[0]), self.decode(node[1])),
    }


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
_DAMAGE_ERRORS = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, StopIteration, struct.error,
)  # fmt: skip


def _damaged(error: Exception) -> ExchangeError:
    return ExchangeError(f"The message is damaged, or from another version of tfkernels: {error!r}.")
