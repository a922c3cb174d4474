"""How far correct ports may be apart, by what a quantity is and by its scale. docs/design/diagnosis.md has the reasons.

A difference is compared with the size of the array (its root mean square), not element by element.
"""

from __future__ import annotations

from typing import NamedTuple


class Allowed(NamedTuple):
    """A difference may have ``share`` of the array's size, and ``floor`` of the largest size in the same group."""

    share: float
    floor: float


TOLERANCES: dict[str, Allowed] = {
    "input": Allowed(1e-6, 0.0),
    "output": Allowed(5e-5, 1e-7),
    "loss": Allowed(2e-5, 1e-7),
    "gradient": Allowed(3e-4, 1e-5),  # what is zero in theory is rounding of the others
    "slot": Allowed(1e-3, 1e-5),  # TensorFlow 1 computes 1 - beta2 in float32
    "update": Allowed(2e-3, 1e-5),
    "statistic": Allowed(5e-3, 1e-7),  # of the change; n / (n - 1) with n > 200 is within it
}

PEAK = 20.0
"""A single element may be apart by this many times more, as a share of the largest element."""

GROWTH = 50.0
"""Weights that are apart by a share make the outputs and gradients of the next step apart by this many times more."""

FORMULA = 3e-4
"""The share by which settings that a formula finds may be apart: rates, decays, factors."""
