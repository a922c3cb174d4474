"""Why runs failed, as text that is safe in a terminal and in a page: without colours and control characters."""

import re
from collections.abc import Mapping
from typing import Any

from tfkernels.comparison.render import number_format

MAX_CHARACTERS = 16_000
"""Of a traceback: its beginning and its end."""

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def headline(run: Mapping[str, Any]) -> str:
    """The exception's name and message in one line; empty for a run that passed."""
    failure = run["failure"]
    if failure is None:
        return "" if run["state"] != "failed" else "the run failed and does not say why"
    kind = line(failure["kind"], 80)
    return f"{kind}: {line(failure['message'])}" if failure["message"] else kind


def where(run: Mapping[str, Any]) -> str:
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
