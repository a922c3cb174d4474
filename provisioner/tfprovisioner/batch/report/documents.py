"""The report's files: ``report.html`` and ``junit.xml`` from the templates beside this module, and ``report.json``.

``report.html`` is one file that fetches nothing and runs nothing, for a screen, a phone and paper. Its own policy
forbids scripts and addresses. ``junit.xml`` is for continuous integration: a suite for each case, a test for each run
and for each comparison. An exception of a cell is a failure there; a run that did not start, or a value that cannot be
read, is an error.

The templates escape what comes from notebooks, after ``text`` and ``number_format`` made it harmless.
"""

import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import tfkernels
from tfkernels.comparison.render import number_format
from tfkernels.comparison.render.html import STYLE
from tfkernels.comparison.render.side_groups import Group
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING
from tfprovisioner.batch.outcomes import duration
from tfprovisioner.batch.report.model import FORMAT, NOT_COMPARED, UNREADABLE, Entry, Key, Report, Row
from tfprovisioner.batch.report.text import block, grouped, headline, where
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system.files import replace_bytes

_MARKS = {
    "report.html": b'<meta name="generator" content="tfkernels ',
    "report.json": f'"{FORMAT}"'.encode(),
    "junit.xml": b'<testsuites name="tfkernels"',
}
"""What our files have within their first bytes."""

MAX_COLUMNS = 6
"""Kernels that have a column each in the first table. More stand in groups there, and the columns are below it."""
MAX_VIEWS_SIZE = 3_000_000
"""Characters of the comparisons that are shown; those that differ go first."""
OPEN_FAILURES = 3
"""Failures that are open, each for the first kernel that has it."""
MAX_FAILURES = 300
"""Failures that are shown in full."""


class _Look(NamedTuple):
    """A verdict, or a state, in the documents."""

    sign: str
    style: str
    element: str = ""
    """Of JUnit."""


_LOOKS = {  # the most important verdict first
    DIFFERENT: _Look("≠", "bad", "failure"),
    MISSING: _Look("−", "bad", "failure"),
    EXTRA: _Look("+", "bad", "failure"),
    UNREADABLE: _Look("?", "bad", "error"),
    NOT_COMPARED: _Look("/", "weak", "skipped"),
    CLOSE: _Look("≈", "good"),
    EQUAL: _Look("=", "good"),
    "passed": _Look("✓", "good"),
    "failed": _Look("✗", "bad", "error"),
    "pending": _Look("…", "weak", "skipped"),
    "": _Look("", "weak"),
}
_ORDER = list(_LOOKS)

# What XML 1.0 cannot have, not even escaped
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotOurs(ProvisionError):
    """The file in the report's place is not a report."""


def write(report: Report, folder: Path) -> dict[str, Path]:
    """The paths of the files by name. Raises ``NotOurs`` before anything is written, and ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mark in _MARKS.items():
        _check(folder / name, mark)
    contents = {
        "report.html": page(report, folder),
        "report.json": json.dumps(report.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "junit.xml": _environment().get_template("junit.xml").render(report=report),
    }
    for name, content in contents.items():
        replace_bytes(folder / name, content.encode(errors="replace"))
    return {name: folder / name for name in contents}


def _check(path: Path, mark: bytes) -> None:
    try:
        with path.open("rb") as file:
            ours = mark in file.read(2000)
    except FileNotFoundError:
        return
    except OSError:
        ours = False
    if not ours:
        raise NotOurs(
            f"Cannot replace {path}: it is not a report of tfkernels. Move it away, or choose another folder with -o."
        )


def earlier_order(folders: Iterable[Path]) -> list[str]:
    """The kernels of earlier reports in these folders, the baseline's first: a repeated report looks the same."""
    names = []
    for folder in folders:
        try:
            content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            if content["format"] == FORMAT:
                names += [str(kernel["kernel"]) for kernel in content["kernels"]]
        except (OSError, ValueError, LookupError, TypeError):
            continue  # there is none
    return list(dict.fromkeys(names))


def page(report: Report, folder: Path) -> str:
    """``report.html``; its links are relative to ``folder``."""
    failed = report.with_state("failed")
    template = _environment().get_template("page.html")
    return template.render(
        report=report,
        folder=folder,
        version=tfkernels.__version__,
        style=Markup(STYLE),  # noqa: S704  our own text
        looks=_LOOKS,
        numbers={(run["case"], run["side"]): number for number, run in enumerate(report.runs)},
        failed=failed[:MAX_FAILURES],
        more_failed=len(failed[MAX_FAILURES:]),
        opened=_opened(failed),
        views=_views(report),
        alike=_alike,
        grouped=grouped,
        many=len(report.sides) > MAX_COLUMNS,
    )


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        finalize=_clean,
        loader=PackageLoader("tfprovisioner.batch.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["timestamp"] = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d").match
    environment.filters.update(
        line=number_format.line, path=number_format.path, seconds=duration, time=_time, notes=_notes,
        where=where, headline=headline, block=block, element=_element, link=_link,
    )  # fmt: skip
    return environment


def _clean(value: Any) -> Any:
    return value if isinstance(value, Markup) else _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], str(value))


def _views(report: Report) -> dict[Key, Markup]:
    """The comparisons for which there is room."""
    firsts = [row.comparisons[group.sides[0]] for row in report.rows for group in _alike(report, row)]
    by_need = sorted(firsts, key=lambda each: _ORDER.index(each["verdict"]))
    keys = [key for each in by_need if (key := (each["case"], each["name"], each["side"])) in report.views]
    sizes = itertools.accumulate(len(report.views[key].html) for key in keys)
    shown = [key for key, size in zip(keys, sizes, strict=True) if size <= MAX_VIEWS_SIZE]
    return {key: Markup(report.views[key].html) for key in shown}  # noqa: S704  escapes by itself


def _alike(report: Report, row: Row) -> list[Group]:
    """Kernels with the same verdict on the same bytes: one description does for all of them."""
    digests = {side: record["sha256"] for side, record in row.records.items()}
    own = {side: side if verdict == UNREADABLE else digests.get(side) for side, verdict in row.verdicts.items()}
    return report.groups({side: (verdict, own[side]) for side, verdict in row.verdicts.items()})


def _opened(failed: list[Entry]) -> list[Entry]:
    """The open failures: one that several kernels have is open once."""
    first: dict[tuple[str, str], Entry] = {}
    for run in failed:
        first.setdefault((run["case"], headline(run)), run)
    return list(first.values())[:OPEN_FAILURES]


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


def _element(item: Entry) -> str:
    """JUnit's element for a run or a comparison; empty if it passed. A cell failed, other trouble is an error."""
    if item.get("state") == "failed" and where(item):
        return "failure"
    return _LOOKS[item.get("verdict") or item["state"]].element
