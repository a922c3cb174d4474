"""Values as deep as may travel, and programs as deep as may call."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support import specimens
from tests.support.specimens import assert_same as assert_same
from tfkernels.protocol import MAX_DEPTH


def deep(kinds: list[Callable[[Any], Any]]) -> Any:
    """So deep that it may just be passed."""
    value: Any = "the bottom"
    for level in range(MAX_DEPTH - 1):
        value = kinds[level % len(kinds)](value)
    return value


DEEP: dict[str, list[Callable[[Any], Any]]] = {
    "lists": [lambda inner: [inner]],
    "dicts": [lambda inner: {"a": inner}],
    "namespaces": [lambda inner: types.SimpleNamespace(a=inner)],
    "many kinds": [
        lambda inner: [inner],
        lambda inner: (1, inner),
        lambda inner: {"a": inner},
        lambda inner: collections.OrderedDict(a=inner),
        lambda inner: specimens.Point(inner, 1),
        lambda inner: np.array([inner, None], object),
    ],
}


def called(times: int, function: Callable[[], Any]) -> Any:
    """By so many functions, one from the other."""
    return function() if times <= 0 else called(times - 1, function)
