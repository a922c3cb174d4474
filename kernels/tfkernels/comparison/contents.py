"""The parts of compound values (a dict, a DataFrame, a sparse matrix), and a short description of any value."""

from __future__ import annotations

import collections
import re
import types
from collections.abc import Mapping
from typing import Any, Callable, Dict, cast

import numpy as np

from tfkernels.errors import UsageError

Parts = Dict[str, Any]
"""The parts of a value, by the text that their paths add to its own."""

_BARE = re.compile(r"[\w/:-]+")

_CONTAINERS = (Mapping, list, tuple, set, frozenset, np.ndarray)


def parts_of(value: Any, root: bool = False) -> Parts | None:
    """The parts of a compound value in order, or ``None`` if it is an array or a plain value.

    The simple names among the keys of the outermost dict stand without brackets: ``weights['conv1'][0]``.
    """
    reader = _READERS.get(_library(value))
    parts = reader(value) if reader else None
    if parts is not None:
        return parts
    if isinstance(value, Mapping):
        return _mapping_parts(value, root)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {f".{name}": item for name, item in zip(value._fields, value)}
    if isinstance(value, types.SimpleNamespace):
        return {f".{name}": item for name, item in vars(value).items()}
    if isinstance(value, (list, tuple, collections.deque)):
        return {f"[{index}]": item for index, item in enumerate(value)}
    if isinstance(value, (set, frozenset)):
        return {f"{{{_key(item)!r}}}": item for item in sorted(value, key=repr)}
    if isinstance(value, np.void):
        value = np.asarray(value)
    return _array_parts(value) if isinstance(value, np.ndarray) else None


def kind(value: Any) -> str:
    """Compound values of one kind can be compared part by part."""
    known = {} if _library(value) in _READERS else _KINDS  # scipy's dictionary of keys is a dict
    return next((name for name, classes in known.items() if isinstance(value, classes)), "record")


_KINDS: dict[str, Any] = {"dict": Mapping, "list": (list, tuple, collections.deque), "set": (set, frozenset)}


def _library(value: Any) -> str:
    return str(type(value).__module__).split(".")[0]


def _mapping_parts(mapping: Mapping[Any, Any], root: bool) -> Parts:
    parts: Parts = {}
    for key, item in mapping.items():
        key = _key(key)
        text = key if root and isinstance(key, str) and _BARE.fullmatch(key) else f"[{key!r}]"
        while text in parts:  # different keys that are written alike, such as two NaN
            text += "'"
        parts[text] = item
    return parts


def _key(key: Any) -> Any:
    """Keys that are equal in Python as one that is written in one way: 1 for 1.0 and for NumPy's 1."""
    key = key.item() if isinstance(key, np.generic) else key
    return int(key) if isinstance(key, float) and key.is_integer() and abs(key) < 2**53 else key


def _array_parts(array: Any) -> Parts | None:
    if isinstance(array, np.ma.MaskedArray):
        zero = cast(Any, np.zeros((), array.dtype)[()])
        return {".mask": np.ma.getmaskarray(array), ".data": array.filled(zero)}
    if array.dtype.names is not None:
        return {f"[{name!r}]": array[name] for name in array.dtype.names}
    if array.dtype.hasobject and any(isinstance(item, _CONTAINERS) for item in array.flat):
        return {f"[{', '.join(map(str, index))}]": array[index] for index in np.ndindex(*array.shape)}
    return None


def _pandas_parts(value: Any) -> Parts | None:
    name = type(value).__name__
    if name == "DataFrame":
        keys = [f"[{key!r}]" for key in value.columns]
        if len(set(keys)) < len(keys):  # two columns of one name
            keys = [f".iloc[:, {place}]" for place in range(len(keys))]
        columns = {key: _column(value.iloc[:, place]) for place, key in enumerate(keys)}
        return {".index": _column(value.index), **columns}
    if name == "Series":
        return {".index": _column(value.index), ".values": _column(value)}
    return {".values": _column(value)} if hasattr(value, "dtype") and hasattr(value, "__len__") else None


def _column(column: Any) -> Any:
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    if getattr(column.dtype, "kind", "O") == "f":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(column, dtype=object)  # categories, zones, missing values: element by element


_DENSE = 1 << 22
"""Elements. A sparse matrix with fewer is compared as an ordinary one."""


def _scipy_parts(matrix: Any) -> Parts | None:
    if not hasattr(matrix, "toarray"):
        return None
    if np.prod(matrix.shape, dtype=np.float64) <= _DENSE:
        return {".toarray()": matrix.toarray()}
    found = matrix.tocoo(copy=True)  # what follows works in place
    found.sum_duplicates()
    found.eliminate_zeros()
    places = getattr(found, "coords", None) or (found.row, found.col)
    coordinates = {f".coords[{axis}]": place for axis, place in enumerate(places)}
    return {".shape": found.shape, **coordinates, ".data": found.data}


def _tensor_parts(tensor: Any) -> Parts | None:
    """The components of ragged and sparse tensors, and of what a session returns for them."""
    for names in (("flat_values", "nested_row_splits"), ("indices", "values", "dense_shape")):
        if all(hasattr(tensor, name) for name in names):
            return {f".{name}": getattr(tensor, name) for name in names}
    return None


_READERS: dict[str, Callable[[Any], Parts | None]] = {
    "pandas": _pandas_parts,
    "scipy": _scipy_parts,
    "tensorflow": _tensor_parts,
}


def evaluate(path: str, value: Any) -> Any:
    """The array of an eager tensor or variable; anything else as it is.

    Raises ``UsageError`` for what has no value to compare, such as a tensor of a graph, or a model.
    """
    if isinstance(value, _PLAIN) or parts_of(value) is not None:
        return value
    if _library(value) in ("tensorflow", "keras") or hasattr(value, "__array__"):
        array = _array_of(value)
        if array is not None:
            return array
    elif any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1]):
        return value
    raise UsageError(
        f"{path}: a {type(value).__module__}.{type(value).__qualname__} has no value by itself. Compare "
        "sess.run(tensor), model.get_weights(), tfkernels.trace(model, inputs), or the object's parts"
    )


def _array_of(value: Any) -> Any:
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except Exception:  # noqa: BLE001 (without a value each kind of tensor raises something else, by release)
        return None
    # NumPy puts anything that it does not know, such as a model, into an array of one object.
    return None if array.dtype == object and array.ndim == 0 else array


_PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes, bytearray, np.generic, np.ndarray)


def as_leaf(value: Any) -> Any:
    """An ndarray of a number or an array; other plain values as they are."""
    if isinstance(value, (bool, int, float, complex, np.generic, np.ndarray)):
        array = np.asarray(value)
        return _hex(value) if isinstance(value, int) and array.dtype.hasobject else array  # beyond 64 bits
    return value


def _hex(value: Any) -> Any:
    """Integers of thousands of digits in hexadecimal: Python refuses to write them in decimal."""
    return hex(value) if isinstance(value, int) and value.bit_length() > 10_000 else value


def describe(value: Any) -> str:
    """A few words: dtype and shape of an array, a short plain value itself, the size of a compound one."""
    if isinstance(value, np.ndarray) and value.dtype.names is None:
        return f"{value.dtype} {value.shape}"
    parts = parts_of(value)
    if parts is not None:
        return f"{type(value).__name__} of {len(parts)}"
    if _library(value) in ("tensorflow", "keras"):
        return type(value).__name__
    text = repr(_hex(value))
    return text if len(text) <= 60 else f"{text[:40]} … {text[-16:]}"
