"""What kind of number a dtype holds, and how precisely; NumPy's own dtypes and those of ml_dtypes and TensorFlow."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

DType = Any  # np.dtype; NumPy 1.18 has no generic form of it

_FLOAT = re.compile(r"float\d+_e\d+m(\d+)")
"""ml_dtypes' names: float8_e4m3fn has 3 bits of significand that are stored, and one that is not."""

_INTEGER = re.compile(r"u?int\d+")


def precision(dtype: DType) -> int | None:
    """Bits of the significand, the hidden one included; of a complex dtype, of its parts. ``None`` if it is exact."""
    if issubclass(dtype.type, np.inexact):
        return int(np.finfo(dtype).nmant) + 1
    if dtype.name == "bfloat16":
        return 8
    found = _FLOAT.match(dtype.name)
    return int(found.group(1)) + 1 if found else None


def is_number(dtype: DType) -> bool:
    """Whether it has a difference: bools, integers, floats, complex numbers; not text, times and objects."""
    return _is_numpys(dtype) or precision(dtype) is not None or _INTEGER.fullmatch(dtype.name) is not None


def working(*dtypes: DType) -> DType:
    """The dtype that errors of these are computed in: what NumPy promotes them to, and float32 at least."""
    common = np.dtype(np.float32)
    for dtype in dtypes:
        common = np.promote_types(common, dtype if _is_numpys(dtype) else np.float32)
    return common


def narrower(first: DType, second: DType) -> DType:
    """The less precise of two inexact dtypes, or the only inexact one, in native byte order; complex if one is."""
    bits = [precision(dtype) or 1000 for dtype in (first, second)]
    found = first if bits[0] <= bits[1] else second
    if "c" in (first.kind, second.kind) and found.kind != "c":
        return np.dtype(np.complex128 if min(bits) > 24 else np.complex64)
    return found.newbyteorder("=") if _is_numpys(found) else found


def _is_numpys(dtype: DType) -> bool:
    """By its class: the kind of some of ml_dtypes' is the same letter."""
    return issubclass(dtype.type, (np.number, np.bool_)) and not issubclass(dtype.type, np.timedelta64)
