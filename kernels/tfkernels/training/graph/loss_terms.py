"""The terms that a loss is the sum of: those of the data, and those of weights alone. And the loss of a gradient."""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Set

from tfkernels.training.graph.operations import closure, is_variable

_SUMS = ("Add", "AddV2", "AddN")
_SAME = ("Identity", "CheckNumerics", "StopGradient")
_CHANGING = re.compile(r"Placeholder\w*|\w*Iterator\w*|\w*Dequeue\w*|(Eager)?PyFunc\w*|\w*Random\w+|\w*Reader\w*")
_STARTS = re.compile(r"(^|/)gradients(_\d+)?/(grad_ys_\d+|Fill)$")
_OF_FORWARD = re.compile(r"^(?:.*/)?gradients(?:_\d+)?/(.+?)_grad/")


class LossTerms(NamedTuple):
    data: List[Any]
    regularization: List[Any]
    """Scalars that depend on variables, and on nothing else that changes."""


def terms_of(loss: Any) -> LossTerms:
    """``loss`` is the sum of these. A loss that is no sum is one term."""
    data: List[Any] = []
    regularization: List[Any] = []
    for term in _terms(loss):
        operations = closure([term.op])
        changing = any(_CHANGING.fullmatch(one.type) for one in operations)
        of_weights = not changing and any(is_variable(one) for one in operations)
        (regularization if of_weights else data).append(term)
    return LossTerms(data, regularization) if data else LossTerms([loss], [])


def loss_of_gradients(gradients: List[Any]) -> Optional[Any]:
    """The loss that these were computed from, if the names that ``tf.gradients`` gives tell it."""
    found: Dict[str, Any] = {}
    for operation in closure([tensor.op for tensor in gradients]):
        forward = _OF_FORWARD.search(operation.name)
        if forward and any(_STARTS.search(tensor.op.name) for tensor in operation.inputs):
            try:
                tensor = operation.graph.get_operation_by_name(forward.group(1)).outputs[0]
            except (KeyError, IndexError):
                continue
            found[tensor.name] = tensor
    return next(iter(found.values())) if len(found) == 1 else _sum_of(list(found.values()))


def _sum_of(tensors: List[Any]) -> Optional[Any]:
    """The sum that has these as terms. The gradient of a sum is that of its terms, and has no operation."""
    wanted = {name for tensor in tensors for name in _names(tensor)}
    level = tensors[:1]
    while level:
        for tensor in level:
            if _names(tensor) == wanted:
                return tensor
        users = [user for tensor in level for user in tensor.consumers() if user.type in (*_SUMS, *_SAME)]
        level = [output for user in users for output in user.outputs]
    return None


def _names(tensor: Any) -> Set[str]:
    """The terms of ``tensor``, without constants: these have no gradient."""
    return {term.name for term in _terms(tensor) if term.op.type != "Const"}


def _terms(tensor: Any) -> List[Any]:
    if tensor.op.type in _SAME:
        return _terms(tensor.op.inputs[0])
    if tensor.op.type in _SUMS and tensor.get_shape().ndims == 0:
        inputs = list(tensor.op.inputs)
        if all(one.get_shape().ndims == 0 for one in inputs):
            return [term for one in inputs for term in _terms(one)]
    return [tensor]
