"""Outputs of layers in a graph whose author named none: what leaves the scope of a layer's weights."""

from typing import Any, Dict, Iterable, List

from tfkernels.training.graph.operations import closure, consumers_within, is_variable, scopes


def layer_outputs(loss: Any, weights: Iterable[str]) -> Dict[str, Any]:
    """The output of each scope that has weights, by the scope's name, in the order of computation.

    ``dense/BiasAdd`` is that of ``dense`` if an operation outside uses it, and nothing else in ``dense``. If there
    is none, as in a loop of an LSTM, the scope around counts.
    """
    operations = closure([loss.op])
    users = consumers_within(operations)
    wanted = {scope for name in weights for scope in scopes(name)}
    leaving: Dict[str, List[Any]] = {scope: [] for scope in wanted}
    for operation in _depend_on_data(operations):
        for scope in (one for one in scopes(operation.name) if one in wanted):
            leaving[scope] += [
                tensor
                for tensor in operation.outputs
                if any(not user.name.startswith(f"{scope}/") for user in users.get(tensor.name, ()))
            ]
    found: Dict[str, Any] = {}
    for name in weights:
        innermost = next((scope for scope in scopes(name) if _is_output(leaving[scope])), None)
        if innermost is not None:
            found[innermost] = leaving[innermost][0]
    places = {operation: place for place, operation in enumerate(operations)}
    return dict(sorted(found.items(), key=lambda item: places[item[1].op]))


def _is_output(leaving: List[Any]) -> bool:
    return len(leaving) == 1 and bool(leaving[0].graph.is_fetchable(leaving[0]))


def _depend_on_data(operations: Dict[Any, None]) -> Dict[Any, None]:
    """Without variables, constants, and what is computed from these alone."""
    found: Dict[Any, None] = {}
    for operation in operations:
        inputs = list(operation.inputs)
        starts = not inputs and not is_variable(operation) and operation.type not in ("Const", "NoOp")
        if starts or any(tensor.op in found for tensor in inputs):
            found[operation] = None
    return found
