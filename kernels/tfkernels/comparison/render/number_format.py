"""Numbers, values, indices and paths as text: in one line, of bounded length, without control characters."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np

ABSENT = "-"
LONGEST = 60
"""Characters of one value. Longer text is cut to where the two sides begin to differ."""

_THREE_UP = decimal.Context(prec=3, rounding=decimal.ROUND_CEILING)


def number(value: float | None) -> str:
    """Three digits, as errors are read."""
    return ABSENT if value is None else f"{value:.3g}"


def at_least(value: float) -> str:
    """Three digits, rounded up: a tolerance copied from here passes."""
    if not np.isfinite(value):
        return str(value)
    return f"{float(_THREE_UP.create_decimal(decimal.Decimal(repr(float(value))))):.3g}"


def count(value: float) -> str:
    """All digits up to ten million, then three."""
    return f"{value:.3g}" if value >= 1e7 else f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def share(part: int, whole: int) -> str:
    """Never 0 % of something, never 100 % of less than everything."""
    if not whole or part in (0, whole):
        return "100%" if whole and part else "0%"
    percent = 100 * part / whole
    if percent < 0.001:
        return "<0.001%"
    return ">99.9%" if percent > 99.9 else f"{percent:.2g}%" if percent < 99 else f"{percent:.1f}%"


def line(text: str, longest: int = 400) -> str:
    """Text in one line: what is not printable is written as an escape, what is too long is cut at its end."""
    text = text[: longest + 1]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def path(text: str, longest: int) -> str:
    """Cut in the middle: the beginning and the end of a path say most."""
    text = line(text[:200] + "…" + text[-200:] if len(text) > 401 else text, 4000)
    if len(text) <= longest:
        return text
    front = longest // 2
    return text[: longest - 1 - front] + "…" + text[len(text) - front :]


def pair(baseline: Any, other: Any) -> tuple[str, str]:
    """Two values, each with as many digits as tell it from its neighbours, so that a difference is seen."""
    one, two = _value(baseline), _value(other)
    if one == two:  # 0.1 in float32 and in float64: the same digits, another number
        wide = _widened(baseline), _widened(other)
        if None not in wide and wide[0] != wide[1]:
            one, two = repr(wide[0]), repr(wide[1])
        elif type(baseline) is not type(other):
            one, two = f"{one} ({type(baseline).__name__})", f"{two} ({type(other).__name__})"
    begin = 0
    if max(len(one), len(two)) > LONGEST:
        same = next((i for i, (left, right) in enumerate(zip(one, two)) if left != right), min(len(one), len(two)))
        begin = max(same - LONGEST // 3, 0)
    return _window(one, begin), _window(two, begin)


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim == 0 and not value.dtype.hasobject:
        value = value[()]
    if isinstance(value, str):
        return repr(str(value))  # with quotes: a blank at the end is seen
    if isinstance(value, bytes):
        return repr(bytes(value))
    return str(value)  # a NumPy scalar's own digits; its repr names the dtype since NumPy 2


def _widened(value: Any) -> float | complex | None:
    try:
        return complex(value) if np.iscomplexobj(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _window(text: str, begin: int) -> str:
    if begin <= 1:
        return line(text, LONGEST)
    return "…" + line(text[begin:], LONGEST - 1)
