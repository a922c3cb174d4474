"""The report for a terminal, in the manner of ``tfkernels.comparison.render.text``: what is wrong is in capitals."""

import textwrap

from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.text import WIDTH, Line, aligned
from tfprovisioner.batch.report import failures
from tfprovisioner.batch.report.model import Report
from tfprovisioner.batch.report.verdicts import Result, Verdict

ROWS, FEW = 60, 8
"""So many results are in all tables together, and in each if there are many: those that differ go first."""
TOLD = 8
"""So many failures, and so many differences, are told below."""
_ACROSS = 5


def text(report: Report) -> str:
    """Two sentences, a table of results and kernels, and what failed and differs; at most 120 columns."""
    others = report.sides[1:]
    tables = max(-(-len(others) // (_ACROSS - 1)), 1)
    shown = _shown(report, max(ROWS // tables, FEW))
    lines = [f"{said[0].upper()}{said[1:]}." for said in report.headline]
    for start in range(0, max(len(others), 1), _ACROSS - 1):
        names = [side.name for side in (*report.sides[:1], *others[start : start + _ACROSS - 1])]
        if names:
            head = ["", *(number_format.line(name, 24) for name in names)]
            lines += ["", *aligned(head, "<" * len(head), list(range(len(head))), _rows(report, shown, names))]
    if len(shown) < len(report.results):
        left = [result for result in report.results if id(result) not in set(map(id, shown))]
        lines.append(f"… {len(left):,} more results, of which {sum(result.differs for result in left):,} differ")
    lines += _failures(report) + _differences(report)
    return "\n".join(lines)


def _shown(report: Report, room: int) -> list[Result]:
    by_need = sorted(report.results, key=lambda result: not result.differs)
    chosen = {id(result) for result in by_need[:room]}
    return [result for result in report.results if id(result) in chosen]


def _rows(report: Report, shown: list[Result], sides: list[str]) -> list[Line]:
    rows: list[Line] = []
    for case in report.cases:
        rows.append([number_format.path(case, 60), *(_run(report, case, side) for side in sides)])
        for result in shown:
            if result.case == case:
                cells = [number_format.line(result.values.get(side, ""), 24) for side in sides[:1]]
                cells += [_verdict(result.verdicts.get(side), result.values.get(report.baseline)) for side in sides[1:]]
                rows.append([f"  {number_format.path(result.name, 58)}", *cells])
    return rows


def _run(report: Report, case: str, side: str) -> str:
    item = report.run(case, side)
    if item is None:
        return "not run" if report.waits(case, side) else ""
    outcome = item.found.outcome
    return f"{'passed' if outcome.passed else 'FAILED'} {outcome.seconds:.1f} s"


def _verdict(verdict: Verdict | None, baseline: str | None) -> str:
    """With the largest error, or with the value if it is another and no number."""
    if verdict is None:
        return ""
    word = verdict.state.upper() if verdict.differs else verdict.state
    if verdict.error:
        return f"{word} {number_format.number(verdict.error)}"
    return f"{word} {number_format.line(verdict.value, 20)}" if verdict.value not in ("", baseline) else word


def _failures(report: Report) -> list[str]:
    lines = [""] if report.failed else []
    for item in report.failed[:TOLD]:
        told = failures.tell(item.found)
        if told is not None:
            where = f" in {told.where}" if told.where else ""
            start = f"FAILED {number_format.path(item.found.outcome.run.name, 60)}{where}: "
            lines += textwrap.wrap(start + told.headline, WIDTH, subsequent_indent="  ")
    return lines + _more(len(report.failed), "failed run")


def _differences(report: Report) -> list[str]:
    """A paragraph for each result, on the first kernel where it differs."""
    differing = [result for result in report.results if result.differs]
    lines = [""] if differing else []
    for result in differing[:TOLD]:
        found = [verdict for verdict in result.verdicts.values() if verdict.differs]
        passes = f"; passes with {found[0].least_tolerance}" if found[0].least_tolerance else ""
        others = ", ".join(number_format.line(one.side, 24) for one in found[1:6])
        also = f"; also in {others}{f' and {len(found) - 6} more' if len(found) > 6 else ''}" if others else ""
        how = "since" if report.since(result) else "in"
        name, case = number_format.path(result.name, 40), number_format.path(result.case, 50)
        start = f"{found[0].state.upper()} {name} of {case} {how} "
        told = f"{start}{number_format.line(found[0].side, 24)}: {number_format.line(found[0].reason)}{passes}{also}"
        lines += textwrap.wrap(told, WIDTH, subsequent_indent="  ")
    return lines + _more(len(differing), "difference")


def _more(count: int, noun: str) -> list[str]:
    left = count - TOLD
    return [f"… {left:,} more {noun}{'' if left == 1 else 's'}"] if left > 0 else []
