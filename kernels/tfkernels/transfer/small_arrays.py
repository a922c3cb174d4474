"""Small arrays of one form (dtype, shape, order) as one stack, and likewise NumPy's scalars.

Thousands of small arrays travel as a few large ones: their bytes lie in one buffer per form, and the skeleton holds for
each no more than the number of its form. Which of the stack it is says their order.

A form is plain JSON: ``[dtype, shape, "C"|"F", count, offset]``; the shape of scalars is empty.
"""

import typing

import numpy as np

from tfkernels.transfer.dtypes import COMMON_TYPES, common, decode_dtype

LARGEST = 4096
"""Bytes. For larger arrays the copy costs more than their description."""

Form = typing.List[typing.Any]
Node = typing.List[int]
_Key = typing.Tuple["np.dtype[typing.Any]", type, typing.Tuple[int, ...], bool]
"""Dtypes that are equal may be of two types."""


class Stacker:
    """Collects what is small, by form. What is put here is copied at once."""

    def __init__(self) -> None:
        self._stacks: typing.Dict[_Key, typing.Tuple[Node, typing.List[bytes]]] = {}

    def array(self, array: typing.Any) -> typing.Optional[Node]:
        """The node of a small array, or ``None`` for all others."""
        shape, dtype = array.shape, array.dtype
        if not shape:  # a scalar's form is the same
            return None
        key = (dtype, dtype.type, shape, len(shape) > 1 and array.flags.fnc)
        stack = self._stacks.get(key)
        if stack is None:
            if common(dtype) is None or not 0 < array.nbytes <= LARGEST:
                return None
            stack = self._new(key)
        stack[1].append(array.tobytes("A"))
        return stack[0]

    def scalar(self, value: typing.Any) -> typing.Optional[Node]:
        """The node of one of the usual scalars, or ``None`` for all others."""
        dtype = COMMON_TYPES.get(type(value))
        if dtype is None:
            return None
        key = (dtype, dtype.type, (), False)
        stack = self._stacks.get(key) or self._new(key)
        stack[1].append(value.tobytes())
        return stack[0]

    def _new(self, key: _Key) -> typing.Tuple[Node, typing.List[bytes]]:
        stack = self._stacks[key] = ([len(self._stacks)], [])
        return stack

    def lay_out(self, place: typing.Callable[[bytes], int]) -> typing.List[Form]:
        """Hands each stack's bytes to ``place``, which says where they lie, and returns the forms."""
        return [
            [dtype.str, list(shape), "F" if fortran else "C", len(pieces), place(b"".join(pieces))]
            for (dtype, _, shape, fortran), (_, pieces) in self._stacks.items()
        ]


def unstack(form: Form, memory: typing.Any) -> typing.Iterator[typing.Any]:
    """The arrays or scalars of one form, one after the other, each in memory of its own."""
    text, shape, order, count, offset = form
    dtype = decode_dtype(text)
    if offset < 0 or count < 0 or min(shape, default=1) < 1 or dtype.itemsize == 0:
        raise ValueError(f"a stack of {form}")  # NumPy would take it
    if order == "F":
        rows = np.ndarray((count, *shape[::-1]), dtype, memory, offset).transpose(0, *range(len(shape), 0, -1))
        return (row.copy("F") for row in rows)
    rows = np.ndarray((count, *shape), dtype, memory, offset)
    return map(np.ndarray.copy, rows) if shape else iter(rows)
