"""Canonical names of weights from the names that variables have in a file, such as ``both/forward_lstm/kernel:0``.

The scopes of a variable lead to its layer in the tree of the model. What is inside of a layer of the user's is known by
these scopes only.
"""

import re
from collections import defaultdict
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from tfkernels.models.layer_names import join, renumbered, take_name
from tfkernels.saved_models.keras.classes import KERAS_CLASSES, class_of_name
from tfkernels.saved_models.keras.configs import Node

_NUMBER = re.compile(r"_\d+$")
_CELL = re.compile(r"(lstm|gru|simple_rnn|conv_lstm\dd|conv_lst_m\dd|stacked_rnn|peephole_lstm)_cells?(_\d+)?")
_DIRECTION = re.compile(r"(forward|backward)_\w+")
_WEIGHTS_OF_KERAS = {"kernel", "bias", "recurrent_kernel", "gamma", "beta", "moving_mean", "moving_variance",
                     "depthwise_kernel", "pointwise_kernel", "embeddings", "alpha"}  # fmt: skip
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")


class _Place(NamedTuple):
    """The layer of a variable: a node of the tree, and scopes below it that the tree does not have."""

    node: Node
    scopes: Tuple[str, ...]


Group = Tuple[Node, Sequence[str]]
"""A layer directly inside the model, with the names of the variables that the file has for it, in their order."""


def canonical_names(groups: Sequence[Group]) -> List[List[str]]:
    """The canonical names of the variables of each group, in the same order."""
    taken: Set[str] = set()
    return [_in_layer(layer, names, taken) for layer, names in groups]


def _in_layer(layer: Node, names: Sequence[str], taken: Set[str]) -> List[str]:
    places = [_place(layer, _scopes(name)) for name in names]
    halves = _halves(places)
    paths = _paths(halves)
    kinds: Dict[str, Set[str]] = defaultdict(set)
    for path, name in zip(paths, names):
        kinds[path].add(last_part(name))
    found = []
    for path, place, name in zip(paths, halves, names):
        kind = weight_name(place.node.class_name if not place.scopes else "", last_part(name), kinds[path])
        found.append(take_name(join(path, kind), taken, "_"))
    return _by_place(layer, names, found) or found


def _by_place(layer: Node, names: Sequence[str], found: Sequence[str]) -> Optional[List[str]]:
    """The names in Keras's order for variables that are called anything, such as ``Variable_3``."""
    expected = weights_in_order(layer)
    if expected is None or len(expected) != len(names):
        return None
    if _counted_on(layer, names):
        return expected if [last_part(one) for one in expected] == [last_part(one) for one in found] else None
    unknown = [name for name in found if name.rpartition("/")[2] not in {one.rpartition("/")[2] for one in expected}]
    return expected if unknown else None


def _counted_on(layer: Node, names: Sequence[str]) -> bool:
    """Whether names of layers inside are of another run, which counted on: ``dense_2``, where this has ``dense``."""
    scopes = {scope for name in names for scope in _scopes(name)}
    known = {node.name for node in layer.walk()}
    return bool({_NUMBER.sub("", scope) for scope in scopes - known} & {_NUMBER.sub("", one) for one in scopes & known})


def weights_in_order(layer: Node) -> Optional[List[str]]:
    """The weights of a layer and of the layers inside, trained ones first; ``None`` if a class is not known."""
    trained: List[str] = []
    others: List[str] = []
    for node in layer.walk():
        if node.weights is None:
            return None
        for name in node.weights:
            (trained if node.trainable and is_trained(name) else others).append(join(node.path, name))
    return trained + others


def is_trained(name: str) -> bool:
    """Whether Keras trains a weight of this name in a layer of its own."""
    return name.rpartition("/")[2] not in ("moving_mean", "moving_variance", "mean", "variance", "count")


def last_part(name: str) -> str:
    return name.split(":")[0].rpartition("/")[2]


