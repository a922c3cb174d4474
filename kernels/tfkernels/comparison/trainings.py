"""Parts and findings of training traces, whose tolerances come from what a quantity is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping

import numpy as np

from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, Part, size_of
from tfkernels.comparison.tolerances import Tolerances
from tfkernels.comparison.walk import Walk
from tfkernels.diagnosis.agreement import agreement
from tfkernels.diagnosis.diagnose import Diagnosis, diagnose
from tfkernels.diagnosis.differences import Difference, differences, spread
from tfkernels.diagnosis.finding import QUANTITIES, Finding
from tfkernels.diagnosis.numbers import Array
from tfkernels.diagnosis.sides import Side
from tfkernels.diagnosis.tolerances import TOLERANCES
from tfkernels.training.training_trace import PARTS

_EXPLAINED = "rounding, or a consequence of it"


@dataclass(frozen=True)
class Compared:
    """The parts of two traces, and why they differ."""

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def compare_trainings(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    names: tuple[str, str],
    mapping: Mapping[str, str] | None,
    given: Tolerances | None,
    by_itself: Mapping[str, Any] | None,
) -> Compared:
    """``given`` are tolerances of the user, which then decide on the parts; findings keep their own.

    ``by_itself`` is another trace of the second training, whose steps begin with the weights of the first.
    """
    found = diagnose(a, b, names, mapping)
    first = found.findings[0] if found.findings else None
    parts = []
    for step in range(min(found.a.steps, found.b.steps)):
        for name in PARTS:
            if name not in ("random", "unclipped_gradient", "slot_before"):
                parts += [
                    part if given is not None else _judged(part, step, PARTS[name], first)
                    for part in _of_quantity(found, step, name, names[1], given)
                ]
    if by_itself is not None:
        other = compare_trainings(a, by_itself, names, mapping, None, None)
        alone = {part.path: size_of(part) for part in other.parts}
    else:
        alone = {part.path: agreement(found, part.path) for part in parts}
    marked = [replace(_marked(part, found.findings), by_itself=alone.get(part.path, "")) for part in parts]
    return Compared(tuple(marked), found.findings, found.notes)


def _of_quantity(found: Diagnosis, step: int, part: str, side: str, given: Tolerances | None) -> list[Part]:
    x, y = (each.arrays(step, part) for each in (found.a, found.b))
    direct = {each.name: each for each in _differences(found.a, found.b, step, part)}
    path = f"step {step + 1} {part}"
    parts: list[Part] = []
    for name in [*x, *(name for name in y if name not in x)]:
        if name not in x or name not in y:
            continue  # a note has the names that only one side has
        one = direct.get(name)
        values = [_as_float32(array) for array in ((x[name], y[name]) if one is None else (one.x, one.y))]
        place = f"{path}[{name!r}]"
        if given is not None:
            parts += _walk(side, given).parts(values[0], values[1], place)
            continue
        share = TOLERANCES[PARTS[part]].share if one is None else one.allowed
        scale = max((float(np.abs(each).max(initial=0.0)) for each in values), default=0.0)
        walk = _walk(
            side, Tolerances(rtol={place: 0.0}, atol={place: share * scale if np.isfinite(share * scale) else 0.0})
        )
        parts += [_by_size(each, one) for each in walk.parts(values[0], values[1], place)]
    return parts


def _as_float32(array: Array) -> Array:
    with np.errstate(over="ignore"):
        return array.astype("float32")


def _walk(side: str, tolerances: Tolerances) -> Walk:
    return Walk(side, tolerances, equal_nan=True, check_dtype=False, top_k=None)


def _differences(a: Side, b: Side, step: int, part: str) -> list[Difference]:
    return differences(PARTS[part], a.arrays(step, part), b.arrays(step, part), spread(a, b, step))


def _by_size(part: Part, one: Difference | None) -> Part:
    """The verdict by the size of the whole difference, not by single elements."""
    if one is None or part.statistics is None:
        return part
    if one.exceeds:
        return replace(part, verdict=DIFFERENT, reason=part.reason or f"{one.size:.3g} of its size")
    return part if part.verdict == EQUAL else replace(part, verdict=CLOSE, reason="")


def _judged(part: Part, step: int, quantity: str, first: Finding | None) -> Part:
    """Without an alarm where no finding is, or before the first one."""
    before = first is None or (step + 1, QUANTITIES.index(quantity)) < first.place
    broken = part.statistics is None or part.statistics.non_finite.any  # shapes that differ, NaN: never rounding
    if part.passed or not before or broken:
        return part
    return replace(part, verdict=CLOSE, reason="", notes=(*part.notes, _EXPLAINED))


def _marked(part: Part, findings: tuple[Finding, ...]) -> Part:
    """With the words of the finding that it is in."""
    for each in findings:
        for name in (each.name, f"{each.name}/{each.evidence.get('slot', '')}"):
            if part.path.endswith(f"[{name!r}]") and part.path.startswith(f"step {each.step} {each.quantity}"):
                return replace(part, verdict=DIFFERENT, reason=each.words)
    return part
