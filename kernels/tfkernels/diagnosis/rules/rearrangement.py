"""Whether two arrays have the same numbers in another order, and in which."""

from __future__ import annotations

import itertools

import numpy as np

from tfkernels.diagnosis.numbers import Array, relative

SAME = 2e-5


def rearranged(x: Array, y: Array, rows: bool = False, batch: bool = True) -> str:
    """How ``y`` is made of ``x``, in words; empty if it is not. ``batch``: the first axis is one of examples."""
    if x.size != y.size or x.size < 2 or not np.ptp(x):
        return ""
    if not np.allclose(np.sort(x, axis=None), np.sort(y, axis=None), rtol=0, atol=SAME * float(np.abs(x).max())):
        return ""
    kept = 1 if batch else 0
    how = _by_axes(x, y, kept)
    if how or x.shape != y.shape:
        shaped = not how and relative(x.reshape(y.shape), y) < SAME
        return f"of shape {y.shape} instead of {x.shape}" if shaped else how
    if rows and as_array(x, y) is not None:
        return "with the examples in another order"
    columns = x.shape[-1] > 1 and as_array(np.moveaxis(x, -1, 0), np.moveaxis(y, -1, 0)) is not None
    return "with the last axis in another order" if columns else ""


def _by_axes(x: Array, y: Array, kept: int) -> str:
    if x.shape == y.shape and x.ndim > kept and relative(x[..., ::-1], y) < SAME:
        return "with the last axis reversed" + (" (channels RGB against BGR)" if x.shape[-1] in (3, 4) else "")
    for axes in itertools.permutations(range(kept, x.ndim)):
        order = (*range(kept), *axes)
        moved = x.transpose(order)
        if order != tuple(range(x.ndim)) and moved.shape == y.shape and relative(moved, y) < SAME:
            return "transposed" if x.ndim - kept == 2 else f"with its axes in the order {order}"
    for axis in range(kept, x.ndim - 1) if x.shape == y.shape else ():
        if relative(np.flip(x, axis), y) < SAME:
            return f"flipped along axis {axis}"
    return ""


def as_array(x: Array, y: Array) -> Array | None:
    """The places in ``x`` of the rows of ``y``, if ``y`` has the same rows in another order."""
    if len(x) > 5000:
        return None
    one, other = x.reshape(len(x), -1), y.reshape(len(y), -1)
    scale = SAME * max(float(np.abs(x).max()), 1e-30)
    keys = [np.lexsort(np.round(each / scale / 50).T[:64]) for each in (one, other)]
    if not np.allclose(one[keys[0]], other[keys[1]], rtol=0, atol=scale):
        return None
    order = np.empty(len(x), int)
    order[keys[1]] = keys[0]
    return None if np.array_equal(order, np.arange(len(x))) else order
