"""Encoder: named values as one message, a skeleton of plain JSON plus raw buffers. ``protocol`` has the format.

No pickle. A message is written to a segment for another kernel, or to bytes for a record. Only the *descriptor* of the
segment, small plain JSON, goes into a Jupyter message.
"""

import collections
import enum
import json
import math
import struct
import typing

import numpy as np

from tfkernels import protocol
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.protocol import ALIGNMENT, HEADER_BYTES, MAX_DEPTH, MAX_PARTS, MIN_VIEW_BYTES
from tfkernels.transfer.dtype_encoding import COMMON_TYPES, Array, common, encode_dtype
from tfkernels.transfer.shared_memory.mapping import is_unmodified
from tfkernels.transfer.shared_memory.reader import find_received
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Address, Identity
from tfkernels.transfer.shared_memory.writer import is_temporary, write
from tfkernels.transfer.types import registry

Descriptor = typing.Dict[str, typing.Any]
AddressOf = typing.Callable[[Identity], typing.Optional[Address]]
Node = typing.Any
Buffer = typing.Union[bytes, bytearray, "np.ndarray[typing.Any, typing.Any]"]
"""Bytes, or an array of them."""

MAX_NON_STRINGS = 16
"""Distinct objects that are not strings (None, NaN, …) in an object array that is still sent as text."""

MAX_SMALL_BYTES = 4096
"""Size of a small array. For larger ones the copy costs more than their description."""


_INSTEAD: typing.Dict[type, str] = {
    np.ndarray: "numpy.asarray(value)",
    enum.Enum: "value.value",
    **{base: f"{base.__name__}(value)" for base in (dict, list, tuple, set, str, int, float)},
}
"""What to pass in place of an object of a class that is derived from this one."""


class ValueMessage:
    """Values encoded and checked, not yet written. Raises ``NotPortable`` if a part of them cannot be passed.

    ``address_of`` is the pool's that owns the segments that values arrive in: then arrays are forwarded.
    """

    def __init__(self, values: typing.Mapping[str, typing.Any], address_of: AddressOf = lambda segment: None) -> None:  # noqa: ARG005
        encoder = Encoder(address_of)
        nodes = {}
        for name, value in values.items():
            try:
                nodes[name] = encoder.encode(value)
            except NotPortable as error:
                raise error.within(name) from None
            except RecursionError as error:
                raise ExchangeError.too_deep(f"{name}: it is") from error
        skeleton = {"forms": encoder.forms(), "values": nodes, "views": encoder.min_view_bytes()}
        self.forwarded = encoder.forwarded
        """Arrays that have to stay as long as the other side may open their segments."""
        self._segments = [(address, max(end for _, end in spans)) for address, spans in encoder.segments]
        self._buffers = encoder.buffers
        self._not_recordable = encoder.not_recordable
        self._end = encoder.size
        try:
            self._skeleton = json.dumps(skeleton, separators=(",", ":")).encode("ascii")
        except RecursionError as error:
            raise ExchangeError.too_deep(f"{', '.join(nodes)}: it is") from error

    @property
    def size(self) -> int:
        """Bytes of shared memory that it takes."""
        return self._end + len(self._skeleton)

    def write(self, segment: int, address: Address, once: bool = False) -> Descriptor:
        """Copies everything into the open segment and returns the descriptor.

        ``once``: the message is not needed afterwards, so the memory of arrays without other references is released
        while they are copied.
        """
        temporary = {offset for offset, buffer in self._buffers if once and is_temporary(buffer)}
        write(segment, [*self._buffers, (self._end, self._skeleton)], temporary)
        part = {"segment": address, "buffers": self._end, "skeleton": len(self._skeleton), "forwarded": self._segments}
        return {"format": protocol.MESSAGE_FORMAT, "parts": [part]}

    def to_bytes(self) -> bytearray:
        """Everything as bytes for ``decoder.from_bytes``: a header line, then the same buffers and skeleton.

        Raises ``NotPortable`` if a value cannot be recorded.
        """
        if self._not_recordable:
            raise NotPortable("a model is no result to be compared. Record its weights: tfkernels.weights(model)")
        line = f"tfkernels values {protocol.MESSAGE_FORMAT} {self._end} {len(self._skeleton)}"
        content = bytearray(line.ljust(HEADER_BYTES - 1).encode("ascii") + b"\n")
        content += bytes(self._end)
        for offset, data in self._buffers:
            content[HEADER_BYTES + offset : HEADER_BYTES + offset + len(data)] = memoryview(data)  # type: ignore[arg-type]  # an array is a buffer for NumPy 2's types only
        content += self._skeleton
        return content


