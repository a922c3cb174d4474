"""Values as a *skeleton* of plain JSON plus raw buffers, and back. No pickle, no code, nothing of Jupyter.

A skeleton node is ``None``, a bool, a str, an int of 64 bits, a finite float, or a list whose first item is a tag::

    ["list", node, …]  ["tuple", …]  ["set", …]  ["frozenset", …]  ["dict", key, value, key, value, …]  ["odict", …]
    ["array", dtype, shape, "C"|"F", offset]  ["objects", shape, "C"|"F", node, …]  ["scalar", dtype, offset]
    ["texts", shape, "C"|"F", offset, length, offset of the lengths, node, …]
    ["bytes"|"bytearray"|"npbytes", offset, length]  ["npstr", text]
    ["int", hex]  ["float", hex of 8 bytes, big-endian]  ["complex", real, imaginary]
    ["kind", name, node, …]  ["same", number]  [number of a form]

The last is the next small array or scalar of that form: see ``small_arrays``. Offsets count bytes in the memory
that the buffers are laid out in, each at a multiple of ``ALIGNMENT``; an array may have one item more, the number of
another memory, where it is already. "kind" is one of ``tfkernels.transfer.types``, by its
parts. "same" is an object that came before: the one that was complete as the number-th, counting from 0 the nodes of
arrays, containers, bytes, kinds and forms; so what is one object here is one there.
"texts" is an object array of mostly strings: their UTF-8 in one piece, and per item its length in characters, or the
number of one of the few other objects as -1, -2, ….
"""

import collections
import math
import struct
import typing

import numpy as np

from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.transfer.buffers import Array, Buffer, look, nbytes, raw
from tfkernels.transfer.dtypes import decode_dtype, encode_dtype
from tfkernels.transfer.small_arrays import Form, Stacker, unstack
from tfkernels.transfer.types import registry
from tfkernels.transfer.types.kind import Kind, Parts
from tfkernels.transfer.types.numpy import STRINGS
from tfkernels.transfer.types.refusal import why_not

Node = typing.Any
Step = typing.Callable[[int], str]
Find = typing.Callable[[Array], typing.Optional[typing.Tuple[int, int]]]
"""Where an array is already: the offset, and the number of the other memory."""

ALIGNMENT = 64
"""Bytes. What TensorFlow wants of memory that it takes over without a copy."""

VIEW_FROM = 64 * 1024
"""Bytes. Arrays from this size on look into the memory they arrived in, but for the smallest of them that are together
less than a quarter of it: those are copied out, so that a forgotten small array does not keep a gigabyte alive."""

MAX_DEPTH = 100
"""Nested containers. Deeper values come from cycles through foreign code more often than from users."""

MAX_PARTS = 10_000_000
"""Items of all containers together. Each costs some hundred bytes on both sides; as one array they would cost eight."""

FEW_OTHERS = 16
"""Distinct objects that are not strings (None, NaN, …) in an object array that still travels as text."""


