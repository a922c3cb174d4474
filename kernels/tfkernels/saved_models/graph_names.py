"""Variables of graphs by their names: weights, slots of optimizers, moving averages, counters.

TensorFlow 1 names a slot after its weight: ``conv1/kernel/Adam``. The rules are those of ``tfkernels.weights`` for a
session, which also knows which variables are trained.
"""

import re
from typing import Any, Dict, Mapping, Optional

from tfkernels.saved_models.keras.optimizers import canonical_slot
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer, Weight, Weights, WrittenBy

_SLOTS = (
    ("Adam", r"Adam(_1)?"),
    ("Momentum", r"Momentum"),
    ("RMSProp", r"RMSProp(_[12])?"),
    ("Adagrad", r"Adagrad"),
    ("AdagradDA", r"\w*gradient_(squared_)?accumulator"),
    ("Adadelta", r"Adadelta(_1)?"),
    ("Ftrl", r"Ftrl(_1)?"),
    ("AdaMax", r"AdaMax(_1)?"),
    ("LAMB", r"(adam|lamb)_[mv]"),
    ("AdamWeightDecay", r"adam_[mv]"),
    ("LARS", r"LARSOptimizer|lars_momentum"),
    ("SGD", r"momentum"),
)
_AVERAGE = re.compile(r"(\w*_)?(ExponentialMovingAverage|moving_average|ema|EMA)(_\d+)?")
_STEPS = ("global_step", "iter", "iterations", "step")
_WITHIN_AVERAGE = ("biased", "local_step")


def read(variables: Weights, path: str, fmt: str = "checkpoint-v2") -> SavedFile:
    """The variables of a graph, in kinds."""
    kinds = sort(variables)
    return SavedFile(
        path,
        fmt,
        WrittenBy(tensorflow=("1.0", "2.15"), evidence=("variables have names as in a graph of TensorFlow 1",)),
        kinds.weights,
        optimizer=kinds.optimizer,
        moving_averages=kinds.averages,
        step=kinds.step,
        others=kinds.others,
    )


class Kinds:
    """Variables of a graph by what they are for."""

    def __init__(self) -> None:
        self.weights: Weights = {}
        self.averages: Weights = {}
        self.others: Weights = {}
        self.slots: Dict[str, Dict[str, Weight]] = {}
        self.optimizer: Optional[SavedOptimizer] = None
        self.step: Optional[int] = None


def sort(variables: Mapping[str, Weight]) -> Kinds:
    found = Kinds()
    found_slots: Dict[str, Dict[str, Weight]] = {}
    algorithms: Dict[str, int] = {}
    state: Dict[str, Weight] = {}
    for name, variable in variables.items():
        scope, _, last = name.rpartition("/")
        owner = _owner(scope, variables) if scope else ""
        algorithm = _algorithm(last) if owner else ""
        if owner and _AVERAGE.fullmatch(last):
            found.averages[owner] = variable.renamed(owner)
        elif algorithm and variables[owner].shape == variable.shape:
            algorithms[algorithm] = algorithms.get(algorithm, 0) + 1
            found_slots.setdefault(owner, {})[last] = variable
        elif last in _STEPS and not variable.shape and variable.dtype in ("int64", "int32"):
            found.others[name] = variable
            if found.step is None or last == "global_step":
                found.step = int(variable.read())
        elif re.fullmatch(r"(beta\d|decay)_power(_\d+)?", last) and not variable.shape:
            state[name] = variable
        elif not variable.shape or variable.dtype in ("string", "resource", "variant") or last in _WITHIN_AVERAGE:
            found.others[name] = variable
        elif owner and variables[owner].shape == variable.shape:  # a slot of an optimizer that is not known
            found_slots.setdefault(owner, {})[last] = variable
        else:
            found.weights[name] = variable
    algorithm = max(algorithms, key=lambda one: algorithms[one]) if algorithms else ""
    if found_slots:
        found.optimizer = SavedOptimizer(
            algorithm or None, {}, _canonical(algorithm, found_slots, found.weights), found.step, state
        )
    else:
        found.others.update(state)
    return found


def _owner(scope: str, variables: Mapping[str, Any]) -> str:
    """The weight that a slot is for: the scope itself, or its end, where an optimizer has a scope of its own."""
    parts = scope.split("/")
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        if name in variables:
            return name
    return ""


def _algorithm(slot: str) -> str:
    return next((name for name, pattern in _SLOTS if re.fullmatch(pattern, slot)), "")


def _canonical(
    algorithm: str, slots: Mapping[str, Mapping[str, Weight]], weights: Mapping[str, Weight]
) -> Dict[str, Dict[str, Weight]]:
    """With names of slots as Keras has them. A centred RMSProp has three, and the second is the mean gradient."""
    found: Dict[str, Dict[str, Weight]] = {}
    for owner, own in slots.items():
        renamed = {}
        for slot, variable in own.items():
            name = canonical_slot(algorithm, slot)
            if algorithm == "RMSProp" and "RMSProp_2" in own:
                name = {"RMSProp": "rms", "RMSProp_1": "mg", "RMSProp_2": "momentum"}.get(slot, slot)
            renamed[name] = variable.renamed(f"{owner}/{name}")
        found[owner] = renamed
    ordered = [name for name in weights if name in found]
    return {name: found[name] for name in (*ordered, *(name for name in found if name not in weights))}
