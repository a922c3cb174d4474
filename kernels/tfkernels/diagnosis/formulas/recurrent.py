"""LSTM and GRU layers, with the settings in which the releases differ."""

from __future__ import annotations

import itertools
from typing import Iterator, Tuple

import numpy as np

from tfkernels.diagnosis.formulas.activations import FUNCTIONS
from tfkernels.diagnosis.numbers import Array
from tfkernels.diagnosis.sides import Arrays

GATES = ("sigmoid", "hard sigmoid (x / 5 + 1/2)", "hard sigmoid (x / 6 + 1/2)")
ORDERS = ("ifco", "icfo", "ifoc", "iofc", "fico", "cifo", "ofci")

Settings = Tuple[Tuple[str, str], ...]


def recurrent(x: Array, weights: Arrays, mask: Array | None = None) -> Iterator[tuple[Settings, Array]]:
    """The outputs of all time steps under each setting. Where ``mask`` is false, the state stays as it is."""
    kept = np.ones(x.shape[:2], bool)[..., None] if mask is None else mask[..., None]
    kernel, inner, bias = weights["kernel"], weights["recurrent_kernel"], weights.get("bias")
    gates = inner.shape[-1] // inner.shape[0] if inner.ndim == 2 and inner.shape[0] else 0
    if kernel.ndim != 2 or kernel.shape[0] != x.shape[-1]:
        return
    if gates == 3:
        yield from _grus(x, kernel, inner, bias, kept)
    elif bias is None or bias.ndim == 1:
        z = x @ kernel + (0 if bias is None else bias)
        yield from _lstms(z, inner, kept) if gates == 4 else _simple(z, inner, kept) if gates == 1 else ()


def _lstms(z: Array, inner: Array, kept: Array) -> Iterator[tuple[Settings, Array]]:
    for order, gate, forget in itertools.product(ORDERS, GATES, (0.0, 1.0)):
        if (order != "ifco") + (gate != "sigmoid") + bool(forget) < 3:
            settings = (
                ("gates", ",".join(order)),
                ("recurrent activation", gate),
                ("added to the forget gate", f"{forget:g}"),
            )
            yield settings, _lstm(z, inner, order, gate, forget, kept)


def _grus(x: Array, kernel: Array, inner: Array, bias: Array | None, kept: Array) -> Iterator[tuple[Settings, Array]]:
    for after, gate in itertools.product((True, False), GATES):
        if bias is None or bias.ndim == 1 or after:
            settings = (("reset_after", str(after)), ("recurrent activation", gate))
            yield settings, _gru(x, kernel, inner, bias, gate, after, kept)


def _simple(z: Array, inner: Array, kept: Array) -> Iterator[tuple[Settings, Array]]:
    for activation in ("tanh", "relu", "sigmoid", "linear"):
        h, outputs = np.zeros((len(z), len(inner))), []
        for t in range(z.shape[1]):
            h = np.where(kept[:, t], FUNCTIONS[activation](z[:, t] + h @ inner), h)
            outputs.append(h)
        yield (("activation", activation),), np.stack(outputs, axis=1)


def _lstm(z: Array, inner: Array, order: str, gate: str, forget: float, kept: Array) -> Array:
    sigma = FUNCTIONS[gate]
    h = c = np.zeros((len(z), len(inner)))
    outputs = []
    for t in range(z.shape[1]):
        parts = dict(zip(order, np.split(z[:, t] + h @ inner, 4, axis=1)))
        c = np.where(kept[:, t], sigma(parts["f"] + forget) * c + sigma(parts["i"]) * np.tanh(parts["c"]), c)
        h = np.where(kept[:, t], sigma(parts["o"]) * np.tanh(c), h)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def _gru(x: Array, kernel: Array, inner: Array, bias: Array | None, gate: str, after: bool, kept: Array) -> Array:
    sigma, units = FUNCTIONS[gate], len(inner)
    outer, second = (0.0, 0.0) if bias is None else (bias[0], bias[1]) if bias.ndim == 2 else (bias, 0.0)
    z_in = x @ kernel + outer
    h, outputs = np.zeros((len(x), units)), []
    for t in range(x.shape[1]):
        now = z_in[:, t]
        if after:
            state = h @ inner + second
            z, r = (sigma(now[:, k * units : (k + 1) * units] + state[:, k * units : (k + 1) * units]) for k in (0, 1))
            candidate = np.tanh(now[:, 2 * units :] + r * state[:, 2 * units :])
        else:
            state = h @ inner[:, : 2 * units]
            z, r = (sigma(now[:, k * units : (k + 1) * units] + state[:, k * units : (k + 1) * units]) for k in (0, 1))
            candidate = np.tanh(now[:, 2 * units :] + (r * h) @ inner[:, 2 * units :])
        h = np.where(kept[:, t], z * h + (1 - z) * candidate, h)
        outputs.append(h)
    return np.stack(outputs, axis=1)
