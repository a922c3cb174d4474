"""A comparison as plain text: for terminals, papermill's log and ``AssertionError``."""

from __future__ import annotations

import textwrap
from typing import List, Sequence, Union

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.overview import (
    Cell,
    Gap,
    Row,
    alike,
    by_itself,
    columns,
    headline,
    limit_rows,
    path_of,
    reasons,
    rows,
)
from tfkernels.comparison.render.part_details import facts
from tfkernels.comparison.render.side_groups import ACROSS
from tfkernels.comparison.result import Findings, Part

WIDTH = 120
ROWS = 40
"""Lines of a table, at most."""
BLOCKS = 3
"""Parts whose facts are listed."""

_HEAD = ["", "", "", "max abs", "max rel", "max ULP", "mismatched", "would pass"]
_HEAD_BY_ITSELF = ["", "", "", "max abs", "max rel", "mismatched", "by itself"]
_SHRINKABLE = 12
_GAP = "  "

Line = Union[List[str], Gap]


def report(findings: Findings) -> str:
    """The verdict, a table, and what is known of the parts that failed; at most 120 columns and some 200 lines."""
    everything = rows(findings)
    lines = textwrap.wrap(headline(findings), WIDTH)
    for reason in reasons(findings):
        lines += textwrap.wrap(number_format.line(reason, 1000), WIDTH, subsequent_indent="  ")
    if len(findings.parts) == 1:
        lines += _facts(findings.parts[0], findings.baseline, "")
    if len(findings.parts) < 2:
        return "\n".join(lines)
    lines += ["", *_table(findings.sides, limit_rows(everything, ROWS), by_itself(findings))]
    failed = [found for row in everything for found in alike(row, findings.sides) if not found[1].passed]
    for sides, part in failed[:BLOCKS]:
        side = f" in {sides}" if len(findings.sides) > 1 else ""
        counted = part.statistics is not None and part.statistics.mismatched  # the facts have more than the reason
        reason = "" if counted else f": {number_format.line(part.reason) or part.verdict}"
        title = f"{number_format.path(part.path, 72)}{side}{reason}"
        lines += ["", *textwrap.wrap(title, WIDTH, subsequent_indent="  "), *_facts(part, findings.baseline, "  ")]
    if len(failed) > BLOCKS:
        more = len(failed) - BLOCKS
        lines += ["", f"{Gap(more, more)}; .failed has them all"]
    return "\n".join(lines)


def _table(sides: tuple[str, ...], shown: list[Row | Gap], itself: bool) -> list[str]:
    """The figures of one side, the verdicts of a few sides in columns, or those of many in groups."""
    body: list[Line] = []
    for row in shown:
        cells = [] if isinstance(row, Gap) else columns(row, sides, itself)
        body.append(row if isinstance(row, Gap) else [path_of(row), *("; ".join(map(_cell, each)) for each in cells)])
    if len(sides) > ACROSS:
        return listed([line if isinstance(line, Gap) else (line[0], line[-1]) for line in body])
    if len(sides) > 1:
        head = ["", "", *(number_format.line(side, 20) for side in sides)]
        return aligned(head, "<" * len(head), [0, 1], body)
    head, alignment = (_HEAD_BY_ITSELF, "<<<>>><") if itself else (_HEAD, "<<<>>>><")
    return aligned(head, alignment, [0, 2], body)


def _cell(cell: Cell) -> str:
    """The verdict in capitals if it failed, since there are no colours."""
    part, text = cell
    if part is None:
        return text
    return f"{part.verdict if part.passed else part.verdict.upper()} {text}".rstrip()


def aligned(head: list[str], alignment: str, flexible: list[int], body: list[Line], width: int = WIDTH) -> list[str]:
    """Columns as wide as their longest cell; the flexible ones give way if all is wider than ``width``."""
    cells = [row for row in body if not isinstance(row, Gap)]
    widths = [max(len(number_format.line(row[column])) for row in [head, *cells]) for column in range(len(head))]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _SHRINKABLE:
            break
        widths[widest] -= 1
    kept = [column for column in range(len(head)) if widths[column]]

    def write(row: list[str]) -> str:
        cut = [_cut(row[column], widths[column]) for column in kept]
        return _GAP.join(f"{cell:{alignment[column]}{widths[column]}}" for cell, column in zip(cut, kept)).rstrip()

    return [write(head), *(str(row) if isinstance(row, Gap) else write(row) for row in body)]


def _cut(cell: str, width: int) -> str:
    """In the middle; of what is different on both sides each, so that both ends are seen."""
    sides = cell.split(" / ")
    if len(cell) <= width or len(sides) != 2:
        return number_format.path(cell, width)
    return " / ".join(number_format.path(side, (width - 3) // 2) for side in sides)


def _facts(part: Part, baseline: str, indent: str) -> list[str]:
    return listed([(f"{indent}{label}", text) for label, text in facts(part, baseline)])


def listed(entries: Sequence[tuple[str, str] | Gap], width: int = WIDTH) -> list[str]:
    """Labels, and beside them texts in as many lines as they need."""
    labels = [len(entry[0]) for entry in entries if not isinstance(entry, Gap)]
    column = min(max(labels, default=0), width // 2)
    lines = []
    for entry in entries:
        if isinstance(entry, Gap):
            lines.append(str(entry))
            continue
        start = f"{number_format.path(entry[0], column):{column}}  "
        indent = " " * len(start)
        shown = textwrap.wrap(entry[1], width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
        lines += shown or [start.rstrip()]
    return lines
