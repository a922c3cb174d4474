"""Slots of optimizers: how each follows from its value before the step and from the gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfkernels.diagnosis.numbers import Array, least_squares
from tfkernels.diagnosis.sides import Side

FITS = 30.0
"""In units of the rounding; TensorFlow 1 computes ``1 - beta2`` in float32, so second moments are 1.3e-5 apart."""


class Decay(NamedTuple):
    """``slot = kept * slot before + new * gradient`` (or its square)."""

    kept: float | None  # None if all slots were zero before each step
    new: float
    error: float
    first: float | None
    """The value of all elements before the first step, if it is one."""

    @property
    def beta(self) -> float:
        """The decay of a moving mean."""
        return 1 - self.new if self.kept is None else self.kept


_SQUARED = {"v", "mean_square", "accumulator", "vhat"}


def decay(side: Side, slot: str) -> Decay | None:
    """The factors of a slot over all weights and steps, or ``None`` if no trace of it allows a fit."""
    before, after, gradients = [], [], []
    first: set[float] = set()
    for step in range(side.steps):
        for name, gradient in side.arrays(step, "gradient").items():
            had, has = side.slots(step, name)
            if slot not in had or slot not in has or not had[slot].shape == has[slot].shape == gradient.shape:
                continue
            if not step:
                first.update(map(float, had[slot].flat[:2] if np.ptp(had[slot]) else had[slot].flat[:1]))
            before.append(had[slot].ravel()[:20_000])
            after.append(has[slot].ravel()[:20_000])
            gradients.append(gradient.ravel()[:20_000])
    if not before:
        return None
    x, y, g = np.concatenate(before), np.concatenate(after), np.concatenate(gradients)
    if not (np.isfinite(y).all() and np.isfinite(g).all()):
        return None
    g = np.square(g) if slot in _SQUARED else g
    start = first.pop() if len(first) == 1 else None
    return _fitted(x, y, g, start)


def _fitted(x: Array, y: Array, g: Array, first: float | None) -> Decay | None:
    noise = 2e-7 * (np.abs(x) + np.abs(y)) + 1e-12 * float(np.max(np.abs(y), initial=0.0)) + 1e-30
    columns = [g] if not np.any(x) else [x, g]
    if not np.any(g):
        return None
    coefficients, error = least_squares(columns, y, noise)
    if len(coefficients) == 1:
        return Decay(None, float(coefficients[0]), error, first)
    return Decay(float(coefficients[0]), float(coefficients[1]), error, first)
