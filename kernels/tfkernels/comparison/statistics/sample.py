"""Elements from all over two arrays, for medians and plots: one from each of ``SIZE`` equal stretches.

The place within a stretch jumps by the golden ratio: no regular pattern of the data is met in step.
"""

from __future__ import annotations

import typing

import numpy as np

from tfkernels.comparison.dtypes import narrower, working
from tfkernels.comparison.result import Sample
from tfkernels.comparison.statistics import ulp

SIZE = 16384
"""Elements. Smaller arrays are their own sample. See docs/design/comparison.md."""

_GOLDEN = (5**0.5 - 1) / 2


def positions(size: int) -> typing.Any:
    """Ascending flat indices below ``size``, at most ``SIZE``."""
    if size <= SIZE:
        return np.arange(size)
    starts = np.arange(SIZE + 1) * size // SIZE
    jumps = np.arange(SIZE) * _GOLDEN % 1
    return starts[:-1] + (jumps * np.diff(starts)).astype(starts.dtype)


def take_sample(baseline: typing.Any, other: typing.Any) -> Sample:
    """A sample of two arrays of numbers and of one shape."""
    baseline, other = np.atleast_1d(baseline), np.atleast_1d(other)
    where = np.unravel_index(positions(baseline.size), baseline.shape)
    x, y = (array[where] for array in (baseline, other))
    number = working(x.dtype, y.dtype)
    a, b = x.astype(number), y.astype(number)
    finite = np.isfinite(a) & np.isfinite(b)
    with np.errstate(over="ignore"):
        errors = np.abs(a[finite] - b[finite])
    unit = narrower(x.dtype, y.dtype)
    real = ulp.unit_dtype(unit)
    found = None
    if real is not None:
        with np.errstate(over="ignore"):
            x, y = (np.ascontiguousarray(side[finite].astype(unit)) for side in (x, y))
        found = ulp.distances(x.view(real), y.view(real))
        found = found.reshape(len(x), -1).max(axis=1) if len(x) else found
    return Sample(a, b, errors, found, baseline.size <= SIZE)
