"""How far two numbers may be apart: ``|a - b| <= atol + rtol * max(|a|, |b|)``.

As ``numpy.isclose``, but relative to the larger of the two, as in ``math.isclose``: it does not matter which side comes
first. Computed in the arrays' own precision; in float32 for narrower ones.
"""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfkernels.comparison.dtypes import DType, precision
from tfkernels.errors import UsageError

Setting = typing.Union[None, float, "Mapping[str, float]"]
"""One number for everything that is not exact, or numbers by patterns of paths."""


@dataclass(frozen=True)
class Tolerance:
    """``rtol`` has no unit; ``atol`` has the unit of the values."""

    rtol: float
    atol: float

    def __str__(self) -> str:
        return "exact" if self == EXACT else f"rtol={self.rtol:g}, atol={self.atol:g}"


EXACT = Tolerance(0.0, 0.0)

DEFAULTS = {
    # Two releases add the same products in another order: sums of n terms part by about sqrt(n) units in the last place
    # of their largest term. These allow some 80 units of float32 (n about 7,000), which a wrong padding, epsilon or
    # axis exceeds by far. float64 gets 1e-7 because its values were often float32 on the way.
    "float64": Tolerance(1e-7, 1e-9),
    "float32": Tolerance(1e-5, 1e-6),
    # TensorFlow adds narrower types in float32 and rounds once: two units of rounding.
    "float16": Tolerance(2e-3, 2e-4),
    "bfloat16": Tolerance(1.6e-2, 1.6e-3),
    # Losses and metrics become Python's float, but were computed in float32.
    "float": Tolerance(1e-5, 1e-6),
}
"""By dtype. complex64 and complex128 are as their parts, narrower floats get two units of rounding, everything else
is exact."""

_BY_PRECISION = {53: "float64", 24: "float32", 11: "float16", 8: "bfloat16"}


def default(dtype: DType) -> Tolerance:
    """The tolerance of a dtype that nothing was said about."""
    bits = precision(dtype)
    if bits is None:
        return EXACT
    if bits > 53:
        return DEFAULTS["float64"]
    if bits in _BY_PRECISION:
        return DEFAULTS[_BY_PRECISION[bits]]
    return Tolerance(2.0 ** (1 - bits) * 1.01, 2.0 ** (1 - bits) / 10)  # 1 % more, because float32 rounds it


class Tolerances:
    """What the user asked for, and the defaults for the rest."""

    def __init__(self, rtol: Setting = None, atol: Setting = None) -> None:
        self._rtol, self._atol = _checked("rtol", rtol), _checked("atol", atol)

    def at(self, path: str, ours: Tolerance) -> Tolerance:
        """The tolerance under a path whose values would get ``ours``. Exact values stay exact unless a pattern names
        them: a number for everything is meant for floats."""
        rtol, atol = (chosen(setting, path, exact=ours == EXACT) for setting in (self._rtol, self._atol))
        return Tolerance(ours.rtol if rtol is None else rtol, ours.atol if atol is None else atol)


def chosen(setting: typing.Any, path: str, *, exact: bool = False) -> typing.Any:
    """The setting for a path: of the first pattern that matches it, or the one for everything that is not exact."""
    if isinstance(setting, Mapping):
        return next((value for pattern, value in setting.items() if matches(pattern, path)), None)
    return None if exact else setting


def matches(pattern: str, path: str) -> bool:
    """Shell-like: ``*`` is any text and ``?`` any character. Brackets are themselves, because paths have them."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), path, re.DOTALL) is not None


def _checked(name: str, setting: Setting) -> Setting:
    for value in setting.values() if isinstance(setting, Mapping) else [] if setting is None else [setting]:
        if not isinstance(value, (int, float, np.floating)) or not 0 <= value < math.inf:
            raise UsageError(f"{name}={value!r}: a tolerance is a number from 0 on, or a dict of such by path patterns")
    return setting
