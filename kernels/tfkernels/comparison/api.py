"""``compare``, and the ``Comparison`` that it returns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tfkernels.comparison.render import html, text
from tfkernels.comparison.result import Findings, Part, size_of
from tfkernels.comparison.tolerances import Setting, Tolerances
from tfkernels.comparison.walk import Walk
from tfkernels.errors import UsageError
from tfkernels.imports import own_imports
from tfkernels.training.training_trace import is_training_trace


class Comparison(Findings):
    """Every part of two or more values, in the order of the baseline's, and whether they agree.

    ``baseline`` and ``sides`` are the names of the values. Several sides give a ``Part`` for each path and side.
    A table in a notebook, text elsewhere; true if every part passed.
    """

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return text.report(self)

    def _repr_html_(self) -> str:
        return html.fragment(self, html.STYLE)

    @property
    def first_difference(self) -> Part | None:
        """The first part that did not pass: where two models or two lists of layers begin to diverge."""
        return next(iter(self.failed), None)

    def assert_close(self) -> None:
        """Raises ``AssertionError`` with the text report if not every part passed."""
        if not self.passed:
            raise AssertionError(f"\n{self}")

    def plot(self, path: str | None = None, side: str | None = None) -> Any:
        """A matplotlib figure of one part; a notebook shows it as the result of a cell, ``.savefig(file)`` writes it.

        Histograms of the absolute errors and of the ULP distances, both values against each other, and, of image-like
        arrays, where the errors are. Without ``path``: the first part that did not pass on ``side``, or else the one
        with the largest relative error; with more than two parts, how the errors grow along the order is above it.

        Raises ``KeyError`` for an unknown path or side, ``ImportError`` if there is no matplotlib.
        """
        with own_imports():
            from tfkernels.comparison.render.draw_matplotlib import draw  # matplotlib is needed here only

        return draw(self, path, side)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """``to_dict()`` as JSON, also written to ``path`` if one is given."""
        written = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(written + "\n")
        return written

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row for each part. Raises ``ImportError`` if there is no pandas."""
        try:
            with own_imports():
                import pandas as pd
        except ImportError as error:
            raise ImportError("to_dataframe() needs pandas in this kernel. Install it: %pip install pandas") from error
        return pd.json_normalize(self.to_dict()["parts"])


_NOTHING: Any = object()


