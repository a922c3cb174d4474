"""Two training traces by the same names: the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict

import numpy as np

from tfkernels.diagnosis.numbers import Array
from tfkernels.errors import UsageError, WeightsError
from tfkernels.models.match import match
from tfkernels.training.training_trace import is_statistics, losses_of

Arrays = Dict[str, Array]

BY_WEIGHT = ("gradient", "unclipped_gradient", "update", "weight", "statistic", "average")
SLOTS = ("slot_before", "slot")


class Side:
    """One training trace, with arrays of float64. Arrays that were kept as statistics are their samples.

    ``renamed`` has the baseline's name for a name of this trace, by what is named: "weight", "output" or "input".
    """

    def __init__(self, trace: Mapping[str, Any], renamed: Mapping[str, Mapping[str, str]]) -> None:
        self.about: Mapping[str, Any] = trace.get("about") or {}
        self._steps = trace["steps"]
        self.led = self.about.get("weights_from") is not None
        """Whether every step begins with the weights of another trace."""
        self.leader: Side | None = None
        """That trace, if it is the one that this is compared with."""
        self._renamed = renamed
        self._before = self._named(trace.get("weights_before") or {}, "weight")
        self._cache: dict[tuple[int, str], Arrays] = {}

    @property
    def steps(self) -> int:
        return len(self._steps)

    def arrays(self, step: int, quantity: str) -> Arrays:
        """The arrays of a quantity in a step (from 0), by name, in order."""
        key = (step, quantity)
        if key not in self._cache:
            kind = {"output": "output", "input": "input", "loss": ""}.get(quantity, "weight")
            found = self._steps[step].get(quantity) or {}
            self._cache[key] = self._slots(found) if quantity in SLOTS else self._named(found, kind)
        return self._cache[key]

    def number(self, step: int, quantity: str) -> float | None:
        """A plain number of a step, such as the learning rate."""
        value = self._steps[step].get(quantity)
        if isinstance(value, Mapping):
            value = next(iter(value.values()), None)
        return None if value is None else float(np.asarray(value, "float64").mean())

    def before(self, step: int) -> Arrays:
        """All weights before a step, moving statistics too."""
        if not step:
            return self._before
        if self.leader is not None:
            return self.leader.before(step)
        if self.led:
            updates = self.arrays(step, "update")
            return {name: a - updates[name] for name, a in self.arrays(step, "weight").items() if name in updates}
        return {**self._before, **self.arrays(step - 1, "weight"), **self.arrays(step - 1, "statistic")}

    def unclipped(self, step: int) -> Arrays:
        """The gradients before clipping; those that the optimizer gets if there is none."""
        return {**self.arrays(step, "gradient"), **self.arrays(step, "unclipped_gradient")}

    def slots(self, step: int, name: str) -> tuple[Arrays, Arrays]:
        """The slots of a weight before and after a step, by our names of slots."""
        start = name + "/"
        before, after = (
            {key[len(start) :]: array for key, array in self.arrays(step, when).items() if key.startswith(start)}
            for when in SLOTS
        )
        single = {key for key in after if "/" not in key}
        return {key: before[key] for key in before if key in single}, {key: after[key] for key in single}

    @property
    def batch_size(self) -> int:
        """The number of examples; 0 if nothing tells it."""
        given = self.about.get("batch_size")
        if given:
            return int(given)
        inputs = self.arrays(0, "input") if self.steps else {}
        return next((len(array) for array in inputs.values() if array.ndim), 0)

    def _named(self, arrays: Mapping[str, Any], kind: str) -> Arrays:
        names = self._renamed.get(kind, {})
        flat: dict[str, Any] = {}
        for name, value in arrays.items():
            flat.update(_leaves(name, value))
        return {names.get(name, name): _array(value) for name, value in flat.items()}

    def _slots(self, slots: Mapping[str, Any]) -> Arrays:
        names = self._renamed.get("weight", {})
        found = {}
        for key, value in slots.items():
            weight, _, slot = key.rpartition("/")
            found[f"{names.get(weight, weight)}/{slot}"] = _array(value)
        return found


def _leaves(name: str, value: Any) -> dict[str, Any]:
    """The arrays of an output that is a list, a tuple or a dict of arrays."""
    if isinstance(value, (list, tuple)):
        return {k: v for place, each in enumerate(value) for k, v in _leaves(f"{name}[{place}]", each).items()}
    if isinstance(value, Mapping) and not is_statistics(value):
        return {k: v for key, each in value.items() for k, v in _leaves(f"{name}[{key!r}]", each).items()}
    return {} if value is None else {name: value}


def _array(value: Any) -> Array:
    if is_statistics(value):
        value = value["sample"]
    array = np.asarray(value)
    if array.dtype.kind in "biuf":
        return array.astype("float64")
    try:
        return array.astype("float64")  # bfloat16
    except (TypeError, ValueError):
        return np.unique(array, return_inverse=True)[1].astype("float64") if array.size else np.zeros(0)


def sides(
    a: Mapping[str, Any], b: Mapping[str, Any], mapping: Mapping[str, str] | None = None
) -> tuple[Side, Side, tuple[str, ...]]:
    """Both traces under the names of ``a``, and notes on what has no partner."""
    given = {other: ours for ours, other in (mapping or {}).items()}
    weights_a, weights_b = (trace.get("weights_before") or {} for trace in (a, b))
    renamed = {
        "weight": _paired_weights(weights_a, weights_b, mapping or {}),
        "output": _paired_in_order(_first(a, "output"), _first(b, "output"), given),
        "input": _paired_in_order(_first(a, "input"), _first(b, "input"), given),
    }
    known = {name for one in (a, b) for key in ("weights_before",) for name in one.get(key) or {}}
    known.update(name for one in (a, b) for key in ("output", "input") for name in _first(one, key))
    unknown = [name for pair in (mapping or {}).items() for name in pair if name not in known]
    if unknown:
        raise UsageError(
            f"mapping={dict(mapping or {})!r}: no weight, output or input is called {unknown[0]!r}. "
            f"There are {', '.join(sorted(known)[:20])}"
        )
    one, other = Side(a, {}), Side(b, renamed)
    marks = [side.about.get("weights_from") for side in (one, other)]
    if _begins_with(marks[1], a):
        other.leader = one
    elif _begins_with(marks[0], b):
        one.leader = other
    led = [
        f"every step of the {which} trace begins with the weights of a trace that is not compared"
        for which, side in (("first", one), ("second", other))
        if side.led and side.leader is None
    ]
    empty = [
        f"the {which} trace has nothing of only={pattern!r}"
        for which, trace in (("first", a), ("second", b))
        for pattern in (trace.get("kept") or {}).get("empty", ())
    ]
    return one, other, (*_notes(one, other), *led, *empty)


def _begins_with(mark: Mapping[str, Any] | None, trace: Mapping[str, Any]) -> bool:
    """Whether every step begins with the weights of ``trace``, by what the other trace says of its ``weights_from``."""
    return mark is not None and list(map(repr, mark["loss"])) == list(map(repr, losses_of(trace)))


def _first(trace: Mapping[str, Any], quantity: str) -> Mapping[str, Any]:
    for step in trace["steps"][:1]:
        flat: dict[str, Any] = {}
        for name, value in (step.get(quantity) or {}).items():
            flat.update(_leaves(name, value))
        return flat
    return {}


def _paired_weights(a: Mapping[str, Any], b: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, str]:
    shapes = [{name: _shape(value) for name, value in each.items()} for each in (a, b)]
    ours = {one: other for one, other in mapping.items() if one in a and other in b}
    try:
        pairs = match(shapes[0], shapes[1], ours)
    except WeightsError:
        pairs = []
    found = {pair.source: pair.target for pair in pairs}
    found.update({other: one for one, other in ours.items()})
    taken = set(found.values())
    return {**{name: f"{name} (b)" if name in taken else name for name in b if name not in found}, **found}


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value["shape"]) if is_statistics(value) else tuple(np.shape(value))


def _paired_in_order(a: Mapping[str, Any], b: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """The names in ``a`` of arrays in ``b``: as given, equal ones, and the rest in order if all shapes agree."""
    found = {name: given[name] for name in b if name in given}
    left_a = [name for name in a if name not in b and name not in found.values()]
    left_b = [name for name in b if name not in a and name not in found]
    for targets in (True, False):  # targets and inputs are never partners
        ours, theirs = ([name for name in left if name.startswith("target") == targets] for left in (left_a, left_b))
        alike = len(ours) == len(theirs) and all(_shape(a[x]) == _shape(b[y]) for x, y in zip(ours, theirs))
        if alike or (len(ours) == len(theirs) == 1):
            found.update(zip(theirs, ours))
        else:
            found.update(_equal_values({name: a[name] for name in ours}, {name: b[name] for name in theirs}))
    return found


def _equal_values(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, str]:
    """Arrays of other names that are equal, so that their names cannot be anything but two for one thing."""
    found: dict[str, str] = {}
    for other, y in b.items():
        for name, x in a.items():
            if name in found.values() or _shape(x) != _shape(y):
                continue
            one, two = _array(x), _array(y)
            if one.size > 1 and np.ptp(one) and np.allclose(one, two, rtol=1e-4, atol=1e-5 * float(np.ptp(one))):
                found[other] = name
                break
    return found


def follows(a: Side, b: Side) -> bool:
    """Whether every step of one begins with the weights of another trace."""
    return a.led or b.led


def gradients_or_moments(side: Side, step: int) -> Arrays:
    """The gradients of a step; of those that were left out, Adam's first moments, which are as large."""
    moments = {name[:-2]: array for name, array in side.arrays(step, "slot").items() if name.endswith("/m")}
    return {**moments, **side.arrays(step, "gradient")}


