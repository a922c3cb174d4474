"""The content of the report. All documents are made from it; ``report.json`` is it, for programs.

docs/reference/report.md describes each name. ``VERSION`` grows when a name goes or changes its meaning; new names may
come at any time. Paths are relative to the document's folder, times ISO 8601 in UTC, NaN and infinity text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tfkernels
from tfkernels.comparison.render.side_groups import Group, groups
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING
from tfprovisioner.catalogue.releases import order_of

FORMAT, VERSION = "tfkernels-report", 1

FINE, FAILED, DIFFERS = 0, 1, 3
"""Exit codes."""

UNREADABLE, NOT_COMPARED = "unreadable", "not compared"
AGREEING = (EQUAL, CLOSE)
DIFFERING = (DIFFERENT, MISSING, EXTRA, UNREADABLE)
"""An unreadable value counts as a difference: nobody can know that it agrees."""

Entry = dict[str, Any]
"""An object of the document."""

Key = tuple[str, str, str]
"""Case, name of the record, and side."""


def release_order(kernel: Entry) -> tuple[tuple[int, ...], str]:
    """Sort key; a kernel that has not run is known by its name only."""
    return order_of(kernel["tensorflow"] or kernel["kernel"]), kernel["name"]


@dataclass(frozen=True)
class View:
    """A whole comparison, rendered."""

    html: str
    text: str


@dataclass(frozen=True)
class Row:
    """One recorded name of one case, on all kernels: records and comparisons by side."""

    number: int
    case: str
    name: str
    records: Mapping[str, Entry]
    comparisons: dict[str, Entry]

    @property
    def verdicts(self) -> dict[str, str]:
        """By side."""
        return {side: each["verdict"] for side, each in self.comparisons.items()}

    @property
    def differs(self) -> bool:
        return any(verdict in DIFFERING for verdict in self.verdicts.values())


@dataclass(frozen=True)
class Report:
    """The entries, and what follows from them."""

    kernels: list[Entry]
    runs: list[Entry]
    """Those that have ended, then the pending ones."""
    comparisons: list[Entry]
    tolerances: Mapping[str, float]
    created: str
    views: Mapping[Key, View] = field(default_factory=dict)
    """The rendered comparisons, which ``report.json`` does not have."""

    @cached_property
    def document(self) -> Entry:
        """The content of ``report.json``."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "tfkernels": tfkernels.__version__,
            "created": self.created,
            "passed": self.exit_code == FINE,
            "exit_code": self.exit_code,
            "headline": list(self.headline),
            "baseline": self.baseline,
            "tolerances": dict(self.tolerances),
            "kernels": self.kernels,
            "runs": self.runs,
            "comparisons": self.comparisons,
        }

    @property
    def baseline(self) -> str:
        return self.sides[0] if self.sides else ""

    @property
    def sides(self) -> list[str]:
        return [kernel["name"] for kernel in self.kernels]

    @property
    def cases(self) -> list[str]:
        return list(dict.fromkeys(run["case"] for run in self.runs))

    def runs_of(self, case: str) -> dict[str, Entry]:
        """By side."""
        return {run["side"]: run for run in self.runs if run["case"] == case}

    @cached_property
    def rows(self) -> list[Row]:
        """In the order of the cases, and then in that of the records."""
        records: dict[tuple[str, str], dict[str, Entry]] = {}
        for run in self.runs:
            for record in run.get("records", ()):
                records.setdefault((run["case"], record["name"]), {})[run["side"]] = record
        rows = {key: Row(number, *key, of_name, {}) for number, (key, of_name) in enumerate(records.items())}
        for each in self.comparisons:
            rows[each["case"], each["name"]].comparisons[each["side"]] = each
        return list(rows.values())

    def with_state(self, state: str) -> list[Entry]:
        """Runs that are ``"passed"``, ``"failed"`` or ``"pending"``."""
        return [run for run in self.runs if run["state"] == state]

    @property
    def exit_code(self) -> int:
        """0 if all is fine, 1 if a run failed or is pending, 3 if all passed and results differ."""
        if len(self.with_state("passed")) < len(self.runs):
            return FAILED
        return DIFFERS if any(row.differs for row in self.rows) else FINE

    def groups(self, keys: Mapping[str, Any]) -> list[Group]:
        """The sides with the same key, in the order of their releases; those without a key are in no group.

        A comparison's baseline is skipped, so that it interrupts no range of releases.
        """
        ordered = [kernel["name"] for kernel in sorted(self.kernels, key=release_order)]
        sides = [side for side in ordered if side in keys or side != self.baseline]
        return groups(sides, [keys.get(side) for side in sides])

    @property
    def headline(self) -> tuple[str, str]:
        """Two sentences: on the runs, and on the results."""
        failed, pending = len(self.with_state("failed")), len(self.with_state("pending"))
        total = len(self.runs) - pending
        text = f"{failed} of {_number(total, 'run')} failed" if failed else f"{_all(total, 'run')} passed"
        return f"{text}, {pending} {'has' if pending == 1 else 'have'} not run" if pending else text, self._results

    @property
    def _results(self) -> str:
        if not self.rows:
            return "nothing was recorded, so there is nothing to compare"
        compared = sum(any(verdict != NOT_COMPARED for verdict in row.verdicts.values()) for row in self.rows)
        if not compared:
            alone = len(self.kernels) < 2
            return "nothing to compare with" if alone else f"nothing could be compared with {self.baseline}"
        differing = sum(row.differs for row in self.rows)
        if differing:
            verb = "differs" if differing == 1 else "differ"
            text = f"{differing} of {_number(compared, 'result')} {verb} from {self.baseline}"
        else:
            text = f"{_all(compared, 'result')} {'agrees' if compared == 1 else 'agree'} with {self.baseline}"
        lacking = sum(NOT_COMPARED in row.verdicts.values() for row in self.rows)
        return f"{text}, {lacking} not compared on every kernel" if lacking else text


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _all(count: int, noun: str) -> str:
    return f"the {noun}" if count == 1 else f"all {count:,} {noun}s"
