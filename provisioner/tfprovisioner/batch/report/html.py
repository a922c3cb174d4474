"""``report.html``: one file that fetches nothing and runs nothing, for a screen, a phone and paper.

The template escapes what comes from notebooks, after ``failures`` and ``number_format`` made it harmless. The page's
own policy forbids scripts and addresses besides.
"""

import itertools
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import tfkernels
from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.html import STYLE
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING
from tfprovisioner.batch.outcomes import duration
from tfprovisioner.batch.report import failures
from tfprovisioner.batch.report.json import Entry
from tfprovisioner.batch.report.model import Report, Row
from tfprovisioner.batch.report.verdicts import DIFFERING, NOT_COMPARED, UNREADABLE, Key

MARK = '<meta name="generator" content="tfkernels '

MAX_VIEWS_SIZE = 3_000_000
"""Characters of the comparisons that are shown; those that differ go first."""
OPEN_FAILURES = 3
"""Failures that are open, each for the first kernel that has it."""
MAX_FAILURES = 300
"""Failures that are shown in full."""

SIGNS = {
    "passed": "✓", "failed": "✗", "pending": "…", EQUAL: "=", CLOSE: "≈", DIFFERENT: "≠", MISSING: "−", EXTRA: "+",
    UNREADABLE: "?", NOT_COMPARED: "/",
}  # fmt: skip
_STYLES = {
    **dict.fromkeys(("failed", *DIFFERING), "bad"), **dict.fromkeys((NOT_COMPARED, "pending", ""), "weak"),
    **dict.fromkeys(("passed", EQUAL, CLOSE), "good"),
}  # fmt: skip
_ORDER = (*DIFFERING, NOT_COMPARED, CLOSE, EQUAL)


def render(report: Report, folder: Path) -> str:
    """The page; its links are relative to ``folder``."""
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("tfprovisioner.batch.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        line=number_format.line, path=number_format.path, seconds=duration, time=_time, counts=_counts, notes=_notes,
        where=failures.where, headline=failures.headline, block=failures.block, link=lambda run: _link(run, folder),
    )  # fmt: skip
    ended = [run for run in report.runs if run["state"] != "pending"]
    failed = [(number, run) for number, run in enumerate(report.runs) if run["state"] == "failed"]
    return environment.get_template(
        "page.html"
    ).render(
        report=report,
        generator=Markup(MARK),  # noqa: S704  our own text
        version=tfkernels.__version__,
        style=Markup(STYLE),  # noqa: S704  our own text
        signs=SIGNS,
        styles=_STYLES,
        numbers={(run["case"], run["side"]): number for number, run in enumerate(report.runs)},
        failed=failed[:MAX_FAILURES],
        more_failed=len(failed[MAX_FAILURES:]),
        opened=_opened(failed),
        views=_views(report),
        first_alike=_first_alike,
        ended=ended,
        hosts=list(dict.fromkeys(run["host"] for run in ended if run["host"])),
        started=min((run["started"] for run in ended if run["started"]), default=""),
        spent=sum(float(run["seconds"]) for run in ended),
    )


def _views(report: Report) -> dict[Key, Markup]:
    """The comparisons for which there is room."""
    keys = [(each["case"], each["name"], each["side"], _ORDER.index(each["verdict"])) for each in report.comparisons]
    by_need = [key[:3] for key in sorted(keys, key=lambda key: key[3]) if key[:3] in report.views]
    sizes = itertools.accumulate(len(report.views[key].html) for key in by_need)
    shown = (key for key, size in zip(by_need, sizes, strict=True) if size <= MAX_VIEWS_SIZE)
    return {key: Markup(report.views[key].html) for key in shown}  # noqa: S704  escapes by itself


def _first_alike(report: Report, row: Row, side: str) -> str:
    """The first kernel with the same bytes as ``side``, if that is another one; else empty."""
    digest = row.records.get(side, {}).get("sha256")
    alike = (
        other for other in row.comparisons
        if row.records.get(other, {}).get("sha256") == digest and (row.case, row.name, other) in report.views
    )  # fmt: skip
    first = next(alike, side)
    return "" if first == side else first


def _opened(failed: list[tuple[int, Entry]]) -> set[int]:
    """The numbers of the open failures: one that several kernels have is open once."""
    first: dict[tuple[str, str], int] = {}
    for number, run in failed:
        first.setdefault((run["case"], failures.headline(run)), number)
    return set(list(first.values())[:OPEN_FAILURES])


def _counts(row: Row) -> list[tuple[str, int]]:
    counts = Counter(each["verdict"] for each in row.comparisons.values())
    return sorted(counts.items(), key=lambda item: _ORDER.index(item[0]))


def _notes(comparison: Entry, baseline: Entry) -> list[str]:
    """What stands below the verdict: the value if it is not the baseline's, and how far it is off."""
    notes = [comparison["value"]] if comparison["value"] not in ("", baseline.get("value")) else []
    if comparison["largest_error"]:
        notes.append(f"error {number_format.number(float(comparison['largest_error']))}")
    if comparison["least_tolerance"]:
        notes.append(f"passes with {comparison['least_tolerance']}")
    return notes


def _link(run: Entry, folder: Path) -> str:
    """To the notebook; of a script to what it printed."""
    output = Path(run["output"])
    log = output.with_suffix(".log")
    return f"./{quote((log if output.suffix == '.json' and (folder / log).exists() else output).as_posix())}"


def _time(iso: str) -> str:
    return f"{number_format.line(iso[:10])} {number_format.line(iso[11:16])} UTC"
