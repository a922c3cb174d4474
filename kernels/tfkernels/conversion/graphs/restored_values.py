"""The values of a graph's variables: from its checkpoint, as its own Saver would restore them, or from constants."""

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

from tfkernels.conversion.graphs.graph_file import GraphFile, tensorflow
from tfkernels.conversion.graphs.nodes import VARIABLES, constant, tensor
from tfkernels.errors import ConversionError
from tfkernels.models.tensorflow_api import v1
from tfkernels.saved_models import read as saved_models

_RESTORES = {"RestoreV2", "Restore", "RestoreSlice"}
_ASSIGNS = {"Assign", "AssignVariableOp"}


class Key(NamedTuple):
    """Where a checkpoint has the value of a variable. ``part`` is which slice of it, of a partitioned variable."""

    name: str
    part: str = ""


def read(file: GraphFile, names: Iterable[str], ema: bool = False) -> Dict[str, Any]:
    """The values of these variables as arrays. With ``ema`` those of their moving averages, where there is one.

    Raises ``ConversionError`` if a value is missing.
    """
    names = list(names)
    if not names:
        return {}
    if file.checkpoint is None:
        raise ConversionError(
            f"Cannot read the variables of {file.path}: the checkpoint with their values is missing. Put its files "
            "beside it."
        )
    reader = v1().train.NewCheckpointReader(file.checkpoint)
    keys = restore_keys(file.nodes)
    where = {name: keys.get(name) or Key(name) for name in names}
    lost = [name for name, key in where.items() if not reader.has_tensor(key.name)]
    if lost:
        raise ConversionError(
            f"Cannot read {', '.join(lost[:5])}: the checkpoint {file.checkpoint} lacks the value. Give the checkpoint "
            "that belongs to this graph."
        )
    if ema:
        averages = moving_averages(file.checkpoint)
        where = {name: key._replace(name=averages.get(key.name, key.name)) for name, key in where.items()}
    return {name: _slice(reader.get_tensor(key.name), key.part) for name, key in where.items()}


def moving_averages(prefix: str) -> Dict[str, str]:
    """The names of moving averages in a checkpoint, by what they average. Raises ``ConversionError`` if it has none."""
    found = {name: weight.source for name, weight in saved_models.read(prefix).moving_averages.items()}
    if not found:
        raise ConversionError(
            f"Cannot take moving averages: the checkpoint {prefix} has none. Leave out --ema, or run: tfkernels "
            f"inspect {prefix}"
        )
    return found


def restore_keys(nodes: Dict[str, Any]) -> Dict[str, Key]:
    """By variable, what the Saver of a graph restores it from: names can differ, as with moving averages."""
    found: Dict[str, Key] = {}
    for node in nodes.values():
        if node.op in _ASSIGNS and len(node.input) > 1:
            restore, place = _origin(nodes, node.input[1])
            if restore is None:
                continue
            names, parts = (_texts(nodes, restore, number) for number in (1, 2))
            variable = tensor(node.input[0]).node
            if place < len(names) and nodes.get(variable) is not None and nodes[variable].op in VARIABLES:
                found[variable] = Key(names[place], parts[place] if place < len(parts) else "")
    return found


def _origin(nodes: Dict[str, Any], name: str) -> Tuple[Any, int]:
    """The restoring node that a value comes from, through what hands it on, and which of its outputs."""
    for _ in range(10):
        given = tensor(name)
        node = nodes.get(given.node)
        if node is None or node.op in _RESTORES:
            return node, given.place
        if node.op not in ("Identity", "Reshape") or not node.input:
            return None, 0
        name = node.input[0]
    return None, 0


def _texts(nodes: Dict[str, Any], node: Any, number: int) -> List[str]:
    if number >= len(node.input):
        return []
    value = constant(nodes, node.input[number], tensorflow().make_ndarray)
    if value is None:
        return []
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in value.ravel().tolist()]


def _slice(array: Any, part: str) -> Any:
    """A part as Savers write it: the whole shape, then for each axis its beginning and its length, or ``-``."""
    axes = re.findall(r"(?:\d+,\d+|-)(?=[:\s]|$)", part.rpartition(" ")[2]) if " " in part else []
    if len(axes) != array.ndim:
        return array
    bounds = [slice(None) if axis == "-" else _range(axis) for axis in axes]
    return array[tuple(bounds)]


def _range(axis: str) -> slice:
    begin, length = (int(number) for number in axis.split(","))
    return slice(begin, begin + length)
