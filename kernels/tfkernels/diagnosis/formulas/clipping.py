"""Clipping of gradients: by value, by each gradient's norm, or by the norm of all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfkernels.diagnosis.numbers import Array, close, plain_number
from tfkernels.diagnosis.sides import Arrays, Side


class Clipping(NamedTuple):
    """``kind`` is "none", "value", "norm", "global norm", "factor" or "unknown"."""

    kind: str
    limit: float = 0.0


def clipping(side: Side, step: int) -> Clipping:
    """What was done to the gradients of a step, as far as it changed them."""
    clipped = side.arrays(step, "gradient")
    raw = side.arrays(step, "unclipped_gradient")
    pairs = {
        name: (raw[name], clipped[name]) for name in raw if name in clipped and raw[name].shape == clipped[name].shape
    }
    if not pairs:
        return Clipping("none")
    ratios = {name: _ratio(x, y) for name, (x, y) in pairs.items() if np.any(x)}
    known = [value for value in ratios.values() if value is not None]
    if len(known) == len(ratios):
        if all(close(value, 1.0, 1e-5) for value in known):
            return Clipping("none")
        if all(close(value, known[0], 1e-4) for value in known) and len(known) > 1:
            if known[0] > 1 or _same_in_other_steps(side, step, known[0]):
                return Clipping("factor", known[0])
            return Clipping("global norm", global_norm({name: y for name, (_, y) in pairs.items()}))
        limits = [_norm(pairs[name][1]) for name, value in ratios.items() if value is not None and value < 1 - 1e-5]
        if limits and all(close(limit, limits[0], 1e-3) for limit in limits):
            return Clipping("norm" if len(ratios) > 1 else "global norm", limits[0])
    changed = [y[~np.isclose(x, y, rtol=1e-5, atol=0)] for x, y in pairs.values()]
    values = np.abs(np.concatenate([each.ravel() for each in changed])) if changed else np.zeros(0)
    if values.size and np.ptp(values) <= 1e-4 * float(values.max()):
        return Clipping("value", float(values.max()))
    return Clipping("unknown")


def _same_in_other_steps(side: Side, step: int, factor: float) -> bool:
    """Whether gradients have one factor in all steps, as no norm gives it."""
    others = []
    for other in range(side.steps):
        raw, clipped = side.arrays(other, "unclipped_gradient"), side.arrays(other, "gradient")
        name = next((name for name in raw if name in clipped and np.any(raw[name])), None)
        if other != step and name is not None:
            others.append(_ratio(raw[name], clipped[name]))
    return bool(others) and all(each is not None and close(each, factor, 1e-5) for each in others)


def looks_clipped(gradients: Arrays) -> Clipping:
    """Of gradients alone: a norm that is a plain number, or a largest value that many elements have."""
    total = plain_number(global_norm(gradients), 1e-4)
    sizes = [plain_number(_norm(array), 1e-4) for array in gradients.values() if array.size > 1]
    if total is not None:
        return Clipping("global norm", total)
    if len(sizes) > 1 and sizes.count(sizes[0]) > len(sizes) / 2 and sizes[0] is not None:
        return Clipping("norm", sizes[0])
    flat = np.abs(np.concatenate([array.ravel() for array in gradients.values()])) if gradients else np.zeros(0)
    largest = float(flat.max(initial=0.0))
    if largest and np.count_nonzero(flat >= largest * (1 - 1e-5)) > 2 and plain_number(largest, 1e-4):
        return Clipping("value", largest)
    return Clipping("none")


def global_norm(gradients: Arrays) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(array))) for array in gradients.values())))


def _norm(array: Array) -> float:
    return float(np.sqrt(np.sum(np.square(array))))


def _ratio(x: Array, y: Array) -> float | None:
    size = float(np.sum(x * x))
    factor = float(np.sum(x * y)) / size
    error = float(np.sum(np.square(y - factor * x)))
    return factor if error <= 1e-8 * factor**2 * size else None
