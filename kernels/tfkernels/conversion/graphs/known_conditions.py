"""Conditions of a graph whose outcome is known, as with ``training`` fixed: only the branch that runs is kept.

TensorFlow 2 has no gradient for a ``Switch`` that was imported. Without it, gradients are those of a plain graph.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set

from tfkernels.conversion.graphs.default_signature import in_order
from tfkernels.conversion.graphs.nodes import by_name, constant, is_control, tensor

_SWITCHES = {"Switch", "RefSwitch"}
_MERGES = {"Merge", "RefMerge"}


class Decided(NamedTuple):
    """``replaced`` are tensors of the old graph that are others in the new one."""

    graph_def: Any
    replaced: Mapping[str, str]

    def name(self, of: str) -> str:
        """What a tensor of the old graph is called in the new one."""
        return tensor(self.replaced.get(tensor(of).name, of)).name


def decide(graph_def: Any, known: Mapping[str, bool], make_ndarray: Any) -> Decided:
    """The graph without conditions on placeholders of ``known`` values, and on constants."""
    nodes = by_name(graph_def)
    values = _Values(nodes, known, make_ndarray)
    replaced: Dict[str, str] = {}
    dead: Set[str] = set()  # tensors, and nodes under the names of their control outputs
    for name in in_order(nodes):
        node = nodes[name]
        gone = [_tensor(one) in dead for one in node.input]
        if node.op in _MERGES and node.input and not all(gone):
            if any(gone) and gone.count(False) == 1:
                alive = node.input[gone.index(False)]
                replaced[f"{name}:0"] = replaced.get(_tensor(alive), alive)
        elif any(gone):
            dead.update((f"^{name}", *(f"{name}:{place}" for place in range(_outputs(node)))))
        elif node.op in _SWITCHES:
            outcome = values.of(node.input[1])
            if outcome is not None:
                replaced[f"{name}:{int(outcome)}"] = replaced.get(_tensor(node.input[0]), node.input[0])
                dead.add(f"{name}:{int(not outcome)}")
    if not replaced:
        return Decided(graph_def, replaced)
    found = type(graph_def)()
    found.CopyFrom(graph_def)
    for node in found.node:
        inputs = [one if is_control(one) else replaced.get(_tensor(one), one) for one in node.input]
        del node.input[:]
        node.input.extend(inputs)
    return Decided(found, replaced)


def _tensor(name: str) -> str:
    return name if is_control(name) else tensor(name).name


def _outputs(node: Any) -> int:
    """At least as many as a node has: those of a dead one are only looked up."""
    return 2 if node.op in _SWITCHES | _MERGES else 16


class _Values:
    """The values of truths that are known."""

    def __init__(self, nodes: Dict[str, Any], known: Mapping[str, bool], make_ndarray: Any) -> None:
        self._nodes, self._known, self._make_ndarray = nodes, known, make_ndarray

    def of(self, name: str, depth: int = 0) -> Optional[bool]:
        node = self._nodes.get(tensor(name).node)
        if node is None or depth > 20:
            return None
        if node.name in self._known:
            return self._known[node.name]
        if node.op == "Const":
            value = constant(self._nodes, name, self._make_ndarray)
            return bool(value) if value.shape == () and value.dtype == bool else None
        given: List[Optional[bool]] = [self.of(one, depth + 1) for one in node.input if not is_control(one)]
        if node.op == "Identity":
            return given[0]
        if node.op == "LogicalNot":
            return None if given[0] is None else not given[0]
        if node.op in ("LogicalAnd", "LogicalOr"):
            deciding = bool(node.op == "LogicalOr")
            if deciding in given:
                return deciding
            return None if None in given else not deciding
        return None
