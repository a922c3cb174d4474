"""Wire format between two kernels, and its versions. Python 3.6, no NumPy.

An execute request carries this in ``metadata["tfkernels"]``; ``kernel_side.execute`` handles it::

    {"format": number, "kernel": name, "magic": "%%name", "inputs": descriptor or None, "outputs": {name: expression},
     "segment": address or None, "reuse_input_segments": [address, …], "cancel_token": address (optional)}

Its reply has the descriptor of the outputs in ``content["tfkernels"]``, and in ``content["notes_dropped"]`` whether the
kernel's variables now leave out the notes of ``start_notes``. A descriptor names where values lie::

    {"format": number, "parts": [
        {"segment": address, "buffers": size, "skeleton": size, "forwarded": [[address, size], …]}, …]}

A segment holds buffers, each at a multiple of ``ALIGNMENT``, then the skeleton: JSON with ``forms``, ``views`` (the
size from which arrays are not copied) and ``values``, a node per name. A form is that of small arrays or scalars whose
bytes lie in one buffer, in their order: ``[dtype, shape, "C"|"F", count, offset]``; the shape of scalars is empty.
A node is ``None``, a bool, a str, an int of 64 bits, a finite float, or a list whose first item is a tag::

    ["list", node, …]  ["tuple", …]  ["set", …]  ["frozenset", …]  ["dict", key, value, key, value, …]  ["odict", …]
    ["array", dtype, shape, "C"|"F", offset(, number of a forwarded segment)]
    ["objects", shape, "C"|"F", node, …]  ["scalar", dtype, offset]
    ["texts", shape, "C"|"F", offset, length, offset of the lengths, node, …]
    ["bytes"|"bytearray"|"npbytes", offset, length]  ["npstr", text]
    ["int", hex]  ["float", hex of 8 bytes, big-endian]  ["complex", real, imaginary]
    ["kind", name, node, …]  ["same", number]  [number of a form]

"kind" is one of ``transfer.types``, by its parts. "same" is an object that came before: the number-th that was
complete, counting nodes of arrays, containers, bytes, kinds and forms from 0. So one object here is one object there.
"texts" is an object array of mostly strings: their UTF-8 in one piece, and per item its length in characters, or the
number of one of the few other objects as -1, -2, …. ``[number of a form]`` is the next small array or scalar of it.

A request without code takes a short way to a kernel of tfkernels that this process started: the Unix socket
``VALUES_SOCKET`` in its folder. Such a kernel answers a ``kernel_info_request`` with ``VALUES_FORMAT`` under
``VALUES_KEY``. A message is its length in 4 bytes and JSON: ``header``, ``metadata`` and ``content`` of the request,
``parent_header`` and ``content`` of the reply. Its ``content["shown"]`` is whether output was published: then the
message that the kernel is idle follows, and else none. ``content["values_read"]`` of replies of both ways is whether
the kernel waits at this socket. It does not in the event loop of Qt, for example.
"""

import socket
import struct
import typing

from tfkernels.errors import ExchangeError

Message = typing.Dict[str, typing.Any]
"""A Jupyter message: header, parent_header, metadata, content, buffers."""

# Versions, raised when an older release would misread what the newer one writes.
PROTOCOL = 2  # of what a foreign kernel is asked (``kernel_side.inject``)
REQUEST_FORMAT = 2  # of the metadata of an execute request
MESSAGE_FORMAT = 4  # of descriptors, skeletons and recorded values
VALUES_FORMAT = 1  # of requests that take the short way

VALUES_KEY = "tfkernels_values"
VALUES_SOCKET = "v"  # short: the system limits the length of its path
VALUES_REQUEST = "tfkernels_values_request"
VALUES_REPLY = "tfkernels_values_reply"

COMPLETE_MODE = "tfkernels"
"""Key in the content of a ``complete_request`` that wants fast completions: ``"code"``, or ``"value"`` for an
expression that can be passed."""

ENDS_CELL = "tfkernels_ends_cell"
"""Key in the metadata of an ``error`` message: the reply of the cell has this error, unless it says "ok"."""

MATCH_TYPES = "_jupyter_types_experimental"
"""Key in the metadata of ipykernel's ``complete_reply`` with the type of each match."""

ALIGNMENT = 64
"""Bytes. TensorFlow takes over memory without a copy only at such multiples."""

HEADER_BYTES = ALIGNMENT
"""Size of the line before the buffers of a recorded value, which keep their alignment behind it."""

MIN_VIEW_BYTES = 64 * 1024
"""Size of the smallest array that looks into the memory it arrived in. Smaller ones are copied out."""

MAX_DEPTH = 100
"""Nested containers. Deeper values come from cycles through foreign code more often than from users."""

MAX_PARTS = 10_000_000
"""Items of all containers together. Each costs some hundred bytes on both sides; in one array it would cost eight."""

VALUES_LENGTH = struct.Struct(">I")

_REQUIRED = ("kernel", "magic", "inputs", "outputs", "segment", "reuse_input_segments")


def read_exactly(end: socket.socket, size: int) -> bytes:
    """Less than ``size`` bytes only at the end. ``MSG_WAITALL`` returns a part at a signal, or with a time limit."""
    received = bytearray()
    while len(received) < size:
        part = end.recv(size - len(received))
        if not part:
            break
        received += part
    return bytes(received)


def check_request(request: typing.Any) -> typing.Dict[str, typing.Any]:
    """The request. Raises ``ExchangeError`` if it is damaged, or of another version of tfkernels."""
    if not isinstance(request, dict) or request.get("format") != REQUEST_FORMAT:
        raise ExchangeError.of_format(request.get("format") if isinstance(request, dict) else None, REQUEST_FORMAT)
    missing = [key for key in _REQUIRED if key not in request]
    if missing:
        raise ExchangeError(f"The request is damaged: it has no {', '.join(missing)}.")
    return request
