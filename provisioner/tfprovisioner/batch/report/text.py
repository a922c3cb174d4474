"""The report for a terminal, in the style of ``tfkernels.comparison.render.text``: trouble is in capitals.

All documents say with its functions why a run failed: without colours and control characters, which would harm.
"""

import textwrap
from collections.abc import Mapping

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.side_groups import Group, largest
from tfkernels.comparison.render.text import WIDTH, aligned, listed
from tfprovisioner.batch.outcomes import duration, without_colours
from tfprovisioner.batch.report.model import DIFFERING, Entry, Report, Row

MAX_ROWS = 60
"""Results in the table; those that differ go first."""
MAX_DETAILS = 8
"""Failures, and differences, that are described below the tables."""
COLUMN = 24
"""Characters. If a terminal has no room for so wide a column for each kernel, the kernels are shown in groups."""

MAX_CHARACTERS = 16_000
"""Of a traceback: its beginning and its end."""


def text(report: Report, width: int = WIDTH) -> str:
    """Two sentences, a line for each result, failures and differences."""
    by_need = sorted(report.rows, key=lambda row: not row.differs)
    shown, left = sorted(by_need[:MAX_ROWS], key=lambda row: row.number), by_need[MAX_ROWS:]
    lines = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in report.headline]
    if report.sides:
        lines += ["", *_table(report, shown, width)]
    if left:
        lines.append(f"… {len(left):,} more results, of which {sum(row.differs for row in left):,} differ")
    return "\n".join([*lines, *_failures(report, width), *_differences(report, width)])


def _table(report: Report, shown: list[Row], width: int) -> list[str]:
    """A column for each kernel. If there are too many, the kernels with the same verdict stand together."""
    many = len(report.sides) > width // COLUMN
    body: list[list[str]] = []
    for case in report.cases:
        body.append([number_format.path(case, 60), *_cells(report, report.runs_of(case), "", many)])
        for row in shown:
            if row.case == case:
                value = str(row.records.get(report.baseline, {}).get("value", ""))
                name = f"  {number_format.path(row.name, 58)}"
                body.append([name, *_cells(report, row.comparisons, value, many)])
    if many:
        return listed([(label, cell) for label, cell in body], width)
    head = ["", *(number_format.line(side, 24) for side in report.sides)]
    return aligned(head, "<" * len(head), list(range(len(head))), [*body], width)


def _cells(report: Report, entries: Mapping[str, Entry], value: str, many: bool) -> list[str]:
    """Runs or comparisons by side; ``value`` is the baseline's."""
    if many:
        found = grouped(report, entries, value)
        return ["; ".join(f"{_word(group.key)} {group.text}{': ' if note else ''}{note}" for group, note in found)]
    known = {side: f"{_word(state(entry))} {_note([entry], value)}".rstrip() for side, entry in entries.items()}
    return [known.get(side, "" if place else number_format.line(value, 24)) for place, side in enumerate(report.sides)]


def grouped(report: Report, entries: Mapping[str, Entry], value: str) -> list[tuple[Group, str]]:
    """Runs or comparisons by side in groups of one state or verdict, each with its note."""
    found = report.groups({side: state(entry) for side, entry in entries.items()})
    return [(group, _note([entries[side] for side in group.sides], value)) for group in found]


def state(entry: Entry) -> str:
    """The state of a run, or the verdict of a comparison."""
    return str(entry.get("verdict") or entry["state"])


def _word(state: str) -> str:
    return "not run" if state == "pending" else state.upper() if state in ("failed", *DIFFERING) else state


def _note(entries: list[Entry], value: str) -> str:
    """How long runs took. The largest error, or the value if it is not a number and differs from the baseline's."""
    times = [float(entry["seconds"]) for entry in entries if "seconds" in entry]
    if times:
        return " to ".join(dict.fromkeys((duration(min(times)), duration(max(times)))))
    error = largest(None if each is None else float(each) for each in (entry.get("largest_error") for entry in entries))
    values = {entry.get("value", "") for entry in entries}
    return error or (number_format.line(values.pop(), 20) if len(values) == 1 and not values & {"", value} else "")


def _failures(report: Report, width: int) -> list[str]:
    failed = report.with_state("failed")
    lines = [""] if failed else []
    for run in failed[:MAX_DETAILS]:
        place = f" in {where(run)}" if where(run) else ""
        start = f"FAILED {number_format.path(run['name'], 60)}{place}: {headline(run)}"
        lines += textwrap.wrap(start, width, subsequent_indent="  ")
    return lines + _more(len(failed), "failed run")


def _differences(report: Report, width: int) -> list[str]:
    """A paragraph for each result and verdict, with the reason on the first kernel."""
    differing = [(row, group) for row in report.rows for group in report.groups(row.verdicts) if group.key in DIFFERING]
    lines = [""] if differing else []
    for row, group in differing[:MAX_DETAILS]:
        first = row.comparisons[group.sides[0]]
        passes = f"; passes with {first['least_tolerance']}" if first["least_tolerance"] else ""
        name, case = number_format.path(row.name, 40), number_format.path(row.case, 50)
        paragraph = (
            f"{group.key.upper()} {name} of {case} in {group.text}: {number_format.line(first['reason'])}{passes}"
        )
        lines += textwrap.wrap(paragraph, width, subsequent_indent="  ", break_on_hyphens=False)
    return lines + _more(len(differing), "difference")


def _more(count: int, noun: str) -> list[str]:
    left = count - MAX_DETAILS
    return [f"… {left:,} more {noun}{'' if left == 1 else 's'}"] if left > 0 else []


def headline(run: Entry) -> str:
    """The exception's name and message in one line; empty for a run that passed."""
    failure = run["failure"]
    if failure is None:
        return "" if run["state"] != "failed" else "the run failed and does not say why"
    kind = line(failure["kind"], 80)
    return f"{kind}: {line(failure['message'])}" if failure["message"] else kind


def where(run: Entry) -> str:
    """``"cell 3"``; empty if no cell raised."""
    cell = run["failure"] and run["failure"]["cell"]
    return "" if cell is None else f"cell {cell + 1}"


def line(text: str, longest: int = 400) -> str:
    """In one line."""
    return number_format.line(" ".join(without_colours(text[: 4 * longest]).split()), longest)


def block(text: str, lines: int | None = None) -> str:
    """In several lines; a long text loses its middle."""
    if len(text) > MAX_CHARACTERS:
        text = f"{text[: MAX_CHARACTERS // 4]}\n…\n{text[-MAX_CHARACTERS * 3 // 4 :]}"
    shown = [number_format.line(part.expandtabs(4), 1000) for part in without_colours(text).splitlines()]
    if lines is not None and len(shown) > lines:
        shown = [*shown[:lines], f"… and {len(shown) - lines} more lines"]
    return "\n".join(shown)
