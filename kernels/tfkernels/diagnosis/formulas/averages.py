"""Moving statistics of batch normalisation, and moving averages of weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfkernels.diagnosis.numbers import Array, relative
from tfkernels.diagnosis.sides import Side


class Moving(NamedTuple):
    """``after = momentum * before + (1 - momentum) * of the batch``; ``error`` is relative to the change."""

    momentum: float
    correction: float
    """What the batch's variance is multiplied with: 1, or ``n / (n - 1)``."""
    values: int
    """Values of each channel in the batch."""
    error: float


def moving_statistics(side: Side, step: int, mean: str, variance: str) -> Moving | None:
    """How a layer's moving statistics follow from its inputs, which are an earlier output or an input of the model."""
    before, after = side.before(step), side.arrays(step, "statistic")
    if not {mean, variance} <= set(before) or not {mean, variance} <= set(after):
        return None
    mean_0, mean_1, var_0, var_1 = before[mean], after[mean], before[variance], after[variance]
    change = relative(mean_0, mean_1)
    if not change or mean_0.ndim != 1:
        return None
    best: Moving | None = None
    for values in (*side.arrays(step, "input").values(), *side.arrays(step, "output").values()):
        if values.ndim < 2 or values.shape[-1] != mean_0.size:
            continue
        axes = tuple(range(values.ndim - 1))
        count = values.size // values.shape[-1]
        new, _, error = _share(mean_0, mean_1, values.mean(axis=axes))
        if error > 1e-3 or (best is not None and best.error < error):
            continue
        spread = values.var(axis=axes)
        correction = float(np.median((var_1 - (1 - new) * var_0) / np.where(spread, new * spread, 1.0)))
        best = Moving(1 - new, correction, count, error)
    return best


def average_decay(side: Side, step: int, name: str) -> tuple[float, float] | None:
    """The decay of a moving average of a weight, and the relative error of the formula."""
    after = side.arrays(step, "average").get(name)
    weight = side.arrays(step, "weight").get(name)
    before = side.arrays(step - 1, "average").get(name) if step else side.before(0).get(name)
    if after is None or weight is None or before is None or not after.shape == weight.shape == before.shape:
        return None
    new, _, error = _share(before, after, weight)
    return 1 - new, error


def _share(before: Array, after: Array, new: Array) -> tuple[float, float, float]:
    """The share of the new value in ``after``, its scale, and the error that is left relative to the change."""
    step, goal = after - before, new - before
    square = float(np.sum(goal * goal))
    if not square:
        return 0.0, 0.0, np.inf
    share = float(np.sum(step * goal)) / square
    size = float(np.sqrt(np.sum(step * step)))
    left = float(np.sqrt(np.sum(np.square(step - share * goal))))
    return share, size, left / size if size else 0.0
