"""The same cell in several kernels at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Mapping

from tfkernels import relay
from tfkernels.attending import attend
from tfkernels.calls import Call
from tfkernels.errors import CellsFailed
from tfkernels.labels import Labels
from tfkernels.remote import Inputs, RemoteKernel, shared
from tfkernels.shipments import Reference, Shipment, pack


def each(
    kernels: Iterable[str | RemoteKernel],
    code: str,
    *,
    inputs: Inputs = None,
    outputs: Mapping[str, str] | None = None,
    timeout: float | None = None,
    show: relay.Show = None,
) -> dict[str, dict[str, Any]]:
    """Runs a cell in several kernels at the same time; an output is a dict by the kernel's name.

    What they print and display is shown as it comes, labelled with the kernel. Arguments are those of
    ``RemoteKernel.run``. When all have ended, raises ``CellsFailed`` if one failed, ``KeyboardInterrupt`` if the user
    interrupted them.
    """
    found = list(dict.fromkeys(shared(kernel) if isinstance(kernel, str) else kernel for kernel in kernels))
    for kernel in found:
        kernel.begin()  # at the same time, too
    with ExitStack() as stack:
        if inputs is not None and not isinstance(inputs, Shipment) and not _mentions_others(inputs):
            inputs = stack.enter_context(pack(inputs))
        inbox: SimpleQueue[Any] = SimpleQueue()
        labels = Labels(relay.of(show), [kernel.name for kernel in found])
        calls: list[Call] = []
        try:
            for kernel in found:
                calls.append(kernel.call(code, inputs, outputs, labels.of(kernel.name), inbox, timeout))  # noqa: PERF401
        except BaseException:
            for call in calls:
                call.detach()
            raise
        try:
            attend(calls, inbox)
        finally:
            labels.close()
    _raise_if_failed(calls, labels)
    results = {call.kernel: call.result() for call in calls}
    return {name: {kernel: result[name] for kernel, result in results.items()} for name in outputs or {}}


def _mentions_others(inputs: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Reference) for value in inputs.values())


def _raise_if_failed(calls: Sequence[Call], labels: Labels) -> None:
    problems = {call.kernel: call.exception() for call in calls}
    failed = {name: problem for name, problem in problems.items() if problem is not None}
    for problem in failed.values():
        if isinstance(problem, KeyboardInterrupt):
            raise problem
    if failed:
        for name, problem in failed.items():
            labels.of(name).error(problem)
        labels.close()
        raise CellsFailed(failed, [name for name in problems if name not in failed])
