"""Losses: which function of the predictions and targets a loss is, and how it was reduced."""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np

from tfkernels.diagnosis.numbers import Array, close, plain_number
from tfkernels.diagnosis.sides import Side

FITS = 3e-5


class Loss(NamedTuple):
    """``kind`` names the function, ``factor`` is what the mean over examples was multiplied with."""

    kind: str
    factor: float
    smoothing: float = 0.0


def losses(side: Side) -> list[Loss]:
    """The functions that give the data term of the loss in all steps."""
    found: list[dict[str, Loss]] = []
    for step in range(side.steps):
        value = data_term(side, step)
        if value is None:
            return []
        found.append({loss.kind: loss for loss in _of_step(side, step, value)})
    first = found[0] if found else {}
    kept = []
    for kind, loss in first.items():
        others = [each.get(kind) for each in found]
        if all(
            o is not None and close(o.factor, loss.factor, FITS) and abs(o.smoothing - loss.smoothing) < 1e-4
            for o in others
        ):
            kept.append(loss)
    # a factor that nobody writes is no explanation
    return [loss for loss in kept if len(found) > 1 or plain_number(loss.factor, FITS)]


def data_term(side: Side, step: int) -> float | None:
    parts = side.arrays(step, "loss")
    value = parts.get("data", parts.get("loss"))
    return None if value is None else float(np.mean(value))


def _of_step(side: Side, step: int, value: float) -> Iterator[Loss]:
    seen = set()
    for target in _targets(side, step):
        for prediction in reversed(list(side.arrays(step, "output").values())):
            for kind, mean, uniform in _functions(prediction, target):
                if kind in seen or not mean:
                    continue
                seen.add(kind)
                yield Loss(kind, value / mean)
                if uniform is not None and abs(uniform - mean) > 1e-3 * abs(mean):
                    smoothing = plain_number((value - mean) / (uniform - mean), 1e-3)
                    if smoothing is not None and 0 < smoothing < 1:
                        yield Loss(f"{kind} with label smoothing", 1.0, smoothing)


def _targets(side: Side, step: int) -> list[Array]:
    return [array for name, array in side.arrays(step, "input").items() if name.startswith("target")]


def _functions(p: Array, t: Array) -> Iterator[tuple[str, float, float | None]]:
    """Each function's mean over the examples, and of cross-entropies that of even targets, for label smoothing."""
    if not p.size or not np.isfinite(p).all() or not p.ndim:
        return
    classes = p.shape[-1]
    hot = one_hot(t, classes) if classes > 1 and p.ndim > 1 else None
    if hot is not None and hot.shape == p.shape:
        rows = np.abs(p.sum(axis=-1) - 1).max() < 1e-3 and p.min() >= 0
        for kind, logs in (
            (
                "cross-entropy of probabilities" if rows else "cross-entropy of unscaled outputs as probabilities",
                _logs(p),
            ),
            ("cross-entropy of softmax applied twice" if rows else "cross-entropy of logits", _log_softmax(p)),
        ):
            yield kind, float(-(hot * logs).sum(axis=-1).mean()), float(-logs.mean(axis=-1).mean())
    same = t.reshape(p.shape) if t.size == p.size else hot if hot is not None and hot.shape == p.shape else None
    if same is None:
        return
    error = p - same
    yield "mean squared error", float(np.square(error).mean()), None
    yield "mean absolute error", float(np.abs(error).mean()), None
    yield "Huber loss", float(np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5).mean()), None
    yield "log-cosh", float((np.logaddexp(error, -error) - np.log(2)).mean()), None
    if same.min() >= 0 and same.max() <= 1:
        logits = np.logaddexp(0, p) - p * same
        if p.min() >= 0 and p.max() <= 1:
            q = np.clip(p, 1e-7, 1 - 1e-7)
            yield (
                "binary cross-entropy of probabilities",
                float(-(same * np.log(q) + (1 - same) * np.log(1 - q)).mean()),
                None,
            )
            yield "binary cross-entropy of sigmoid applied twice", float(logits.mean()), None
        else:
            yield "binary cross-entropy of logits", float(logits.mean()), None
    if set(np.unique(same)) <= {-1.0, 0.0, 1.0}:
        signs = same if same.min() < 0 else 2 * same - 1
        yield "hinge loss", float(np.maximum(1 - signs * p, 0).mean()), None


def one_hot(target: Array, classes: int) -> Array | None:
    """Targets of classes as one row of ``classes`` numbers each."""
    if target.ndim and target.shape[-1] == classes and target.ndim > 1:
        return target
    flat = target[..., 0] if target.ndim > 1 and target.shape[-1] == 1 else target
    if flat.size and flat.min() >= 0 and flat.max() < classes and np.array_equal(flat, np.round(flat)):
        return np.eye(classes)[flat.astype(int)]
    return None


def _logs(p: Array) -> Array:
    total = p.sum(axis=-1, keepdims=True)
    scaled = p / np.where(total, total, 1.0)
    return np.log(np.clip(scaled, 1e-7, 1 - 1e-7))


def _log_softmax(p: Array) -> Array:
    shifted = p - p.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
