"""Tensors through which data enter a graph: inputs of the model, and targets."""

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Set

from tfkernels.training.graph.operations import closure, is_variable

_SOURCES = re.compile(r"Placeholder\w*|IteratorGetNext\w*|\w*Dequeue\w*")


class Sources(NamedTuple):
    inputs: List[Any]
    """What meets a weight on its way to the loss."""
    targets: List[Any]


def sources_of(terms: Iterable[Any]) -> Sources:
    """The tensors with data that these terms of a loss need."""
    found: Dict[str, Any] = {}
    behind: Dict[Any, Set[str]] = {}  # the sources that an operation needs
    of_weights: Set[Any] = set()  # operations that need variables, and no source
    inputs: Set[str] = set()
    for operation in closure(term.op for term in terms):
        behind[operation] = set()
        for tensor in operation.inputs:
            if _SOURCES.fullmatch(tensor.op.type):
                found[tensor.name] = tensor
                behind[operation].add(tensor.name)
            else:
                behind[operation] |= behind.get(tensor.op, set())
        beside_weights = any(tensor.op in of_weights for tensor in operation.inputs)
        if behind[operation] and beside_weights:
            inputs |= behind[operation]
        elif not behind[operation] and (beside_weights or is_variable(operation)):
            of_weights.add(operation)
    return Sources(
        [tensor for name, tensor in found.items() if name in inputs],
        [tensor for name, tensor in found.items() if name not in inputs],
    )
