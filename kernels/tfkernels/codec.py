"""Values as a *skeleton* of plain JSON plus raw buffers, and back. No pickle, no code, nothing of Jupyter.

A skeleton node is ``None``, a bool, a str, an int of 64 bits, a finite float, or a list whose first item is a tag::

    ["list", node, …]  ["tuple", …]  ["set", …]  ["frozenset", …]  ["dict", key, value, key, value, …]  ["odict", …]
    ["array", dtype, shape, "C"|"F", offset]  ["objects", shape, "C"|"F", node, …]  ["scalar", dtype, offset]
    ["bytes"|"bytearray"|"npbytes", offset, length]  ["npstr", text]
    ["int", hex]  ["float", hex of 8 bytes, big-endian]  ["complex", real, imaginary]

Offsets count bytes in the memory that the buffers are laid out in, each at a multiple of ``ALIGNMENT``.
"""

import collections
import math
import struct
import typing

import numpy as np

from tfkernels.dtypes import decode_dtype, encode_dtype
from tfkernels.errors import ExchangeError, NotPortable

Node = typing.Any
Buffer = typing.Union[bytes, bytearray, "np.ndarray[typing.Any, typing.Any]"]

ALIGNMENT = 64
"""Bytes. What TensorFlow wants of memory that it takes over without a copy."""

VIEW_FROM = 64 * 1024
"""Bytes. Arrays from this size on look into the memory they arrived in if they make up a quarter of it; others are
copied out of it, so that a forgotten small array does not keep a gigabyte alive."""

_SMALL = 4096

MAX_DEPTH = 100
"""Nested containers. Deeper values come from cycles through foreign code more often than from users."""


