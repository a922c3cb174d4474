"""Distances in units in the last place (ULP): how many numbers of the dtype lie between two of them.

The bits of a float, read as an integer, count the numbers from zero on, with a sign in front: within one sign the
distance is the difference of the integers, across zero the sum of their magnitudes. Both zeros are the same number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfkernels.comparison.dtype_precision import narrower

_BITS = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 4, "complex128": 8}
"""Dtypes with units, and the bytes of a number, or of a complex number's parts."""


def distances(first: Any, second: Any, out: Any = None) -> Any:
    """Unsigned integers for the elements of two 1-D arrays, in units of the narrower dtype; ``None`` if it has none.

    Of complex numbers the larger distance of their parts. Infinity counts as a number, NaN gives nonsense. ``out``:
    memory for the distances, used if it fits.
    """
    unit = narrower(first.dtype, second.dtype)
    size = _BITS.get(unit.name)
    if size is None:
        return None
    with np.errstate(over="ignore"):
        i, j = (np.ascontiguousarray(side.astype(unit, copy=False)).view(f"i{size}") for side in (first, second))
    fits = out is not None and out.itemsize == size and len(i) <= len(out)
    found = np.bitwise_xor(i, j, out=out[: len(i)].view(i.dtype) if fits else None)
    opposite = np.flatnonzero(found < 0) if found.size and found.min() < 0 else None
    np.subtract(i, j, out=found)
    found = np.abs(found, out=found).view(f"u{size}")
    if opposite is not None:  # rare: only values about zero change their sign
        i, j = ((bits[opposite] & np.iinfo(bits.dtype).max).view(found.dtype) for bits in (i, j))
        found[opposite] = i + j
    return np.maximum(found[::2], found[1::2]) if unit.kind == "c" else found
