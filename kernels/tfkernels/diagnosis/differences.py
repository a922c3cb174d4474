"""Direct differences of one quantity in one step, each compared with what rounding explains."""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np

from tfkernels.diagnosis.numbers import Array, relative, rms
from tfkernels.diagnosis.sides import Arrays, Side, follows
from tfkernels.diagnosis.tolerances import GROWTH, PEAK, TOLERANCES


class Difference(NamedTuple):
    """Two arrays of one name. ``size`` is the relative size of their difference, ``allowed`` what rounding explains."""

    name: str
    x: Array
    y: Array
    size: float
    allowed: float

    @property
    def exceeds(self) -> bool:
        return not self.size <= self.allowed


def differences(quantity: str, x: Arrays, y: Arrays, spread: float = 0.0) -> list[Difference]:
    """Of all arrays that both have, in the first one's order. ``spread``: how far the weights are apart already."""
    share, floor = TOLERANCES[quantity]
    share += GROWTH * spread
    pairs = [(name, *same_form(array, y[name])) for name, array in x.items() if name in y]
    largest = max(
        [max(rms(a), rms(b)) for _, a, b in pairs if a.shape == b.shape and np.isfinite(a).all()], default=0.0
    )
    return [_difference(name, a, b, share, floor * largest) for name, a, b in pairs]


def _difference(name: str, x: Array, y: Array, share: float, floor: float) -> Difference:
    if x.shape != y.shape:
        return Difference(name, x, y, np.inf, share)
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return Difference(name, x, y, np.inf, share)
    finite = np.isfinite(x)
    a, b = x[finite], y[finite]
    scale = max(rms(a), rms(b))
    if not scale:
        return Difference(name, x, y, 0.0, share)
    allowed = share + floor / scale
    size = relative(a, b)
    peak = float(np.max(np.abs(a - b))) / max(float(np.max(np.abs(a))), float(np.max(np.abs(b))))
    return Difference(name, x, y, max(size, peak / PEAK), allowed)


def same_form(x: Array, y: Array) -> tuple[Array, Array]:
    """Arrays of one size whose shapes differ in ones only, and classes as numbers or as rows, in one form."""
    if x.shape == y.shape:
        return x, y
    if [n for n in x.shape if n != 1] == [n for n in y.shape if n != 1]:
        return x.reshape(y.shape), y
    for one, other, swapped in ((x, y, False), (y, x, True)):
        rows = one.ndim > 1 and one.shape[-1] > 1 and one.size == other.size * one.shape[-1]
        if rows and np.array_equal(np.unique(one), [0.0, 1.0]) and np.all(one.sum(axis=-1) == 1):
            numbers = one.argmax(axis=-1).astype("float64").reshape(other.shape)
            return (other, numbers) if swapped else (numbers, other)
    return x, y


def spread(a: Side, b: Side, step: int) -> float:
    """How far all weights together are apart before a step, as a share of their size; infinite if nobody knows."""
    if not step or follows(a, b):
        return 0.0
    x, y = a.before(step), b.before(step)
    trained = set(a.arrays(step - 1, "weight")) & set(b.arrays(step - 1, "weight"))
    if not trained:
        return np.inf
    pairs = [(x[name], y[name]) for name in trained if x[name].shape == y[name].shape]
    far = float(np.sqrt(sum(map(_square, pairs)) / max(sum(float(np.sum(p * p)) for p, _ in pairs), 1e-30)))
    return far if np.isfinite(far) else np.inf


def _square(pair: tuple[Array, Array]) -> float:
    return float(np.sum(np.square(pair[0] - pair[1])))


def exceeding(found: list[Difference]) -> Iterator[Difference]:
    return (each for each in found if each.exceeds)
