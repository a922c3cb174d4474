"""The same cell in several kernels at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Mapping

from tfkernels.client.cell import Cell
from tfkernels.client.inputs import Inputs, loaded
from tfkernels.client.kernel import Kernel, shared
from tfkernels.client.wait import attend, stoppable
from tfkernels.errors import CellsFailed
from tfkernels.output import relay
from tfkernels.output.line_prefix import Labels, aligned


def each(
    kernels: Iterable[str | Kernel],
    code: str,
    *,
    inputs: Inputs = None,
    outputs: Mapping[str, str] | None = None,
    timeout: float | None = None,
    show: relay.Show = None,
) -> dict[str, dict[str, Any]]:
    """Runs a cell in several kernels at the same time; an output is a dict by the kernel's name.

    What they print and display is shown as it comes, labelled with the kernel. Arguments are those of
    ``Kernel.run``. When all have ended, raises ``CellsFailed`` if one failed, ``KeyboardInterrupt`` if the user
    interrupted them.
    """
    found = list(dict.fromkeys(shared(kernel) if isinstance(kernel, str) else kernel for kernel in kernels))
    for kernel in found:
        kernel.begin()  # at the same time, too
    names = [kernel.name for kernel in found]
    labels = Labels(relay.of(show), aligned(names, "│"))
    inbox: SimpleQueue[Any] = SimpleQueue()
    calls: list[Cell] = []
    with ExitStack() as stack:
        sent = stack.enter_context(loaded(inputs, labels.show))
        for shipment in sent:  # written once: no one of them may write over what the others still read
            shipment.lendable = False
        with stoppable(inbox) as stop:
            try:
                calls.extend(
                    kernel.call(code, sent, outputs, labels.of(kernel.name), inbox, timeout) for kernel in found
                )
                attend(calls, inbox, stop)
            except BaseException:
                for call in calls:
                    call.detach()
                raise
            finally:
                labels.close()
    _raise_if_failed(calls, labels)
    results = {call.kernel: call.result() for call in calls}
    return {name: {kernel: result[name] for kernel, result in results.items()} for name in outputs or {}}


def _raise_if_failed(calls: Sequence[Cell], labels: Labels) -> None:
    problems = {call.kernel: call.exception() for call in calls}
    failed = {name: problem for name, problem in problems.items() if problem is not None}
    if failed:
        for call in calls:
            call.close()
    for problem in failed.values():
        if isinstance(problem, KeyboardInterrupt):
            raise problem
    if failed:
        for name, problem in failed.items():
            labels.of(name).error(problem)
        labels.close()
        raise CellsFailed(failed, [name for name in problems if name not in failed])
