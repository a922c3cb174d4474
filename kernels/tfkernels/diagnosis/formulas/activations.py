"""Activation functions, as the releases compute them."""

from __future__ import annotations

from typing import Callable

import numpy as np

from tfkernels.diagnosis.numbers import Array

Function = Callable[[Array], Array]


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _gelu(x: Array) -> Array:
    """With the error function by series of Abramowitz and Stegun 7.1.26 refined: NumPy has none."""
    return 0.5 * x * (1 + _erf(x / np.sqrt(2.0)))


def _erf(x: Array) -> Array:
    """By the integral of its derivative: Gauss-Legendre with 40 points is exact to 1e-12 for |x| < 6."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = np.clip(x, -6, 6) / 2
    points = half[..., None] * (nodes + 1)
    return 2 / np.sqrt(np.pi) * half * (np.exp(-points * points) * weights).sum(axis=-1)


FUNCTIONS: dict[str, Function] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "hard sigmoid (x / 5 + 1/2)": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "hard sigmoid (x / 6 + 1/2)": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "softmax": _softmax,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky relu 0.2": lambda x: np.where(x > 0, x, 0.2 * x),
    "leaky relu 0.3": lambda x: np.where(x > 0, x, 0.3 * x),
    "leaky relu 0.1": lambda x: np.where(x > 0, x, 0.1 * x),
    "leaky relu 0.01": lambda x: np.where(x > 0, x, 0.01 * x),
    "swish": lambda x: x * sigmoid(x),
    "exact gelu": _gelu,
    "approximate gelu": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
}

_INVERSE: dict[str, Function] = {
    "linear": lambda y: y,
    "tanh": lambda y: np.arctanh(np.clip(y, -0.99999, 0.99999)),
    "sigmoid": lambda y: np.log(np.clip(y, 1e-6, 1 - 1e-6) / np.clip(1 - y, 1e-6, 1)),
    "leaky relu 0.2": lambda y: np.where(y > 0, y, y / 0.2),
    "leaky relu 0.3": lambda y: np.where(y > 0, y, y / 0.3),
    "leaky relu 0.1": lambda y: np.where(y > 0, y, y / 0.1),
    "leaky relu 0.01": lambda y: np.where(y > 0, y, y / 0.01),
    "elu": lambda y: np.where(y > 0, y, np.log1p(np.maximum(y, -0.99999))),
    "softplus": lambda y: y + np.log(-np.expm1(-np.maximum(y, 1e-6))),
}


def related(x: Array, y: Array) -> tuple[str, str] | None:
    """Two functions that make ``x`` and ``y`` from the same numbers, if there are such."""
    for one, inverse in _INVERSE.items():
        z = inverse(x)
        if not np.allclose(FUNCTIONS[one](z), x, atol=1e-5 * (1 + np.abs(x).max())):
            continue
        for other, function in FUNCTIONS.items():
            if other != one and same(function(z), y):
                return one, other
    return None


def same(x: Array, y: Array, share: float = 3e-5) -> bool:
    """Whether a formula gives ``y``; by its largest error."""
    if x.shape != y.shape or not y.size:
        return False
    scale = float(np.abs(y).max())
    return bool(float(np.abs(x - y).max()) <= share * scale) if scale else not np.any(x)
