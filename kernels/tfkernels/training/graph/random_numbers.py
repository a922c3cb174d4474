"""Random numbers that a training step draws, such as those of a dropout: named, fetched, and replaced by others."""

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Set

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.layer_names import take_name
from tfkernels.models.tensorflow_api import control_flow, v1
from tfkernels.training.graph.operations import closure
from tfkernels.training.graph.ordered_step import SCOPE, open_for_additions

_DRAWS = re.compile(r"(Stateless)?(RandomUniform|RandomStandardNormal|TruncatedNormal|RandomNormal)(V2)?")
_CONDITION = re.compile(r"cond(_\d+)?")
_DROPOUT = re.compile(r"dropout(_\d+)?")
_OF_LAYER = re.compile(r"([Dd]ropout|cond)(_\d+)?")


class Draws(NamedTuple):
    by_name: Dict[str, Any]
    """The tensor of random numbers of each layer. Some are in a condition, where a session cannot fetch them."""
    hidden: List[str]
    """Operations whose numbers a session can neither fetch nor replace."""

    def replaced(self, theirs: Mapping[str, Any]) -> Dict[Any, Any]:
        """What to feed, so that a step has the numbers of another trace: those of the same name, or else in order.

        Raises ``TraceError`` if the other trace has not as many, or others.
        """
        left = [name for name in theirs if name not in self.by_name]
        fed = {}
        for name, tensor in self.by_name.items():
            source = name if name in theirs else left.pop(0) if left else None
            if source is None or not tensor.get_shape().is_compatible_with(np.shape(theirs[source])):
                there = ", ".join(f"{one} {np.shape(numbers)}" for one, numbers in theirs.items()) or "none"
                raise TraceError(
                    f"masks: {name} draws numbers of the shape {tensor.get_shape()}, and the other trace has no such "
                    f"({there}). Both sides must drop the same values, in batches of one size"
                )
            fed[tensor] = theirs[source]
        return fed


def draws_of(loss: Any) -> Draws:
    """The random numbers that ``loss`` depends on, in the order in which they are drawn."""
    names: Set[str] = set()
    found: Dict[str, Any] = {}
    hidden: List[str] = []
    for operation in closure([loss.op]):
        if not draws_numbers(operation):
            continue
        tensor = operation.outputs[0]
        if tensor.graph.is_feedable(tensor) and (tensor.graph.is_fetchable(tensor) or _condition(tensor) is not None):
            found[take_name(_name(operation), names)] = tensor
        else:
            hidden.append(operation.name)
    return Draws(found, hidden)


def draws_numbers(operation: Any) -> bool:
    return bool(_DRAWS.fullmatch(operation.type))


def fetched(graph: Any, tensor: Any) -> Any:
    """A tensor with the same numbers that a session can fetch. It is a scalar where the condition does not draw."""
    if graph.is_fetchable(tensor):
        return tensor
    name = f"{SCOPE}/{tensor.op.name}/drawn"
    try:
        return graph.get_operation_by_name(name).outputs[0]
    except KeyError:
        pass
    condition = _condition(tensor)
    with open_for_additions(graph), graph.as_default(), graph.control_dependencies(None), v1().name_scope(None):
        off, on = control_flow().switch(v1().zeros([], tensor.dtype), condition.pred, name=f"{name}/not")
        return control_flow().merge([tensor, off if condition.branch else on], name=name)[0]


def _condition(tensor: Any) -> Any:
    """The ``tf.cond`` that draws the numbers; ``None`` if there is none, or something else around."""
    context = tensor.op._get_control_flow_context()  # noqa: SLF001 (there is no public way to know the branch)
    if not hasattr(context, "pred") or context.outer_context is not None:
        return None
    return context


def _name(operation: Any) -> str:
    """The name of the layer: ``fc1`` of ``fc1/cond/dropout/random_uniform/RandomUniform``.

    A layer calls ``tf.nn.dropout`` in a condition, which hands its name on twice.
    """
    parts = operation.name.split("/")[:-1]
    parts = parts[:-1] if len(parts) > 1 and parts[-1].startswith(("random_", "truncated_")) else parts
    while len(parts) > 1 and _DROPOUT.fullmatch(parts[-1]) and _OF_LAYER.fullmatch(parts[-2]):
        parts = parts[:-1]
    return "/".join(part for part in parts if not _CONDITION.fullmatch(part)) or operation.name
