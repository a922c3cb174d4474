"""Distances in units in the last place (ULP): how many numbers of the dtype lie between two of them.

The bits of a float, read as an integer, count the numbers from zero on, with a sign in front: within one sign the
distance is the difference of the integers, across zero the sum of their magnitudes. Both zeros are the same number.
"""

from __future__ import annotations

import typing

import numpy as np

from tfkernels.comparison.dtypes import DType

_SIGNED: dict[int, typing.Any] = {2: np.int16, 4: np.int32, 8: np.int64}
_UNSIGNED: dict[int, typing.Any] = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def unit_dtype(dtype: DType) -> DType | None:
    """The real dtype in whose units a dtype's distances are: its own, or that of its parts. ``None`` if it has none."""
    if dtype.name in ("float16", "bfloat16", "float32", "float64"):
        return dtype
    return {"complex64": np.dtype(np.float32), "complex128": np.dtype(np.float64)}.get(dtype.name)


def distances(first: typing.Any, second: typing.Any, out: typing.Any = None) -> typing.Any:
    """Unsigned integers, one for each element of two contiguous arrays of one real dtype; infinity counts as a number,
    NaN gives nonsense. ``out``: memory for them, of the dtype's size."""
    size = first.dtype.itemsize
    signed, unsigned = _SIGNED[size], _UNSIGNED[size]
    i, j = first.view(signed), second.view(signed)
    found = np.bitwise_xor(i, j, out=None if out is None else out.view(signed))
    opposite = np.flatnonzero(found < 0) if found.size and found.min() < 0 else None
    np.subtract(i, j, out=found)
    np.abs(found, out=found)
    found = found.view(unsigned)
    if opposite is not None:  # rare: only values about zero change their sign
        magnitude = np.iinfo(signed).max
        i, j = (bits[opposite] & magnitude for bits in (i, j))
        found[opposite] = i.view(unsigned) + j.view(unsigned)
    return found
