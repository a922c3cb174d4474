"""Inputs of a cell: values of this process, and references to values of other kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Union

from tfkernels.client.cell import Cell
from tfkernels.output.relay import Relay
from tfkernels.transfer.lease import SegmentLease, encode, write

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # Python 3.7 has none

Inputs = Union[Mapping[str, Any], SegmentLease, None]
"""Values and references by name, or the result of ``tfkernels.pack``."""


class Source(Protocol):
    """A kernel whose values become inputs of another. They stay in shared memory, unread by this process."""

    def evaluate(self, expressions: Mapping[str, str], relay: Relay) -> SegmentLease:
        """The values of expressions, by name."""

    def evaluate_later(self, expressions: Mapping[str, str], relay: Relay, wake: Any) -> Cell:
        """A queued cell that evaluates expressions, and calls ``wake`` at its end."""


class Reference(NamedTuple):
    """An expression of one kernel as an input of another. See ``Kernel.reference``."""

    kernel: Source
    expression: str


def split_references(inputs: Inputs) -> tuple[Mapping[str, Any] | SegmentLease, dict[Source, dict[str, str]]]:
    """The values of this process, and the expressions of each other kernel."""
    if isinstance(inputs, SegmentLease):
        return inputs, {}
    values: dict[str, Any] = {}
    expressions: dict[Source, dict[str, str]] = {}
    for name, value in (inputs or {}).items():
        if isinstance(value, Reference):
            expressions.setdefault(value.kernel, {})[name] = value.expression
        else:
            values[name] = value
    return values, expressions


@contextmanager
def loaded(inputs: Inputs, relay: Relay) -> Iterator[list[SegmentLease]]:
    """Inputs in shared memory: one segment for the values of this process, one for each other kernel.

    A cell that is made meanwhile holds them until it has ended. Raises ``ExchangeError`` before any other kernel is
    asked, if a value cannot be passed.
    """
    values, expressions = split_references(inputs)
    if isinstance(values, SegmentLease):
        yield [values]  # the caller of ``pack`` closes it
        return
    packed = encode(values) if values else None
    with ExitStack() as stack:
        leases = [stack.enter_context(kernel.evaluate(names, relay)) for kernel, names in expressions.items()]
        if packed is not None:
            leases.append(stack.enter_context(write(packed)))
        for lease in leases:
            lease.reusable = True
        yield leases
