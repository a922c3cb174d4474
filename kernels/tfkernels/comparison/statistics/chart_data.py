"""What medians and charts are made of: elements from all over two arrays, and where in an image the errors are."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfkernels.comparison.dtype_precision import working
from tfkernels.comparison.result import Sample
from tfkernels.comparison.statistics import ulp

SIZE = 16384
"""Elements of a sample. Smaller arrays are their own sample. See docs/design/comparison.md."""

SIDE = 64
"""Pixels, at most, of an image's height and width."""

LIMIT = 1 << 20
"""Elements. Of more, evenly spaced images are looked at, or no image is made."""

_GOLDEN = (5**0.5 - 1) / 2
_CHANNELS = 4


def positions(size: int) -> Any:
    """Ascending flat indices below ``size``, at most ``SIZE``: one of each of equal stretches.

    The place within a stretch jumps by the golden ratio: no regular pattern of the data is met in step.
    """
    if size <= SIZE:
        return np.arange(size)
    starts = np.arange(SIZE + 1) * size // SIZE
    jumps = np.arange(SIZE) * _GOLDEN % 1
    return starts[:-1] + (jumps * np.diff(starts)).astype(starts.dtype)


def take_sample(baseline: Any, other: Any) -> Sample:
    """A sample of two arrays of numbers and of one shape."""
    baseline, other = np.atleast_1d(baseline), np.atleast_1d(other)
    where = np.unravel_index(positions(baseline.size), baseline.shape)
    x, y = (array[where] for array in (baseline, other))
    number = working(x.dtype, y.dtype)
    a, b = x.astype(number), y.astype(number)
    finite = np.isfinite(a) & np.isfinite(b)
    with np.errstate(over="ignore"):
        errors = np.abs(a[finite] - b[finite])
    return Sample(a, b, errors, ulp.distances(x[finite], y[finite]), baseline.size <= SIZE)


def error_image(baseline: Any, other: Any) -> Any:
    """The absolute errors of image-like arrays as a float32 array (height, width), each the largest of its cell, of all
    channels and images. ``None`` for other arrays.

    Image-like are (height, width), (height, width, channels <= 4), (images, height, width) and (images, height, width,
    channels), with sides from 4 on.
    """
    if not 2 <= baseline.ndim <= 4:
        return None
    a, b = (_images(array) for array in (baseline, other))
    step = -(-a.size // LIMIT)
    if min(a.shape[1:3]) < 4 or not a.size or step > len(a):
        return None
    number = working(a.dtype, b.dtype)
    with np.errstate(all="ignore"):
        error = np.abs(a[::step].astype(number) - b[::step].astype(number)).max(axis=(0, 3)).astype(np.float32)
    for axis in (0, 1):
        cell = -(-error.shape[axis] // SIDE)
        error = np.maximum.reduceat(error, np.arange(0, error.shape[axis], cell), axis=axis)
    return error


def _images(array: Any) -> Any:
    """(images, height, width, channels)."""
    if array.ndim == 2:
        return array[np.newaxis, :, :, np.newaxis]
    if array.ndim == 3:
        return array[np.newaxis] if array.shape[2] <= _CHANNELS else array[..., np.newaxis]
    return array
