"""Where each run stands in the report: its row is what was run, its column is the kernel."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.runs import Run
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs.display_name import order_of


class UnknownBaseline(ProvisionError):
    """No run is on the kernel that the others are to be compared with."""


@dataclass(frozen=True)
class Side:
    """A column: a kernel. Of two outputs that have runs on kernels of one name, a kernel of one of them."""

    name: str
    kernel: str
    tensorflow: str = ""
    python: str = ""


@dataclass(frozen=True)
class Placed:
    """A run that has ended, and where it stands."""

    case: str
    """What was run: the notebook's or script's file name, with as many of its folders as tell it from the others of its
    output, and the parameters. No folder of a machine is in it, so that outputs of several machines fit together."""
    side: str
    found: Found

    @property
    def records(self) -> dict[str, Record]:
        """By name; of records of one name the last."""
        return {record.name: record for record in self.found.records}


def place(found: Iterable[Found]) -> list[Placed]:
    """Each run with its case and its side; kernels of one name are told apart by their folders, then by numbers."""
    folders: dict[Path, list[Found]] = defaultdict(list)
    for item in found:
        folders[item.path.parent].append(item)
    titles = _tails([str(folder) for folder in folders])
    plain = [
        (replace(item.outcome.run, source=short).case, item.outcome.run.kernel, titles[str(folder)], item)
        for folder, items in folders.items()
        for short, item in zip(shortened([item.outcome.run.source for item in items]), items, strict=True)
    ]
    outputs = {(case, kernel, title) for case, kernel, title, _ in plain}
    mixed = len(outputs) > len({(case, kernel) for case, kernel, _ in outputs})
    alike: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for case, kernel, title, item in plain:
        alike[case, f"{kernel} ({title})" if mixed else kernel].append(item)
    placed = []
    for (case, side), items in alike.items():
        for number, item in enumerate(sorted(items, key=lambda item: item.outcome.started), 1):
            placed.append(Placed(case, side if number == 1 else f"{side} #{number}", item))
    return placed


def shortened(sources: Sequence[str]) -> list[str]:
    """File names of sources, with as many of their folders as tell them apart."""
    tails = _tails(sources)
    return [tails[source] for source in sources]


def _tails(paths: Iterable[str]) -> dict[str, str]:
    parts = {path: _parts(path) for path in paths}
    tails = {}
    for path, mine in parts.items():
        others = [theirs for other, theirs in parts.items() if other != path and theirs != mine]
        length = next((n for n in range(1, len(mine)) if not any(o[-n:] == mine[-n:] for o in others)), len(mine))
        tails[path] = "/".join(mine[-length:])
    return tails


def _parts(path: str) -> tuple[str, ...]:
    """Without what only an address has: credentials are there."""
    if re.match(r"[a-z0-9]+://", path):
        path = urlsplit(path).path
    named = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return tuple(named) or ("run",)


def columns(
    placed: Sequence[Placed], pending: Sequence[Run], kernels: Sequence[str], baseline: str | None
) -> list[Side]:
    """The sides, the baseline's first, the others in the order of ``kernels``, else by release.

    Raises ``UnknownBaseline``.
    """
    known: dict[str, Side] = {}
    for item in placed:
        outcome = item.found.outcome
        side = Side(item.side, outcome.run.kernel, outcome.tensorflow, outcome.python)
        if item.side not in known or not known[item.side].tensorflow:  # a run that could not start has no release
            known[item.side] = side
    for run in pending:
        if not any(side.kernel == run.kernel for side in known.values()):
            known[run.kernel] = Side(run.kernel, run.kernel)
    places: Mapping[str, int] = {name: number for number, name in reversed(list(enumerate(kernels)))}
    ordered = sorted(
        known.values(),
        key=lambda side: (places.get(side.kernel, len(places)), order_of(side.tensorflow or side.kernel, side.name)),
    )
    if baseline is None:
        return ordered
    first = next((side for side in ordered if side.name == baseline), None) or next(
        (side for side in ordered if side.kernel == baseline), None
    )
    if first is None:
        there = ", ".join(side.name for side in ordered) or "none"
        raise UnknownBaseline(f"No run is on {baseline}, so nothing is compared with it. There are runs on: {there}")
    return [first, *(side for side in ordered if side is not first)]
