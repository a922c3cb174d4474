"""Form of a training trace: plain dicts, text, numbers and arrays, so that it travels between kernels as a value.

A trace has these keys:

* ``training_trace``: the version of this form.
* ``about``: ``tensorflow``, ``keras`` (text or ``None``), ``form`` (one of ``FORMS``), ``batch_size`` (or ``None``),
  ``optimizer`` (``{"class_name": text, "config": {...}}`` or ``None``), ``weights_from`` (:func:`mark_of`).
* ``weights_before``: weights by name, before the first step.
* ``steps``: a dict for each step, with the parts in ``PARTS`` as dicts by name, in the order of computation. The
  scalars ``learning_rate`` and ``iteration`` (updates before this step) are numbers, or ``None``.
* ``kept``: ``only`` and ``largest`` as they were given, ``empty``: patterns of ``only`` for which this training has
  nothing, ``left_out`` and ``statistics``: how many arrays.

Arrays with more elements than ``largest`` are statistics (:func:`statistics_of`).
"""

import fnmatch
import math
import operator
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Union

import numpy as np

from tfkernels.errors import TraceError

MARK = "training_trace"
VERSION = 1

FORMS = ("graph", "keras", "tape")

QUANTITIES = ("input", "output", "loss", "gradient", "slot", "update", "statistic")
"""What a finding can be about, in the order within a step."""

PARTS = {
    "input": "input",  # as they reach the model: input or input/NAME, target or target/NAME, sample_weight
    "random": "input",  # numbers that layers drew; a dropout drops an element if its number is below the rate
    "output": "output",
    "loss": "loss",  # loss, data, regularization, and data/NAME of several outputs
    "unclipped_gradient": "gradient",  # only where the optimizer clips
    "gradient": "gradient",  # as the optimizer uses them
    "slot_before": "slot",
    "slot": "slot",  # after the step
    "update": "update",  # after - before
    "weight": "update",  # after the step
    "statistic": "statistic",  # weights that are not trained, such as moving averages of a batch normalisation
    "average": "statistic",  # moving averages of weights
}
"""Parts of a step that are dicts by name, each with its quantity."""

SLOTS = {
    "m": "first moment of Adam and its relatives",
    "v": "second moment; of Adamax, the norm",
    "vhat": "largest second moment so far (AMSGrad)",
    "momentum": "momentum x itself + the gradient (SGD), or + the learning rate x the scaled gradient (RMSprop)",
    "mean_square": "moving mean of squared gradients (RMSprop, Adadelta)",
    "mean_gradient": "moving mean of gradients (centered RMSprop)",
    "mean_square_update": "moving mean of squared updates (Adadelta)",
    "accumulator": "sum of squared gradients (Adagrad, Ftrl)",
    "linear": "linear term of Ftrl",
}
"""Slots by our names: they are ``WEIGHT/SLOT`` in a step. Keras's SGD keeps - rate x momentum: that is converted."""

LARGEST = 2**18
"""Elements of the largest array that is kept whole, by default: 1 MB of float32."""

SAMPLE = 4096
"""Elements in the sample of a larger one."""


def is_training_trace(value: Any) -> bool:
    return isinstance(value, Mapping) and MARK in value and "steps" in value


def is_statistics(value: Any) -> bool:
    """Whether it stands for an array that was too large to be kept."""
    return isinstance(value, Mapping) and "statistics" in value and "sample" in value


