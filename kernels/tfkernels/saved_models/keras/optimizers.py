"""The state of Keras's optimizers: which array is which slot of which weight.

Slots have the names of Keras 2 for all releases: ``m`` and ``v`` of Adam, ``momentum`` of SGD. Only what is certain is
assigned: an array must have the shape of its weight.
"""

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from tfkernels.saved_models.containers.hdf5 import Hdf5
from tfkernels.saved_models.keras.configs import Node
from tfkernels.saved_models.keras.weight_names import is_trained
from tfkernels.saved_models.saved_file import SavedOptimizer, Weight

Slots = Dict[str, Dict[str, Weight]]

_CANONICAL: Dict[str, Dict[str, str]] = {
    "adam": {"momentum": "m", "velocity": "v", "velocity_hat": "vhat", "Adam": "m", "Adam_1": "v"},
    "adamax": {"momentum": "m", "norm": "v", "u": "v", "AdaMax": "m", "AdaMax_1": "v"},
    "nadam": {"momentum": "m", "velocity": "v"},
    "sgd": {"m": "momentum", "Momentum": "momentum"},
    "momentum": {"Momentum": "momentum"},
    "lion": {"momentum": "m"},
    "rmsprop": {"velocity": "rms", "average_gradient": "mg", "RMSProp": "rms", "RMSProp_1": "momentum"},
    "adagrad": {"Adagrad": "accumulator"},
    "adadelta": {
        "accumulated_grad": "accum_grad",
        "accumulated_delta_var": "accum_var",
        "Adadelta": "accum_grad",
        "Adadelta_1": "accum_var",
    },
    "ftrl": {"Ftrl": "accumulator", "Ftrl_1": "linear"},
}
_CANONICAL["adamw"] = _CANONICAL["adam"]
_STEPS = ("iter", "iterations", "iteration", "_iterations")

_IN_TURN: Dict[str, Tuple[Tuple[str, ...], ...]] = {
    "adam": (("m", "v"), ("vhat",)),
    "adamw": (("m", "v"), ("vhat",)),
    "nadam": (("m", "v"),),
    "adamax": (("m", "v"),),
    "sgd": (("momentum",),),
    "lion": (("m",),),
    "rmsprop": (("rms",), ("momentum",), ("mg",)),
    "adagrad": (("accumulator",),),
    "adadelta": (("accum_grad", "accum_var"),),
    "ftrl": (("accumulator", "linear"),),
}
"""Slots in the order in which an optimizer makes them. Those in one bracket take turns, weight by weight.

Keras up to 2.3 makes all of one kind, then all of the next. Its RMSprop with ``centered`` has ``mg`` second, and
is not told apart by shapes, so a third kind is left out.
"""


_CLASSES = "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Nadam RMSprop SGD"


def class_of_name(name: Optional[str]) -> Optional[str]:
    """The class of an automatic name: ``RMSprop`` of ``rm_sprop_1``."""
    plain = re.sub(r"_\d+$", "", name or "").replace("_", "").lower()
    return next((one for one in _CLASSES.split() if one.lower() == plain), None)


class State(NamedTuple):
    """An optimizer's variables as a file has them: names, if it has any, and arrays, in its order."""

    names: Sequence[str]
    arrays: Sequence[Weight]
    in_turn: bool
    """Whether slots take turns, as since TensorFlow 2.11."""
    in_order: bool = True
    """Whether the order of weights is the model's; else slots without names belong to none."""


def canonical_slot(class_name: str, slot: str) -> str:
    return _CANONICAL.get(class_name.lower().replace("optimizer", ""), {}).get(slot, slot)


def from_h5(
    hdf5: Hdf5, training: Optional[Mapping[str, Any]], root: Node, variables: Mapping[str, Tuple[str, Weight]]
) -> Optional[SavedOptimizer]:
    """``variables`` has the file's name of each weight by ours."""
    settings = settings_in(training)
    group = hdf5.child(hdf5.file, "optimizer_weights")
    names = (hdf5.texts(group, "weight_names") if group is not None else None) or []
    found = [(name, hdf5.child(group, name)) for name in names]
    pairs = [(name, hdf5.weight(dataset, name, name)) for name, dataset in found if hasattr(dataset, "shape")]
    if not (pairs or settings):
        return None
    return assign(settings, State([name for name, _ in pairs], [array for _, array in pairs], False), root, variables)


