"""Small computations with arrays that all formulas and rules use."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

Array = Any  # np.ndarray; NumPy 1.18 has no generic form of it

EPSILON = float(np.finfo(np.float32).eps)


def rms(array: Array) -> float:
    """Root of the mean square; 0 of an empty array."""
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def relative(x: Array, y: Array) -> float:
    """The size of the difference as a share of the size of the larger array."""
    scale = max(rms(x), rms(y))
    with np.errstate(invalid="ignore", over="ignore"):
        return rms(x - y) / scale if scale else 0.0


def close(x: float, y: float, share: float = 1e-3) -> bool:
    """Whether two numbers are apart by no more than a share of the larger."""
    return bool(abs(x - y) <= share * max(abs(x), abs(y)))


def ratio(x: Array, y: Array) -> tuple[float, float]:
    """The factor that makes ``y`` of ``x``, and the share of ``y`` that it leaves unexplained."""
    square = float(np.sum(x * x))
    if not square or not np.isfinite(square):
        return 0.0, 1.0
    factor = float(np.sum(x * y)) / square
    size = rms(y)
    return factor, rms(y - factor * x) / size if size else 0.0


def plain_number(value: float, share: float = 2e-4) -> float | None:
    """The number of at most two digits that somebody would write for ``value``, if there is one so close."""
    if not value or not np.isfinite(value):
        return None
    rounded = float(f"{value:.1e}")
    return rounded if close(rounded, value, share) else None


def least_squares(columns: Sequence[Array], y: Array, noise: Array) -> tuple[Array, float]:
    """The coefficients of the columns that make ``y``, and the error in units of the noise (see :func:`misfit`)."""
    if not all(np.isfinite(column).all() for column in (*columns, y, noise)):
        return np.zeros(len(columns)), np.inf
    if len(columns) == 1:
        x = columns[0] / noise
        square = float(np.dot(x, x))
        factor = float(np.dot(x, y / noise)) / square if square else 0.0
        return np.array([factor]), misfit(y - factor * columns[0], noise)
    matrix = np.stack([column / noise for column in columns], axis=1)
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))
    scale[scale == 0] = 1.0
    coefficients = np.linalg.lstsq(matrix / scale, y / noise, rcond=1e-12)[0] / scale
    return coefficients, misfit(y - sum(c * column for c, column in zip(coefficients, columns)), noise)


def misfit(error: Array, noise: Array) -> float:
    """The size of an error in units of the expected rounding; about 1 or less if a formula holds."""
    return rms(np.clip(error / noise, -1e6, 1e6))


def power(value: float) -> str:
    """Short for messages: four digits."""
    return f"{value:.4g}"
