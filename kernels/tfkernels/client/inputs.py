"""Inputs of a cell: values of this process, and references to values of other kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Union

from tfkernels.output.relay import Relay
from tfkernels.transfer.lease import SegmentLease, write
from tfkernels.transfer.message import ValueMessage
from tfkernels.transfer.shared_memory.forwarding import Loan

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # Python 3.7 has none

Inputs = Union[Mapping[str, Any], SegmentLease, None]
"""Values and references by name, or what ``tfkernels.pack`` returned."""


class Source(Protocol):
    """A kernel that evaluates expressions whose values another kernel gets."""

    def ship(self, outputs: Mapping[str, str], show: Relay) -> SegmentLease:
        """Evaluates expressions by name; returns their values in shared memory, unread."""


class Reference(NamedTuple):
    """An expression of one kernel as an input of another. See ``Kernel.reference``."""

    kernel: Source
    expression: str


def split_references(inputs: Inputs) -> tuple[Mapping[str, Any] | SegmentLease, dict[Any, dict[str, str]]]:
    """The values of this process, and the expressions of each other kernel."""
    if isinstance(inputs, SegmentLease):
        return inputs, {}
    values: dict[str, Any] = {}
    expressions: dict[Any, dict[str, str]] = {}
    for name, value in (inputs or {}).items():
        if isinstance(value, Reference):
            expressions.setdefault(value.kernel, {})[name] = value.expression
        else:
            values[name] = value
    return values, expressions


@contextmanager
def loaded(inputs: Inputs, show: Relay) -> Iterator[list[SegmentLease]]:
    """Inputs in shared memory: one segment for the values of this process, one for each other kernel.

    Raises ``ExchangeError`` before any other kernel is asked, if a value cannot travel.
    """
    values, expressions = split_references(inputs)
    if isinstance(values, SegmentLease):
        with values.held():  # the caller of ``pack`` closes it
            yield [values]
        return
    packed = ValueMessage(values, Loan())
    with ExitStack() as stack:
        leases = [stack.enter_context(kernel.ship(names, show)) for kernel, names in expressions.items()]
        if values:
            leases.append(stack.enter_context(write(packed)))
        for lease in leases:
            lease.lendable = True
        yield leases
