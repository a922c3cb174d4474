"""A model in memory as a tree of layers: the names that a file's weights get if they are loaded into it."""

from typing import Any, Dict, List, Tuple

from tfkernels.models.layer_names import is_a, join, named_children, named_weights
from tfkernels.saved_models.keras.configs import Node


def tree_of(model: Any) -> Node:
    """The tree of a model of any Keras that has been built."""
    weights: Dict[str, List[str]] = {}
    for name in named_weights(model):
        path, _, last = name.rpartition("/")
        weights.setdefault(path, []).append(last)
    return _node("", model, weights, True)


def _node(path: str, layer: Any, weights: Dict[str, List[str]], counts: bool) -> Node:
    children = []
    named = named_children(layer)
    if is_a(layer, "RNN"):  # its cell has no place of its own, but cells in that one have
        named = [inner for _, cell in named for inner in named_children(cell)]
    places = {id(child): join(path, name) for name, child in named}
    # A checkpoint numbers all layers of a model, also inputs, which have no place of their own.
    every = list(layer.layers) if is_a(layer, "Model") else [child for _, child in named]
    for child in every:
        place = places.get(id(child))
        children.append(_node(place or path, child, weights if place else {}, place is not None))
    own: Tuple[str, ...] = tuple(weights.get(path, ()))
    return Node(path, layer.name, type(layer).__name__, {}, (), tuple(children), own, bool(layer.trainable), counts)
