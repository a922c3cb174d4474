"""The reason why a value cannot be passed, and what to pass in its place."""

import enum
import typing

import numpy as np

_ALTERNATIVES: typing.Sequence[typing.Tuple[type, str]] = [
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
    """The reason, with the type's full name; the first line of ``_ALTERNATIVES`` that fits says what to pass."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] in ("tensorflow", "keras"):
        return (
            f"{name} is part of a TensorFlow program and has no value by itself. Run it there and pass the result, for "
            "example sess.run(tensor) or model.get_weights()."
        )
    for base, instead in _ALTERNATIVES:
        if isinstance(value, base):
            return f"{name} is a class that another kernel may not have. Pass {instead}."
    return (
        f"objects of type {name} cannot be passed. Pass None, numbers, text, bytes, times, NumPy arrays, objects of "
        "pandas and scipy.sparse, eager tensors, or lists, tuples, dicts and sets of these."
    )
