"""Values of options that name parameters and sizes."""

from collections.abc import Sequence
from typing import Any


def parse_parameters(items: Sequence[str]) -> dict[str, Any]:
    """``lr=0.1`` as ``{"lr": 0.1}``. Raises ``ValueError`` with a message for the user."""
    found: dict[str, Any] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not a parameter name")
        found[name] = _parse_value(value)
    return found


def parse_grid(items: Sequence[str]) -> dict[str, list[Any]]:
    """``lr=0.1,0.01`` as ``{"lr": [0.1, 0.01]}``. Raises ``ValueError`` with a message for the user."""
    found: dict[str, list[Any]] = {}
    for item in items:
        name, equals, values = item.partition("=")
        if not equals or not name.isidentifier() or not values:
            raise ValueError(f"{item!r} is not of the form NAME=VALUE,VALUE")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = [_parse_value(value) for value in values.split(",")]
    return found


def _parse_value(text: str) -> Any:
    """As ``papermill -p`` takes it: a number, True, False, None, or text."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parse_size(text: str) -> int:
    """``1.5GB``, ``800 MB``, or a number of bytes. Raises ``ValueError`` with a message for the user."""
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a size like 2GB or 800MB") from None