class Encoder:
    """Turns values into skeleton nodes and collects their buffers as ``(offset, bytes)``."""

    def __init__(self) -> None:
        self.buffers: typing.List[typing.Tuple[int, Buffer]] = []
        self.size = 0
        self._open: typing.Set[int] = set()

    def encode(self, value: typing.Any) -> Node:
        """The node of one value. Raises ``NotPortable`` with the path to the part that cannot travel."""
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else ["int", hex(value)]
        if kind is float:
            return value if math.isfinite(value) else ["float", struct.pack(">d", value).hex()]
        if kind is complex:
            return ["complex", self.encode(value.real), self.encode(value.imag)]
        if kind is bytes or kind is bytearray:
            return [kind.__name__, self._place(value), len(value)]
        if kind in _SEQUENCES:
            return [_SEQUENCES[kind], *self._container(value, self._items)]
        if kind in _MAPPINGS:
            return [_MAPPINGS[kind], *self._container(value, self._pairs)]
        if kind is np.ndarray:
            return self._array(value)
        if isinstance(value, np.generic):
            return self._scalar(value)
        raise NotPortable(_why_not(value))

    def _container(
        self, value: typing.Any, parts: typing.Callable[[typing.Any], typing.List[Node]]
    ) -> typing.List[Node]:
        if id(value) in self._open:
            raise NotPortable("it contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise NotPortable(f"it is nested deeper than {MAX_DEPTH} levels")
        self._open.add(id(value))
        try:
            return parts(value)
        finally:
            self._open.discard(id(value))

    def _items(self, values: typing.Iterable[typing.Any]) -> typing.List[Node]:
        nodes = []
        for index, value in enumerate(values):
            try:
                nodes.append(self.encode(value))
            except NotPortable as error:
                raise error.within(f"[{index}]") from None
        return nodes

    def _pairs(self, mapping: typing.Mapping[typing.Any, typing.Any]) -> typing.List[Node]:
        nodes = []
        for key, value in mapping.items():
            try:
                nodes.append(self.encode(key))
                nodes.append(self.encode(value))
            except NotPortable as error:
                raise error.within(f"[{key!r}]") from None
        return nodes

    def _array(self, array: "np.ndarray[typing.Any, typing.Any]") -> Node:
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        if array.dtype.kind == "O":
            items = self._container(array, lambda a: self._items(a.ravel(order=order).tolist()))
            return ["objects", list(array.shape), order, *items]
        spec = encode_dtype(array.dtype)
        return ["array", spec, list(array.shape), order, self._place(_raw(array))]

    def _scalar(self, value: "np.generic") -> Node:
        # Trailing NULs are padding in a NumPy array but data in a scalar: text and bytes go as themselves.
        if isinstance(value, np.str_):
            return ["npstr", value[:]]  # str(value) of NumPy 2 drops trailing NULs
        if isinstance(value, np.bytes_):
            return ["npbytes", self._place(bytes(value)), len(value)]
        array = np.asarray(value)
        return ["scalar", encode_dtype(array.dtype), self._place(_raw(array))]

    def _place(self, buffer: Buffer) -> int:
        offset = -(-self.size // ALIGNMENT) * ALIGNMENT
        self.buffers.append((offset, buffer))
        self.size = offset + (len(buffer) if isinstance(buffer, (bytes, bytearray)) else buffer.nbytes)
        return offset


class Decoder:
    """Turns skeleton nodes back into values; ``memory`` is a writable buffer that nobody else changes."""

    def __init__(self, memory: typing.Any) -> None:
        self._memory = memory
        self._view_from = max(VIEW_FROM, len(memory) // 4)

    def decode(self, node: Node) -> typing.Any:
        """The value of one node. Raises ``ExchangeError`` if the node is not one of this format."""
        if node is None or type(node) in (bool, int, float, str):
            return node
        try:
            return self._DECODERS[node[0]](self, node[1:])
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise ExchangeError(f"what arrived is damaged, or from another version of tfkernels ({error!r})") from error

    def _items(self, nodes: typing.Iterable[Node]) -> typing.List[typing.Any]:
        return [self.decode(node) for node in nodes]

    def _pairs(self, nodes: typing.Sequence[Node]) -> typing.Iterator[typing.Tuple[typing.Any, typing.Any]]:
        if len(nodes) % 2:
            raise ValueError("a key without a value")
        return zip(self._items(nodes[::2]), self._items(nodes[1::2]))

    def _array(self, node: Node) -> typing.Any:
        spec, shape, order, offset = node
        dtype = decode_dtype(spec)
        array = self._look(tuple(shape), dtype, order, offset)
        return array if array.nbytes >= self._view_from else array.copy(order="K")

    def _objects(self, node: Node) -> typing.Any:
        shape, order, items = node[0], node[1], node[2:]
        flat = np.empty(len(items), dtype=object)
        for index, item in enumerate(items):  # not flat[:] = …: NumPy would look into nested sequences
            flat[index] = self.decode(item)
        return flat.reshape(shape, order=order)

    def _scalar(self, node: Node) -> typing.Any:
        spec, offset = node
        # An array's own copy, because a structured scalar keeps looking into the array it comes from.
        return self._look((), decode_dtype(spec), "C", offset).copy()[()]

    def _look(self, shape: typing.Tuple[int, ...], dtype: typing.Any, order: typing.Any, offset: int) -> typing.Any:
        if offset < 0 or min(shape, default=0) < 0:
            raise ValueError(f"an array of shape {shape} at {offset}")  # NumPy would take it
        if dtype.itemsize == 0 or 0 in shape:
            return np.empty(shape, dtype, order=order)
        return np.ndarray(shape, dtype, buffer=self._memory, offset=offset, order=order)

    def _bytes(self, node: Node) -> bytes:
        offset, length = node
        found = bytes(memoryview(self._memory)[offset : offset + length])
        if len(found) != length:
            raise ValueError(f"{len(found)} of {length} bytes are there")
        return found

    _DECODERS: typing.ClassVar[typing.Dict[str, typing.Callable[["Decoder", Node], typing.Any]]] = {
        "list": lambda self, node: self._items(node),
        "tuple": lambda self, node: tuple(self._items(node)),
        "set": lambda self, node: set(self._items(node)),
        "frozenset": lambda self, node: frozenset(self._items(node)),
        "dict": lambda self, node: dict(self._pairs(node)),
        "odict": lambda self, node: collections.OrderedDict(self._pairs(node)),
        "array": lambda self, node: self._array(node),
        "objects": lambda self, node: self._objects(node),
        "scalar": lambda self, node: self._scalar(node),
        "bytes": lambda self, node: self._bytes(node),
        "bytearray": lambda self, node: bytearray(self._bytes(node)),
        "npbytes": lambda self, node: np.bytes_(self._bytes(node)),
        "npstr": lambda _, node: np.str_(node[0]),
        "int": lambda _, node: int(node[0], 16),
        "float": lambda _, node: struct.unpack(">d", bytes.fromhex(node[0]))[0],
        "complex": lambda self, node: complex(self.decode(node[0]), self.decode(node[1])),
    }


_SEQUENCES: typing.Dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_MAPPINGS: typing.Dict[type, str] = {dict: "dict", collections.OrderedDict: "odict"}


def _raw(array: "np.ndarray[typing.Any, typing.Any]") -> Buffer:
    """The array's bytes in memory order; a copy only if it is not contiguous, or so small that a view costs more."""
    if array.nbytes <= _SMALL:
        return array.tobytes("A")
    if not array.flags.c_contiguous:
        array = array.T if array.flags.f_contiguous else np.ascontiguousarray(array)
    return array.reshape(-1).view(np.uint8)


def _why_not(value: typing.Any) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] in ("tensorflow", "keras"):
        if callable(getattr(value, "numpy", None)):
            return f"{name}: pass its value instead, with .numpy()"
        return (
            f"{name} is part of a TensorFlow program and has no value by itself; run it where it lives and pass the "
            "result, for example sess.run(tensor) or model.get_weights()"
        )
    if isinstance(value, np.ndarray):
        return f"{name}: subclasses of arrays do not travel; pass numpy.asarray(value)"
    return (
        f"objects of type {name} cannot be passed; what can is None, numbers, str, bytes, NumPy arrays and scalars, "
        "and lists, tuples, dicts and sets of these"
    )
