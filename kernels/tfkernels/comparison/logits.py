"""Whether two sets of logits choose the same classes."""

from __future__ import annotations

import typing

import numpy as np

_ROWS = 1 << 18
"""Logits that are ranked in one go."""


def top_k_agreement(baseline: typing.Any, other: typing.Any, k: int | None) -> dict[int, float]:
    """The share of rows (of the last axis) whose largest value, and whose ``k`` largest values in any order, are at the
    same places. Empty if ``k`` is ``None`` or the rows are not longer than ``k``."""
    if k is None or baseline.ndim == 0 or baseline.size == 0 or not 0 < k < baseline.shape[-1]:
        return {}
    classes = baseline.shape[-1]
    rows = [array.reshape(-1, classes) for array in (baseline, other)]
    agreeing = dict.fromkeys((1, k), 0)
    step = max(_ROWS // classes, 1)
    for start in range(0, len(rows[0]), step):
        a, b = (array[start : start + step] for array in rows)
        for count in agreeing:
            agreeing[count] += int(np.count_nonzero((_top(a, count) == _top(b, count)).all(axis=1)))
    return {count: found / len(rows[0]) for count, found in agreeing.items()}


def _top(rows: typing.Any, k: int) -> typing.Any:
    if k == 1:
        return rows.argmax(axis=1)[:, np.newaxis]
    return np.sort(np.argpartition(rows, -k, axis=1)[:, -k:], axis=1)
