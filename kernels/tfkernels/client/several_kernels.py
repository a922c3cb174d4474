"""One cell in several kernels at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Mapping

from tfkernels.client import kernels_by_name
from tfkernels.client.cell import Cell
from tfkernels.client.kernel import Inputs, Kernel, loaded
from tfkernels.client.stop_button import run_in_foreground
from tfkernels.errors import CellsFailed
from tfkernels.output.line_prefix import PrefixedRelays, aligned
from tfkernels.output.relay import Show, relay_for


def each(
    kernels: Iterable[str | Kernel],
    code: str,
    *,
    inputs: Inputs = None,
    outputs: Mapping[str, str] | None = None,
    timeout: float | None = None,
    show: Show = None,
) -> dict[str, dict[str, Any]]:
    """Runs a cell in several kernels at the same time; an output is a dict by the kernel's name.

    Their output is shown as it comes, labelled with the kernel. Arguments are those of ``Kernel.run``. When all have
    ended, raises ``CellsFailed`` if one failed, ``KeyboardInterrupt`` if the user interrupted them.
    """
    found = list(
        dict.fromkeys(kernels_by_name.get(kernel) if isinstance(kernel, str) else kernel for kernel in kernels)
    )
    relays = PrefixedRelays(relay_for(show), aligned([kernel.name for kernel in found], "│"))
    with loaded(inputs, relays.relay, found) as (leases, connections):
        options: dict[str, Any] = {"outputs": outputs, "timeout": timeout}
        for lease in leases:
            lease.reusable = False  # a kernel may not write its outputs over inputs that others still read
        try:
            cells = run_in_foreground(
                Cell(connection, kernel.magic, code, relays.of(kernel.name), inputs=leases, **options)
                for kernel, connection in zip(found, connections)
            )
        finally:
            relays.close()
    try:
        return _outputs_of(cells, relays, outputs or {})
    finally:
        for cell in cells:
            cell.drop()


def _outputs_of(cells: Sequence[Cell], relays: PrefixedRelays, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    problems = {cell.kernel: cell.exception() for cell in cells}
    failed = {name: problem for name, problem in problems.items() if problem is not None}
    if failed:
        for problem in failed.values():
            if isinstance(problem, KeyboardInterrupt):
                raise problem
        for name, problem in failed.items():
            relays.of(name).error(problem)
        relays.close()
        raise CellsFailed(failed, [name for name in problems if name not in failed])
    results = {cell.kernel: cell.result() for cell in cells}
    return {name: {kernel: result[name] for kernel, result in results.items()} for name in names}
