"""Named values on their way to another kernel: one segment holds the buffers, then the skeleton.

The *descriptor* of a parcel is small and plain JSON; it is all that travels in a Jupyter message. Several can be
joined into one, from different segments.
"""

import json
import os
import typing

from tfkernels.codec import Decoder, Encoder
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.segments import Address, open_segment, read
from tfkernels.writing import write

FORMAT = 3
"""Raised when an older tfkernels could misread what this one writes."""

Descriptor = typing.Dict[str, typing.Any]


class Parcel:
    """Values encoded and checked, not yet written: if one of them cannot travel, nothing has been touched."""

    def __init__(self, values: typing.Mapping[str, typing.Any]) -> None:
        encoder = Encoder()
        nodes = {}
        for name, value in values.items():
            try:
                nodes[name] = encoder.encode(value)
            except NotPortable as error:
                raise error.within(name) from None
        skeleton = {"forms": encoder.forms(), "values": nodes}
        self._buffers = encoder.buffers
        self._end = encoder.size
        self._skeleton = json.dumps(skeleton, separators=(",", ":")).encode("ascii")

    @property
    def size(self) -> int:
        """Bytes of shared memory that it takes."""
        return self._end + len(self._skeleton)

    def write(self, segment: int, address: Address) -> Descriptor:
        """Copies everything into the open segment and returns the parcel's descriptor."""
        write(segment, [*self._buffers, (self._end, self._skeleton)])
        part = {"segment": address, "buffers": self._end, "skeleton": len(self._skeleton)}
        return {"format": FORMAT, "parts": [part]}


def join(descriptors: typing.Iterable[Descriptor]) -> Descriptor:
    return {"format": FORMAT, "parts": [part for descriptor in descriptors for part in descriptor["parts"]]}


def unpack(descriptor: Descriptor) -> typing.Dict[str, typing.Any]:
    """The named values of a parcel: independent, writable, ordinary. Raises ``ExchangeError``."""
    values: typing.Dict[str, typing.Any] = {}
    for part in check(descriptor)["parts"]:
        values.update(_unpack(part))
    return values


def check(descriptor: typing.Optional[Descriptor]) -> Descriptor:
    """The descriptor, if it is one that this tfkernels understands; else raises ``ExchangeError``."""
    if descriptor is None:
        raise ExchangeError("this shipment holds no values any more; pack them again")
    if descriptor.get("format") != FORMAT:
        raise ExchangeError(
            "the other kernel's tfkernels writes format {} and this one reads format {}; reinstall the kernels with "
            "the newer one (tfkernels install) and restart them".format(descriptor.get("format"), FORMAT)
        )
    return descriptor


def _unpack(part: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
    segment = open_segment(part["segment"])
    try:
        buffers, length = part["buffers"], part["skeleton"]
        skeleton = json.loads(os.pread(segment, length, buffers).decode("ascii"))
        decoder = Decoder(read(segment, buffers), skeleton["forms"])
        return {name: decoder.decode(node) for name, node in skeleton["values"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExchangeError(f"what arrived is damaged ({error!r})") from error
    finally:
        os.close(segment)
