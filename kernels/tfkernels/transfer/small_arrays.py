"""Batches of small arrays and scalars of one form (dtype, shape, order).

The bytes of all arrays of a form lie in one buffer, in their order; the skeleton has only the form's number for each.
A form is plain JSON: ``[dtype, shape, "C"|"F", count, offset]``; the shape of scalars is empty.
"""

import typing

import numpy as np

from tfkernels.transfer.dtypes import COMMON_TYPES, MAX_SMALL_BYTES, common, decode_dtype

Form = typing.List[typing.Any]
Node = typing.List[int]
_Key = typing.Tuple["np.dtype[typing.Any]", type, typing.Tuple[int, ...], bool]
"""Dtypes that are equal may be of two types."""


class Batches:
    """Collects copies of small arrays and scalars by form."""

    def __init__(self) -> None:
        self._batches: typing.Dict[_Key, typing.Tuple[Node, typing.List[bytes]]] = {}

    def array(self, array: typing.Any) -> typing.Optional[Node]:
        """The node of a small array, or ``None`` for all others."""
        shape, dtype = array.shape, array.dtype
        if not shape:  # a scalar's form is the same
            return None
        key = (dtype, dtype.type, shape, len(shape) > 1 and array.flags.fnc)
        batch = self._batches.get(key)
        if batch is None:
            if common(dtype) is None or not 0 < array.nbytes <= MAX_SMALL_BYTES:
                return None
            batch = self._new(key)
        batch[1].append(array.tobytes("A"))
        return batch[0]

    def scalar(self, value: typing.Any) -> typing.Optional[Node]:
        """The node of one of the usual scalars, or ``None`` for all others."""
        dtype = COMMON_TYPES.get(type(value))
        if dtype is None:
            return None
        key = (dtype, dtype.type, (), False)
        batch = self._batches.get(key) or self._new(key)
        batch[1].append(value.tobytes())
        return batch[0]

    def _new(self, key: _Key) -> typing.Tuple[Node, typing.List[bytes]]:
        batch = self._batches[key] = ([len(self._batches)], [])
        return batch

    def place(self, place: typing.Callable[[bytes], int]) -> typing.List[Form]:
        """The forms; ``place`` takes the bytes of each and returns their offset."""
        return [
            [dtype.str, list(shape), "F" if fortran else "C", len(pieces), place(b"".join(pieces))]
            for (dtype, _, shape, fortran), (_, pieces) in self._batches.items()
        ]


def unbatch(form: Form, memory: typing.Any) -> typing.Iterator[typing.Any]:
    """The arrays or scalars of one form, in their order; arrays are copies."""
    text, shape, order, count, offset = form
    dtype = decode_dtype(text)
    if offset < 0 or count < 0 or min(shape, default=1) < 1 or dtype.itemsize == 0:
        raise ValueError(f"a batch of {form}")  # NumPy would take it
    if order == "F":
        rows = np.ndarray((count, *shape[::-1]), dtype, memory, offset).transpose(0, *range(len(shape), 0, -1))
        return (row.copy("F") for row in rows)
    rows = np.ndarray((count, *shape), dtype, memory, offset)
    return map(np.ndarray.copy, rows) if shape else iter(rows)
