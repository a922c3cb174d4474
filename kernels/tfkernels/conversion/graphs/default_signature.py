"""Inputs and outputs of a graph that has no signature: found by what depends on what. Messages only, no TensorFlow.

An input is a placeholder that meets weights before anything else does; a placeholder that only meets what the weights
gave (labels) is none. Outputs are the last tensors that need inputs and weights, and no labels.
"""

import re
from typing import Any, Callable, Dict, FrozenSet, List, Sequence, Set

from tfkernels.conversion.graphs.graph_file import SERVING, GraphFile, Signature, argument
from tfkernels.conversion.graphs.nodes import (
    PLACEHOLDERS,
    VARIABLES,
    attribute,
    consumers,
    data_inputs,
    inferred_shape,
    inputs,
    needed,
    tensor,
)
from tfkernels.errors import ConversionError

_WRITES = re.compile(
    r"Assert|Assign|Merge.*Checkpoints|NoOp|Print|(Resource|Sparse)*Apply|Save|Scatter(Add|Sub|Update|Nd(Add|Update))"
    r"|.*Summary|Resource(Scatter|Strided)"
)
"""Operations that write somewhere. What only they need is no output."""


def with_signatures(file: GraphFile, outputs: Sequence[str] = ()) -> GraphFile:
    """The file with a signature: that of the user's ``outputs``, its own ones, or the one that is found.

    Raises ``ConversionError`` if an output is not there, or none is found.
    """
    nodes = file.nodes
    if outputs:
        lost = [name for name in outputs if tensor(name).node not in nodes]
        if lost:
            near = [name for name in nodes if any(tensor(one).node.split("/")[-1] in name for one in lost)][:5]
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise ConversionError(f"Cannot use the output {lost[0]}: the graph has no such node.{hint}")
        named = _named(list(dict.fromkeys(tensor(name).name for name in outputs)))
        return file._replace(signatures={SERVING: Signature(_inputs_of(nodes, named), named)})
    if file.signatures:
        return file
    if file.has_objects:
        raise ConversionError(
            f"Cannot use the graph of {file.path}: it was saved without a signature. Save it again with signatures=, "
            "in the release that wrote it."
        )
    found = find(nodes)
    if not found.outputs:
        raise ConversionError(
            f"Cannot tell the outputs of {file.path}: it has no signature, and no tensor depends on a placeholder and "
            "on weights. Name them with --outputs NODE."
        )
    return file._replace(signatures={SERVING: found})


def find(nodes: Dict[str, Any]) -> Signature:
    order = in_order(nodes)
    of_variables = _reached(nodes, order, lambda node: _is_weight(nodes, node))
    fed = {name: frozenset((name,)) for name in nodes if _is_input(nodes[name])}
    placeholders: Dict[str, FrozenSet[str]] = {}
    first: Set[str] = set()
    for name in order:
        sources = [one for one in data_inputs(nodes[name]) if one in placeholders]
        placeholders[name] = fed.get(name, frozenset()).union(*(placeholders[one] for one in sources))
        if any(one in of_variables and not placeholders[one] for one in sources):
            first.update(*(placeholders[one] for one in sources if one not in of_variables))
    data = {name for name in first if not _is_scalar(nodes[name])}
    allowed = data | {name for name in fed if _is_scalar(nodes[name])}
    kept = [
        name for name in order
        if name in of_variables and placeholders[name] & data and placeholders[name] <= allowed and _gives(nodes[name])
    ]  # fmt: skip
    kept_set = set(kept)
    used = consumers(nodes)
    written: Set[str] = set()
    for name in reversed(order):
        if used[name] and all(user in written or _WRITES.match(nodes[user].op) for user in used[name]):
            written.add(name)
    last = [name for name in kept if name not in written and not any(user in kept_set - written for user in used[name])]
    outputs = _named(last)
    return Signature(_inputs_of(nodes, outputs), outputs)


def _inputs_of(nodes: Dict[str, Any], outputs: Dict[str, str]) -> Dict[str, str]:
    """The placeholders that outputs need, but for those with a default, and for Keras's learning phase."""
    found = needed(nodes, [tensor(name).node for name in outputs.values()])
    fed = [name for name in nodes if name in found and _is_input(nodes[name]) and not is_learning_phase(nodes[name])]
    return {key: tensor(name).name for key, name in zip(_short(fed), fed)}


def is_learning_phase(node: Any) -> bool:
    return node.op in PLACEHOLDERS and node.name.split("/")[-1].startswith("keras_learning_phase")


def _is_input(node: Any) -> bool:
    return node.op in ("Placeholder", "PlaceholderV2")


def _is_scalar(node: Any) -> bool:
    """Without an attribute the shape is unknown."""
    given = attribute(node, "shape")
    known = [shape for shape in (given and given.shape, inferred_shape(node)) if shape is not None]
    return bool(known) and not any(shape.dim or shape.unknown_rank for shape in known)


def _is_weight(nodes: Dict[str, Any], node: Any) -> bool:
    """A variable, or what became of it when the graph was frozen: a constant that is read as one."""
    if node.op in VARIABLES:
        return True
    return node.op == "Identity" and bool(node.input) and is_frozen_read(nodes, node)


def is_frozen_read(nodes: Dict[str, Any], node: Any) -> bool:
    source = nodes.get(tensor(node.input[0]).node)
    name = node.name
    return (
        source is not None
        and source.op == "Const"
        and (name == f"{source.name}/read" or name.startswith(f"{source.name}/Read") or "ReadVariableOp" in name)
    )


def _gives(node: Any) -> bool:
    if _WRITES.match(node.op) or not node.input:
        return False
    return not node.name.split("/")[0].startswith("gradients") and "/gradients/" not in node.name


def _reached(nodes: Dict[str, Any], order: List[str], start: Callable[[Any], bool]) -> Set[str]:
    found: Set[str] = set()
    for name in order:
        if start(nodes[name]) or any(source in found for source in data_inputs(nodes[name])):
            found.add(name)
    return found


def in_order(nodes: Dict[str, Any]) -> List[str]:
    """The names, each after those that it needs. A loop begins where it is entered."""
    order: List[str] = []
    done: Dict[str, bool] = {}
    for start in nodes:
        stack = [start]
        while stack:
            name = stack[-1]
            if done.get(name):
                stack.pop()
            elif name in done:
                done[name] = True
                order.append(name)
                stack.pop()
            else:
                done[name] = False
                loop = nodes[name].op in ("Merge", "RefMerge")
                stack.extend(
                    one
                    for one in inputs(nodes[name])
                    if one in nodes and one not in done and not (loop and nodes[one].op.endswith("NextIteration"))
                )
    return order


def _named(names: List[str]) -> Dict[str, str]:
    short = _short([re.sub(":0$", "", name) for name in names])
    return dict(zip(short, (tensor(name).name for name in names)))


def _short(names: List[str]) -> List[str]:
    """The last parts of names where these differ; else the whole names, as arguments are written."""
    last = [argument(name.split("/")[-1]) for name in names]
    return last if len(set(last)) == len(last) else [argument(name) for name in names]
