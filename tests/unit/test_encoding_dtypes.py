"""The codec, dtype by dtype: what arrives is of the same dtype and type.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow's old ones: no newer syntax here.
"""

import sys
import types
import typing

import numpy as np
import pytest

from tests.support import specimens
from tests.support.specimens import assert_same as assert_same
from tests.unit.test_encoding import decoded, travel
from tfkernels.errors import MissingPackage, NotPortable


def test_dtypes_of_unknown_libraries_are_refused(monkeypatch: typing.Any) -> None:
    if specimens.ml_dtypes is not None:  # it is on all but the oldest Pythons
        array = np.ones(2, specimens.registered_dtypes()[0])
        monkeypatch.setitem(sys.modules, "ml_dtypes", None)
        with pytest.raises(NotPortable, match=str(array.dtype)):
            travel(array)


def test_missing_ml_dtypes_names_the_installing_cell(monkeypatch: typing.Any) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    node = ["array", {"registered": "bfloat16"}, [1], "C", 0]
    with pytest.raises(MissingPackage) as caught:
        decoded(node)
    error = caught.value
    assert "this Python lacks ml_dtypes (import of ml_dtypes halted" in str(error)
    assert f"Install it with:\n{sys.executable} -m pip install ml_dtypes\n" in str(error)
    error.kernel, error.magic = "tf1", "%%tf1"
    assert "bfloat16: kernel tf1 lacks ml_dtypes" in str(error)
    assert "Install it with:\n%%tf1\n%pip install ml_dtypes\n(It needs" in str(error)
    error.kernel = ""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object))
    assert "this notebook's kernel lacks" in str(error)
    assert "Install it with:\n%pip install ml_dtypes\n" in str(error)


def test_integer_bfloat16_of_old_tensorflow_is_refused(monkeypatch: typing.Any) -> None:
    """A stand-in for the module: TensorFlow 1.0 to 1.4 have that, and Python 3.6 only."""
    early: typing.Any = types.ModuleType("tensorflow")
    early.bfloat16 = types.SimpleNamespace(as_numpy_dtype=np.uint16)
    monkeypatch.setitem(sys.modules, "tensorflow", early)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingPackage, match=r"(?s)bfloat16.*lacks ml_dtypes"):
        decoded(["array", {"registered": "bfloat16"}, [1], "C", 0])


@pytest.mark.parametrize("code", "bBhHiIlLqQpPefdgFDG")
@pytest.mark.parametrize("order", "=<>")
def test_numbers_are_of_the_same_type_of_c(code: typing.Any, order: typing.Any) -> None:
    """long and long long, say, are equal as dtypes, and are two types of NumPy all the same."""
    dtype = np.dtype(code).newbyteorder(order)
    many = np.arange(5000).astype(dtype)
    for value in (dtype, many, many[:3], many[5], np.zeros(2, [("a", dtype)]), [np.zeros(2, "i8"), np.zeros(2, dtype)]):
        assert_same(travel(value), value)


@pytest.mark.parametrize("dtype", ["S0", ">U0", "V0", [("a", "S0")], [("a", "S0"), ("b", "i4")]])
@pytest.mark.parametrize("shape", [(), (2,), (0,), (2, 3), (0, 3)])
@pytest.mark.parametrize("order", "CF")
def test_text_without_characters(dtype: typing.Any, shape: typing.Any, order: typing.Any) -> None:
    array: typing.Any = np.ndarray(shape, np.dtype(dtype), order=order)  # np.zeros would make S1 of S0
    assert array.dtype == np.dtype(dtype)
    assert_same(travel(array), array)


def test_arrays_without_memory_take_none() -> None:
    """However large; a damaged message may have such a thing, too."""
    there = decoded(["array", "|S0", [2**45], "C", 0])
    assert (there.dtype, there.shape) == (np.dtype("S0"), (2**45,))
