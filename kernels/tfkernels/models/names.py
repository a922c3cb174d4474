"""Names of layers that do not depend on what else was built before in the same kernel."""

from __future__ import annotations

import re
from typing import Iterable

SEPARATOR = "/"
"""Between a model and its layers, and between a layer and its weights."""

_NUMBER = re.compile(r"_\d+$")
_KERAS_3 = r"(.)([A-Z][a-z]+)"
_KERAS_2 = r"(.)([A-Z][a-z0-9]+)"
_MODELS = {"Model", "Functional"}  # one class of models, called otherwise from release to release


def renumbered(layers: Iterable[tuple[str, str]]) -> list[str]:
    """The names of layers that stand side by side, given as ``(name, name of its class)`` in the model's order.

    An automatic name (``dense_7`` of a ``Dense``) gets its number from its place among those of its class: ``dense``,
    ``dense_1``, …. Any other name was chosen by the user and stays.
    """
    given = [(name, _automatic(name, kind)) for name, kind in layers]
    taken = {name for name, stem in given if stem is None}
    return [name if stem is None else take_name(stem, taken, "_") for name, stem in given]


def take_name(name: str, taken: set[str], mark: str = ":") -> str:
    """``name``, or with the first number that is free: ``name:1``, ``name:2``, …; it is added to ``taken``."""
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}{mark}{number}"
    taken.add(free)
    return free


def unnumbered(name: str) -> str:
    return _NUMBER.sub("", name)


def _automatic(name: str, kind: str) -> str | None:
    """The automatic name without its number, as Keras 3 spells it, if ``name`` is one for a layer of class ``kind``."""
    stem = unnumbered(name)
    if kind in _MODELS:
        return "model" if stem in ("model", "functional") else None
    newest, older = (_snake_case(step, kind) for step in (_KERAS_3, _KERAS_2))
    return newest if stem in (newest, older, "private" + older) else None


def _snake_case(step: str, kind: str) -> str:
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub(step, r"\1_\2", kind)).lower()