def compare(
    a: Any,
    b: Any = _NOTHING,
    *,
    rtol: Setting = None,
    atol: Setting = None,
    names: Sequence[str] | None = None,
    baseline: str | None = None,
    equal_nan: bool = True,
    check_dtype: bool = False,
    top_k: int | Mapping[str, int] | None = None,
    mapping: Mapping[str, str] | None = None,
    by_itself: Any = None,
) -> Comparison:
    """Where, and by how much, two values differ. Or several, by the names of their kernels::

        tfkernels.compare(logits_tf1, logits_tf2, names=("tf1", "tf2"))
        tfkernels.compare({"tf1": weights, "tf2": weights_tf2, "tf2.11": weights_tf211}, baseline="tf1")

    Nested values are compared element by element; what only one side has is a difference. Elements may be apart by
    ``atol + rtol * max(|a|, |b|)``; integers, bools, text and times not at all.

    ``rtol``, ``atol``: numbers for all floats and complex numbers, or dicts of numbers by patterns of paths, in which
    ``*`` is any text and ``?`` any character: ``rtol={"*bias*": 1e-3, "*": 1e-6}``. The first pattern that matches
    counts, for integers as well (but not ``*`` alone). Else ``tfkernels.comparison.DEFAULTS`` has the tolerance.
    ``names``: of the two values, for the report. ``baseline``: the name of the value that the others are compared
    with, by default the first. ``equal_nan``: whether NaN is equal to NaN. ``check_dtype``: whether a difference in
    dtype alone is a failure and not only noted. ``top_k``: for logits, also say how often both sides choose the same
    class, and the same ``k`` classes; a number, or a dict of numbers by patterns of paths.

    Of traces from ``trace_training``, the comparison also has ``finding`` and ``findings``: which quantity differs
    first, and why. Tolerances then come from what a quantity is. ``mapping``: names of the second trace by those of
    the first, ``{"name in a": "name in b"}``, where they cannot be the same.

    ``by_itself``: of traces, another trace of the second model, made with ``inputs_from=a`` or ``weights_from=a``. A
    column then has its differences: those of each layer or step by itself.

    Raises ``UsageError`` for values that cannot be compared, such as tensors of a graph.
    """
    values, first = _sides(a, b, names, baseline)
    tolerances = Tolerances(rtol, atol)
    sides = tuple(name for name in values if name != first)
    if by_itself is not None and len(sides) > 1:
        raise UsageError("by_itself is for two values, and there are more")
    if all(map(is_training_trace, values.values())):
        given = None if rtol is None and atol is None else tolerances
        return _trainings(values, first, sides, mapping, given, by_itself)
    if mapping is not None:
        raise UsageError("mapping is for training traces, which tfkernels.trace_training makes")
    if any(map(is_training_trace, values.values())):
        other = next(side for side, value in values.items() if not is_training_trace(value))
        raise UsageError(f"{other} is no training trace, and another side is. Make one there: tfkernels.trace_training")
    walks = [Walk(side, tolerances, equal_nan, check_dtype, top_k) for side in sides]
    parts = [part for walk in walks for part in walk.parts(values[first], values[walk.side])]
    if by_itself is not None:
        alone = {part.path: size_of(part) for part in walks[0].parts(values[first], by_itself)}
        parts = [replace(part, by_itself=alone.get(part.path, "")) for part in parts]
    return Comparison(first, sides, _by_path(parts))


def _by_path(parts: list[Part]) -> tuple[Part, ...]:
    """By path in order, and by side within one path."""
    places: dict[str, int] = {}
    for part in parts:
        places.setdefault(part.path, len(places))
    return tuple(sorted(parts, key=lambda part: places[part.path]))  # stable


def _trainings(
    values: Mapping[str, Any],
    first: str,
    sides: tuple[str, ...],
    mapping: Mapping[str, str] | None,
    given: Tolerances | None,
    by_itself: Mapping[str, Any] | None,
) -> Comparison:
    with own_imports():
        from tfkernels.comparison.trainings import compare_trainings  # the rules are needed here only

    found = [compare_trainings(values[first], values[side], (first, side), mapping, given, by_itself) for side in sides]
    parts = [part for each in found for part in each.parts]
    findings = tuple(finding for each in found for finding in each.findings)
    notes = tuple(dict.fromkeys(note for each in found for note in each.notes))
    return Comparison(first, sides, _by_path(parts), findings, notes)


def _sides(a: Any, b: Any, names: Sequence[str] | None, baseline: str | None) -> tuple[dict[str, Any], str]:
    """The values by name, and the name of the baseline."""
    if b is _NOTHING:
        if not isinstance(a, Mapping) or len(a) < 2 or names is not None:
            raise UsageError(
                "compare() needs two values, compare(a, b, names=('tf1', 'tf2')), or a dict of several by kernel, "
                "compare({'tf1': a, 'tf2': b})"
            )
        values = {str(name): value for name, value in a.items()}
        if len(values) < len(a):
            raise UsageError(f"two of the values have the same name: {', '.join(map(repr, a))}")
    else:
        names = ("a", "b") if names is None else names
        if isinstance(names, str) or len({str(name) for name in names}) != 2 or len(names) != 2:
            raise UsageError(f"names={names!r}: two different names, for the first value and for the second")
        values = dict(zip(map(str, names), (a, b)))
    first = next(iter(values)) if baseline is None else str(baseline)
    if first not in values:
        raise UsageError(f"baseline={baseline!r} is not one of the values: {', '.join(values)}")
    return values, first
