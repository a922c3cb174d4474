"""Outputs of layers in a graph whose author named none: what leaves the scope of a layer's weights."""

from typing import Any, Dict, Iterable, List

from tfkernels.training.graph.operations import closure, consumers_within, is_variable, scopes


def layer_outputs(loss: Any, weights: Iterable[str]) -> Dict[str, Any]:
    """The output of each scope that has weights, by the scope's name, in the order of computation.

    ``dense/BiasAdd`` is that of ``dense`` if an operation outside uses it, and nothing else in ``dense``.
    """
    operations = closure([loss.op])
    users = consumers_within(operations)
    leaving: Dict[str, List[Any]] = {scope: [] for name in weights for scope in [name.rpartition("/")[0]] if scope}
    for operation in _depend_on_data(operations):
        for scope in (one for one in scopes(operation.name) if one in leaving):
            leaving[scope] += [
                tensor
                for tensor in operation.outputs
                if any(not user.name.startswith(f"{scope}/") for user in users.get(tensor.name, ()))
            ]
    found = {scope: tensors[0] for scope, tensors in leaving.items() if len(tensors) == 1}
    places = {operation: place for place, operation in enumerate(operations)}
    in_order = sorted(found.items(), key=lambda item: places[item[1].op])
    return {scope: tensor for scope, tensor in in_order if tensor.graph.is_fetchable(tensor)}


def _depend_on_data(operations: Dict[Any, None]) -> Dict[Any, None]:
    """Without variables, constants, and what is computed from these alone."""
    found: Dict[Any, None] = {}
    for operation in operations:
        inputs = list(operation.inputs)
        starts = not inputs and not is_variable(operation) and operation.type not in ("Const", "NoOp")
        if starts or any(tensor.op in found for tensor in inputs):
            found[operation] = None
    return found
