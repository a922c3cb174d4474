"""Tensors of a graph that can be compared between releases, in the order of computation. Messages only."""

from typing import Any, Dict, List, Set

from tfkernels.conversion.graphs.default_signature import in_order
from tfkernels.conversion.graphs.graph_file import Signature
from tfkernels.conversion.graphs.nodes import data_inputs, dtype_of, needed, tensor

MOST = 200
"""Graphs can have thousands of tensors; then every second, third, … of them is taken."""

_OPENS = {"Enter", "RefEnter", "Switch", "RefSwitch"}
_CLOSES = {"Exit", "RefExit"}
_MERGES = {"Merge", "RefMerge"}
"""It ends a condition, and begins a loop."""
_FLOATS = {1, 2, 14, 19}  # float32, float64, bfloat16, float16


def traced(nodes: Dict[str, Any], signature: Signature) -> List[str]:
    """What an output needs and an input changes, outside of loops and conditions: there a session cannot fetch it."""
    wanted = needed(nodes, [tensor(name).node for name in signature.outputs.values()])
    reached = {tensor(name).node for name in signature.inputs.values()}
    inside: Set[str] = set()
    found = []
    for name in in_order(nodes):
        node, sources = nodes[name], data_inputs(nodes[name])
        if any(source in reached for source in sources):
            reached.add(name)
        closes = node.op in _CLOSES or (node.op in _MERGES and not any(_in_loop(nodes, source) for source in sources))
        if node.op in _OPENS or (not closes and any(source in inside for source in sources)):
            inside.add(name)
        elif name in wanted and name in reached and sources and dtype_of(node, "T") in _FLOATS:
            found.append(f"{name}:0")
    return found[:: len(found) // MOST + 1]


def _in_loop(nodes: Dict[str, Any], name: str) -> bool:
    return name in nodes and nodes[name].op.endswith(("Enter", "NextIteration"))
