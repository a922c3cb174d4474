"""Why runs failed, as text that is safe to show: without colours, with nothing to act on in a terminal or a page."""

import json
import re
from dataclasses import dataclass

from tfkernels.comparison.render import number_format
from tfprovisioner.batch.output_dir import Found

LONGEST = 16_000
"""Characters of a traceback: its beginning and its end."""
LINES = 60
"""Of a cell."""

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


@dataclass(frozen=True)
class Told:
    """A failure in words."""

    headline: str
    """One line: the exception's name and message."""
    where: str
    """``"cell 3"``; empty if no cell raised it."""
    cell: str
    """The cell's source; empty if it cannot be had."""
    traceback: str


def tell(found: Found) -> Told | None:
    """``None`` of a run that passed."""
    failure = found.outcome.failure
    if failure is None:
        return None if found.outcome.passed else Told("the run failed and does not say why", "", "", "")
    return Told(
        f"{line(failure.kind, 80)}: {line(failure.message)}" if failure.message else line(failure.kind, 80),
        "" if failure.cell is None else f"cell {failure.cell + 1}",
        block(_cell(found, failure.cell), lines=LINES),
        block(failure.traceback),
    )


def line(text: str, longest: int = 400) -> str:
    """In one line, without colours."""
    return number_format.line(" ".join(_COLOURS.sub("", text[: 4 * longest]).split()), longest)


def block(text: str, lines: int | None = None) -> str:
    """In several lines, without colours; what is too long is left out in the middle."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 4]}\n…\n{text[-LONGEST * 3 // 4 :]}"
    shown = [number_format.line(part.expandtabs(4), 1000) for part in _COLOURS.sub("", text).splitlines()]
    if lines is not None and len(shown) > lines:
        shown = [*shown[:lines], f"… and {len(shown) - lines} more lines"]
    return "\n".join(shown)


def _cell(found: Found, place: int | None) -> str:
    """From the executed notebook."""
    if place is None or found.path.suffix != ".ipynb":
        return ""
    try:
        source = json.loads(found.path.read_text(encoding="utf-8"))["cells"][place]["source"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return source if isinstance(source, str) else "".join(map(str, source))
