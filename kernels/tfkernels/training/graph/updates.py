"""What a ``train_op`` does to each weight: gradient, slots, learning rate, settings. Found in the graph.

The optimizers of ``tf.train`` and Keras have an operation for each update, and its inputs have names. For sparse
gradients some of them, and optimizers that users write, are made of many operations instead.
"""

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from tfkernels.training.graph.operations import (
    arguments,
    changed,
    closure,
    fetchable,
    nearest,
    scopes,
    variable_behind,
)

_APPLY = re.compile(r"(?:Resource)?(?:Sparse)?Apply(\w+)")
_SCATTER = re.compile(r"(Resource)?Scatter(Add|Sub|Update)")

_CLASSES = {
    "GradientDescent": "SGD",
    "Momentum": "SGD",
    "KerasMomentum": "SGD",
    "RMSProp": "RMSprop",
    "CenteredRMSProp": "RMSprop",
    "AdaMax": "Adamax",
    "AdamWithAmsgrad": "Adam",
    "AdagradV2": "Adagrad",
    "FtrlV2": "Ftrl",
}
"""Keras's name for the optimizer of an operation, where it has another one."""

_SLOTS: Dict[str, Dict[str, str]] = {
    "Momentum": {"accum": "momentum"},
    "KerasMomentum": {"accum": "momentum"},
    "RMSProp": {"ms": "mean_square", "mom": "momentum"},
    "CenteredRMSProp": {"mg": "mean_gradient", "ms": "mean_square", "mom": "momentum"},
    "Adadelta": {"accum": "mean_square", "accum_update": "mean_square_update"},
}
_SLOT = {"accum": "accumulator"}
"""Our names of slots, where the operation's are others."""

_SLOTS_BY_ENDING = (
    (r"(.*_)?m|AdamW?|AdaMax|\w+SignOptimizer", "m"),
    (r"(.*_)?v|(AdamW?|AdaMax)_1", "v"),
    (r"Momentum|(.*_)?momentum", "momentum"),
    (r"Adagrad", "accumulator"),
)
"""Of optimizers that are made of many operations: the last part of the slot's name in the graph."""

_AVERAGE = re.compile(r"(\w*_)?(ExponentialMovingAverage|moving_average|ema|EMA)(_\d+)?")

_SETTINGS = {
    "beta1_power": "beta1_power",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "epsilon": "epsilon",
    "rho": "rho",
    "momentum": "momentum",
    "l1": "l1_regularization_strength",
    "l2": "l2_regularization_strength",
    "lr_power": "learning_rate_power",
}
"""Keras's names for what an operation is given beside the learning rate. The power tells how many steps there were."""

_BACKPROP = re.compile(r"(^|/)(gradients(_\d+)?|[^/]+_grad)/")
_CLIPPING = re.compile(r"(^|/)clip_by_\w+/")
_ELEMENTWISE = (
    *("Identity", "Mul", "Add", "AddV2", "AddN", "Sub", "Neg", "Div", "RealDiv", "Square", "Sqrt", "Rsqrt", "Pow"),
    *("Maximum", "Minimum", "ClipByValue", "Select", "SelectV2", "Cast", "CheckNumerics", "StopGradient"),
)


class Gradient(NamedTuple):
    """A gradient. With ``indices`` it has a row for each, and rows of one index are added."""

    values: Any
    indices: Optional[Any] = None


class WeightUpdate(NamedTuple):
    """How one weight is changed. Variables are given by the names of their operations."""

    weight: str
    kind: str
    """Of the operation: ``Adam`` of ``ResourceApplyAdam``. Empty if it is made of several operations."""
    slots: Dict[str, str]
    """The variable of each slot, by our name of the slot."""
    gradient: Optional[Gradient]
    unclipped: Optional[Gradient]
    """As it was computed, if something was done to it before the optimizer got it."""
    learning_rate: Optional[Any]
    settings: Dict[str, Any]
    """Tensors or values of settings, by Keras's names."""


def updates_of(training: List[Any], trained: Iterable[str]) -> List[WeightUpdate]:
    """The updates that the operations ``training`` make, in the order of the graph's variables ``trained``."""
    operations = closure(training)
    changing = [(operation, [variable.name for variable in changed(operation)]) for operation in operations]
    found: Dict[str, WeightUpdate] = {}
    for operation, variables in changing:
        kind = _APPLY.fullmatch(operation.type)
        if kind and variables:
            found.setdefault(variables[0], _applied(operation, kind.group(1)))
    for name in trained:
        own = [(operation, variables[0]) for operation, variables in changing
               if variables and name not in found and _slot_of(variables[0], name) is not None]  # fmt: skip
        if any(variable == name for _, variable in own):
            found[name] = _composed(name, own)
    places = {name: place for place, name in enumerate(trained)}
    return sorted(found.values(), key=lambda update: places.get(update.weight, len(places)))


def is_average(ending: str) -> bool:
    """Whether a variable whose name ends so is the moving average of a weight."""
    return bool(_AVERAGE.fullmatch(ending))


def optimizer_class(kind: str) -> str:
    return _CLASSES.get(kind, kind)


