"""The report for a terminal, in the style of ``tfkernels.comparison.render.text``: trouble is in capitals.

All documents say with its functions why a run failed: without colours and control characters, which would harm.
"""

import re
import textwrap

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.text import WIDTH, Line, aligned
from tfprovisioner.batch.report.model import DIFFERING, Entry, Report, Row

MAX_ROWS, MIN_ROWS_PER_TABLE = 60, 8
"""Results in all tables together, and in each if there are many tables; those that differ go first."""
MAX_DETAILS = 8
"""Failures, and differences, that are described below the tables."""
MAX_COLUMNS = 5

MAX_CHARACTERS = 16_000
"""Of a traceback: its beginning and its end."""

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def text(report: Report) -> str:
    """Two sentences, a table of results and kernels, failures and differences; at most 120 columns."""
    others = report.sides[1:]
    tables = max(-(-len(others) // (MAX_COLUMNS - 1)), 1)
    by_need = sorted(report.rows, key=lambda row: not row.differs)
    room = max(MAX_ROWS // tables, MIN_ROWS_PER_TABLE)
    shown, left = sorted(by_need[:room], key=lambda row: row.number), by_need[room:]
    lines = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in report.headline]
    for start in range(0, max(len(others), 1), MAX_COLUMNS - 1):
        sides = [*report.sides[:1], *others[start : start + MAX_COLUMNS - 1]]
        if sides:
            head = ["", *(number_format.line(side, 24) for side in sides)]
            lines += ["", *aligned(head, "<" * len(head), list(range(len(head))), _table(report, shown, sides))]
    if left:
        lines.append(f"… {len(left):,} more results, of which {sum(row.differs for row in left):,} differ")
    return "\n".join([*lines, *_failures(report), *_differences(report)])


def _table(report: Report, shown: list[Row], sides: list[str]) -> list[Line]:
    lines: list[Line] = []
    for case in report.cases:
        lines.append([number_format.path(case, 60), *(_run(report.run_at.get((case, side))) for side in sides)])
        for row in shown:
            if row.case == case:
                value = str(row.records.get(sides[0], {}).get("value", ""))
                cells = [_verdict(row.comparisons.get(side), value) for side in sides[1:]]
                lines.append([f"  {number_format.path(row.name, 58)}", number_format.line(value, 24), *cells])
    return lines


def _run(run: Entry | None) -> str:
    if run is None:
        return ""
    if run["state"] == "pending":
        return "not run"
    return f"{'passed' if run['state'] == 'passed' else 'FAILED'} {float(run['seconds']):.1f} s"


def _verdict(comparison: Entry | None, baseline: str) -> str:
    """With the largest error, or with the value if it is not a number and differs from the baseline's."""
    if comparison is None:
        return ""
    verdict, value = str(comparison["verdict"]), comparison["value"]
    word = verdict.upper() if verdict in DIFFERING else verdict
    if comparison["largest_error"]:
        return f"{word} {number_format.number(float(comparison['largest_error']))}"
    return f"{word} {number_format.line(value, 20)}" if value not in ("", baseline) else word


def _failures(report: Report) -> list[str]:
    failed = report.with_state("failed")
    lines = [""] if failed else []
    for run in failed[:MAX_DETAILS]:
        place = f" in {where(run)}" if where(run) else ""
        start = f"FAILED {number_format.path(run['name'], 60)}{place}: {headline(run)}"
        lines += textwrap.wrap(start, WIDTH, subsequent_indent="  ")
    return lines + _more(len(failed), "failed run")


def _differences(report: Report) -> list[str]:
    """A paragraph for each result, on the first kernel where it differs."""
    differing = [row for row in report.rows if row.differs]
    lines = [""] if differing else []
    for row in differing[:MAX_DETAILS]:
        first, *rest = [each for each in row.comparisons.values() if each["verdict"] in DIFFERING]
        passes = f"; passes with {first['least_tolerance']}" if first["least_tolerance"] else ""
        others = ", ".join(number_format.line(each["side"], 24) for each in rest[:5])
        also = f"; also in {others}{f' and {len(rest) - 5} more' if len(rest) > 5 else ''}" if others else ""
        name, case = number_format.path(row.name, 40), number_format.path(row.case, 50)
        how = "since" if report.since(row) else "in"
        start = f"{first['verdict'].upper()} {name} of {case} {how} {number_format.line(first['side'], 24)}"
        paragraph = f"{start}: {number_format.line(first['reason'])}{passes}{also}"
        lines += textwrap.wrap(paragraph, WIDTH, subsequent_indent="  ")
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
    return number_format.line(" ".join(_COLOURS.sub("", text[: 4 * longest]).split()), longest)


def block(text: str, lines: int | None = None) -> str:
    """In several lines; a long text loses its middle."""
    if len(text) > MAX_CHARACTERS:
        text = f"{text[: MAX_CHARACTERS // 4]}\n…\n{text[-MAX_CHARACTERS * 3 // 4 :]}"
    shown = [number_format.line(part.expandtabs(4), 1000) for part in _COLOURS.sub("", text).splitlines()]
    if lines is not None and len(shown) > lines:
        shown = [*shown[:lines], f"… and {len(shown) - lines} more lines"]
    return "\n".join(shown)
