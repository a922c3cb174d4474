"""Named values on their way to another kernel: one segment holds the buffers, then the skeleton.

The *descriptor* of a parcel is small and plain JSON; it is all that travels in a Jupyter message.
"""

import json
import os
import typing

from tfkernels.codec import Decoder, Encoder
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.segments import Address, open_segment, read, write

FORMAT = 1
"""Raised when an older tfkernels could misread what this one writes."""

Descriptor = typing.Dict[str, typing.Any]


class Parcel:
    """Values encoded and checked, not yet written: if one of them cannot travel, nothing has been touched."""

    def __init__(self, values: typing.Mapping[str, typing.Any]) -> None:
        encoder = Encoder()
        skeleton = {}
        for name, value in values.items():
            try:
                skeleton[name] = encoder.encode(value)
            except NotPortable as error:
                raise error.within(name) from None
        self._buffers = encoder.buffers
        self._end = encoder.size
        self._skeleton = json.dumps(skeleton, separators=(",", ":")).encode("ascii")

    def write(self, descriptor: int, address: Address) -> Descriptor:
        """Copies everything into the open segment and returns the parcel's descriptor."""
        for offset, buffer in self._buffers:
            write(descriptor, offset, buffer)
        write(descriptor, self._end, self._skeleton)
        return {"format": FORMAT, "segment": address, "buffers": self._end, "skeleton": len(self._skeleton)}


def unpack(descriptor: Descriptor) -> typing.Dict[str, typing.Any]:
    """The named values of a parcel: independent, writable, ordinary. Raises ``ExchangeError``."""
    if descriptor.get("format") != FORMAT:
        raise ExchangeError(
            "the other kernel's tfkernels writes format {} and this one reads format {}; reinstall the kernels with "
            "the newer one: tfkernels install".format(descriptor.get("format"), FORMAT)
        )
    segment = open_segment(descriptor["segment"])
    try:
        buffers, length = descriptor["buffers"], descriptor["skeleton"]
        skeleton = json.loads(os.pread(segment, length, buffers).decode("ascii"))
        decoder = Decoder(read(segment, buffers))
    except ValueError as error:
        raise ExchangeError(f"what arrived is damaged ({error})") from error
    finally:
        os.close(segment)
    return {name: decoder.decode(node) for name, node in skeleton.items()}