def _applied(operation: Any, kind: str) -> WeightUpdate:
    given = arguments(operation)
    weight, *others = [name for name, tensor in given.items() if variable_behind(tensor) is not None]
    slots = {_SLOTS.get(kind, {}).get(name, _SLOT.get(name, name)): variable_behind(given[name]).name  # type: ignore[union-attr]
             for name in others if name in _slot_arguments(operation, given)}  # fmt: skip
    values = given.get("grad", given.get("delta"))
    gradient = _outside(Gradient(values, given.get("indices")))
    settings: Dict[str, Any] = {_SETTINGS[name]: tensor for name, tensor in given.items() if name in _SETTINGS}
    if "use_nesterov" in operation.node_def.attr:
        settings["nesterov" if optimizer_class(kind) == "SGD" else "use_nesterov"] = operation.get_attr("use_nesterov")
    if optimizer_class(kind) == "RMSprop":
        settings["centered"] = kind == "CenteredRMSProp"
    if optimizer_class(kind) == "Adam":
        settings["amsgrad"] = kind == "AdamWithAmsgrad"
    rate = given.get("lr", given.get("alpha"))
    return WeightUpdate(
        variable_behind(given[weight]).name,  # type: ignore[union-attr]
        kind,
        slots,
        gradient,
        _before_clipping(gradient),
        fetchable(rate) if rate is not None else None,
        {name: fetchable(value) if hasattr(value, "op") else value for name, value in settings.items()},
    )


def _slot_arguments(operation: Any, given: Dict[str, Any]) -> List[str]:
    """Arguments that refer to variables. Betas of a resource variable are values that were read."""
    referred = {argument.name for argument in operation.op_def.input_arg if argument.is_ref}
    return [name for name in given if name in referred or given[name].dtype.name == "resource"]


def _composed(weight: str, own: List[Tuple[Any, str]]) -> WeightUpdate:
    """``own`` are operations that change the weight or its slots, and which variable."""
    slots = {_slot_of(variable, weight) or "": variable for _, variable in own if variable != weight}
    gradient = next(filter(None, (_gradient_into(operation) for operation, _ in own)), None)
    operation = next(operation for operation, variable in own if variable == weight)
    scope = next((scope for scope in scopes(operation.name) if "/update_" not in f"/{scope}"), "")
    rate = _of_graph(operation.graph, f"{scope}/learning_rate")
    return WeightUpdate(weight, "", slots, gradient, _before_clipping(gradient), rate, {})


def _slot_of(variable: str, weight: str) -> Optional[str]:
    """The slot of ``weight`` that ``variable`` is, by its name in the graph. Empty for the weight itself."""
    if variable == weight:
        return ""
    owner, _, ending = variable.rpartition("/")
    if not f"/{owner}".endswith(f"/{weight}") or is_average(ending):
        return None
    return next((name for pattern, name in _SLOTS_BY_ENDING if re.fullmatch(pattern, ending)), ending)


def _gradient_into(operation: Any) -> Optional[Gradient]:
    """The gradient from which ``operation`` computes what it adds to a variable or sets it to."""
    given = arguments(operation)
    value = given.get("value", given.get("updates"))
    if value is None:
        return None
    indices = given["indices"] if _SCATTER.fullmatch(operation.type) else None

    def wanted(tensor: Any) -> bool:
        return _is_gradient(tensor) or (indices is not None and tensor.op.type == "UnsortedSegmentSum")

    hits = [value] if wanted(value) else nearest(value, wanted, _ELEMENTWISE)
    if len(hits) != 1:
        return None
    shape = value.get_shape()
    if indices is None and not (shape.is_fully_defined() and hits[0].get_shape() == shape):
        return None
    return _outside(Gradient(hits[0], indices))


def _before_clipping(gradient: Optional[Gradient]) -> Optional[Gradient]:
    if gradient is None:
        return None
    values, indices = gradient
    if values.op.type == "UnsortedSegmentSum":  # rows of one index were added: clipping happened before that
        places = values.op.inputs[1].op
        if places.type != "Unique":
            return None
        values, indices = values.op.inputs[0], places.inputs[0]
    if _is_backprop(values):
        return None
    hits = nearest(values, _is_unclipped, _ELEMENTWISE)
    if len(hits) != 1 or not hits[0].get_shape().is_compatible_with(values.get_shape()):
        return None
    return _outside(Gradient(hits[0], indices))


def _is_backprop(tensor: Any) -> bool:
    return bool(_BACKPROP.search(tensor.op.name))


def _is_unclipped(tensor: Any) -> bool:
    """A gradient, or the whole gradient that was made of a sparse one."""
    return _is_backprop(tensor) or tensor.op.type == "UnsortedSegmentSum"


def _is_gradient(tensor: Any) -> bool:
    return _is_backprop(tensor) or bool(_CLIPPING.search(tensor.op.name))


def _outside(gradient: Gradient) -> Optional[Gradient]:
    """The same as tensors that a session can fetch."""
    found = [tensor if tensor is None else fetchable(tensor) for tensor in gradient]
    if found[0] is None or (gradient.indices is not None and found[1] is None):
        return None
    return Gradient(*found)


def _of_graph(graph: Any, name: str) -> Optional[Any]:
    try:
        return graph.get_operation_by_name(name).outputs[0]
    except (KeyError, IndexError):
        return None
