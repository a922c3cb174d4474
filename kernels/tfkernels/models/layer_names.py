"""A Keras model as a tree of layers, with names that do not depend on what else was built before in the same kernel.

Works on the public attributes that Keras 2 and 3 have in common.
"""

import re
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from tfkernels.models.keras_package import is_layer, is_of_keras

SEPARATOR = "/"
"""Between a model and its layers, and between a layer and its weights."""

_NUMBER = re.compile(r"_\d+$")
_WORDS = (r"(.)([A-Z][a-z]+)", r"(.)([A-Z][a-z0-9]+)")  # where a word begins to Keras 3 and to Keras 2
_MODELS = {"Model", "Functional"}  # one class of models, called otherwise from release to release

_NO_LAYERS = {"InputLayer", "TensorFlowOpLayer", "TFOpLambda", "SlicingOpLambda"}
"""What one release makes a layer of and another does not: inputs, and operations such as ``x + y``."""


def counts(layer: Any) -> bool:
    """Whether it is a layer that all releases have."""
    return is_layer(layer) and not uncounted(type(layer).__name__) and not is_a(layer, "Metric")


def uncounted(class_name: str) -> bool:
    """Whether layers of this class are none in some releases."""
    return class_name in _NO_LAYERS


def shows_inside(layer: Any) -> bool:
    """Whether the layers inside it are of interest: in models, and in layers that users write.

    Keras's own are taken as a whole. An LSTM calls its cell at every time step in one release and not in another.
    """
    if any(is_a(layer, name) for name in ("RNN", "Wrapper", "Bidirectional")):
        return False
    author = next(kind for kind in type(layer).__mro__ if "call" in vars(kind))
    return is_a(layer, "Model") or not is_of_keras(author)


def named_children(layer: Any) -> List[Tuple[str, Any]]:
    """The layers directly inside ``layer`` with their names. A cell has none: its weights are the LSTM's own."""
    if is_a(layer, "RNN"):
        return [("", layer.cell)] if is_layer(getattr(layer, "cell", None)) else []
    if is_a(layer, "Bidirectional"):
        return [("forward", layer.forward_layer), ("backward", layer.backward_layer)]
    children = (
        [layer.layer] if is_a(layer, "Wrapper") else list({id(child): child for child in _children(layer)}.values())
    )
    names = renumbered((child.name, type(child).__name__) for child in children)
    return list(zip(names, children))


def walk(layer: Any, path: str = "") -> Iterator[Tuple[str, Any]]:
    """``layer`` and all layers inside it, each with its path, in the model's order."""
    yield path, layer
    for name, child in named_children(layer):
        yield from walk(child, join(path, name))


def join(*names: str) -> str:
    return SEPARATOR.join(filter(None, names))


def named_weights(model: Any) -> Dict[str, Any]:
    """The variables of a model that has been built, by their canonical names: ``inner/conv1/kernel``."""
    found: Dict[str, Any] = {}
    seen: Set[int] = set()
    for path, layer in walk(model):
        taken: Set[str] = set()
        inside = {id(variable) for _, child in named_children(layer) for variable in child.weights}
        for variable in (variable for variable in layer.weights if id(variable) not in inside):
            name = take_name(_weight_name(layer, variable), taken, "_")
            if id(variable) not in seen and name != "rnn_state":  # Keras 3 counts what a stateful RNN remembers
                seen.add(id(variable))
                found[take_name(join(path, name), set(found), "_")] = variable
    return found


def _weight_name(layer: Any, variable: Any) -> str:
    """What a layer calls its weight. Keras's own layers count none: a number is a graph's, as in stacked cells."""
    name: str = variable.name.split(":")[0].split(SEPARATOR)[-1]
    if not is_of_keras(type(layer)):
        return name
    name = _NUMBER.sub("", name)
    depthwise = name == "depthwise_kernel" and (is_a(layer, "DepthwiseConv2D") or is_a(layer, "DepthwiseConv1D"))
    return "kernel" if depthwise else name  # as Keras 3 calls it


def _children(layer: Any) -> Iterator[Any]:
    if is_a(layer, "Model"):
        return _flat(layer.layers)
    if hasattr(layer, "_flatten_layers"):  # since TensorFlow 2.4
        return _flat(layer._flatten_layers(include_self=False, recursive=False))  # noqa: SLF001 (there is no other way)
    return _flat(getattr(layer, "_layers", ()))


def _flat(layers: Iterable[Any]) -> Iterator[Any]:
    for layer in layers:
        if counts(layer):
            yield layer
        elif not is_layer(layer):  # what stands for a list or dict of layers in older releases
            yield from _flat(getattr(layer, "layers", ()))


def is_a(layer: Any, name: str) -> bool:
    """Whether it is an instance of Keras's class ``name``, wherever the release keeps that class."""
    return any(kind.__name__ == name and is_of_keras(kind) for kind in type(layer).__mro__)


def renumbered(layers: Iterable[Tuple[str, str]]) -> List[str]:
    """The names of layers that stand side by side, given as ``(name, name of its class)`` in the model's order.

    An automatic name (``dense_7`` of a ``Dense``) gets its number from its place among those of its class: ``dense``,
    ``dense_1``, …. Any other name was chosen by the user and stays.
    """
    given = [(name, _automatic(name, kind)) for name, kind in layers]
    taken = {name for name, stem in given if stem is None}
    return [name if stem is None else take_name(stem, taken, "_") for name, stem in given]


def take_name(name: str, taken: Set[str], mark: str = ":") -> str:
    """``name``, or with the first number that is free: ``name:1``, ``name:2``, …; it is added to ``taken``."""
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}{mark}{number}"
    taken.add(free)
    return free


def _automatic(name: str, kind: str) -> Optional[str]:
    """The automatic name without its number, as Keras 3 spells it, if ``name`` is one for a layer of class ``kind``."""
    stem = _NUMBER.sub("", name)
    if stem.endswith("_v1") and kind.endswith("V1"):  # BatchNormalization in 1.13
        stem, kind = stem[:-3], kind[:-2]
    if kind in _MODELS:
        return "model" if stem in ("model", "functional") else None
    newest, older = (re.sub("([a-z])([A-Z])", r"\1_\2", re.sub(word, r"\1_\2", kind)).lower() for word in _WORDS)
    return newest if stem in (newest, older, "private" + older) else None
