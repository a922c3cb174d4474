"""Optimizers of before 2.11 as ones of since 2.11 that compute the same, for files and releases without the old ones.

RMSprop and Adagrad divided by ``sqrt(v) + epsilon``, and divide by ``sqrt(v + epsilon)`` now. Adam still divides by the
first: without momentum it is the old RMSprop, but for its correction of the first steps. The epsilon of Adagrad makes
no difference once no accumulator is tiny.
"""

import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

_NO_DIFFERENCE = 2.0**-25
"""1 less this is 1 as a ``float32``."""

_ROUNDING = 2.0**-23
"""Two numbers that differ by this part are neighbours as ``float32``."""

_MOST_DIFFERENCE = 1e-5
"""What part of a step may be different: the tolerance of layers."""

_MOST_RATES = 1000
"""A schedule computes all of its rates in each step."""


class Equivalent(NamedTuple):
    """Another optimizer that makes the same steps."""

    name: str
    settings: Dict[str, Any]
    slots: Dict[str, str]
    """Its own names of the old slots."""
    zeros: Tuple[str, ...]
    """Slots that the old one has not."""
    step: Optional[int]
    manner: str
    """What it is, in words."""


def equivalent(name: str, settings: Mapping[str, Any], saved: Mapping[str, Any], schedules: Any) -> Any:
    """An ``Equivalent``, or why there is none. ``settings`` have Keras's newest names; ``saved`` has slots and step."""
    if name == "RMSprop" and not settings.get("centered"):
        return _rmsprop(settings, saved.get("step"), schedules)
    if name == "Adagrad":
        return _adagrad(settings, saved.get("slots") or {}, saved.get("step"))
    return "its algorithm changed with TensorFlow 2.11"


def _rmsprop(settings: Mapping[str, Any], step: Optional[int], schedules: Any) -> Any:
    """Adam with ``beta_1=0``. It multiplies step t with sqrt(1 - rho^t), until this is 1."""
    rho = float(settings.get("rho", 0.9))
    if not 0 < rho < 1:
        return f"Adam, which would compute the same, takes no rho of {rho:g}"
    end = max(math.ceil(math.log(_NO_DIFFERENCE) / math.log(rho)) - 1, 0)
    left_out = ("rho", "momentum", "centered")
    own = {key: value for key, value in settings.items() if key not in left_out}
    own.update({"beta_1": 0.0, "beta_2": rho, "amsgrad": False})
    manner = "as Adam with beta_1=0, which computes the same"
    rate, decays = own.get("learning_rate"), bool(own.get("decay"))
    if step is None and (decays or not isinstance(rate, (int, float))):
        return "its learning rate depends on the step, which the file does not tell"
    if step is None:
        manner += f"; it counts from step {end}, for the file has none"
        return Equivalent("Adam", own, {"rms": "v"}, ("m",), end, manner)
    if step < end:
        if decays or not isinstance(rate, (int, float)) or end - step > _MOST_RATES:
            return f"Adam computes the same only from step {end} on, and the file is of step {step}"
        places = list(range(step, end))
        rates: List[float] = [rate / math.sqrt(1 - rho ** (place + 1)) for place in places]
        own["learning_rate"] = schedules.PiecewiseConstantDecay(places, [*rates, float(rate)])
        manner += f"; a schedule takes Adam's correction of the first {end} steps out of the learning rate"
    return Equivalent("Adam", own, {"rms": "v"}, ("m",), step, manner)


def _adagrad(settings: Mapping[str, Any], slots: Mapping[str, Mapping[str, Any]], step: Optional[int]) -> Any:
    """Adagrad with another epsilon. Accumulators only grow, so what holds for those in the file holds for all.

    sqrt(a) + epsilon is sqrt(a + 2 epsilon sqrt(a) + epsilon^2). With the smallest accumulator for this a, no other one
    makes a difference of more than epsilon / (4 sqrt(a)).
    """
    arrays = [np.asarray(own["accumulator"]) for own in slots.values() if "accumulator" in own]
    least = float(min((array.min() for array in arrays if array.size), default=0.0))
    epsilon = float(settings.get("epsilon", 1e-7))
    most = epsilon / (4 * math.sqrt(least)) if least > 0 else math.inf
    if most > _MOST_DIFFERENCE:
        return f"epsilon is under the root since TensorFlow 2.11, which counts for its accumulator of {least:.3g}"
    inside = 2 * epsilon * math.sqrt(least) + epsilon**2
    same = "computes the same" if most <= _ROUNDING else f"changes no step by more than a part of {most:.2g}"
    manner = f"with epsilon={inside:.3g} under the root, which {same} for its accumulators"
    return Equivalent("Adagrad", {**settings, "epsilon": inside}, {}, (), step, manner)
