"""Nodes of a GraphDef: what an output needs, and what a new process cannot read. Messages only, no TensorFlow."""

from collections import deque
from typing import Any, Collection, Dict, Iterable, List, NamedTuple, Set

STALE = ("_output_shapes", "_class")
"""Attributes that TensorFlow infers anyway. Those of 1.x are wrong after an edit, and then forbid the import."""

_OF_REFERENCES = {
    f"Ref{name}": name for name in ("Enter", "Exit", "Identity", "Merge", "NextIteration", "Select", "Switch")
}
VARIABLES = {"Variable", "VariableV2", "VarHandleOp"}
PLACEHOLDERS = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"}


class Tensor(NamedTuple):
    """An output of a node."""

    node: str
    place: int

    @property
    def name(self) -> str:
        return f"{self.node}:{self.place}"


def tensor(name: str) -> Tensor:
    """The tensor of a node's input, of a signature, or of the name of an operation."""
    node, _, place = name.partition(":")
    return Tensor(node, int(place or 0))


def is_control(name: str) -> bool:
    return name.startswith("^")


def by_name(graph_def: Any) -> Dict[str, Any]:
    return {node.name: node for node in graph_def.node}


def inputs(node: Any) -> List[str]:
    """The names of the nodes that a node needs, control inputs included."""
    return [tensor(name.lstrip("^")).node for name in node.input]


def attribute(node: Any, name: str) -> Any:
    """An attribute of a node, or ``None``. To look up one that is missing would add an empty one, which is an error."""
    return node.attr.get(name)


def dtype_of(node: Any, name: str) -> int:
    """The number of a dtype that an attribute holds, or 0."""
    found = attribute(node, name)
    return int(found.type) if found is not None else 0


def inferred_shape(node: Any) -> Any:
    """The shape of a node's first output as TensorFlow inferred it when the graph was saved, or ``None``."""
    found = attribute(node, "_output_shapes")
    return found.list.shape[0] if found is not None and found.list.shape else None


def data_inputs(node: Any) -> List[str]:
    """The names of the nodes whose values a node gets."""
    return [tensor(name).node for name in node.input if not is_control(name)]


def needed(nodes: Dict[str, Any], wanted: Iterable[str], cut: Collection[str] = ()) -> Set[str]:
    """The nodes that the nodes ``wanted`` need. What is in front of ``cut`` is not needed."""
    found: Set[str] = set()
    left = deque(wanted)
    while left:
        name = left.popleft()
        if name in found or name not in nodes:
            continue
        found.add(name)
        if name not in cut:
            left.extend(inputs(nodes[name]))
    return found


def consumers(nodes: Dict[str, Any]) -> Dict[str, List[str]]:
    """The nodes that get the values of each node."""
    found: Dict[str, List[str]] = {name: [] for name in nodes}
    for name, node in nodes.items():
        for source in data_inputs(node):
            if source in found:
                found[source].append(name)
    return found


def part(graph_def: Any, wanted: Collection[str]) -> Any:
    """A new GraphDef of these nodes, without stale attributes, devices, and inputs of nodes that are left out."""
    found = type(graph_def)()
    found.versions.CopyFrom(graph_def.versions)
    found.library.CopyFrom(graph_def.library)
    for node in graph_def.node:
        if node.name in wanted:
            found.node.add().CopyFrom(_clean(node, wanted))
    for function in found.library.function:
        for node in function.node_def:
            _strip(node)
    return found


def _clean(node: Any, wanted: Collection[str]) -> Any:
    clean = type(node)()
    clean.CopyFrom(node)
    _strip(clean)
    kept = [name for name in node.input if not is_control(name) or name[1:] in wanted]
    del clean.input[:]
    clean.input.extend(kept)
    return clean


def _strip(node: Any) -> None:
    for name in STALE:
        if name in node.attr:
            del node.attr[name]
    node.device = ""


def without_references(graph_def: Any) -> None:
    """Operations on references of variables become those on values."""
    for node in graph_def.node:
        node.op = _OF_REFERENCES.get(node.op, node.op)


def constant(nodes: Dict[str, Any], name: str, make_ndarray: Any) -> Any:
    """The value of a tensor that is a constant, or one handed on; ``None`` if it is computed."""
    for _ in range(20):
        node = nodes.get(tensor(name).node)
        if node is None:
            return None
        if node.op == "Const":
            return make_ndarray(node.attr["value"].tensor)
        if node.op not in ("Identity", "StopGradient") or not node.input:
            return None
        name = node.input[0]
    return None