class Encoder:
    """Turns values into skeleton nodes and collects their buffers as ``(offset, bytes)``, but for arrays that ``find``
    finds in other memory."""

    def __init__(self, find: Find = lambda array: None) -> None:  # noqa: ARG005
        self._find = find
        self.buffers: typing.List[typing.Tuple[int, Buffer]] = []
        self.size = 0
        self._open: typing.Set[int] = set()
        self._parts = 0
        self._complete = 0
        self._numbers: typing.Dict[int, int] = {}
        self._kept: typing.List[typing.Any] = []  # an id means an object as long as that lives
        self._stacker = Stacker()

    def encode(self, value: typing.Any) -> Node:
        """The node of one value. Raises ``NotPortable`` with the path to the part that cannot travel."""
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind in _NUMBERS:
            return _NUMBERS[kind](value)
        if id(value) in self._numbers:
            return ["same", self._numbers[id(value)]]
        if kind is not np.ndarray and isinstance(value, np.generic):
            return self._scalar(value)
        if kind in _SEQUENCES:
            node = [_SEQUENCES[kind], *self._nodes(value, list(value), _index)]
        elif kind in _MAPPINGS:
            flat = [item for pair in value.items() for item in pair]
            node = [_MAPPINGS[kind], *self._nodes(value, flat, lambda i: f"[{flat[i - i % 2]!r}]")]
        elif kind in self._ENCODERS:
            node = self._ENCODERS[kind](self, value)
        else:
            return self._kind(value)
        self._number(value)
        return node

    def forms(self) -> typing.List[Form]:
        """What the decoder needs besides the nodes; for once, after the last of them."""
        return self._stacker.lay_out(self._place)

    def views_from(self) -> int:
        """The size from which on arrays are not copied when they arrive; for the decoder, like the forms."""
        together = 0
        for size in sorted(nbytes(buffer) for _, buffer in self.buffers):
            together += size
            if 4 * together > self.size:
                return max(size, VIEW_FROM)
        return VIEW_FROM

    def _number(self, value: typing.Any) -> None:
        self._numbers[id(value)] = self._complete
        self._kept.append(value)
        self._complete += 1

    def _nodes(self, owner: typing.Any, items: typing.List[typing.Any], step: Step) -> typing.List[Node]:
        """The nodes of what is inside of ``owner``; ``step`` is the way from there to the n-th of them."""
        if id(owner) in self._open:
            raise NotPortable("it contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise NotPortable(f"it is nested deeper than {MAX_DEPTH} levels")
        self._parts += len(items)
        if self._parts > MAX_PARTS:
            raise NotPortable(
                f"the values have more than {MAX_PARTS:,} parts together; pass numbers as arrays, or less at a time"
            )
        self._open.add(id(owner))
        nodes: typing.List[Node] = []
        try:
            for item in items:
                nodes.append(self.encode(item))  # noqa: PERF401 (how many there are says which one failed)
        except NotPortable as error:
            raise error.within(step(len(nodes))) from None
        finally:
            self._open.discard(id(owner))
        return nodes

    def _kind(self, value: typing.Any) -> Node:
        kind = registry.find(value)
        if kind is None:
            raise NotPortable(why_not(value))
        parts = _apart(kind, value)
        nodes = self._nodes(value, [part for _, part in parts], lambda i: parts[i][0])
        if kind.name:
            self._number(value)
            return ["kind", kind.name, *nodes]
        if id(parts[0][1]) in self._numbers:  # what stands in for the value is numbered, unless it is a scalar
            self._numbers[id(value)] = self._numbers[id(parts[0][1])]
            self._kept.append(value)
        return nodes[0]

    def _blob(self, value: typing.Union[bytes, bytearray]) -> Node:
        return [type(value).__name__, self._place(value), len(value)]

    def _array(self, array: Array) -> Node:
        node: Node = self._stacker.array(array)
        if node is not None:
            return node
        order = "F" if array.flags.fnc else "C"
        if array.dtype.kind == "O":
            return self._objects(array, order)
        if array.dtype.kind == "T":  # NumPy 2's strings are pointers in memory
            parts = _apart(STRINGS, array)
            return ["kind", STRINGS.name, *self._nodes(array, [part for _, part in parts], lambda i: parts[i][0])]
        spec = encode_dtype(array.dtype)
        return ["array", spec, list(array.shape), order, *(self._find(array) or [self._place(raw(array))])]

    def _objects(self, array: Array, order: typing.Any) -> Node:
        items = array.ravel(order=order).tolist()
        others = {}
        if set(map(type, items)) != {str}:
            others = {id(item): position for position, item in enumerate(items) if type(item) is not str}
        if len(others) > FEW_OTHERS or len(others) == len(items):
            nodes = self._nodes(array, items, lambda i: _place_in(array.shape, order, i))
            return ["objects", list(array.shape), order, *nodes]
        codes = {key: -1 - number for number, key in enumerate(others)}
        lengths = np.array([codes[id(item)] if id(item) in codes else len(item) for item in items], "<i8")
        text = "".join([item for item in items if type(item) is str]).encode("utf-8", "surrogatepass")
        positions = list(others.values())
        nodes = self._nodes(array, [items[p] for p in positions], lambda i: _place_in(array.shape, order, positions[i]))
        return ["texts", list(array.shape), order, self._place(text), len(text), self._place(raw(lengths)), *nodes]

    def _scalar(self, value: "np.generic") -> Node:
        node: Node = self._stacker.scalar(value)
        if node is not None:
            self._complete += 1
            return node
        # Trailing NULs are padding in a NumPy array but data in a scalar: text and bytes go as themselves.
        if type(value) is np.str_:
            return ["npstr", value[:]]  # str(value) of NumPy 2 drops trailing NULs
        if type(value) is np.bytes_:
            return ["npbytes", self._place(bytes(value)), len(value)]
        array = np.asarray(value)
        if array.dtype.type is not type(value):
            raise NotPortable(why_not(value))
        return ["scalar", encode_dtype(array.dtype), self._place(raw(array))]

    def _place(self, buffer: Buffer) -> int:
        offset = -(-self.size // ALIGNMENT) * ALIGNMENT
        self.buffers.append((offset, buffer))
        self.size = offset + nbytes(buffer)
        return offset

    _ENCODERS: typing.ClassVar[typing.Dict[type, typing.Callable[["Encoder", typing.Any], Node]]] = {
        np.ndarray: _array,
        **dict.fromkeys((bytes, bytearray), _blob),
    }


class Decoder:
    """Turns skeleton nodes back into values; ``memory`` is a writable buffer that nobody else changes.

    One decoder for all that one encoder made, in the same order: they refer to each other. ``forms`` and ``views_from``
    are the encoder's, ``lent`` is the other memory. Raises ``ExchangeError``, as ``decode`` does.
    """

    def __init__(
        self,
        memory: typing.Any,
        forms: typing.Sequence[Form] = (),
        views_from: int = VIEW_FROM,
        lent: typing.Sequence[typing.Any] = (),
    ) -> None:
        self._memory = memory
        self._lent = lent
        self._views_from = max(views_from, VIEW_FROM)
        try:
            self._stacks = [unstack(form, memory) for form in forms]
        except _DAMAGES as error:
            raise _damaged(error) from error
        self._complete: typing.List[typing.Any] = []

    def decode(self, node: Node) -> typing.Any:
        """The value of one node. Raises ``ExchangeError`` if the node is not one of this format.

        One call per level of nesting, and two where they are encoded: users' own functions are on the stack, too.
        """
        if type(node) in _THEMSELVES:
            return node
        try:
            tag = node[0]
            if type(tag) is int:
                value = next(self._stacks[tag])
            elif tag == "kind" or tag in _FROM_ITEMS:
                start, make = (2, registry.builder(node[1])) if tag == "kind" else (1, _FROM_ITEMS[tag])
                value = []
                for part in node[start:]:  # no comprehension: before Python 3.12 that is one more call per level
                    value.append(self.decode(part))
                if tag != "list":
                    value = make(value)
            else:
                value = self._DECODERS[tag](self, node[1:])
        except _DAMAGES as error:
            raise _damaged(error) from error
        if type(tag) is int or tag in _NUMBERED:
            self._complete.append(value)
        return value

    def _items(self, nodes: typing.Iterable[Node]) -> typing.List[typing.Any]:
        return [self.decode(node) for node in nodes]

    def _array(self, node: Node) -> typing.Any:
        spec, shape, order, offset, *number = node
        memory = self._lent[number[0]] if number else self._memory
        array = look(memory, tuple(shape), decode_dtype(spec), order, offset)
        if (
            number or not array.nbytes
        ):  # what looks into nothing stays: a copy of text without characters would have one
            return array
        return array if array.nbytes >= self._views_from else array.copy(order="K")

    def _objects(self, node: Node) -> typing.Any:
        return _filled(self._items(node[2:])).reshape(node[0], order=node[1])

    def _texts(self, node: Node) -> typing.Any:
        shape, order, offset, length, lengths_offset = node[:5]
        text = self._bytes([offset, length]).decode("utf-8", "surrogatepass")
        others = self._items(node[5:])
        lengths = look(self._memory, (int(np.prod(shape)),), np.dtype("<i8"), "C", lengths_offset)
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
        return look(self._memory, (), decode_dtype(spec), "C", offset).copy()[()]

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


_SEQUENCES: typing.Dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_MAPPINGS: typing.Dict[type, str] = {dict: "dict", collections.OrderedDict: "odict"}


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
_NUMBERED = frozenset(
    [*_SEQUENCES.values(), *_MAPPINGS.values(), "array", "objects", "texts", "bytes", "bytearray", "kind"]
)
_THEMSELVES = frozenset([type(None), bool, int, float, str])
_DAMAGES = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, StopIteration, struct.error,
)  # fmt: skip


def _damaged(error: Exception) -> ExchangeError:
    return ExchangeError(f"what arrived is damaged, or from another version of tfkernels ({error!r})")


def _int(value: int) -> Node:
    return value if -(2**63) <= value < 2**63 else ["int", hex(value)]


def _float(value: float) -> Node:
    return value if math.isfinite(value) else ["float", struct.pack(">d", value).hex()]


_NUMBERS: typing.Dict[type, typing.Callable[[typing.Any], Node]] = {
    int: _int,
    float: _float,
    complex: lambda value: ["complex", _float(value.real), _float(value.imag)],
}


def _apart(kind: Kind, value: typing.Any) -> Parts:
    try:
        return kind.take_apart(value)
    except (NotPortable, RecursionError):
        raise
    except Exception as error:  # it belongs to a library, and that may find it in any state
        raise NotPortable(f"this {type(value).__name__} cannot be read: {error}") from error


def _index(position: int) -> str:
    return f"[{position}]"


def _place_in(shape: typing.Tuple[int, ...], order: typing.Any, position: int) -> str:
    return "[{}]".format(", ".join(str(i) for i in np.unravel_index(position, shape, order)))


def _filled(items: typing.List[typing.Any]) -> Array:
    flat = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):  # not flat[:] = …: NumPy would look into nested sequences
        flat[index] = item
    return flat