def check(descriptor: typing.Optional[Descriptor]) -> Descriptor:
    """The descriptor. Raises ``ExchangeError`` if there is none, or it is of another version of tfkernels."""
    if descriptor is None:
        raise ExchangeError("These packed values were closed. Pack them again.")
    if descriptor.get("format") != protocol.MESSAGE_FORMAT:
        raise ExchangeError.of_format(descriptor.get("format"), protocol.MESSAGE_FORMAT)
    return descriptor


def join(descriptors: typing.Iterable[typing.Optional[Descriptor]]) -> Descriptor:
    """The descriptor of the values of all. Raises ``ExchangeError`` as ``check`` does."""
    parts = [part for descriptor in descriptors for part in check(descriptor)["parts"]]
    return {"format": protocol.MESSAGE_FORMAT, "parts": parts}


class Encoder:
    """Turns values into skeleton nodes and collects their ``buffers`` as ``(offset, bytes)``.

    The bytes of small arrays and scalars of one form (dtype, shape, order) lie in one buffer, in their order. Arrays
    that arrived go on without a copy, in the ``segments`` that they came in, each with the spans that are used of it.
    """

    def __init__(self, address_of: AddressOf = lambda segment: None) -> None:  # noqa: ARG005
        self._address_of = address_of
        self.forwarded: typing.List[Array] = []
        self.segments: typing.List[typing.Tuple[Address, typing.List[typing.Tuple[int, int]]]] = []
        self.buffers: typing.List[typing.Tuple[int, Buffer]] = []
        self.not_recordable = False
        self.size = 0
        self._open: typing.Set[int] = set()
        self._parts = 0
        self._complete = 0
        self._numbers: typing.Dict[int, int] = {}
        self._alive: typing.List[typing.Any] = []  # an id means an object as long as that lives
        self._forms: typing.Dict[typing.Any, typing.Tuple[typing.List[int], typing.List[bytes]]] = {}

    def encode(self, value: typing.Any) -> Node:
        """The node of one value. Raises ``NotPortable`` with the path to the part that cannot be passed."""
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind in _NUMBERS:
            return _NUMBERS[kind](value)
        if id(value) in self._numbers:
            return ["same", self._numbers[id(value)]]
        if kind is np.ndarray and value.dtype.kind != "T":  # NumPy 2's strings are pointers in memory
            node = self._array(value)
        elif isinstance(value, np.generic):
            return self._scalar(value)
        elif kind in _SEQUENCES:
            node = [_SEQUENCES[kind], *self._nodes(value, list(value), lambda i: f"[{i}]")]
        elif kind in _MAPPINGS:
            flat = [item for pair in value.items() for item in pair]
            node = [_MAPPINGS[kind], *self._nodes(value, flat, lambda i: f"[{flat[i - i % 2]!r}]")]
        elif kind in (bytes, bytearray):
            node = [kind.__name__, self._place(value), len(value)]
        else:
            return self._kind(value)
        self._number(value)
        return node

    def forms(self) -> typing.List[typing.List[typing.Any]]:
        """The forms of the skeleton. Call it once, after the last ``encode``."""
        return [
            [dtype.str, list(shape), "F" if fortran else "C", len(pieces), self._place(b"".join(pieces))]
            for (dtype, _, shape, fortran), (_, pieces) in self._forms.items()
        ]

    def min_view_bytes(self) -> int:
        """The size from which the decoder does not copy arrays out of the memory that they arrive in.

        The smallest ones that are together less than a quarter of it are copied: a forgotten small array must not keep
        a gigabyte alive.
        """
        total = 0
        for size in sorted(len(buffer) for _, buffer in self.buffers):
            total += size
            if 4 * total > self.size:
                return max(size, MIN_VIEW_BYTES)
        return MIN_VIEW_BYTES

    def _number(self, value: typing.Any) -> None:
        self._numbers[id(value)] = self._complete
        self._alive.append(value)
        self._complete += 1

    def _nodes(
        self, owner: typing.Any, items: typing.List[typing.Any], step: typing.Callable[[int], str]
    ) -> typing.List[Node]:
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
            raise _refusal(value)
        self.not_recordable = self.not_recordable or not kind.recordable
        try:
            parts = kind.take_apart(value)
        except (NotPortable, RecursionError):
            raise
        except Exception as error:  # it belongs to a library, and that may find it in any state
            raise NotPortable(f"this {type(value).__name__} cannot be read: {error}") from error
        nodes = self._nodes(value, [part for _, part in parts], lambda i: parts[i][0])
        if kind.name:
            self._number(value)
            return ["kind", kind.name, *nodes]
        if id(parts[0][1]) in self._numbers:  # what stands in for the value is numbered, unless it is a scalar
            self._numbers[id(value)] = self._numbers[id(parts[0][1])]
            self._alive.append(value)
        return nodes[0]

    def _array(self, array: Array) -> Node:
        fortran = array.flags.fnc
        # The form of an array without dimensions is that of scalars.
        node = self._small(array, array.dtype, array.shape, fortran) if array.shape else None
        if node is not None:
            return node
        order = "F" if fortran else "C"
        if array.dtype.kind == "O":
            return self._objects(array, order)
        spec = encode_dtype(array.dtype)
        place = self.forward(array) or [self._place(_as_buffer(array))]
        return ["array", spec, list(array.shape), order, *place]

    def forward(self, array: Array) -> typing.Optional[typing.Tuple[int, int]]:
        """Offset and number of the segment that an array arrived in, if no page of it was written to; else ``None``.

        Later writes do not matter: they change pages of this process only. Only the owner of the segments forwards,
        because the other side cannot tell it how long to keep them.
        """
        received = None if array.base is None else find_received(array)
        if received is None or array.nbytes < MIN_MAPPED_BYTES or not array.flags.forc:
            return None
        start = array.__array_interface__["data"][0]
        offset, end = start - received.start, start - received.start + array.nbytes
        # A small part of it is copied: the other side would keep all of it, or copy more than that.
        if offset % ALIGNMENT or 4 * array.nbytes < received.size or not is_unmodified(start, array.nbytes):
            return None
        address = self._address_of(received.segment)
        if address is None:
            return None
        self.forwarded.append(array)
        for number, (known, spans) in enumerate(self.segments):
            # Views of one array are separate arrays on the other side: of spans that overlap, each has a mapping.
            if known == address and all(end <= first or last <= offset for first, last in spans):
                spans.append((offset, end))
                return offset, number
        self.segments.append((address, [(offset, end)]))
        return offset, len(self.segments) - 1

    def _small(self, value: typing.Any, dtype: typing.Any, shape: typing.Tuple[int, ...], fortran: bool) -> Node:
        """The node of a small array or a scalar of one of the usual dtypes, or ``None`` for all others."""
        key = (dtype, dtype.type, shape, fortran)  # dtypes that are equal may be of two types
        form = self._forms.get(key)
        if form is None:
            if common(dtype) is None or not 0 < value.nbytes <= MAX_SMALL_BYTES:
                return None
            form = self._forms[key] = ([len(self._forms)], [])
        form[1].append(value.tobytes("A"))
        return form[0]

    def _scalar(self, value: "np.generic") -> Node:
        if type(value) in COMMON_TYPES:
            self._complete += 1
            return self._small(value, COMMON_TYPES[type(value)], (), False)
        # Trailing NULs are padding in a NumPy array but data in a scalar: text and bytes go as themselves.
        if type(value) is np.str_:
            return ["npstr", value[:]]  # str(value) of NumPy 2 drops trailing NULs
        if type(value) is np.bytes_:
            return ["npbytes", self._place(bytes(value)), len(value)]
        array = np.asarray(value)
        if array.dtype.type is not type(value):
            raise _refusal(value)
        return ["scalar", encode_dtype(array.dtype), self._place(_as_buffer(array))]

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
        places = [self._place(text), len(text), self._place(_as_buffer(lengths))]
        return ["texts", list(array.shape), order, *places, *nodes]

    def _place(self, buffer: Buffer) -> int:
        offset = -(-self.size // ALIGNMENT) * ALIGNMENT
        self.buffers.append((offset, buffer))
        self.size = offset + len(buffer)
        return offset


def _refusal(value: typing.Any) -> NotPortable:
    """The reason why a value cannot be passed, and what to pass in its place."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] in ("tensorflow", "keras", "tf_keras"):
        return NotPortable(
            f"{name} is part of a TensorFlow program and has no value by itself. Run it there and pass the result, for "
            "example sess.run(tensor) or model.get_weights()."
        )
    for base, instead in _INSTEAD.items():
        if isinstance(value, base):
            return NotPortable(f"{name} is a class that another kernel may not have. Pass {instead}.")
    return NotPortable(
        f"objects of type {name} cannot be passed. Pass None, numbers, text, bytes, times, NumPy arrays, objects of "
        "pandas and scipy.sparse, eager tensors, or lists, tuples, dicts and sets of these."
    )


def _as_buffer(array: "np.ndarray[typing.Any, typing.Any]") -> Buffer:
    """The array's bytes in memory order; a copy only if it is small, or not contiguous."""
    if array.nbytes <= MAX_SMALL_BYTES:
        return array.tobytes("A")  # a view costs more
    if not array.flags.c_contiguous:
        array = array.T if array.flags.f_contiguous else np.ascontiguousarray(array)
    return array.reshape(-1).view(np.uint8)


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
