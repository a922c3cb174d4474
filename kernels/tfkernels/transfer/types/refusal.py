"""Why a value is of no kind that travels, and what to pass instead."""

import enum
import typing

import numpy as np

_INSTEAD: typing.Sequence[typing.Tuple[type, str]] = [
    (np.ndarray, "numpy.asarray(value)"),
    (enum.Enum, "value.value"),
    (dict, "dict(value)"),
    (list, "list(value)"),
    (tuple, "tuple(value)"),
    (set, "set(value)"),
    (str, "str(value)"),
    (int, "int(value)"),
    (float, "float(value)"),
]


def why_not(value: typing.Any) -> str:
    """The reason, with the type's full name; the first line of ``_INSTEAD`` that fits says what to pass."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] in ("tensorflow", "keras"):
        return (
            f"{name} is part of a TensorFlow program and has no value by itself; run it where it lives and pass the "
            "result, for example sess.run(tensor) or model.get_weights()"
        )
    for base, instead in _INSTEAD:
        if isinstance(value, base):
            return f"{name} is a class of its own, which another kernel need not have; pass {instead}"
    return (
        f"objects of type {name} cannot be passed; what can is None, numbers, text, bytes, times, NumPy arrays, pandas "
        "and scipy.sparse objects, eager tensors, and lists, tuples, dicts and sets of these"
    )
