"""Values in a segment of this process, on their way to other kernels or from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tfkernels import parcel
from tfkernels.pool import shared
from tfkernels.segments import Address

if TYPE_CHECKING:
    from tfkernels.relay import Relay
    from tfkernels.remote import RemoteKernel


class Reference(NamedTuple):
    """A value of another kernel, which goes to a third one without coming here: see ``RemoteKernel.reference``."""

    kernel: RemoteKernel
    expression: str


class Shipment:
    """A parcel in a segment that is this shipment's own until it is closed. Whoever has arrays out of it keeps them.

    Arrays that arrived here are copied when they go on, also untouched ones: they are writable, and neither NumPy nor
    the system's account of changed pages says cheaply and without a race that nobody wrote to them.
    """

    unheard = False
    """Whether a kernel that was not heard out may still open or write the segment."""

    def __init__(self, size: int = 0, writer: str = "") -> None:
        self._segment = shared.take(size, writer)
        self._closed = False
        self.descriptor: parcel.Descriptor | None = None

    @property
    def address(self) -> Address:
        return self._segment.address

    @property
    def size(self) -> int:
        """Bytes of the parcel."""
        assert self.descriptor is not None
        return sum(part["buffers"] + part["skeleton"] for part in self.descriptor["parts"])

    def pack(self, packed: parcel.Parcel) -> Shipment:
        self.descriptor = packed.write(self._segment.descriptor, self._segment.address)
        return self

    def unpack(self) -> dict[str, Any]:
        assert self.descriptor is not None
        return parcel.unpack(self.descriptor)

    def close(self) -> None:
        """The segment can be used for other values as soon as no array looks into it."""
        if not self._closed:
            self._closed = True
            self.descriptor = None
            shared.discard(self._segment) if self.unheard else shared.put(self._segment)

    def __enter__(self) -> Shipment:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def pack(values: Mapping[str, Any]) -> Shipment:
    """Writes values once, to be sent to several kernels::

        with tfkernels.pack({"images": images}) as packed:
            tf1.run(code, inputs=packed)
            tf2.run(code, inputs=packed)

    They are those of the moment of packing. Raises ``ExchangeError`` if one of them cannot travel.
    """
    return _written(parcel.Parcel(values))


def _written(packed: parcel.Parcel) -> Shipment:
    shipment = Shipment(packed.size)
    try:
        return shipment.pack(packed)
    except BaseException:
        shipment.close()
        raise


@contextmanager
def loaded(inputs: Mapping[str, Any] | Shipment | None, show: Relay) -> Iterator[list[Shipment]]:
    """What a request takes along: the values from here in one segment, those of each other kernel in another."""
    if isinstance(inputs, Shipment):
        yield [inputs]  # its maker closes it
        return
    here: dict[str, Any] = {}
    elsewhere: dict[RemoteKernel, dict[str, str]] = {}
    for name, value in (inputs or {}).items():
        if isinstance(value, Reference):
            elsewhere.setdefault(value.kernel, {})[name] = value.expression
        else:
            here[name] = value
    packed = parcel.Parcel(here)  # what cannot travel is found before anything is evaluated elsewhere
    with ExitStack() as shipments:
        made = [shipments.enter_context(kernel.ship(names, show)) for kernel, names in elsewhere.items()]
        if here:
            made.append(shipments.enter_context(_written(packed)))
        yield made
