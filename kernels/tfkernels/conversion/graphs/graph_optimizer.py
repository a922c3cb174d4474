"""The state of an optimizer of ``tf.train`` for the optimizer of a Keras model that computes the same."""

import math
import re
from types import MappingProxyType
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from tfkernels.models.match import Match
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer

KERAS_CLASSES = {
    "Adam": "Adam",
    "Momentum": "SGD",
    "RMSProp": "RMSprop",
    "Adagrad": "Adagrad",
    "Adadelta": "Adadelta",
    "Ftrl": "Ftrl",
    "AdaMax": "Adamax",
}
"""The optimizers of Keras that compute the same as those of ``tf.train``. Both have a slot for each state."""

_BETAS = {"beta1_power": 0.9, "beta2_power": 0.999}
"""What Adam counts its steps with, unless its settings say otherwise."""


def state(saved: SavedFile, pairs: Iterable[Match], optimizer: Any) -> Tuple[Optional[Dict[str, Any]], Tuple[str, ...]]:
    """The optimizer's state under the names of the model's weights, as a record has it; and remarks on what is not so.

    ``pairs`` are weights of the model and where they came from, ``optimizer`` is the model's.
    """
    found = saved.optimizer
    if found is None or not found.slots:
        return None, ()
    kind = KERAS_CLASSES.get(found.class_name or "", found.class_name or "")
    why = _why_not(kind, optimizer)
    if why:
        return None, (f"{_BEHIND} ({kind or 'an optimizer with unknown slots'}): {why}",)
    slots: Dict[str, Dict[str, Any]] = {}
    remarks: List[str] = []
    for pair in pairs:
        own = found.slots.get(pair.source)
        if own is not None and "converted" in pair.how:
            remarks.append(f"the slots of {pair.target} stay behind: the weight has another layout")
        elif own is not None and all(variable.shape == pair.shape for variable in own.values()):
            slots[pair.target] = {slot: variable.read() for slot, variable in own.items()}
    if found.class_name == "Momentum":
        rate = _rate(optimizer)
        slots = {name: {"momentum": -rate * own["momentum"]} for name, own in slots.items()}
        remarks.append(f"the momentum was multiplied by the model's learning rate, {rate:g}, which Keras includes")
    if not slots:
        return None, (f"{_BEHIND} ({kind}): none of its slots is for a weight of the model",)
    betas = _betas(optimizer)
    several = _several(found, [pair.source for pair in pairs if pair.target in slots], betas["beta1_power"])
    if len(several) > 1:
        counts = " and ".join("many" if count < 0 else f"{count}" for count in several)
        return None, (f"{_BEHIND} ({kind}): the file has optimizers of {counts} steps for weights of the model",)
    step, remark = (several[0], "") if several else steps(saved.step, found.others, betas)
    remarks += [remark] if remark else []
    return {"class_name": kind, "config": {}, "step": step, "slots": slots, "scalars": {}}, tuple(remarks)


_BEHIND = "the optimizer's state stays behind"


def _why_not(kind: str, optimizer: Any) -> str:
    """Why the model's optimizer cannot continue; empty if it can."""
    if kind not in KERAS_CLASSES.values():
        return "Keras has none that computes the same"
    if optimizer is None:
        return "the model has no optimizer. Compile it in your function"
    if type(optimizer).__name__ != kind:
        return f"the model's optimizer is {type(optimizer).__name__}"
    if kind == "RMSprop" and hasattr(optimizer, "get_slot_names") and not optimizer.get_config().get("momentum"):
        return "before 2.11 Keras adds epsilon to the root, and tf.train to what is under it"
    return ""


def _betas(optimizer: Any) -> Dict[str, float]:
    config = optimizer.get_config() if hasattr(optimizer, "get_config") else {}
    given = {"beta1_power": config.get("beta_1"), "beta2_power": config.get("beta_2")}
    return {name: float(_BETAS[name] if beta is None else beta) for name, beta in given.items()}


def _several(found: SavedOptimizer, names: List[str], beta: float) -> List[int]:
    """The steps of the optimizers that trained the weights, where a file has several of them. Else nothing.

    Of Adams in a graph nothing tells which weights are whose: then these are the steps of all.
    """
    if found.steps:
        return sorted({found.steps[name] for name in names if name in found.steps})
    powers = [(name, variable) for name, variable in found.others.items() if re.search(r"beta1_power(_\d+)?$", name)]
    counts = {_count(float(variable.read()), beta) for _, variable in powers}
    return sorted(counts) if len(powers) > 1 and len(counts) > 1 else []


def _count(power: float, beta: float) -> int:
    return max(round(math.log(power) / math.log(beta) - 1), 0) if 1e-30 < power < 1 else -1


def steps(
    step: Optional[int], others: Mapping[str, Any], betas: Mapping[str, float] = MappingProxyType(_BETAS)
) -> Tuple[Optional[int], str]:
    """How many steps the optimizer has made, and a remark if that is doubtful.

    Adam counts with powers of its ``betas``, until these are too small for a float. ``step`` is ``global_step``, which
    counts what the program let it count.
    """
    counts = {}
    for name, variable in others.items():
        beta = next((beta for ending, beta in betas.items() if name.endswith(ending)), None)
        power = float(variable.read()) if beta else 0.0
        if beta and 1e-30 < power < 1:
            counts[beta] = math.log(power) / math.log(beta) - 1  # before the first step it is beta itself
    if not counts:
        return step, "" if step is not None else "the file does not tell the step: the optimizer begins with its first"
    if step is not None and all(abs(count - step) < 0.1 + step * 1e-3 for count in counts.values()):
        return step, ""
    best = round(counts[max(counts)])
    if any(abs(count - best) > 0.1 + best * 1e-3 for count in counts.values()):
        one, two = betas.values()
        return step, f"Adam's betas were not {one:g} and {two:g}: give your optimizer those of the old program"
    return best, f"Adam has made {best} steps, and global_step is {step}" if step is not None else ""


def _rate(optimizer: Any) -> float:
    """The learning rate of the next step."""
    rate: Any = optimizer.learning_rate
    value = rate(optimizer.iterations) if callable(rate) else rate
    return float(value.numpy() if hasattr(value, "numpy") else value)