def settings_in(training: Optional[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The optimizer of a model's compilation: its class and settings."""
    found = (training or {}).get("optimizer_config") or (training or {}).get("optimizer")
    return found if isinstance(found, dict) else {"class_name": found} if isinstance(found, str) else {}


def assign(
    settings: Mapping[str, Any], state: State, root: Node, variables: Mapping[str, Tuple[str, Weight]]
) -> SavedOptimizer:
    """The optimizer with its arrays by weight and slot."""
    class_name = settings.get("class_name")
    class_name = str(class_name).rpartition(">")[2] if class_name else None
    config = settings.get("config")
    algorithm = _algorithm(class_name, config)
    slots, step, others = _by_name(algorithm, state, variables)
    trained = trained_names(root, list(variables))
    if not slots and state.in_order:
        more = _by_order(algorithm, others, [variables[name][1] for name in trained], state.in_turn)
        if more is not None:
            slots = more
            used = {array.source for of_weight in slots.values() for array in of_weight.values()}
            others = [array for array in others if array.source not in used]
    if step is None and others and not others[0].shape and others[0].dtype in ("int64", "int32"):
        step, others = others[0], others[1:]
    return SavedOptimizer(
        class_name,
        config if isinstance(config, dict) else {},
        slots,
        int(step.read()) if step is not None else None,
        {array.source: array for array in others},
    )


def _algorithm(class_name: Optional[str], config: Any) -> str:
    name = re.sub(r"V\d$|Optimizer$", "", class_name or "").lower()
    inner = config.get("inner_optimizer") or config.get("optimizer") if isinstance(config, dict) else None
    if name.startswith("lossscale") and isinstance(inner, dict):
        return _algorithm(str(inner.get("class_name")), inner.get("config"))
    return name


def trained_names(root: Node, names: Sequence[str]) -> List[str]:
    """Those weights that are trained, in the order of the model."""
    frozen: Set[str] = {node.path for node in root.walk() if not node.trainable}
    return [name for name in names if is_trained(name) and name.rpartition("/")[0] not in frozen]


def _by_name(
    algorithm: str, state: State, variables: Mapping[str, Tuple[str, Weight]]
) -> Tuple[Slots, Optional[Weight], List[Weight]]:
    """What the names of variables tell: ``Adam/dense/kernel/m``, ``Adam/m/dense/kernel``, ``adam/dense_kernel_m``."""
    by_variable = {variable.split(":")[0]: name for name, (variable, _) in variables.items()}
    by_joined = {variable.replace("/", "_"): name for variable, name in by_variable.items()}
    renamed = _CANONICAL.get(algorithm, {})
    slots: Slots = {}
    step, others = None, []
    for name, array in zip(state.names, state.arrays):
        parts = name.split(":")[0].split("/")
        if parts[-1] in _STEPS and not array.shape:
            step = array
            continue
        weight, slot = _weight_and_slot(parts, by_variable, by_joined)
        slot = renamed.get(slot, slot)
        owner = variables[weight][1] if weight else None
        if owner is None or owner.shape != array.shape or slot in slots.get(weight, {}):
            others.append(array)
        else:
            slots.setdefault(weight, {})[slot] = array.renamed(f"{weight}/{slot}")
    if not state.names:
        others = list(state.arrays)
    return slots, step, others


def _weight_and_slot(parts: List[str], by_variable: Mapping[str, str], by_joined: Mapping[str, str]) -> Tuple[str, str]:
    for start in range(1, len(parts) - 1):
        weight = by_variable.get("/".join(parts[start:-1]))
        if weight:
            return weight, re.sub(r"_\d+$", "", parts[-1])
    if len(parts) > 2 and "/".join(parts[2:]) in by_variable:
        return by_variable["/".join(parts[2:])], parts[1]
    for place, sign in enumerate(parts[-1]):  # the longest weight's name is the last that fits
        slot = re.sub(r"^0_", "", parts[-1][place + 1 :])  # of a variable that is not Keras's, w:0
        if sign == "_" and parts[-1][:place] in by_joined and slot in _OF_KERAS_3:
            return by_joined[parts[-1][:place]], slot
    return "", ""


_OF_KERAS_3 = {slot for slots in _CANONICAL.values() for slot in slots} | {"accumulator", "linear"}


def _by_order(algorithm: str, arrays: Sequence[Weight], trained: Sequence[Weight], in_turn: bool) -> Optional[Slots]:
    """Slots by their order, if their number and all of their shapes fit."""
    left = [array for array in arrays if array.shape or array.dtype not in ("int64", "int32", "float32")]
    if not in_turn:
        left = _without_placeholders(left, len(trained))
    kinds = _IN_TURN.get(algorithm)
    if not kinds or not trained or not left or len(left) % len(trained):
        return None
    flat = [slot for kind in kinds for slot in kind]
    count = len(left) // len(trained)
    if count > len(flat) or (algorithm == "rmsprop" and count > 1):
        return None
    order: List[Tuple[Weight, str]] = []
    if in_turn:
        for kind in kinds:
            if len(order) < len(left):
                order += [(weight, slot) for weight in trained for slot in kind]
    else:
        order = [(weight, slot) for slot in flat[:count] for weight in trained]
    if len(order) != len(left) or any(weight.shape != array.shape for (weight, _), array in zip(order, left)):
        return None
    slots: Slots = {}
    for (weight, slot), array in zip(order, left):
        slots.setdefault(weight.name, {})[slot] = array.renamed(f"{weight.name}/{slot}")
    return slots


def _without_placeholders(arrays: List[Weight], count: int) -> List[Weight]:
    """Without the arrays of one zero that Keras's Adam without ``amsgrad`` has in place of ``vhat``."""
    ends = arrays[-count:] if len(arrays) >= 3 * count else []
    return arrays[:-count] if ends and all(array.shape == (1,) for array in ends) else arrays
