"""Values of pandas and scipy, compared by what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from tfkernels.comparison import compare


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": np.array([1, 2, 3], "float32"),
            "n": pd.array([1, None, 3], "Int64"),
            "f": pd.array([1.5, None, 2.5], "Float64"),
            "s": ["a", "b", None],
            "c": pd.Categorical(["u", "v", "u"]),
            "t": pd.to_datetime(["2020-01-01", None, "2020-01-03"]).tz_localize("UTC"),
        }
    )


def test_a_frame_by_its_columns_and_its_index() -> None:
    one, two = frame(), frame()
    found = compare({"table": one}, {"table": two})
    assert found.passed, str(found)
    paths = [part.path for part in found.parts]
    assert paths == ["table.index", *(f"table['{name}']" for name in "xnfsct")]
    two.loc[2, "x"] = 3.1
    two.loc[1, "n"] = 2
    two["c"] = ["u", "v", "v"]
    assert [part.path for part in compare(one, two).failed] == ["['x']", "['n']", "['c']"]


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "string", "Sparse[float]"])
def test_series_with_missing_values_equal_themselves(dtype: str) -> None:
    values: list[Any] = ["a", None] if dtype == "string" else [1, None]
    series = pd.Series(values, dtype=dtype)
    assert compare(series, series.copy()).passed
    assert compare(pd.NA, pd.NA).passed
    assert not compare(series, series.iloc[::-1].reset_index(drop=True)).passed


def test_a_close_float_column_of_pandas_own() -> None:
    one = pd.Series([1.0, None, 3.0], dtype="Float64")
    (_, values) = compare(one, one * (1 + 1e-9)).parts
    assert values.verdict == "close"


def test_sparse_matrices_by_their_values_whatever_their_format() -> None:
    dense = np.array([[0.0, 1.0], [2.0, 0.0]])
    makers = [scipy.sparse.csr_matrix, scipy.sparse.coo_matrix, scipy.sparse.dok_matrix, scipy.sparse.lil_matrix]
    for make in makers:
        assert compare(scipy.sparse.csr_matrix(dense), make(dense)).passed
    stored = scipy.sparse.csr_matrix(dense + np.array([[1e-12, 0], [0, 0]]))
    assert compare(scipy.sparse.csr_matrix(dense), stored).passed, "a stored value near zero against none"
    (part,) = compare(scipy.sparse.csr_matrix(dense), scipy.sparse.csr_matrix(dense * [1, 2])).failed
    assert part.statistics is not None
    assert part.statistics.worst is not None
    assert part.statistics.worst.index == (0, 1)
    assert not compare(scipy.sparse.dok_matrix((3, 3)), scipy.sparse.dok_matrix((5, 5))).passed


def test_large_sparse_matrices_by_their_coordinates() -> None:
    one = scipy.sparse.coo_matrix(([1.0, 2.0], ([5, 9_000_000], [7, 8])), shape=(10_000_000, 10))
    two = scipy.sparse.csr_matrix(one)
    assert compare(one, two).passed
    two.data[1] = 3
    assert [part.path for part in compare({"m": one}, {"m": two}).failed] == ["m.data"]


def test_a_comparison_as_a_frame() -> None:
    table = compare({"a": np.ones(3), "b": "x"}, {"a": np.array([1, 1, 2.0]), "b": "x"}).to_dataframe()
    assert list(table["path"]) == ["a", "b"]
    assert list(table["passed"]) == [False, True]
    assert table["statistics.mismatched"][0] == 1
    assert table["statistics.max_absolute_error.index"][0] == [2]
