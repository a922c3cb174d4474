"""The row (case) and the column (kernel) of each run in the report."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.report.json import Entry
from tfprovisioner.batch.tasks import Run, shorten
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs.display_name import order_of


class UnknownBaseline(ProvisionError):
    """No run is on the kernel that the others are to be compared with."""


@dataclass(frozen=True)
class PlacedRun:
    """A run that has ended, with its row and column."""

    case: str
    """The source's file name, with as many folders as distinguish it from the output's others, and the parameters.
    It has no folder of a machine, so that outputs of several machines fit together."""
    side: str
    found: Found

    @property
    def records(self) -> dict[str, Record]:
        return {record.name: record for record in self.found.records}


def place(found: Iterable[Found]) -> list[PlacedRun]:
    """Columns of kernels of one name are distinguished by their folders, then by numbers."""
    folders: dict[Path, list[Found]] = defaultdict(list)
    for item in found:
        folders[item.path.parent].append(item)
    titles = short_names([str(folder) for folder in folders])
    plain = []
    for folder, items in folders.items():
        names = short_names([item.outcome.run.source for item in items])
        for item in items:
            run = item.outcome.run
            plain.append((replace(run, source=names[run.source]).case, run.kernel, titles[str(folder)], item))
    outputs = {(case, kernel, title) for case, kernel, title, _ in plain}
    ambiguous = len(outputs) > len({(case, kernel) for case, kernel, _ in outputs})
    alike: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for case, kernel, title, item in plain:
        alike[case, f"{kernel} ({title})" if ambiguous else kernel].append(item)
    placed = []
    for (case, side), items in alike.items():
        for number, item in enumerate(sorted(items, key=lambda item: item.outcome.started), 1):
            placed.append(PlacedRun(case, side if number == 1 else f"{side} #{number}", item))
    return placed


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """File names of sources, with as many of their folders as distinguish them."""
    return {source: "/".join(parts) for source, parts in shorten(sources).items()}


def columns(
    placed: Sequence[PlacedRun], pending: Sequence[Run], kernels: Sequence[str], baseline: str | None
) -> list[Entry]:
    """``kernels`` of ``report.json``: the baseline first, then in the order of ``kernels``, else by release.

    If two outputs have runs on kernels of one name, each output has a column. Raises ``UnknownBaseline``.
    """
    known: dict[str, Entry] = {}
    for item in placed:
        outcome = item.found.outcome
        if item.side not in known or not known[item.side]["tensorflow"]:  # a run that did not start has no release
            known[item.side] = _column(item.side, outcome.run.kernel, outcome.tensorflow, outcome.python)
    for run in pending:
        if not any(column["kernel"] == run.kernel for column in known.values()):
            known[run.kernel] = _column(run.kernel, run.kernel, "", "")
    positions = {name: number for number, name in reversed(list(enumerate(kernels)))}

    def position(column: Entry) -> Any:
        release = order_of(column["tensorflow"] or column["kernel"], column["name"])
        return positions.get(column["kernel"], len(positions)), release

    ordered = sorted(known.values(), key=position)
    if baseline is None:
        return ordered
    candidates = [column for key in ("name", "kernel") for column in ordered if column[key] == baseline]
    if not candidates:
        there = ", ".join(column["name"] for column in ordered) or "none"
        raise UnknownBaseline(f"Cannot compare with {baseline}: no run is on this kernel. There are runs on: {there}.")
    return [candidates[0], *(column for column in ordered if column is not candidates[0])]


def _column(name: str, kernel: str, tensorflow: str, python: str) -> Entry:
    return {"name": name, "kernel": kernel, "tensorflow": tensorflow, "python": python}