def _notes(a: Side, b: Side) -> tuple[str, ...]:
    notes = []
    for what, ours, theirs in (
        ("weights", a.before(0), b.before(0)),
        ("outputs", a.arrays(0, "output") if a.steps else {}, b.arrays(0, "output") if b.steps else {}),
    ):
        for names, others, which in ((ours, theirs, "first"), (theirs, ours, "second")):
            alone = [name for name in names if name not in others and (what, name) != ("outputs", "output")]
            if alone:
                listed = ", ".join(alone[:4]) + (f" and {len(alone) - 4} more" if len(alone) > 4 else "")
                notes.append(f"only the {which} trace has the {what} {listed}")
    if min(a.steps, b.steps):
        both = (a, b)
        if all(side.arrays(0, "update") for side in both) and not all(gradients_or_moments(s, 0) for s in both):
            notes.append("gradients are not in both traces: updates are not compared, as rounding cannot be told")
        if min(a.steps, b.steps) > 1 and not follows(a, b) and not all(side.arrays(0, "weight") for side in both):
            notes.append("weights after the steps are not in both traces: formulas alone compare later steps")
    if a.steps != b.steps:
        notes.append(f"{a.steps} steps against {b.steps}; the first {min(a.steps, b.steps)} are compared")
    return tuple(notes)
