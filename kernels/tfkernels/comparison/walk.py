"""Two values side by side: a ``Part`` for every array and plain value in either of them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, Iterator, Tuple

import numpy as np

from tfkernels.comparison.contents import Parts, as_leaf, describe, evaluate, kind, parts_of
from tfkernels.comparison.dtype_precision import is_number, narrower
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING, Extreme, Part, Statistics
from tfkernels.comparison.statistics.chart_data import error_image, take_sample
from tfkernels.comparison.statistics.equality import compare_others, same
from tfkernels.comparison.statistics.numbers import compare_numbers
from tfkernels.comparison.statistics.top_k import top_k_agreement
from tfkernels.comparison.tolerances import DEFAULTS, Tolerances, chosen, default
from tfkernels.errors import UsageError

MAX_DEPTH = 100
"""Levels of nesting; as many as values have that are passed between kernels."""

Notes = Tuple[str, ...]


@dataclass(frozen=True)
class Walk:
    """Through two values at once, in the order of the baseline; ``side`` is the name of the other one."""

    side: str
    tolerances: Tolerances
    equal_nan: bool
    check_dtype: bool
    top_k: Any

    def parts(self, a: Any, b: Any, path: str = "", notes: Notes = (), depth: int = 0) -> Iterator[Part]:
        """The parts of the baseline ``a`` and the other value ``b``, both found under ``path``."""
        name = path or "value"
        if depth > MAX_DEPTH:
            raise UsageError(f"{name[:60]} … is nested deeper than {MAX_DEPTH} levels; does it contain itself?")
        a, b = evaluate(name, a), evaluate(name, b)
        if isinstance(a, np.ndarray) != isinstance(b, np.ndarray):
            a, b, notes = _as_arrays(a, b, notes)
        parts_a, parts_b = parts_of(a, root=not path), parts_of(b, root=not path)
        if parts_a is None and parts_b is None:
            yield self._leaf(name, a, b, notes)
        elif parts_a is not None and parts_b is not None and kind(a) == kind(b):
            notes = (*notes, *_note(type(a).__name__, type(b).__name__))
            yield from self._inside(path, parts_a, parts_b, notes, depth)
        else:
            yield Part(name, self.side, DIFFERENT, describe(a), describe(b), "they are of different kinds", notes)

    def _inside(self, path: str, a: Parts, b: Parts, notes: Notes, depth: int) -> Iterator[Part]:
        if not a and not b:
            yield Part(path or "value", self.side, EQUAL, "empty", "empty", notes=notes)
        for key in [*a, *(key for key in b if key not in a)]:
            below = path + key
            if key not in b:
                yield Part(below, self.side, MISSING, describe(a[key]), "", "only the baseline has it", notes)
            elif key not in a:
                yield Part(below, self.side, EXTRA, "", describe(b[key]), "the baseline does not have it", notes)
            else:
                yield from self.parts(a[key], b[key], below, notes, depth + 1)
            notes = ()  # said once, at the first part

    def _leaf(self, path: str, a: Any, b: Any, notes: Notes) -> Part:
        x, y = as_leaf(a), as_leaf(b)
        part = Part(path, self.side, DIFFERENT, describe(a), describe(b), notes=notes)
        if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
            part = replace(part, notes=(*notes, *_note(type(a).__name__, type(b).__name__)))
            if same(_item(x), _item(y), self.equal_nan):
                return replace(part, verdict=EQUAL)
            found = Statistics(1, 1, first_mismatch=Extreme(math.nan, (), x, y))
            return replace(part, reason="they differ", statistics=found)
        if x.shape != y.shape:
            return replace(part, reason=f"shape {x.shape} against {y.shape}")
        if is_number(x.dtype) != is_number(y.dtype):
            return replace(part, reason=f"{x.dtype} against {y.dtype}")
        dtypes = _note(_dtype_name(a, x), _dtype_name(b, y))
        sample = take_sample(x, y) if is_number(x.dtype) else None
        tolerance = self.tolerances.at(path, _default(a, b, x, y), 1.0 if sample is None else sample.scale)
        if sample is None:
            found = compare_others(x, y, self.equal_nan)
        else:
            found = replace(
                compare_numbers(x, y, tolerance, self.equal_nan),
                sample=sample,
                median_ulp=float(np.median(sample.ulps)) if sample.ulps is not None and sample.ulps.size else None,
                top_k=top_k_agreement(x, y, chosen(self.top_k, path)),
                picture=error_image(x, y),
            )
        part = replace(part, notes=(*notes, *dtypes), tolerance=tolerance, statistics=found)
        reasons = list(dtypes) if self.check_dtype else []
        if found.mismatched:
            reasons += [f"{found.mismatched:,} of {found.size:,} elements differ" if x.ndim else "it differs"]
        if reasons:
            return replace(part, reason="; ".join(reasons))
        error = found.max_absolute_error
        return replace(part, verdict=CLOSE if error is not None and error.error else EQUAL)


def _as_arrays(a: Any, b: Any, notes: Notes) -> tuple[Any, Any, Notes]:
    """A list of plain values against an array of them is compared as an array."""
    listed = b if isinstance(a, np.ndarray) else a
    if not isinstance(listed, (list, tuple)) or hasattr(listed, "_fields"):
        return a, b, notes
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 1.19 to 1.23 warn of lists of several lengths, newer ones raise
            array = np.asarray(listed)
    except ValueError:
        return a, b, notes
    if array.dtype.hasobject:
        return a, b, notes
    notes = (*notes, *_note(type(a).__name__, type(b).__name__))
    return (a, array, notes) if listed is b else (array, b, notes)


def _note(a: str, b: str) -> Notes:
    return () if a == b else (f"{a} against {b}",)


def _dtype_name(value: Any, array: Any) -> str:
    return type(value).__name__ if isinstance(value, (bool, int, float, complex)) else str(array.dtype)


def _default(a: Any, b: Any, x: Any, y: Any) -> float:
    """The default of the less precise one."""
    ours = default(narrower(x.dtype, y.dtype))
    return max(ours, DEFAULTS["float"]) if any(type(value) in (float, complex) for value in (a, b)) else ours


def _item(value: Any) -> Any:
    """Of an array of one text or number, as which NumPy's scalars come."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
