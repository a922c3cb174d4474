"""Encoder: values as a skeleton of plain JSON plus raw buffers. No pickle; ``protocol`` has the format."""

import collections
import math
import struct
import typing

import numpy as np

from tfkernels.errors import NotPortable
from tfkernels.protocol import ALIGNMENT, MAX_DEPTH, MAX_PARTS, MIN_VIEW_BYTES
from tfkernels.transfer.dtypes import Array, Buffer, as_buffer, encode_dtype, nbytes
from tfkernels.transfer.small_arrays import Batches, Form
from tfkernels.transfer.types import registry
from tfkernels.transfer.types.numpy import STRINGS
from tfkernels.transfer.types.refusal import why_not

Node = typing.Any
Step = typing.Callable[[int], str]
FindForwarded = typing.Callable[[Array], typing.Optional[typing.Tuple[int, int]]]
"""Offset and number of the forwarded segment that an array lies in already."""

MAX_NON_STRINGS = 16
"""Distinct objects that are not strings (None, NaN, …) in an object array that is still sent as text."""


class Encoder:
    """Turns values into skeleton nodes and collects their ``buffers`` as ``(offset, bytes)``.

    Arrays that ``find_forwarded`` finds stay where they are.
    """

    def __init__(self, find_forwarded: FindForwarded = lambda array: None) -> None:  # noqa: ARG005
        self._find_forwarded = find_forwarded
        self.buffers: typing.List[typing.Tuple[int, Buffer]] = []
        self.size = 0
        self._open: typing.Set[int] = set()
        self._parts = 0
        self._complete = 0
        self._numbers: typing.Dict[int, int] = {}
        self._alive: typing.List[typing.Any] = []  # an id means an object as long as that lives
        self._batches = Batches()

    def encode(self, value: typing.Any) -> Node:
        """The node of one value. Raises ``NotPortable`` with the path to the part that cannot be passed."""
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
            node = [_SEQUENCES[kind], *self._nodes(value, list(value), lambda i: f"[{i}]")]
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
        """The forms of the skeleton. Call it once, after the last ``encode``."""
        return self._batches.place(self._place)

    def min_view_bytes(self) -> int:
        """The size from which the decoder does not copy arrays out of the memory that they arrive in.

        The smallest ones that are together less than a quarter of it are copied: a forgotten small array must not keep
        a gigabyte alive.
        """
        total = 0
        for size in sorted(nbytes(buffer) for _, buffer in self.buffers):
            total += size
            if 4 * total > self.size:
                return max(size, MIN_VIEW_BYTES)
        return MIN_VIEW_BYTES

    def _number(self, value: typing.Any) -> None:
        self._numbers[id(value)] = self._complete
        self._alive.append(value)
        self._complete += 1

    def _nodes(self, owner: typing.Any, items: typing.List[typing.Any], step: Step) -> typing.List[Node]:
        """The nodes of the ``items`` of ``owner``; ``step`` gives the path from there to the n-th of them."""
        if id(owner) in self._open:
            raise NotPortable("it contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise NotPortable(f"it is nested deeper than {MAX_DEPTH} levels")
        self._parts += len(items)
        if self._parts > MAX_PARTS:
            raise NotPortable(
                f"the values have more than {MAX_PARTS:,} parts together. Pass numbers as arrays, or less at a time."
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
        parts = _take_apart(kind, value)
        nodes = self._nodes(value, [part for _, part in parts], lambda i: parts[i][0])
        if kind.name:
            self._number(value)
            return ["kind", kind.name, *nodes]
        if id(parts[0][1]) in self._numbers:  # what stands in for the value is numbered, unless it is a scalar
            self._numbers[id(value)] = self._numbers[id(parts[0][1])]
            self._alive.append(value)
        return nodes[0]

    def _blob(self, value: typing.Union[bytes, bytearray]) -> Node:
        return [type(value).__name__, self._place(value), len(value)]

    def _array(self, array: Array) -> Node:
        node: Node = self._batches.array(array)
        if node is not None:
            return node
        order = "F" if array.flags.fnc else "C"
        if array.dtype.kind == "O":
            return self._objects(array, order)
        if array.dtype.kind == "T":  # NumPy 2's strings are pointers in memory
            parts = _take_apart(STRINGS, array)
            return ["kind", STRINGS.name, *self._nodes(array, [part for _, part in parts], lambda i: parts[i][0])]
        spec = encode_dtype(array.dtype)
        place = self._find_forwarded(array) or [self._place(as_buffer(array))]
        return ["array", spec, list(array.shape), order, *place]

    def _objects(self, array: Array, order: typing.Any) -> Node:
        items = array.ravel(order=order).tolist()
        others = {}
        if set(map(type, items)) != {str}:
            others = {id(item): position for position, item in enumerate(items) if type(item) is not str}
        if len(others) > MAX_NON_STRINGS or len(others) == len(items):
            nodes = self._nodes(array, items, lambda i: _item_path(array.shape, order, i))
            return ["objects", list(array.shape), order, *nodes]
        codes = {key: -1 - number for number, key in enumerate(others)}
        lengths = np.array([codes[id(item)] if id(item) in codes else len(item) for item in items], "<i8")
        text = "".join([item for item in items if type(item) is str]).encode("utf-8", "surrogatepass")
        positions = list(others.values())
        found = [items[position] for position in positions]
        nodes = self._nodes(array, found, lambda i: _item_path(array.shape, order, positions[i]))
        return [
            "texts",
            list(array.shape),
            order,
            self._place(text),
            len(text),
            self._place(as_buffer(lengths)),
            *nodes,
        ]

    def _scalar(self, value: "np.generic") -> Node:
        node: Node = self._batches.scalar(value)
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
        return ["scalar", encode_dtype(array.dtype), self._place(as_buffer(array))]

    def _place(self, buffer: Buffer) -> int:
        offset = -(-self.size // ALIGNMENT) * ALIGNMENT
        self.buffers.append((offset, buffer))
        self.size = offset + nbytes(buffer)
        return offset

    _ENCODERS: typing.ClassVar[typing.Dict[type, typing.Callable[["Encoder", typing.Any], Node]]] = {
        np.ndarray: _array,
        **dict.fromkeys((bytes, bytearray), _blob),
    }


def _int(value: int) -> Node:
    return value if -(2**63) <= value < 2**63 else ["int", hex(value)]


def _float(value: float) -> Node:
    return value if math.isfinite(value) else ["float", struct.pack(">d", value).hex()]


_NUMBERS: typing.Dict[type, typing.Callable[[typing.Any], Node]] = {
    int: _int,
    float: _float,
    complex: lambda value: ["complex", _float(value.real), _float(value.imag)],
}
_SEQUENCES: typing.Dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_MAPPINGS: typing.Dict[type, str] = {dict: "dict", collections.OrderedDict: "odict"}


def _item_path(shape: typing.Tuple[int, ...], order: typing.Any, position: int) -> str:
    return "[{}]".format(", ".join(str(i) for i in np.unravel_index(position, shape, order)))


def _take_apart(kind: registry.Kind, value: typing.Any) -> registry.Parts:
    try:
        return kind.take_apart(value)
    except (NotPortable, RecursionError):
        raise
    except Exception as error:  # it belongs to a library, and that may find it in any state
        raise NotPortable(f"this {type(value).__name__} cannot be read: {error}") from error
