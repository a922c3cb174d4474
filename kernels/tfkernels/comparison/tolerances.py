"""How far two numbers may be apart: ``|a - b| <= atol + rtol * max(|a|, |b|)``.

Relative to the larger of the two, as ``math.isclose``: it does not matter which side comes first. Computed in the
arrays' own precision; in float32 for narrower ones.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from tfkernels.comparison.dtype_precision import DType, precision
from tfkernels.errors import UsageError

Setting = Union[None, float, "Mapping[str, float]"]
"""One number for everything that is not exact, or numbers by patterns of paths."""


@dataclass(frozen=True)
class Tolerance:
    """``rtol`` has no unit; ``atol`` has the unit of the values."""

    rtol: float
    atol: float

    def __str__(self) -> str:
        return "exact" if self == EXACT else f"rtol={self.rtol:.3g}, atol={self.atol:.3g}"


EXACT = Tolerance(0.0, 0.0)

DEFAULTS = {
    "float32": 1e-5,
    "float64": 1e-7,
    "float": 1e-5,  # Python's
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}
"""By dtype: ``rtol``, and ``atol`` as a share of the largest magnitude in both arrays (in their sample).

The ``atol`` of a single number is ``rtol`` itself. complex64 and complex128 are as their parts, narrower floats get two
units of rounding, everything else is exact. See docs/design/comparison.md for the reasons.
"""

_BY_PRECISION = {53: "float64", 24: "float32", 11: "float16", 8: "bfloat16"}


def default(dtype: DType) -> float:
    """The number of :data:`DEFAULTS` for a dtype; 0 if it is exact."""
    bits = precision(dtype)
    if bits is None:
        return 0.0
    if bits > 53:
        return DEFAULTS["float64"]
    if bits in _BY_PRECISION:
        return DEFAULTS[_BY_PRECISION[bits]]
    unit = 2.0 ** (1 - bits)
    return unit / (1 + unit) * 1.01  # relative to the larger value; 1 % more, because float32 rounds it


class Tolerances:
    """What the user asked for, and the defaults for the rest."""

    def __init__(self, rtol: Setting = None, atol: Setting = None) -> None:
        self._rtol, self._atol = _checked("rtol", rtol), _checked("atol", atol)

    def at(self, path: str, ours: float, scale: float) -> Tolerance:
        """The tolerance under a path for values whose default is ``ours`` and whose largest magnitude is ``scale``.
        Exact values stay exact unless a pattern names them: a number for everything, or ``*``, is meant for floats."""
        rtol, atol = (chosen(setting, path, exact=not ours) for setting in (self._rtol, self._atol))
        return Tolerance(ours if rtol is None else rtol, ours * scale if atol is None else atol)


def chosen(setting: Any, path: str, *, exact: bool = False) -> Any:
    """The setting for a path: of the first pattern that matches it, or the one for everything that is not exact."""
    if isinstance(setting, Mapping):
        return next(
            (value for pattern, value in setting.items() if matches(pattern, path) and not (exact and pattern == "*")),
            None,
        )
    return None if exact else setting


def matches(pattern: str, path: str) -> bool:
    """Shell-like: ``*`` is any text and ``?`` any character. Brackets are themselves, because paths have them."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), path, re.DOTALL) is not None


def _checked(name: str, setting: Setting) -> Setting:
    by_pattern = setting if isinstance(setting, Mapping) else {} if setting is None else {"*": setting}
    for pattern, value in by_pattern.items():
        if not isinstance(value, numbers.Real) or not 0 <= value < math.inf or not isinstance(pattern, str):
            raise UsageError(
                f"{name}={setting!r}: a tolerance is a number from 0 on, or a dict of such by path patterns"
            )
    return setting
