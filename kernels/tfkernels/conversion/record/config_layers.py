"""The layers in the configuration of a model, as ``to_json`` and every file of Keras write it."""

from typing import Any, Dict, Iterator, List, Tuple

Node = Dict[str, Any]
"""What stands for one layer: ``{"class_name": …, "config": …}``, and more in Keras 3."""

_INSIDE = ("layer", "forward_layer", "backward_layer", "cell")
"""The settings of Keras's wrappers and recurrent layers that are layers themselves."""


def children(node: Node) -> List[Tuple[str, Node]]:
    """The layers directly inside one, each with its own name (in wrappers, that of the setting)."""
    config = node.get("config")
    if isinstance(config, list):  # a Sequential up to Keras 2.2.2
        return [(name_of(layer), layer) for layer in config if is_node(layer)]
    if not isinstance(config, dict):
        return []
    found = [(key, config[key]) for key in _INSIDE if is_node(config.get(key))]
    cells = config.get("cells")
    if isinstance(cells, list):
        found += [(f"cells[{number}]", cell) for number, cell in enumerate(cells) if is_node(cell)]
    layers = config.get("layers")
    return found + [(name_of(layer), layer) for layer in (layers if isinstance(layers, list) else []) if is_node(layer)]


def walk_config(node: Node, path: str = "") -> Iterator[Tuple[str, Node]]:
    """A model's node and those of all layers inside, each with its path of names: ``inner/conv``. The model's is empty.

    A layer inside a wrapper has the path of that: ``bidirectional/forward_layer``.
    """
    yield path, node
    for name, child in children(node):
        yield from walk_config(child, f"{path}/{name}" if path else name)


def is_node(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def name_of(node: Node) -> str:
    """The name of a layer. A functional model has it beside its configuration."""
    config = node.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return str(name or node.get("name") or node["class_name"])
