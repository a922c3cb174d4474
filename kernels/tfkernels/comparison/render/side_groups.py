"""Sides with the same verdict stand together, as in ``equal 1.0-1.15; different 2.0-2.21: 2.15``."""

from __future__ import annotations

import re
from typing import Any, Iterable, NamedTuple, Sequence

from tfkernels.comparison.render import number_format

ACROSS = 4
"""Sides that have a column each. More are shown as groups."""


class Group(NamedTuple):
    """Sides with the same key; ``text`` names them, neighbours as ``first-last``."""

    key: Any
    sides: list[str]
    text: str


def groups(sides: Sequence[str], keys: Sequence[Any]) -> list[Group]:
    """Groups in the order of their first sides. A side whose key is ``None`` is in no group."""
    labels = [number_format.line(side, 24) for side in sides]
    if len(sides) > ACROSS and all(re.match(r"tf\d+\.\d", side) for side in sides):
        labels = [label[2:] for label in labels]  # the release says it all
    places: dict[Any, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            places.setdefault(key, []).append(place)
    return [Group(key, [sides[place] for place in found], _text(labels, found)) for key, found in places.items()]


def _text(labels: list[str], places: list[int]) -> str:
    stretches: list[list[int]] = []
    for place in places:
        if stretches and place == stretches[-1][-1] + 1:
            stretches[-1].append(place)
        else:
            stretches.append([place])
    long = [f"{labels[each[0]]}-{labels[each[-1]]}" if len(each) > 2 else "" for each in stretches]
    texts = [text or ", ".join(labels[place] for place in each) for text, each in zip(long, stretches)]
    return number_format.line(", ".join(texts))


def largest(errors: Iterable[float | None]) -> str:
    """The largest error of a group; empty if there is none."""
    texts = {number_format.number(error) if error else "": error or 0.0 for error in errors}
    most = max(texts, key=texts.__getitem__, default="")
    return f"up to {most}" if most and len(texts) > 1 else most
