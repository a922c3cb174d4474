"""Values of Keras's configurations as JSON values: what a record holds instead of tensors, shapes and functions."""

import enum
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np


@functools.singledispatch
def plain(value: Any) -> Any:
    """``value`` as JSON values. A function or a class is its name; an object that has a configuration is that."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "as_list"):  # a shape
        return None if value.ndims is None else plain(value.as_list())
    if hasattr(value, "as_numpy_dtype"):
        return value.name
    if hasattr(value, "get_config") and not isinstance(value, type):
        return {"class_name": type(value).__name__, "config": plain(value.get_config())}
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return plain(value.numpy()) if hasattr(value, "numpy") else str(value)


@plain.register(Mapping)
def _(value: Any) -> Any:
    return {str(key): plain(item) for key, item in value.items()}


@plain.register(np.generic)
@plain.register(np.ndarray)
def _(value: Any) -> Any:
    return plain(value.tolist())


@plain.register(np.dtype)
def _(value: Any) -> Any:
    return value.name


@plain.register(enum.Enum)
def _(value: Any) -> Any:
    return plain(value.value)


@plain.register(bytes)
def _(value: Any) -> Any:
    return value.decode("utf-8", "replace")
