"""TensorFlow's numbers of dtypes (types.proto), with their names and NumPy's dtypes."""

from typing import Any, Optional

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.imports import own_imports

_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
}
_QUANTISED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16", "qint32": "int32"}
_OF_ML_DTYPES = ("bfloat16", "float8_e5m2", "float8_e4m3fn")
_FLOATING = ("float16", "float32", "float64", *_OF_ML_DTYPES)


def name_of(number: int) -> str:
    """TensorFlow 1 adds 100 to the dtypes of reference variables."""
    return _NAMES.get(number - 100 if number > 100 else number, f"dtype {number}")


def is_floating(name: str) -> bool:
    return name in _FLOATING


def in_numpy(name: str) -> "np.dtype[Any]":
    """Raises ``UnreadableFile`` for what is no number, or is one that this NumPy does not know."""
    if name in _OF_ML_DTYPES:
        found = _of_ml_dtypes(name)
        if found is None:
            raise UnreadableFile(f"its dtype {name} needs the package ml_dtypes", advice="pip install ml_dtypes.")
        return found
    if name in ("string", "resource", "variant") or name not in _NAMES.values():
        raise UnreadableFile(f"values of {name} cannot be read as an array")
    return np.dtype(_QUANTISED.get(name, name))


def _of_ml_dtypes(name: str) -> "Optional[np.dtype[Any]]":
    try:
        with own_imports():
            import ml_dtypes
    except ImportError:
        return None
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found
