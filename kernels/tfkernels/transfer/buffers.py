"""Arrays as plain bytes in memory, and back."""

import typing

import numpy as np

from tfkernels.transfer.small_arrays import LARGEST

Array = typing.Any
"""A NumPy array, of any dtype."""
Buffer = typing.Union[bytes, bytearray, "np.ndarray[typing.Any, typing.Any]"]


def nbytes(buffer: Buffer) -> int:
    return len(buffer) if isinstance(buffer, (bytes, bytearray)) else buffer.nbytes


def look(memory: typing.Any, shape: typing.Tuple[int, ...], dtype: typing.Any, order: typing.Any, offset: int) -> Array:
    if offset < 0 or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} at {offset}")  # NumPy would take it
    if dtype.itemsize == 0 or 0 in shape:
        return np.ndarray(shape, dtype, order=order)  # np.empty makes S1 of S0
    return np.ndarray(shape, dtype, buffer=memory, offset=offset, order=order)


def raw(array: "np.ndarray[typing.Any, typing.Any]") -> Buffer:
    """The array's bytes in memory order; a copy only if it is not contiguous, or so small that a view costs more."""
    if array.nbytes <= LARGEST:
        return array.tobytes("A")
    if not array.flags.c_contiguous:
        array = array.T if array.flags.f_contiguous else np.ascontiguousarray(array)
    return array.reshape(-1).view(np.uint8)
