"""Layers: which settings explain a layer's output, from its inputs and weights."""

from __future__ import annotations

from typing import Dict, Iterator, NamedTuple

import numpy as np

from tfkernels.diagnosis.formulas.activations import FUNCTIONS, same
from tfkernels.diagnosis.formulas.convolution import convolve, paddings
from tfkernels.diagnosis.formulas.recurrent import recurrent
from tfkernels.diagnosis.numbers import Array, rms
from tfkernels.diagnosis.sides import Arrays, Side

MOST = 40_000_000
"""Multiplications for one hypothesis, at most."""

Settings = Dict[str, str]

SHOWN = (1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 1e-2, 1e-1)


class Hypothesis(NamedTuple):
    """Settings of a layer, with the output that they give."""

    settings: tuple[tuple[str, str], ...]
    output: Array


class Explained(NamedTuple):
    """All settings that explain the output of a layer, the best first, and the name of the input that they need."""

    settings: list[tuple[tuple[str, str], ...]]
    source: str


def explained(side: Side, step: int, layer: str) -> Explained:
    """The input is any earlier output."""
    output = side.arrays(step, "output").get(layer)
    if output is None or output.ndim < 2:
        return Explained([], "")
    weights = _weights_of(side.before(step), layer)
    for source, x in _sources(side, step, layer):
        if not np.isfinite(x).all():
            continue
        mask = _mask(side, step, x)
        fitting = [each for each in _hypotheses(x, output, weights, mask) if same(each.output, output, _share(each))]
        if fitting:
            fitting.sort(key=lambda each: rms(each.output - output))
            return Explained([each.settings for each in fitting], source)
    return Explained([], "")


def _share(hypothesis: Hypothesis) -> float:
    kind = hypothesis.settings[0][1]
    return 1.2e-6 if "normalization" in kind else 3e-5


def _weights_of(weights: Arrays, layer: str) -> Arrays:
    start = layer.split(":")[0] + "/"
    return {name[len(start) :]: array for name, array in weights.items() if name.startswith(start)}


def _mask(side: Side, step: int, x: Array) -> Array | None:
    """The places of a sequence that are no padding: numbers of words that are not 0, or vectors that are not all 0."""
    if x.ndim != 3:
        return None
    for name, array in side.arrays(step, "input").items():
        if not name.startswith("target") and array.ndim >= 2 and array.shape[:2] == x.shape[:2]:
            mask = np.any(array.reshape(*array.shape[:2], -1), axis=-1)
            if not mask.all():
                return mask
    return None


def _sources(side: Side, step: int, layer: str) -> Iterator[tuple[str, Array]]:
    outputs = side.arrays(step, "output")
    earlier = list(outputs)[: list(outputs).index(layer)]
    for name in reversed(earlier):
        yield name, outputs[name]
    for name, array in side.arrays(step, "input").items():
        if not name.startswith("target"):
            yield name, array


def _hypotheses(x: Array, y: Array, weights: Arrays, mask: Array | None) -> Iterator[Hypothesis]:
    names = set(weights)
    if {"kernel", "recurrent_kernel"} <= names:
        yield from _recurrent(x, y, weights, mask)
    elif names <= {"gamma", "beta", "moving_mean", "moving_variance"} and names & {"gamma", "beta", "moving_mean"}:
        yield from _normalized(x, y, weights)
    elif "kernel" in names and names <= {"kernel", "bias"}:
        yield from _with_kernel(x, y, weights["kernel"], weights.get("bias", 0.0))
    elif not names and x.shape == y.shape:
        yield from _without_weights(x, y)


def _with_kernel(x: Array, y: Array, kernel: Array, bias: Array) -> Iterator[Hypothesis]:
    if kernel.ndim == 2 and x.shape[-1] == kernel.shape[0] and y.shape == (*x.shape[:-1], kernel.shape[1]):
        if x.size * kernel.shape[1] <= MOST:
            yield from _activated((("layer", "dense"),), x @ kernel + bias)
        return
    images = kernel.ndim == 4 and x.ndim == y.ndim == 4 and kernel.shape[2:] == (x.shape[-1], y.shape[-1])
    if images and y.size * kernel[..., 0].size <= MOST:
        for padding, stride, pads in paddings(x.shape, y.shape, kernel.shape):
            z = convolve(x, kernel, stride, pads) + bias
            yield from _activated((("layer", "convolution"), ("padding", padding)), z)


def _activated(settings: tuple[tuple[str, str], ...], z: Array) -> Iterator[Hypothesis]:
    for name, function in FUNCTIONS.items():
        if z.size * 40 > MOST and "gelu" in name:
            continue
        yield Hypothesis((*settings, ("activation", name)), function(z))


def _without_weights(x: Array, y: Array) -> Iterator[Hypothesis]:
    kept = y != 0
    if kept.any() and not kept.all() and np.count_nonzero(x) > np.count_nonzero(y):
        factor = float(np.sum(y[kept] * x[kept]) / np.sum(x[kept] ** 2))
        share = float(np.count_nonzero(kept & (x != 0)) / max(int(np.count_nonzero(x)), 1))
        ends = factor > 1.001 or bool(np.any(x[~kept] > 0))  # relu drops what is negative, and scales nothing
        if factor > 0.99 and ends and same(np.where(kept, factor * x, 0), y):
            yield Hypothesis((("layer", "dropout"), ("factor", f"{factor:.4g}"), ("kept", f"{share:.3g}")), y)
            return
    if np.array_equal(x, y):
        yield Hypothesis((("layer", "dropout"), ("factor", "1"), ("kept", "1")), y)
        return
    for name, function in FUNCTIONS.items():
        if name != "linear" and x.size * 40 <= MOST:
            yield Hypothesis((("layer", "activation"), ("activation", name)), function(x))


def _normalized(x: Array, y: Array, weights: Arrays) -> Iterator[Hypothesis]:
    if x.shape != y.shape:
        return
    gamma, beta = weights.get("gamma", 1.0), weights.get("beta", 0.0)
    moving = "moving_mean" in weights
    axes = tuple(range(x.ndim - 1)) if moving else (-1,)
    ways = [("the batch's", x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True))]
    if moving and weights["moving_mean"].shape == (x.shape[-1],) and "moving_variance" in weights:
        ways.append(("moving", weights["moving_mean"], weights["moving_variance"]))
    kind = "batch normalization" if moving else "layer normalization"
    for statistics, mean, variance in ways:
        for epsilon in SHOWN:
            if np.min(variance) + epsilon <= 0:
                continue
            output = (x - mean) / np.sqrt(variance + epsilon) * gamma + beta
            yield Hypothesis((("layer", kind), ("statistics", statistics), ("epsilon", f"{epsilon:g}")), output)


def _recurrent(x: Array, y: Array, weights: Arrays, mask: Array | None) -> Iterator[Hypothesis]:
    """Forward and backward, with padding and without; the first way that fits."""
    if x.ndim != 3 or x.size * weights["kernel"].shape[-1] * 4 > MOST:
        return
    for direction in ("forward", "backward"):
        one = 1 if direction == "forward" else -1
        for skipped in (None,) if mask is None else (mask, None):
            found = []
            for settings, output in recurrent(x[:, ::one], weights, None if skipped is None else skipped[:, ::one]):
                shown = output if output.shape == y.shape else output[:, -1]
                known = (
                    ("layer", "recurrent"),
                    *settings,
                    ("direction", direction),
                    ("mask", str(skipped is not None)),
                )
                found.append(Hypothesis(known, shown))
            yield from found
            if any(same(each.output, y) for each in found):
                return
