"""Graphs in a file: frozen ones, which have their weights as constants, and metagraphs beside a checkpoint.

The messages are TensorFlow's ``graph.proto``, ``node_def.proto`` and ``attr_value.proto``.
"""

import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models import checkpoint_v1, checkpoints, metagraphs
from tfkernels.saved_models.containers import dtypes
from tfkernels.saved_models.containers.protobuf import Message, fields
from tfkernels.saved_models.containers.tensors import Tensor, partial_shape
from tfkernels.saved_models.keras import versions
from tfkernels.saved_models.keras.configs import Node
from tfkernels.saved_models.limits import check_expansion
from tfkernels.saved_models.saved_file import SavedFile, Signature, Weight, WrittenBy

_OPERATION = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.>/\\-]*")
_READS = re.compile(r"(.*/)?(read|Read|ReadVariableOp)(_\d+)?")


class GraphNode(NamedTuple):
    name: str
    operation: str
    inputs: Tuple[str, ...]
    attributes: Dict[str, memoryview]


def nodes(graph: memoryview) -> Iterator[GraphNode]:
    for number, value in fields(graph):
        if number == 1 and not isinstance(value, int):
            node = Message(value)
            yield GraphNode(node.text(1), node.text(2), tuple(node.texts(3)), node.mapping(5))


def is_graph(data: memoryview) -> bool:
    """Whether a message is a GraphDef: its first part names a node and an operation."""
    try:
        first = next(nodes(data), None)
        return first is not None and bool(first.name) and bool(_OPERATION.fullmatch(first.operation))
    except UnreadableFile:
        return False


def read(path: str, model: Optional[Node] = None) -> SavedFile:
    """A ``.pb`` of a graph or of a metagraph."""
    data = metagraphs.read_file(path)
    return _metagraph(path, data, model) if metagraphs.is_metagraph(data) else _frozen(path, data)


def _metagraph(path: str, data: memoryview, model: Optional[Node]) -> SavedFile:
    graph = metagraphs.parse(data)
    prefix = re.sub(r"\.meta$", "", path)
    written_by = versions.of_release(graph.release, "from the file")
    saved = SavedFile(path, "meta-graph", written_by, {}, signatures=graph.signatures)
    if prefix != path and (os.path.isfile(f"{prefix}.index") or os.path.isfile(prefix)):
        reader = checkpoints.read if os.path.isfile(f"{prefix}.index") else checkpoint_v1.read
        checkpoint = reader(prefix, model)
        return checkpoint._replace(path=path, format="meta-graph", written_by=written_by)
    names = ", ".join(list(graph.variables)[:5])
    note = f"its {len(graph.variables):,} variables are in a checkpoint that is not beside it: {names}, …"
    return saved._replace(notes=(note,) if graph.variables else ())


def _frozen(path: str, data: memoryview) -> SavedFile:
    every = list(nodes(data))
    if any(not node.name or not _OPERATION.fullmatch(node.operation) for node in every[:100]):
        raise UnreadableFile("it is no graph of TensorFlow")
    read_by: Dict[str, List[str]] = {}
    for node in every:
        if node.operation in ("Identity", "ReadVariableOp") and node.inputs and _READS.fullmatch(node.name):
            read_by.setdefault(node.inputs[0].split(":")[0], []).append(node.name)
    weights: Dict[str, Weight] = {}
    for node in every:
        if node.operation == "Const" and "value" in node.attributes:
            weight = _constant(path, node, node.name in read_by, len(data))
            if weight is not None:
                weights[weight.name] = weight
    inputs = {node.name: _placeholder(node) for node in every if node.operation.startswith("Placeholder")}
    used = {name.lstrip("^").split(":")[0] for node in every for name in node.inputs}
    ends = [node for node in every if node.name not in used and node.operation not in ("NoOp", "Const", "Placeholder")]
    outputs: Dict[str, Tuple[str, Optional[Tuple[Optional[int], ...]]]] = {node.name: _output(node) for node in ends}
    variables = [node.name for node in every if node.operation in ("VariableV2", "Variable", "VarHandleOp")]
    notes = (f"its {len(variables):,} variables have no values in it, such as {variables[0]}",) if variables else ()
    producer = Message(data).message(4).integer(1)
    evidence = (f"graphs of version {producer}",) if producer else ()
    return SavedFile(
        path,
        "frozen-graph",
        WrittenBy(None, None, (), evidence),
        weights,
        signatures={"graph": Signature(inputs, outputs, "", ())} if inputs or outputs else {},
        notes=notes,
    )


def _constant(path: str, node: GraphNode, is_read: bool, size: int) -> Optional[Weight]:
    """The constant as a weight, if it was one: it is read as variables are, or is an array of fractions."""
    value = Message(node.attributes["value"]).data(8)
    tensor = Tensor(value)
    if not is_read and not (tensor.shape and dtypes.is_floating(tensor.dtype)):
        return None
    check_expansion(tensor.count * 4, size, node.name)

    def values() -> "np.ndarray[Any, Any]":
        try:
            return tensor.read(64 * size + (4 << 20))
        except UnreadableFile as error:
            raise error.of(path) from None

    return Weight(node.name, tensor.shape, tensor.dtype, values)


def _placeholder(node: GraphNode) -> Tuple[str, Optional[Tuple[Optional[int], ...]]]:
    shape = Message(node.attributes.get("shape", memoryview(b"")))
    return _dtype(node, "dtype"), partial_shape(shape.message(7)) if 7 in shape else None


def _output(node: GraphNode) -> Tuple[str, Optional[Tuple[Optional[int], ...]]]:
    return _dtype(node, "T"), None


def _dtype(node: GraphNode, attribute: str) -> str:
    number = Message(node.attributes.get(attribute, memoryview(b""))).integer(6)
    return dtypes.name_of(number) if number else "?"
