"""The table of a run: which test did what on which release."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfprovisioner.pytest_plugin import results
from tfprovisioner.pytest_plugin.results import ERROR, FAILED, OUTCOMES, OfRelease
from tfprovisioner.system import files

_SHORT = {None: "-", FAILED: "FAILED", ERROR: "ERROR"}

MISSING = "-"
"""A release does not have the test."""


def show(found: list[OfRelease], terminal: Any) -> None:
    """The table at the end of pytest's output."""
    started = any(one.pytest or one.problems for one in found)
    if not started or terminal.config.option.collectonly:
        return
    terminal.write_sep("=", "TensorFlow releases")
    rows = [["", *(one.release.name for one in found)]]
    rows.append(["TensorFlow", *(one.release.version for one in found)])
    rows.append(["Python", *(one.python for one in found)])
    rows.append(["pytest", *(one.pytest or MISSING for one in found)])
    for outcome in OUTCOMES:
        counts = [one.count(outcome) for one in found]
        if any(counts) or outcome == results.PASSED:
            rows.append([outcome, *(str(count or "") for count in counts)])
    if any(one.problems for one in found):
        rows.append(["not run", *("yes" if one.problems else "" for one in found)])
    rows.append(["seconds", *(f"{one.seconds:.1f}" for one in found)])
    differing = results.differing(found) if len(found) > 1 else []
    rows += [[test, *(_short(one.outcomes.get(test)) for one in found)] for test in differing]
    widths = [max(len(row[column]) for row in rows) for column in range(len(found) + 1)]
    head = len(rows) - len(differing)
    for place, row in enumerate(rows):
        if place == head:
            terminal.write_line(f"Different outcomes, {len(differing)} of {len(results.tests(found))} tests:")
        name, *cells = row
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        bad = place >= head and any(cell in (_SHORT[FAILED], _SHORT[ERROR]) for cell in cells)
        terminal.write_line(f"{name.ljust(widths[0])}  {'  '.join(padded)}".rstrip(), red=bad)
    for one in found:
        if one.left_out:
            terminal.write_line(
                f"{one.release.name}: left out {', '.join(one.left_out)}, because its environment lacks the plugin. "
                "Add the plugin with: --tf-with PACKAGE"
            )


def _short(outcome: str | None) -> str:
    return _SHORT.get(outcome, outcome or MISSING)


def write(found: list[OfRelease], path: Path) -> None:
    """Writes the report; what a file ends with decides the format. Raises ``pytest.UsageError``."""
    text = json.dumps(results.to_json(found), indent=1) if path.suffix == ".json" else markdown(found)
    try:
        files.replace_text(path, text)
    except OSError as error:
        raise pytest.UsageError(
            f"Cannot write the report {path}: {error.strerror}. Choose another --tf-report."
        ) from None


def markdown(found: list[OfRelease]) -> str:
    """For the page of a run in continuous integration."""
    names = [one.release.name for one in found]
    lines = ["### Tests on TensorFlow releases", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]

    def row(title: str, cells: list[str]) -> None:
        lines.append(f"| {title} | {' | '.join(cells)} |")

    row("TensorFlow", [one.release.version for one in found])
    row("Python", [one.python for one in found])
    for outcome in OUTCOMES:
        row(outcome, [str(one.count(outcome)) for one in found])
    row("not run", ["yes" if one.problems else "" for one in found])
    for test in results.differing(found) if len(found) > 1 else []:
        row(f"`{test.replace('|', chr(92) + '|')}`", [_short(one.outcomes.get(test)) for one in found])
    problems = [f"- {one.release.name}: {problem}" for one in found for problem in one.problems]
    return "\n".join([*lines, "", *problems, ""])
