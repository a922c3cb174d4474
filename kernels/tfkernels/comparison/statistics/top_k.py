"""Whether two sets of logits choose the same classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfkernels.comparison.dtype_precision import working
from tfkernels.errors import UsageError

_ROWS = 1 << 18
"""Logits that are ranked in one go."""


def top_k_agreement(baseline: Any, other: Any, k: Any) -> dict[int, float]:
    """The share of rows (of the last axis) whose largest value, and whose ``k`` largest values in any order, are at the
    same places. Empty if ``k`` is ``None``, and without ``k`` where the rows are not longer.

    Raises ``UsageError`` if ``k`` is no integer from 1 on.
    """
    if k is None:
        return {}
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise UsageError(f"top_k={k!r}: a number of classes from 1 on, or a dict of such by path patterns")
    number = working(baseline.dtype, other.dtype)
    if baseline.ndim == 0 or baseline.size == 0 or number.kind == "c":
        return {}
    classes = baseline.shape[-1]
    rows = [array.reshape(-1, classes) for array in (baseline, other)]
    agreeing = dict.fromkeys((count for count in (1, int(k)) if count < classes), 0)
    step = max(_ROWS // classes, 1)
    for start in range(0, len(rows[0]), step):
        a, b = (array[start : start + step].astype(number, copy=False) for array in rows)
        for count in agreeing:
            agreeing[count] += int(np.count_nonzero((_top(a, count) == _top(b, count)).all(axis=1)))
    return {count: found / len(rows[0]) for count, found in agreeing.items()}


def _top(rows: Any, k: int) -> Any:
    if k == 1:
        return rows.argmax(axis=1)[:, np.newaxis]
    return np.sort(np.argpartition(rows, -k, axis=1)[:, -k:], axis=1)
