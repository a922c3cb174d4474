"""Named values on their way to another kernel: one segment holds the buffers, then the skeleton. Arrays may stay where
they are, in other segments, which are *lent*: see ``shared_memory.forwarding``.

The *descriptor* of a parcel is small and plain JSON; it is all that travels in a Jupyter message. Several can be
joined into one, from different segments.

What is to last is written as bytes instead: a line that says what they are, then the same buffers and skeleton.
"""

import contextlib
import json
import re
import sys
import typing

import numpy as np

from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.transfer.codec import ALIGNMENT, Decoder, Encoder
from tfkernels.transfer.shared_memory import temporaries
from tfkernels.transfer.shared_memory.reader import read
from tfkernels.transfer.shared_memory.segment import Address
from tfkernels.transfer.shared_memory.writer import write

if typing.TYPE_CHECKING:
    from tfkernels.transfer.shared_memory.forwarding import Loan

FORMAT = 3
"""Raised when an older tfkernels could misread what this one writes."""

Descriptor = typing.Dict[str, typing.Any]

_HEADER = ALIGNMENT
"""Bytes before the buffers, so that these keep their alignment."""


class ValueMessage:
    """Values encoded and checked, not yet written: if one of them cannot travel, nothing has been touched."""

    def __init__(self, values: typing.Mapping[str, typing.Any], loan: typing.Optional["Loan"] = None) -> None:
        encoder = Encoder() if loan is None else Encoder(loan.find)
        nodes = {}
        for name, value in values.items():
            try:
                nodes[name] = encoder.encode(value)
            except NotPortable as error:
                raise error.within(name) from None
            except RecursionError as error:
                raise _no_stack(f"{name}: it is") from error
        skeleton = {"forms": encoder.forms(), "values": nodes, "views": encoder.views_from()}
        self.loan = loan
        self._buffers = encoder.buffers
        self._end = encoder.size
        try:
            self._skeleton = json.dumps(skeleton, separators=(",", ":")).encode("ascii")
        except RecursionError as error:
            raise _no_stack(f"{', '.join(nodes)}: it is") from error

    @property
    def size(self) -> int:
        """Bytes of shared memory that it takes."""
        return self._end + len(self._skeleton)

    def write(self, segment: int, address: Address, once: bool = False) -> Descriptor:
        """Copies everything into the open segment and returns the parcel's descriptor. ``once``: then the parcel has
        done what it is for, and arrays that nobody else has need no memory any more."""
        temporary = {offset for offset, buffer in self._buffers if once and temporaries.only_here(buffer)}
        write(segment, [*self._buffers, (self._end, self._skeleton)], temporary)
        lent = [] if self.loan is None else self.loan.segments
        part = {"segment": address, "buffers": self._end, "skeleton": len(self._skeleton), "lent": lent}
        return {"format": FORMAT, "parts": [part]}

    def to_bytes(self) -> bytearray:
        """Everything as bytes that ``of_bytes`` reads, in this version of tfkernels or a later one of the format."""
        line = f"tfkernels parcel {FORMAT} {self._end} {len(self._skeleton)}"
        content = bytearray(line.ljust(_HEADER - 1).encode("ascii") + b"\n")
        content += bytes(self._end)
        for offset, data in self._buffers:
            content[_HEADER + offset : _HEADER + offset + len(data)] = memoryview(data)  # type: ignore[arg-type]  # an array is a buffer for NumPy 2's types only
        content += self._skeleton
        return content


def join(descriptors: typing.Iterable[Descriptor]) -> Descriptor:
    return {"format": FORMAT, "parts": [part for descriptor in descriptors for part in descriptor["parts"]]}


def unpack(descriptor: Descriptor) -> typing.Dict[str, typing.Any]:
    """The named values of a parcel: independent, writable, ordinary. Raises ``ExchangeError``."""
    values: typing.Dict[str, typing.Any] = {}
    with _told():
        for part in check(descriptor)["parts"]:
            values.update(_unpack(part))
    return values


def check(descriptor: typing.Optional[Descriptor]) -> Descriptor:
    """The descriptor, if it is one that this tfkernels understands; else raises ``ExchangeError``."""
    if descriptor is None:
        raise ExchangeError("this shipment holds no values any more; pack them again")
    if descriptor.get("format") != FORMAT:
        raise ExchangeError.of_format(descriptor.get("format"), FORMAT)
    return descriptor


def of_bytes(content: bytes) -> typing.Dict[str, typing.Any]:
    """The named values that ``to_bytes`` wrote: independent, writable, ordinary. Raises ``ExchangeError``.

    The bytes may come from anywhere: no code is run for them.
    """
    line = re.fullmatch(rb"tfkernels parcel (\d{1,9}) (\d{1,18}) (\d{1,18}) *\n", content[:_HEADER])
    if line is None:
        raise ExchangeError("these bytes are no recorded value of tfkernels")
    written, buffers, length = map(int, line.groups())
    if written != FORMAT:
        raise ExchangeError(
            f"the value was recorded in format {written} and this tfkernels reads format {FORMAT}; use the same "
            f"version of tfkernels for recording and reading"
        )
    if len(content) != _HEADER + buffers + length:
        raise ExchangeError(
            f"the recorded value is damaged: it has {len(content)} bytes of {_HEADER + buffers + length}"
        )
    with _told():
        memory = np.empty(buffers + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        memory = memory[start : start + buffers]
        memory[:] = np.frombuffer(content, np.uint8, buffers, _HEADER)
        return _decoded(memory, content[_HEADER + buffers :])


def _unpack(part: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
    memory, skeleton = read(part["segment"], part["buffers"], part["skeleton"])
    return _decoded(memory, skeleton, [read(address, size)[0] for address, size in part["lent"]])


def _decoded(
    memory: typing.Any, skeleton: typing.Union[bytes, bytearray], lent: typing.Sequence[typing.Any] = ()
) -> typing.Dict[str, typing.Any]:
    written = json.loads(bytes(skeleton).decode("ascii"))
    decoder = Decoder(memory, written["forms"], written.get("views", 0), lent)
    return {name: decoder.decode(node) for name, node in written["values"].items()}


@contextlib.contextmanager
def _told() -> typing.Iterator[None]:
    """Whatever goes wrong with what arrived is an ``ExchangeError``."""
    try:
        yield
    except RecursionError as error:
        raise _no_stack("what arrived is damaged, or") from error
    except MemoryError as error:
        raise ExchangeError("there is not enough memory here for what arrived; free some, or pass less") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ExchangeError(f"what arrived is damaged ({error!r})") from error


def _no_stack(beginning: str) -> ExchangeError:
    limit = sys.getrecursionlimit()
    return ExchangeError(
        f"{beginning} nested deeper than the stack of calls has room for; pass it from a function that is called less "
        f"deep, or allow more than {limit:,} calls: import sys; sys.setrecursionlimit({2 * limit})"
    )
