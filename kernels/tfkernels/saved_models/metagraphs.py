"""Metagraphs: what a graph is for. They stand in SavedModels and beside checkpoints (``.meta``).

The messages are TensorFlow's ``meta_graph.proto`` and ``saved_model.proto``.
"""

from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from tfkernels.saved_models.containers import dtypes
from tfkernels.saved_models.containers.protobuf import Message, fields
from tfkernels.saved_models.containers.tensors import partial_shape
from tfkernels.saved_models.limits import MOST_TEXT, check_length
from tfkernels.saved_models.saved_file import Signature

_INITIALISED = ("__saved_model_init_op", "__saved_model_train_op")


class MetaGraph(NamedTuple):
    """``graph`` and ``objects`` are not parsed: they are long."""

    tags: Tuple[str, ...]
    release: str
    graph: memoryview
    objects: memoryview
    signatures: Dict[str, Signature]
    variables: Dict[str, bool]
    """The variables of a graph of TensorFlow 1 by name, with whether they are trained."""


def read_file(path: str) -> memoryview:
    with open(path, "rb") as file:
        data = file.read(MOST_TEXT + 1)
    check_length(len(data), MOST_TEXT, "its size in bytes")
    return memoryview(data)


def of_saved_model(data: memoryview) -> List[MetaGraph]:
    return [parse(value) for value in Message(data).all_bytes(2)]


def parse(data: memoryview) -> MetaGraph:
    found = Message(data)
    info = found.message(1)
    tags = tuple(info.texts(4))
    signatures = {
        name: _signature(Message(value), tags)
        for name, value in sorted(found.mapping(5).items())  # TensorFlow writes them in the order of a hash table
        if name not in _INITIALISED
    }
    return MetaGraph(tags, info.text(5), found.data(2), found.data(7), signatures, _variables(found.mapping(4)))


def is_metagraph(data: memoryview) -> bool:
    """Whether a message is a MetaGraphDef, whose first part names a release; else it may be a GraphDef."""
    first = next((value for number, value in fields(data) if number == 1 and not isinstance(value, int)), None)
    release = Message(first).text(5) if first is not None else ""
    return release[:1].isdigit() and "." in release


def _signature(found: Message, tags: Tuple[str, ...]) -> Signature:
    return Signature(_values(found.mapping(1)), _values(found.mapping(2)), found.text(3), tags)


def _values(tensors: Mapping[str, memoryview]) -> Dict[str, Tuple[str, Optional[Tuple[Optional[int], ...]]]]:
    found = {}
    for name, data in sorted(tensors.items()):
        info = Message(data)
        shape = partial_shape(info.message(3)) if 3 in info else None
        found[name] = (dtypes.name_of(info.integer(2)), shape)
    return found


def _variables(collections: Mapping[str, memoryview]) -> Dict[str, bool]:
    """From the collections of a graph: each is a list of messages ``VariableDef``."""
    names: Dict[str, Dict[str, bool]] = {}
    for collection in ("variables", "trainable_variables"):
        listed = Message(collections.get(collection, b"")).message(2)
        names[collection] = {Message(one).text(1).split(":")[0]: True for one in listed.all_bytes(1)}
    return {name: name in names["trainable_variables"] for name in names["variables"] if name}
