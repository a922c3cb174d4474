"""The rows of a table of parts: one for each path, and which of them are worth showing."""

from __future__ import annotations

import typing
from dataclasses import dataclass

from tfkernels.comparison.result import Findings, Part

Row = typing.Dict[str, Part]
"""The parts of one path, by side."""


@dataclass(frozen=True)
class Gap:
    """Rows that are left out."""

    rows: int
    failed: int

    def __str__(self) -> str:
        if not self.failed:
            return f"… {self.rows:,} more that pass{'' if self.rows > 1 else 'es'}"
        if self.failed == self.rows:
            return f"… {self.rows:,} more that {differ(self.rows)}"
        return f"… {self.rows:,} more, {self.failed:,} of which {differ(self.failed)}"


def rows(findings: Findings) -> list[Row]:
    """One for each path, in order."""
    found: list[Row] = []
    last: dict[str, Row] = {}
    for part in findings.parts:
        row = last.get(part.path)
        if row is None or part.side in row:
            row = last[part.path] = {}
            found.append(row)
        row[part.side] = part
    return found


def passes(row: Row) -> bool:
    return all(part.passed for part in row.values())


def first(row: Row) -> Part:
    """The part of a row to take its path and description from."""
    return next(iter(row.values()))


def limit_rows(everything: list[Row], room: int) -> list[Row | Gap]:
    """At most ``room`` rows in their order: those that failed, then the neighbours of the first that did."""
    failed = [place for place, row in enumerate(everything) if not passes(row)]
    start = failed[0] if failed else 0
    passed = sorted(set(range(len(everything))).difference(failed), key=lambda place: abs(place - start))
    shown: list[Row | Gap] = []
    after = 0
    for place in [*sorted([*failed, *passed][:room]), len(everything)]:
        if place > after:
            left_out = everything[after:place]
            shown.append(Gap(len(left_out), sum(not passes(row) for row in left_out)))
        if place < len(everything):
            shown.append(everything[place])
        after = place + 1
    return shown


def described(row: Row) -> str:
    """What the baseline has under a path."""
    return next((part.baseline for part in row.values() if part.baseline), "")


def differ(count: int) -> str:
    return "differs" if count == 1 else "differ"
