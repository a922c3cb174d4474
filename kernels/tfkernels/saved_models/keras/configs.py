"""The configuration of a Keras model as a tree of layers, with canonical names. Every form since Keras 2.0.

A model built in memory and one that is only described by its configuration get the same names: those of
``tfkernels.weights``.
"""

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from tfkernels.errors import UnreadableFile
from tfkernels.models.layer_names import join, renumbered
from tfkernels.saved_models.keras.classes import KERAS_CLASSES, NO_LAYERS, class_of_name, own_weights, plain_class
from tfkernels.saved_models.limits import MOST_DEPTH

Config = Mapping[str, Any]


class Node(NamedTuple):
    """A layer in its model."""

    path: str
    name: str
    """The name that its configuration has."""
    class_name: str
    config: Config
    inputs: Tuple[str, ...]
    children: Tuple["Node", ...]
    weights: Optional[Tuple[str, ...]]
    """The names of its own weights in Keras's order, if the configuration tells."""
    trainable: bool
    counts: bool = True
    """Whether all releases have it as a layer."""

    def walk(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            yield from child.walk()


def tree_of_names(names: Sequence[str]) -> Node:
    """The tree of a model of which only the names of its layers are known. Automatic names tell their classes."""
    kinds = [class_of_name(name) for name in names]
    children = tuple(
        Node(path, name, kind, {}, (), (), own_weights(kind, {}) if kind else None, True)
        for name, kind, path in zip(names, kinds, renumbered(zip(names, kinds)))
    )
    return Node("", "", "", {}, (), children, None, True)


def layers_of_names(names: Sequence[str], model: Node) -> Dict[str, Node]:
    """The layers directly inside ``model`` that a file of another run calls by these names.

    Keras counts automatic names on in each run, so ``dense_1`` and ``dense_2`` of a file can be a model's ``dense`` and
    ``dense_1``: a name alone tells nothing unless the model has all of them.
    """
    by_name = {node.name: node for node in model.children}
    if all(name in by_name for name in names):
        return by_name
    by_path = {node.path.rpartition("/")[2]: node for node in model.children if node.counts}
    called = {node.name: node.path for node in tree_of_names(names).children}
    return {name: by_path[path]._replace(name=name) for name, path in called.items() if path in by_path}


def tree(architecture: Config) -> Node:
    """The tree of a model's configuration, ``{"class_name": …, "config": …}``."""
    return _node("", architecture, (), True, 0)


def _node(path: str, layer: Config, inputs: Tuple[str, ...], trainable: bool, depth: int, name: str = "") -> Node:
    if depth > MOST_DEPTH:
        raise UnreadableFile("its layers are nested too deep")
    class_name = plain_class(layer)
    config = settings_of(layer)
    trainable = trainable and config.get("trainable") is not False
    given = str(config.get("name") or layer.get("name") or name)
    children: List[Node] = []
    inner = _inner_layers(class_name, config)
    counted = [one for one in inner if one.counts]
    names = (
        [one.canonical for one in counted]
        if class_name in ("Bidirectional", *_RNN)
        else renumbered((one.name, plain_class(one.layer)) for one in counted)
    )
    canonical = dict(zip(map(id, counted), names))
    for one in inner:
        at = join(path, canonical[id(one)]) if one.counts else path
        child = _node(at, one.layer, one.inputs, trainable, depth + 1, one.name)
        children.append(child._replace(name=one.name, counts=one.counts))
    weights = () if _is_operation(layer) else own_weights(class_name, config)
    return Node(path, given, class_name, config, inputs, tuple(children), weights, trainable)


class _Inner(NamedTuple):
    name: str
    layer: Config
    inputs: Tuple[str, ...] = ()
    canonical: str = ""
    counts: bool = True


_RNN = ("RNN", "StackedRNNCells")
_MODELS = ("Model", "Functional", "Sequential")


def _inner_layers(class_name: str, config: Config) -> List[_Inner]:
    layers = config.get("layers")
    if isinstance(layers, list) and (class_name in _MODELS or class_name not in KERAS_CLASSES):
        return [_in_model(layer) for layer in layers if isinstance(layer, dict) and "class_name" in layer]
    if class_name == "StackedRNNCells" and isinstance(config.get("cells"), list):
        cells = [cell for cell in config["cells"] if _is_layer(cell)]
        names = renumbered((_name_of(cell), plain_class(cell)) for cell in cells)
        return [_Inner(_name_of(cell), cell, (), canonical) for cell, canonical in zip(cells, names)]
    if class_name == "RNN" and _is_layer(config.get("cell")):
        return [_Inner(_name_of(config["cell"]), config["cell"])]
    layer: Any = config.get("layer")
    if not _is_layer(layer):
        return []
    if class_name == "Bidirectional":
        backward: Any = config.get("backward_layer")
        own = _name_of(layer)
        named = "module" in layer and own.startswith("forward_")  # Keras 3 writes the new name
        return [
            _Inner(own if named else f"forward_{own}", layer, (), "forward"),
            _Inner(
                _name_of(backward) if _is_layer(backward) else f"backward_{own}",
                backward if _is_layer(backward) else layer,
                (),
                "backward",
            ),
        ]
    return [_Inner(_name_of(layer), layer)]


def _in_model(layer: Config) -> _Inner:
    counts = plain_class(layer) not in NO_LAYERS and not _is_operation(layer)
    return _Inner(_name_of(layer), layer, _inbound(layer), counts=counts)


def _is_operation(layer: Config) -> bool:
    """Whether it is an operation such as ``x + y``, which Keras 3 lists beside the layers."""
    return re.match(r"keras\.(src\.)?ops\b", str(layer.get("module") or "")) is not None


def _is_layer(value: Any) -> bool:
    return (
        isinstance(value, dict) and isinstance(value.get("class_name"), str) and isinstance(value.get("config"), dict)
    )


def _name_of(layer: Config) -> str:
    return str(settings_of(layer).get("name") or layer.get("name") or "")


def settings_of(layer: Config) -> Config:
    """The settings of a layer. A Sequential of Keras before 2.2.3 has its list of layers in their place."""
    config = layer.get("config")
    if isinstance(config, list):
        return {"layers": config}
    return config if isinstance(config, dict) else {}


def _inbound(layer: Config) -> Tuple[str, ...]:
    """The layers that it is called on, without repetition; for all calls of a shared one."""
    found: Dict[str, None] = {}
    stack: List[Any] = [layer.get("inbound_nodes") or []]
    for _ in range(100_000):
        if not stack:
            break
        one = stack.pop()
        if isinstance(one, dict):
            history = _history(one)
            if history:
                found[history] = None
            stack += [inner for inner in reversed(list(one.values())) if isinstance(inner, (list, dict))]
        elif isinstance(one, list):
            if len(one) >= 3 and isinstance(one[0], str) and all(type(number) is int for number in one[1:3]):
                found[one[0]] = None
            stack += [inner for inner in reversed(one) if isinstance(inner, (list, dict))]
    return tuple(found)


def _history(value: Config) -> Optional[str]:
    history = value.get("keras_history")
    return str(history[0]) if isinstance(history, list) and history else None
