"""``report.html``: one file that fetches nothing and runs nothing, for a screen, a phone and paper.

First whether all is well, then the matrix of results and kernels, then what failed, what differs, what agrees, and the
runs. What comes from notebooks is escaped by the template, and made harmless in ``failures`` and ``formats``; should
something get through, the page's own policy forbids scripts and addresses.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import tfkernels
from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.html import STYLE
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING
from tfprovisioner.batch.report import failures
from tfprovisioner.batch.report.cases import Placed
from tfprovisioner.batch.report.json import relative
from tfprovisioner.batch.report.model import Report
from tfprovisioner.batch.report.verdicts import NOT_COMPARED, UNREADABLE, Result, Verdict

MARK = '<meta name="generator" content="tfkernels '

ROOM = 3_000_000
"""Characters of comparisons that are shown; those that differ go first."""
OPEN = 3
"""So many failures, each for the first kernel that has it, and the first difference are open."""
TOLD = 300
"""So many failures are told in full."""

PASSED, FAILED, PENDING = "passed", "failed", "not run"
SIGNS = {
    PASSED: "✓",
    FAILED: "✗",
    PENDING: "…",
    EQUAL: "=",
    CLOSE: "≈",
    DIFFERENT: "≠",
    MISSING: "−",
    EXTRA: "+",
    UNREADABLE: "?",
    NOT_COMPARED: "/",
}
_BAD = (FAILED, DIFFERENT, MISSING, EXTRA, UNREADABLE)
_IN_ORDER = (DIFFERENT, MISSING, EXTRA, UNREADABLE, NOT_COMPARED, CLOSE, EQUAL)


@dataclass(frozen=True)
class Cell:
    side: str
    state: str = ""
    """Empty if there is nothing to say."""
    notes: tuple[str, ...] = ()
    href: str = ""

    @property
    def sign(self) -> str:
        return SIGNS.get(self.state, "")

    @property
    def style(self) -> str:
        return "bad" if self.state in _BAD else "weak" if self.state in (NOT_COMPARED, PENDING, "") else "good"


@dataclass(frozen=True)
class Shown:
    """One verdict with the comparison behind it."""

    id: str
    verdict: Verdict
    cell: Cell
    view: Markup | None = None
    left_out: bool = False
    like: str = ""
    """The id of the one with the same bytes, if it is told already."""
    like_side: str = ""


@dataclass(frozen=True)
class Told:
    """One result with its verdicts."""

    id: str
    result: Result
    counts: tuple[tuple[str, int], ...]
    shown: tuple[Shown, ...]
    since: str
    """The release from which on it differs."""


def render(report: Report, folder: Path, created: str) -> str:
    """The page; its links are relative to ``folder``."""
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("tfprovisioner.batch.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(line=number_format.line, path=number_format.path, seconds=_seconds, time=_time)
    told = _told(report)
    links = {item.found.path: _link(item.found.path, folder) for item in report.runs}
    outcomes = [item.found.outcome for item in report.runs]
    return environment.get_template("page.html").render(
        report=report,
        generator=Markup(MARK),  # noqa: S704  our own text
        version=tfkernels.__version__,
        created=created,
        style=Markup(STYLE),  # noqa: S704  our own text
        signs=SIGNS,
        groups=list(_groups(report, told)),
        failed=list(_failed(report)),
        differing=[one for one in told if one.result.differs],
        agreeing=[one for one in told if not one.result.differs],
        links=links,
        hosts=list(dict.fromkeys(outcome.host for outcome in outcomes if outcome.host)),
        started=min((outcome.started for outcome in outcomes if outcome.started), default=""),
        spent=sum(outcome.seconds for outcome in outcomes),
        repeated=any(outcome.attempts > 1 for outcome in outcomes),
    )


def _groups(report: Report, told: list[Told]) -> Iterator[tuple[str, list[tuple[str, list[Cell]]]]]:
    """The matrix: of each case its runs, then its results."""
    for case, results in _by_case(report, told).items():
        rows = [("", [_run_cell(report, case, side.name) for side in report.sides])]
        for one in results:
            cells = {shown.verdict.side: shown.cell for shown in one.shown}
            given = one.result.values.get(report.baseline)
            baseline = Cell(report.baseline, notes=(given,) if given else ())
            rows.append((one.result.name, [baseline, *(cells.get(s.name, Cell(s.name)) for s in report.sides[1:])]))
        yield case, rows


def _by_case(report: Report, told: list[Told]) -> dict[str, list[Told]]:
    cases: dict[str, list[Told]] = {case: [] for case in report.cases}
    for one in told:
        cases[one.result.case].append(one)
    return cases


def _run_cell(report: Report, case: str, side: str) -> Cell:
    item = report.run(case, side)
    if item is None:
        return Cell(side, PENDING if report.waits(case, side) else "")
    outcome = item.found.outcome
    if outcome.passed:
        return Cell(side, PASSED, (_seconds(outcome.seconds),) if outcome.seconds else ())
    told = failures.tell(item.found)
    note = f"{number_format.line(outcome.failure.kind, 40)}" if outcome.failure else ""
    where = told.where if told else ""
    return Cell(side, FAILED, tuple(filter(None, (note, where))), f"#{_anchor(item, report)}")


def _failed(report: Report) -> Iterator[tuple[str, Placed, failures.Told | None, bool]]:
    """Which are open: what several kernels say alike is shown once."""
    known: set[tuple[str, str]] = set()
    for item in report.failed[:TOLD]:
        told = failures.tell(item.found)
        key = (item.case, told.headline if told else "")
        yield _anchor(item, report), item, told, key not in known and len(known) < OPEN
        known.add(key)


def _anchor(item: Placed, report: Report) -> str:
    return f"f{report.runs.index(item)}"


def _told(report: Report) -> list[Told]:
    """Every result. There is room for the comparisons that matter most."""
    by_need = sorted(
        (one for one in report.verdicts if one.state != EQUAL), key=lambda verdict: _IN_ORDER.index(verdict.state)
    )
    taken = itertools.accumulate(len(verdict.view) for verdict in by_need)
    room = {id(verdict) for verdict, size in zip(by_need, taken, strict=True) if size <= ROOM}
    return [_one(f"r{number}", result, report, room) for number, result in enumerate(report.results)]


def _one(anchor: str, result: Result, report: Report, room: set[int]) -> Told:
    first: dict[str, tuple[str, str]] = {}
    shown = []
    for number, side in enumerate(report.sides):
        verdict = result.verdicts.get(side.name)
        if verdict is None:
            continue
        own = f"{anchor}-{number}"
        cell = Cell(side.name, verdict.state, _notes(verdict, result.values, report.baseline), f"#{own}")
        if not verdict.view or verdict.state == EQUAL:  # of what is equal the sentence says all
            shown.append(Shown(own, verdict, cell))
        elif verdict.sha256 in first:
            shown.append(Shown(own, verdict, cell, None, False, *first[verdict.sha256]))
        else:
            first[verdict.sha256] = own, side.name
            view = Markup(verdict.view) if id(verdict) in room else None  # noqa: S704  escapes by itself
            shown.append(Shown(own, verdict, cell, view, left_out=view is None))
    counts = Counter(one.verdict.state for one in shown)
    states = tuple((state, counts[state]) for state in _IN_ORDER if counts[state])
    return Told(anchor, result, states, tuple(shown), report.since(result))


def _notes(verdict: Verdict, values: Mapping[str, str], baseline: str) -> tuple[str, ...]:
    """What stands below the word: the value if it does not look as the baseline's, and how far it is off."""
    notes = []
    if verdict.value and verdict.value != values.get(baseline):
        notes.append(verdict.value)
    if verdict.error:
        notes.append(f"error {number_format.number(verdict.error)}")
    if verdict.least_tolerance:
        notes.append(f"passes with {verdict.least_tolerance}")
    return tuple(notes)


def _link(path: Path, folder: Path) -> str:
    """To the notebook; of a script to what it printed."""
    log = path.with_suffix(".log")
    return f"./{quote(relative(log if path.suffix == '.json' and log.exists() else path, folder))}"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _time(iso: str) -> str:
    return f"{number_format.line(iso[:10])} {number_format.line(iso[11:16])} UTC"
