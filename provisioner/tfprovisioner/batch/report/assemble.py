"""Makes the report of the runs that were found: the row (case) and the column (kernel) of each, and its entries."""

import datetime
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfkernels.comparison.result import plain
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.report.model import Entry, Report, release_order
from tfprovisioner.batch.report.verdicts import Comparer
from tfprovisioner.batch.tasks import Run, shorten
from tfprovisioner.errors import Unusable
from tfprovisioner.system.redact import public


class UnknownBaseline(Unusable):
    """No run is on the kernel that the others are to be compared with."""


_Cases = dict[str, dict[str, Found]]
"""Runs that have ended by row and column."""


def make(
    found: Sequence[Found], folder: Path, *, baseline: str | None = None, kernels: Sequence[str] = (),
    rtol: float | None = None, atol: float | None = None, pending: Sequence[Run] = (),
) -> Report:  # fmt: skip
    """Compares everything that the runs recorded. Writes nothing; paths are relative to ``folder``.

    ``kernels`` is the order of the columns, else it is that of the releases; the first is the baseline if none is
    named. Raises ``UnknownBaseline``.
    """
    short = _short_names([run.source for run in pending] + [item.outcome.run.source for item in found])
    waiting = [replace(run, source=short[run.source]) for run in pending]
    placed = _place(found)
    sides = _columns(placed, waiting, kernels, baseline)
    comparer = Comparer(sides[0]["name"] if sides else "", rtol, atol)
    entries = []
    for case, of_case in placed.items():
        runs = {side["name"]: of_case[side["name"]] for side in sides if side["name"] in of_case}
        values = comparer.compare_case(case, runs)
        entries += [{"case": case, "side": side, **_ended(run, values[side], folder)} for side, run in runs.items()]
    entries += [{"case": run.case, "side": run.kernel, **plain(run.to_json()), "state": "pending"} for run in waiting]
    tolerances = {name: value for name, value in (("rtol", rtol), ("atol", atol)) if value is not None}
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Report(sides, entries, comparer.entries, tolerances, created, comparer.views)


def _place(found: Iterable[Found]) -> _Cases:
    """A case is named after the source's file, with as many folders as distinguish it from the output's others.

    It has no folder of a machine, so that outputs of several machines fit together. Columns of kernels of one name are
    distinguished by their folders, then by numbers.
    """
    folders: dict[Path, list[Found]] = defaultdict(list)
    for item in found:
        folders[item.path.parent].append(item)
    titles = _short_names([str(folder) for folder in folders])
    plain = []
    for folder, items in folders.items():
        names = _short_names([item.outcome.run.source for item in items])
        for item in items:
            run = item.outcome.run
            plain.append((replace(run, source=names[run.source]).case, run.kernel, titles[str(folder)], item))
    outputs = {(case, kernel, title) for case, kernel, title, _ in plain}
    ambiguous = len(outputs) > len({(case, kernel) for case, kernel, _ in outputs})
    alike: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for case, kernel, title, item in plain:
        alike[case, f"{kernel} ({title})" if ambiguous else kernel].append(item)
    placed: _Cases = defaultdict(dict)
    for (case, side), items in alike.items():
        for number, item in enumerate(sorted(items, key=lambda item: item.outcome.started), 1):
            placed[case][side if number == 1 else f"{side} #{number}"] = item
    return placed


def _short_names(sources: Sequence[str]) -> dict[str, str]:
    """File names of sources, with as many of their folders as distinguish them."""
    return {source: "/".join(parts) for source, parts in shorten(sources).items()}


def _columns(placed: _Cases, pending: Sequence[Run], kernels: Sequence[str], baseline: str | None) -> list[Entry]:
    """``kernels`` of ``report.json``: the baseline first, then in the order of ``kernels``, else by release.

    If two outputs have runs on kernels of one name, each output has a column. Raises ``UnknownBaseline``.
    """
    known: dict[str, Entry] = {}
    for side, item in [pair for of_case in placed.values() for pair in of_case.items()]:
        if side not in known or not known[side]["tensorflow"]:  # a run that did not start has no release
            outcome = item.outcome
            facts = {"kernel": outcome.run.kernel, "tensorflow": outcome.tensorflow, "python": outcome.python}
            known[side] = {"name": side, **facts}
    for run in pending:
        if not any(column["kernel"] == run.kernel for column in known.values()):
            known[run.kernel] = {"name": run.kernel, "kernel": run.kernel, "tensorflow": "", "python": ""}
    positions = {name: number for number, name in reversed(list(enumerate(kernels)))}

    def position(column: Entry) -> Any:
        return positions.get(column["kernel"], len(positions)), release_order(column)

    ordered = sorted(known.values(), key=position)
    if baseline is None:
        return ordered
    candidates = [column for key in ("name", "kernel") for column in ordered if column[key] == baseline]
    if not candidates:
        there = ", ".join(column["name"] for column in ordered) or "none"
        raise UnknownBaseline(f"Cannot compare with {baseline}: no run is on this kernel. There are runs on: {there}.")
    return sorted(ordered, key=lambda column: column is not candidates[0])


def _ended(found: Found, values: Mapping[str, str], folder: Path) -> Entry:
    """What ``runs`` says of a run; ``values`` are its recorded ones in a few characters."""
    facts = plain(found.outcome.to_json())
    run = facts.pop("run")
    # as the user named it, without the folders of a machine and the credentials of an address
    source = public(run["source"]) if urlsplit(run["source"]).netloc else run["source"]
    run["source"] = Path(source).name if os.path.isabs(source) else source
    facts["state"] = "passed" if found.outcome.passed else "failed"
    if facts["failure"] is not None:
        facts["failure"]["source"] = found.failed_cell
    names = ("name", "summary", "sha256", "size", "rtol", "atol")
    records = [
        {**plain({name: getattr(record, name) for name in names}), "value": values[record.name]}
        for record in {record.name: record for record in found.records}.values()
    ]
    return {**run, "output": Path(os.path.relpath(found.path, folder)).as_posix(), **facts, "records": records}