def weight_name(class_name: str, name: str, beside: Set[str]) -> str:
    """What a layer calls its weight. ``beside`` are all weights of the layer."""
    plain = _NUMBER.sub("", name)
    if class_name in KERAS_CLASSES:
        return "kernel" if plain == "depthwise_kernel" and class_name in _DEPTHWISE else plain
    if class_name or plain not in _WEIGHTS_OF_KERAS:  # a class of the user's, or one that is not known
        return name
    alone = plain == "depthwise_kernel" and not any(other.startswith("pointwise") for other in beside)
    return "kernel" if alone else plain


def _scopes(name: str) -> List[str]:
    return [part for part in name.split(":")[0].split("/")[:-1] if part]


def _place(layer: Node, scopes: Sequence[str]) -> _Place:
    node, inside = layer, False
    left: List[str] = []
    for scope in scopes:
        deeper = None if left else _below(node, scope)
        if deeper is not None:
            node, inside = deeper, True
        elif left or not (_same(scope, node.name) and not inside):
            left.append(scope)
        else:
            inside = True  # its own scope, which is first
    if node.class_name in KERAS_CLASSES and not _holds_unknown_layers(node):
        left = []  # lstm_cell, and what a graph adds
    while not left and not node.weights and len(node.children) == 1 and node.class_name in KERAS_CLASSES:
        if node.class_name in ("Model", "Functional", "Sequential"):
            break
        node = node.children[0]  # a wrapper's weights are those of its layer
    return _Place(node, tuple(left))


def _holds_unknown_layers(node: Node) -> bool:
    return node.weights == () and not node.children


def _below(node: Node, scope: str) -> Optional[Node]:
    """The layer of that name inside ``node``; the nearest, if it is the only one at its depth."""
    level = list(node.children)
    while level:
        found = [child for child in level if child.name == scope]
        found = found or [child for child in level if _same(scope, child.name)]
        if found:
            return found[0] if len(found) == 1 else None
        level = [inner for child in level for inner in child.children]
    return None


def _same(scope: str, name: str) -> bool:
    """Whether it is the scope of a layer, which a graph may have given a number."""
    return scope == name or (scope.startswith(f"{name}_") and scope[len(name) + 1 :].isdigit())


def _halves(places: List[_Place]) -> List[_Place]:
    """Weights of bidirectional layers whose names do not tell the direction: the first half is the forward layer's."""
    found = list(places)
    for node in {id(place.node): place.node for place in places}.values():
        if node.class_name == "Bidirectional" and len(node.children) == 2:
            own = [number for number, place in enumerate(places) if place.node is node and not place.scopes]
            for count, number in enumerate(own):
                child = node.children[0 if 2 * count < len(own) else 1]
                found[number] = _Place(child.children[0] if child.class_name == "RNN" and child.children else child, ())
    return found


def _paths(places: List[_Place]) -> List[str]:
    """The canonical paths of layers. Scopes that are in no configuration get numbers as layers side by side do."""
    below: Dict[Tuple[str, Tuple[str, ...]], Dict[str, None]] = defaultdict(dict)
    cleaned = []
    for node, scopes in places:
        kept = tuple(scope for scope in scopes if not _CELL.fullmatch(scope))
        cleaned.append((node.path, kept))
        for depth, scope in enumerate(kept):
            below[node.path, kept[:depth]][scope] = None
    names = {}
    for parent, scopes_below in below.items():
        given = list(scopes_below)
        plain = [_direction(scope) for scope in given]
        names[parent] = dict(zip(given, renumbered((name, class_of_name(name)) for name in plain)))
    return [
        join(path, *(names[path, scopes[:depth]][scope] for depth, scope in enumerate(scopes)))
        for path, scopes in cleaned
    ]


def _direction(scope: str) -> str:
    return scope.split("_")[0] if _DIRECTION.fullmatch(scope) and class_of_name(scope.partition("_")[2]) else scope
