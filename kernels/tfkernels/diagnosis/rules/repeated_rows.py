"""Sparse gradients: rows of a table that a batch uses more than once."""

from __future__ import annotations

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.numbers import Array, rms
from tfkernels.diagnosis.rules.rule import Case, Rule
from tfkernels.diagnosis.sides import Side

_START = {"v": 0.0, "mean_square": 0.0, "accumulator": None}
"""Where a slot must start, so that its first change is a multiple of the squared gradient. ``None``: anywhere."""


def _squares(case: Case) -> Evidence | None:
    for name, gradient in case.a.arrays(0, "gradient").items():
        for slot, start in _START.items():
            odd = [_odd_rows(side, name, slot, start) for side in case.facts.both]
            if odd[0] is None or odd[1] is None or bool(odd[0]) == bool(odd[1]):
                continue
            which = 0 if odd[0] else 1
            rows = odd[which] or []
            if not _used_more_than_once(case.facts.both[which], rows, len(gradient)):
                continue
            words = (
                f"slot {slot} of {name}: of {len(rows)} rows that the batch uses more than once, "
                f"{case.names[which]} adds the squares of the gradients, {case.names[1 - which]} squares their sum. "
                "Keras 3 does not add up sparse gradients first"
            )
            return Evidence(words, {"rows": rows[:20], "slot": slot}, name, 1)
    return None


def _odd_rows(side: Side, name: str, slot: str, start: float | None) -> list[int] | None:
    """The rows whose slot is no multiple of the squared gradient after the first step, or ``None`` if none can tell."""
    gradient = side.arrays(0, "gradient").get(name)
    had, has = side.slots(0, name)
    if gradient is None or gradient.ndim != 2 or slot not in had or slot not in has:
        return None
    before, after = had[slot], has[slot]
    if not before.shape == after.shape == gradient.shape or np.ptp(before) or start not in (None, before.flat[0]):
        return None
    return [row for row, g in enumerate(gradient) if _is_odd(g, after[row] - before[row])]


def _is_odd(gradient: Array, change: Array) -> bool:
    clear = np.abs(gradient) > 1e-2 * rms(gradient)
    if clear.sum() < 2:
        return False
    shares = change[clear] / np.square(gradient[clear])
    return bool(shares.max() > 1.02 * shares.min() > 0)


def _used_more_than_once(side: Side, rows: list[int], size: int) -> bool:
    for name, array in side.arrays(0, "input").items():
        if name.startswith("target") or not array.size or array.min() < 0 or array.max() >= size:
            continue
        if np.array_equal(array, np.round(array)):
            counts = np.bincount(array.astype(int).ravel(), minlength=size)
            if all(counts[row] > 1 for row in rows):
                return True
    return False


_ROWS = "import numpy as np\nparts = np.array([[1.0, 2.0], [3.0, -1.0]])  # gradients of one row that is used twice\n"

RULES = (
    Rule(
        "sparse-squares",
        "slot",
        "rows",
        "Squares of sparse gradients",
        (
            "Optimizers of `tf.train` and of Keras 2 add up the gradients of a row that is used more than once. "
            "Keras 3 (measured in 2.21) squares each gradient of an `Embedding` for Adam, RMSprop and Adagrad."
        ),
        _squares,
        (_ROWS + "x = parts.sum(axis=0) ** 2", _ROWS + "x = (parts**2).sum(axis=0)"),
        by_itself=True,
    ),
)
