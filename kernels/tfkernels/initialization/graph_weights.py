"""What a variable of TensorFlow 1's graph begins with: read from the operations that compute its initial value."""

from typing import Any, Dict, List, Optional, Sequence, Set

import numpy as np

from tfkernels.errors import WeightsError
from tfkernels.initialization import draws
from tfkernels.initialization.philox import Stream, stream
from tfkernels.models.initializers import Initializer

_STANDARD = {
    "RandomUniform": draws.uniform,
    "RandomStandardNormal": draws.normal,
    "TruncatedNormal": draws.truncated_normal,
}
_NAMES = {"RandomStandardNormal": "random_normal", "TruncatedNormal": "truncated_normal"}
_ADD = ("Add", "AddV2")


def random_operations(value: Any) -> List[Any]:
    """The operations that draw the numbers of an initial value, in the order of their names."""
    found = {operation.name: operation for operation in behind(value) if _is_random(operation)}
    return [found[name] for name in sorted(found)]


def initializer_of(session: Any, value: Any) -> Optional[Initializer]:
    """The initializer that a tensor with one random operation behind it came from, if that can be seen."""
    (random,) = random_operations(value)
    root = _root(value)
    if any(operation.type == "Qr" for operation in behind(value)):
        return Initializer("orthogonal", {"gain": _gain(session, root)})
    if root.op.type not in _ADD or random.type not in _STANDARD:
        return None
    product, shift = root.op.inputs
    product = _root(product)
    if product.op.type != "Mul" or _root(product.op.inputs[0]).op is not random:
        return None
    scale = product.op.inputs[1]
    if _is_drawn(scale) or _is_drawn(shift):
        return None
    if random.type == "RandomUniform":
        if scale.op.type == "Sub":
            low, high = (float(number) for number in session.run([shift, scale.op.inputs[0]]))
        else:
            low, width = (float(number) for number in session.run([shift, scale]))
            high = low + width
        return Initializer("random_uniform", {"minval": low, "maxval": high})
    mean, deviation = (float(number) for number in session.run([shift, scale]))
    return Initializer(_NAMES[random.type], {"mean": mean, "stddev": deviation})


def computed(session: Any, value: Any, name: str, *names: Any) -> Any:
    """What the graph makes of random numbers that are ours. Raises ``WeightsError`` for other kinds of them."""
    feed = {}
    for number, operation in enumerate(random_operations(value)):
        if operation.type not in _STANDARD:
            raise WeightsError(
                f"same_start cannot draw the initial value of {name}: its operation {operation.name} is a "
                f"{operation.type}. Give its initializer: initializers={{{name!r}: 'glorot_uniform'}}"
            )
        tensor = operation.outputs[0]
        shape = session.run(tensor).shape
        source: Stream = stream(*names, number)
        feed[tensor] = _STANDARD[operation.type](shape, source).astype(tensor.dtype.as_numpy_dtype)
    return session.run(value, feed)


def _gain(session: Any, root: Any) -> float:
    numbers = [tensor for tensor in root.op.inputs if root.op.type == "Mul" and tensor.shape.ndims == 0]
    return float(np.asarray(session.run(numbers[0]))) if numbers else 1.0


def _root(tensor: Any) -> Any:
    while tensor.op.type in ("Identity", "Cast") and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor


def _is_drawn(tensor: Any) -> bool:
    return any(map(_is_random, behind(tensor)))


def is_random(node: Any) -> bool:
    """By the attribute that all operations have that draw numbers of a state."""
    return "seed2" in node.attr


def _is_random(operation: Any) -> bool:
    return is_random(operation.node_def)


def behind(value: Any, until: Sequence[Any] = ()) -> List[Any]:
    """All operations that a tensor is computed from. What a variable holds is no computation.

    Those that compute the tensors ``until`` do not count, and what is behind them.
    """
    seen: Set[str] = {tensor.op.name for tensor in until}
    found: List[Any] = []
    stack = [value.op]
    while stack:
        operation = stack.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        found.append(operation)
        if not _holds_state(operation):
            stack += [tensor.op for tensor in operation.inputs]
    return found


def _holds_state(operation: Any) -> bool:
    return operation.type in ("VariableV2", "Variable", "VarHandleOp", "ReadVariableOp")


def by_name(variables: Sequence[Any]) -> Dict[str, Any]:
    return {variable.op.name: variable for variable in variables}