def count_of(option: str, value: Any) -> int:
    """The whole number that was given for an option. Raises ``TraceError`` for another value, or one below 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise TraceError(f"{option}={value!r} is no whole number from 1 on. Give one: {option}=1")
    return number


def sample_places(size: int, count: int = SAMPLE) -> Any:
    """Equally spaced places in a flattened array. The distance has no divisor in common with its size.

    So elements of all columns are among them, not those of one column.
    """
    if size <= count:
        return np.arange(size)
    distance = size // count
    while math.gcd(distance, size) > 1:
        distance -= 1
    return np.arange(count, dtype=np.int64) * distance


def statistics_of(array: Any) -> Dict[str, Any]:
    """What stands for a large array of numbers: norm, mean, extremes, and a sample at :func:`sample_places`."""
    flat = np.ascontiguousarray(array).reshape(-1)
    squares = float(np.einsum("i,i->", flat, flat, dtype=np.float64))  # np.dot wakes threads for each small block
    return {
        "statistics": 1,
        "shape": [int(size) for size in array.shape],
        "dtype": str(array.dtype),
        "norm": math.sqrt(squares),
        "mean": float(flat.sum(dtype=np.float64)) / flat.size,
        "minimum": float(flat.min()),
        "maximum": float(flat.max()),
        "sample": flat[sample_places(flat.size)],
    }


class Keeping:
    """What of a trace is kept: parts and names by patterns, whole arrays up to a size.

    ``only`` is a pattern or several: a quantity or part (``"gradient"``), or a path in which ``*`` is any text
    (``"gradient/conv1/*"``, ``"*/kernel"``). ``largest=None`` keeps all arrays whole.
    """

    def __init__(self, only: Union[str, Iterable[str], None] = None, largest: Optional[int] = LARGEST) -> None:
        self.only: Optional[List[str]] = [only] if isinstance(only, str) else None if only is None else list(only)
        self.largest = largest
        self._left_out = 0
        self._statistics = 0
        self._fitting: Set[str] = set()  # patterns that something was kept for
        self._names: Dict[str, Set[str]] = {}  # of this training, by part
        unknown = [pattern for pattern in self.only or () if not self._names_something(pattern)]
        if unknown:
            raise TraceError(
                f"only={unknown[0]!r} names nothing of a training trace. Give a part ({', '.join(PARTS)}), or a "
                "pattern of PART/NAME such as 'gradient/*' or '*/kernel'"
            )

    def wants(self, part: str, name: str, always: bool = False) -> bool:
        """Whether the array ``name`` of ``part`` belongs to the trace. It counts those that do not."""
        wanted = self.would_take(part, name) or always
        self._left_out += not wanted
        return wanted

    def would_take(self, part: str, name: str) -> bool:
        if self.only is None:
            return True
        self._names.setdefault(part, set()).add(name)
        own = (part, PARTS[part])
        fitting = [
            pattern for pattern in self.only
            if pattern in own or any(fnmatch.fnmatchcase(f"{one}/{name}", pattern) for one in own)
        ]  # fmt: skip
        self._fitting.update(fitting)
        return bool(fitting)

    def check(self) -> None:
        """After a step: raises ``TraceError`` for a pattern whose part has names, and none of them fits."""
        for pattern in self._empty():
            head = pattern.split("/")[0]
            parts = [part for part in self._names if any(fnmatch.fnmatchcase(one, head) for one in (part, PARTS[part]))]
            names = [f"{part}/{name}" for part in parts for name in sorted(self._names[part])]
            if "/" in pattern and names:
                raise TraceError(
                    f"only={pattern!r} fits nothing of this training. It has {', '.join(names[:6])}"
                    + (f" and {len(names) - 6} more" if len(names) > 6 else "")
                )

    def _empty(self) -> List[str]:
        return [pattern for pattern in self.only or () if pattern not in self._fitting]

    def reduced(self, array: Any) -> Any:
        """The array itself, or its statistics if it is too large."""
        if self.largest is None or getattr(array, "size", 0) <= self.largest or array.dtype.kind not in "iufb":
            return array
        self._statistics += 1
        return statistics_of(array)

    def as_dict(self) -> Dict[str, Any]:
        return {
            "only": self.only,
            "empty": self._empty(),
            "largest": self.largest,
            "left_out": self._left_out,
            "statistics": self._statistics,
        }

    @staticmethod
    def _names_something(pattern: str) -> bool:
        part = pattern.split("/")[0] if isinstance(pattern, str) else ""
        return any(fnmatch.fnmatchcase(own, part) for own in (*PARTS, *PARTS.values()))


def mark_of(leader: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """What ``about["weights_from"]`` says of the trace whose weights every step begins with: its release and losses.

    By the losses it is recognised. A trace always has them.
    """
    if leader is None:
        return None
    about = leader.get("about") or {}
    return {"tensorflow": about.get("tensorflow"), "form": about.get("form"), "loss": losses_of(leader)}


def losses_of(trace: Mapping[str, Any]) -> List[float]:
    """The loss of each step."""
    return [float(np.mean(step["loss"]["loss"])) for step in trace["steps"] if "loss" in (step.get("loss") or {})]


def new_trace(
    about: Mapping[str, Any], weights_before: Mapping[str, Any], steps: List[Dict[str, Any]], keeping: Keeping
) -> Dict[str, Any]:
    """The trace. ``about`` has the keys that are named at the top of this module."""
    assert about["form"] in FORMS
    return {
        MARK: VERSION,
        "about": dict(about),
        "weights_before": dict(weights_before),
        "steps": steps,
        "kept": keeping.as_dict(),
    }


def whole(trace: Mapping[str, Any], part: str, step: int, wish: str) -> Dict[str, Any]:
    """Arrays of one part, by name, for the option ``wish``. ``step`` counts from 0; part ``weights_before`` has none.

    Raises ``TraceError`` if the trace has no such step, or only statistics of an array.
    """
    steps = trace["steps"]
    if step >= len(steps):
        raise TraceError(
            f"{wish}: the other trace has {len(steps)} steps, and step {step + 1} was asked for. Trace as many steps"
        )
    arrays: Dict[str, Any] = trace["weights_before"] if part == "weights_before" else steps[step].get(part, {})
    reduced = [name for name, value in arrays.items() if is_statistics(value)]
    if reduced:
        raise TraceError(
            f"{wish}: the other trace has only statistics of {part}/{reduced[0]}, which is too large. Make that trace "
            "with largest=None"
        )
    return dict(arrays)
