"""The whole of a comparison: the verdict in one sentence, and a table with a row for each path. For text and HTML."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.part_details import figures, kinds, largest_error, mismatched
from tfkernels.comparison.render.side_groups import ACROSS, Group, groups, largest
from tfkernels.comparison.result import CLOSE, EQUAL, EXTRA, MISSING, Findings, Part

Row = Dict[str, Part]
"""The parts of one path, by side."""

Cell = Tuple[Optional[Part], str]
"""A part whose verdict is shown, if any, and the text after it."""


class Gap(NamedTuple):
    """Rows that are left out."""

    rows: int
    failed: int

    def __str__(self) -> str:
        if not self.failed:
            return f"… {self.rows:,} more that pass{'' if self.rows > 1 else 'es'}"
        if self.failed == self.rows:
            return f"… {self.rows:,} more that {_differ(self.rows)}"
        return f"… {self.rows:,} more, {self.failed:,} of which {_differ(self.failed)}"


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


def path_of(row: Row) -> str:
    return next(iter(row.values())).path


def by_itself(findings: Findings) -> bool:
    """Whether a column says how far each part differs by itself."""
    return len(findings.sides) == 1 and any(part.by_itself for part in findings.parts)


def columns(row: Row, sides: Sequence[str], by_itself: bool = False) -> list[list[Cell]]:
    """What follows the path: the figures of one side, the verdicts of a few, or those of many, each verdict once."""
    if len(sides) == 1:
        (part,) = row.values()
        texts = figures(part)
        texts = [texts[0], texts[1], texts[3], part.by_itself] if by_itself else texts
        cells: list[Cell] = [(part, ""), (None, kinds(part)), *((None, text) for text in texts)]
        return [[cell] for cell in cells]
    described: Cell = (None, next((part.baseline for part in row.values() if part.baseline), ""))
    if len(sides) > ACROSS:
        return [[described], [_of_group(row, group) for group in groups(sides, _verdicts(row, sides))]]
    return [[described], *([_of_side(row.get(side))] for side in sides)]


def _verdicts(row: Row, sides: Sequence[str]) -> list[str | None]:
    return [row[side].verdict if side in row else None for side in sides]


def _of_side(part: Part | None) -> Cell:
    return part, "" if part is None else largest([largest_error(part)])


def _of_group(row: Row, group: Group) -> Cell:
    most = largest(largest_error(row[side]) for side in group.sides)
    return row[group.sides[0]], f"{group.text}: {most}" if most else group.text


def alike(row: Row, sides: Sequence[str]) -> list[tuple[str, Part]]:
    """The parts of a row, those with the same figures once, after the sides that have them."""
    if len(sides) == 1:
        return [(number_format.line(side, 24), part) for side, part in row.items()]
    keys = [repr(replace(row[side], side="")) if side in row else None for side in sides]
    return [(group.text, row[group.sides[0]]) for group in groups(sides, keys)]


def limit_rows(everything: list[Row], room: int) -> list[Row | Gap]:
    """At most ``room`` rows in their order: those that failed, then the neighbours of the first that did."""
    failed = [place for place, row in enumerate(everything) if not passes(row)]
    start = failed[0] if failed else 0
    passed = sorted(set(range(len(everything))).difference(failed), key=lambda place: abs(place - start))
    shown: list[Row | Gap] = []
    after = 0
    for place in [*sorted([*failed, *passed][:room]), len(everything)]:
        if place > after:
            shown.append(Gap(place - after, sum(not passes(row) for row in everything[after:place])))
        shown += everything[place : place + 1]
        after = place + 1
    return shown


def headline(findings: Findings) -> str:
    """The verdict in one sentence."""
    names = [number_format.line(name, 24) for name in (findings.baseline, *findings.sides)]
    between = (
        f"{', '.join(names[:-1])} and {names[-1]}" if len(names) < 6 else f"{names[0]} and {len(names) - 1} others"
    )
    everything = rows(findings)
    if not everything:
        return f"{between} agree: they are empty"
    if len(findings.sides) == len(everything) == 1:
        return _of_one(findings.parts[0], between)
    failed, total = sum(not passes(row) for row in everything), len(everything)
    parts_differ = f"{failed:,} of {total:,} parts {_differ(failed)}"
    if len(findings.sides) == 1:
        if failed:
            return f"{parts_differ} between {between}; the first is {number_format.path(findings.failed[0].path, 48)}"
        equal = sum(part.verdict == EQUAL for part in findings.parts)
        how = f"{equal:,} equal, {total - equal:,} within the tolerance" if equal < total else "all of them equal"
        return f"all {total:,} parts agree between {between}: {how}"
    if not failed:
        return f"{f'all {total:,} parts' if total > 1 else 'all sides'} agree between {between}"
    differing = [group for group in by_failures(findings) if group.key[0]]
    sides = sum(len(group.sides) for group in differing)
    texts = [
        f"{count:,} in {text} (first {number_format.path(first, 32)})" if total > 1 else text
        for (count, first), _, text in differing[:4]
    ]
    left = sides - sum(len(group.sides) for group in differing[:4])
    named = ", ".join(texts) + (f", and {left} more sides" if left else "")
    if total > 1:
        return f"{parts_differ} from {names[0]}: {named}"
    return f"{sides} of {len(findings.sides)} sides {_differ(sides)} from {names[0]}: {named}"


def reasons(findings: Findings) -> list[str]:
    """Why training traces differ, and what could not be compared, in sentences."""
    several = len(findings.sides) > 1
    found = [f"{f'{each.side}: ' if several else ''}{each}" for each in findings.findings]
    return [*found, *(f"not compared: {note}" for note in findings.notes)]


def by_failures(findings: Findings) -> list[Group]:
    """The sides with the same number of failed parts and the same first one."""
    failed = [findings.against(side).failed for side in findings.sides]
    return groups(findings.sides, [(len(parts), parts[0].path if parts else "") for parts in failed])


def _of_one(part: Part, names: str) -> str:
    where = "" if part.path == "value" else f"{number_format.path(part.path, 40)}: "
    found = part.statistics
    if part.verdict == CLOSE:
        return f"{where}{names} agree within {part.tolerance}"
    if part.passed:
        every = f" in all {number_format.count(found.size)} elements" if found is not None and found.size > 1 else ""
        return f"{where}{names} are equal{every}"
    if part.verdict in (MISSING, EXTRA):
        return f"{where}{number_format.line(part.reason) or part.verdict}"
    if found is None:
        return f"{where}{names} differ: {kinds(part, ' against ')}"
    if not found.mismatched:
        return f"{where}{names} differ: {number_format.line(part.reason)}"
    return f"{where}{names} differ" + (f" in {mismatched(found)}" if found.size > 1 else "")


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"
