"""The result of ``compare`` as users have it: it shows itself, asserts, plots and exports."""

from __future__ import annotations

import json
import os
import typing

from tfkernels.comparison.render import html, text
from tfkernels.comparison.result import Findings, Part


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
        return html.render(self)

    @property
    def first_difference(self) -> Part | None:
        """The first part that did not pass: where two models or two lists of layers begin to diverge."""
        return next(iter(self.failed), None)

    def assert_close(self) -> None:
        """Raises ``AssertionError`` with the text report if not every part passed."""
        if not self.passed:
            raise AssertionError(f"\n{self}")

    def plot(self, path: str | None = None, side: str | None = None) -> typing.Any:
        """A matplotlib figure of one part; a notebook shows it as the result of a cell, ``.savefig(file)`` writes it.

        Histograms of the absolute errors and of the ULP distances, both values against each other, and, of image-like
        arrays, where the errors are. Without ``path``: the first part that did not pass on ``side``, or else the one
        with the largest relative error; with more than two parts, how the errors grow along the order is above it.

        Raises ``KeyError`` for an unknown path or side, ``ImportError`` if there is no matplotlib.
        """
        from tfkernels.comparison.render.plot import draw  # matplotlib is needed here only

        return draw(self, path, side)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """``to_dict()`` as JSON, also written to ``path`` if one is given."""
        written = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(written + "\n")
        return written

    def to_dataframe(self) -> typing.Any:
        """A pandas DataFrame with a row for each part. Raises ``ImportError`` if there is no pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_dataframe() needs pandas in this kernel. Install it: !pip install pandas") from error
        return pd.json_normalize(self.to_dict()["parts"])
