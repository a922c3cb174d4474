"""Messages of named values: written to a segment for another kernel, or to bytes for a record.

Only the *descriptor*, small plain JSON, goes into a Jupyter message; ``protocol`` has its format. Descriptors of
several segments can be joined.
"""

import contextlib
import json
import re
import sys
import typing

import numpy as np

from tfkernels import protocol
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.protocol import ALIGNMENT
from tfkernels.transfer.decoder import Decoder
from tfkernels.transfer.encoder import Encoder
from tfkernels.transfer.shared_memory.reader import read
from tfkernels.transfer.shared_memory.segment import Address
from tfkernels.transfer.shared_memory.writer import is_temporary, write

if typing.TYPE_CHECKING:
    from tfkernels.transfer.shared_memory.forwarding import ForwardedArrays

Descriptor = typing.Dict[str, typing.Any]

_HEADER_BYTES = ALIGNMENT
"""Size of the line before the buffers, which keep their alignment behind it."""


class ValueMessage:
    """Values encoded and checked, not yet written. Raises ``NotPortable`` if a part of them cannot be passed."""

    def __init__(
        self, values: typing.Mapping[str, typing.Any], forwarded: typing.Optional["ForwardedArrays"] = None
    ) -> None:
        encoder = Encoder() if forwarded is None else Encoder(forwarded.find)
        nodes = {}
        for name, value in values.items():
            try:
                nodes[name] = encoder.encode(value)
            except NotPortable as error:
                raise error.within(name) from None
            except RecursionError as error:
                raise _too_deep(f"{name}: it is") from error
        skeleton = {"forms": encoder.forms(), "values": nodes, "views": encoder.min_view_bytes()}
        self.forwarded = forwarded
        self._buffers = encoder.buffers
        self._end = encoder.size
        try:
            self._skeleton = json.dumps(skeleton, separators=(",", ":")).encode("ascii")
        except RecursionError as error:
            raise _too_deep(f"{', '.join(nodes)}: it is") from error

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
        forwarded = [] if self.forwarded is None else self.forwarded.segments
        part = {"segment": address, "buffers": self._end, "skeleton": len(self._skeleton), "forwarded": forwarded}
        return {"format": protocol.MESSAGE_FORMAT, "parts": [part]}

    def to_bytes(self) -> bytearray:
        """Everything as bytes for ``from_bytes``: a header line, then the same buffers and skeleton."""
        line = f"tfkernels values {protocol.MESSAGE_FORMAT} {self._end} {len(self._skeleton)}"
        content = bytearray(line.ljust(_HEADER_BYTES - 1).encode("ascii") + b"\n")
        content += bytes(self._end)
        for offset, data in self._buffers:
            content[_HEADER_BYTES + offset : _HEADER_BYTES + offset + len(data)] = memoryview(data)  # type: ignore[arg-type]  # an array is a buffer for NumPy 2's types only
        content += self._skeleton
        return content


def join(descriptors: typing.Iterable[Descriptor]) -> Descriptor:
    return {
        "format": protocol.MESSAGE_FORMAT,
        "parts": [part for descriptor in descriptors for part in descriptor["parts"]],
    }


def unpack(descriptor: Descriptor) -> typing.Dict[str, typing.Any]:
    """The named values: independent, writable, ordinary. Raises ``ExchangeError``."""
    values: typing.Dict[str, typing.Any] = {}
    with _exchange_errors():
        for part in check(descriptor)["parts"]:
            values.update(_unpack(part))
    return values


def check(descriptor: typing.Optional[Descriptor]) -> Descriptor:
    """The descriptor. Raises ``ExchangeError`` if there is none, or it is of another version of tfkernels."""
    if descriptor is None:
        raise ExchangeError("These packed values were closed. Pack them again.")
    if descriptor.get("format") != protocol.MESSAGE_FORMAT:
        raise ExchangeError.of_format(descriptor.get("format"), protocol.MESSAGE_FORMAT)
    return descriptor


def from_bytes(content: bytes) -> typing.Dict[str, typing.Any]:
    """The named values that ``to_bytes`` wrote: independent, writable, ordinary. Raises ``ExchangeError``.

    The bytes may come from anywhere: they run no code.
    """
    line = re.fullmatch(rb"tfkernels values (\d{1,9}) (\d{1,18}) (\d{1,18}) *\n", content[:_HEADER_BYTES])
    if line is None:
        raise ExchangeError("These bytes are not a value that tfkernels recorded.")
    written, buffers, length = map(int, line.groups())
    if written != protocol.MESSAGE_FORMAT:
        raise ExchangeError(
            f"The value was recorded in format {written}, and this tfkernels reads format {protocol.MESSAGE_FORMAT}. "
            f"Use one version of tfkernels for recording and reading."
        )
    if len(content) != _HEADER_BYTES + buffers + length:
        raise ExchangeError(
            f"The recorded value is damaged: it has {len(content)} bytes of {_HEADER_BYTES + buffers + length}."
        )
    with _exchange_errors():
        memory = np.empty(buffers + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        memory = memory[start : start + buffers]
        memory[:] = np.frombuffer(content, np.uint8, buffers, _HEADER_BYTES)
        return _decoded(memory, content[_HEADER_BYTES + buffers :])


def _unpack(part: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
    memory, skeleton = read(part["segment"], part["buffers"], part["skeleton"])
    return _decoded(memory, skeleton, [read(address, size)[0] for address, size in part["forwarded"]])


def _decoded(
    memory: typing.Any, skeleton: typing.Union[bytes, bytearray], forwarded: typing.Sequence[typing.Any] = ()
) -> typing.Dict[str, typing.Any]:
    written = json.loads(bytes(skeleton).decode("ascii"))
    decoder = Decoder(memory, written["forms"], written.get("views", 0), forwarded)
    return {name: decoder.decode(node) for name, node in written["values"].items()}


@contextlib.contextmanager
def _exchange_errors() -> typing.Iterator[None]:
    """Turns every error of reading into an ``ExchangeError``."""
    try:
        yield
    except RecursionError as error:
        raise _too_deep("The message is damaged, or it is") from error
    except MemoryError as error:
        raise ExchangeError("There is not enough memory here for what arrived. Free some, or pass less.") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ExchangeError(f"The message is damaged: {error!r}.") from error


def _too_deep(beginning: str) -> ExchangeError:
    limit = sys.getrecursionlimit()
    return ExchangeError(
        f"{beginning} nested deeper than the stack of calls has room for. Pass it from a function that is called less "
        f"deep, or allow more than {limit:,} calls: import sys; sys.setrecursionlimit({2 * limit})"
    )
