"""Rewrites the configuration of one layer for the target's Keras, or says which setting stands in the way.

A setting goes through these steps, in this order: what the writer left out is written (``unwritten``); the class's own
rules (``by_class``); activations, initializers and the like (``nested_objects``); what has no effect is dropped
(``without_effect``); what the target's class does not take is refused.

``target`` is a ``target_keras.TargetKeras``: its release, and what its classes and functions are.
"""

from typing import Any, Dict, NamedTuple, Optional

from tfkernels.conversion.layer_rules import by_class, nested_objects, unwritten, without_effect
from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.model_graph import Node, plain_class_name
from tfkernels.conversion.layer_rules.report import Report

_LAYERS_INSIDE = ("layer", "backward_layer", "forward_layer", "cell")


class Rewritten(NamedTuple):
    """A layer for the target; ``around`` is what has to be done with its inputs and outputs (``by_class.Around``)."""

    node: Node
    around: by_class.Around


def rewrite(node: Node, path: str, source: KerasRelease, target: Any, report: Report) -> Optional[Rewritten]:
    """The layer for the target, or ``None`` if it was refused; ``report`` gets the reasons and the changes."""
    written = plain_class_name(node)
    config: Dict[str, Any] = dict(node.get("config") or {})
    about = report.of(path, written)
    before = len(report.refusals)
    if target.is_custom(written):
        nested_objects.rewrite_common(config, target, about)
        without_effect.drop_from_custom(config, target.release)
        return Rewritten({"class_name": written, "config": config}, by_class.Around())
    unwritten.write(written, config, source, about)
    name = by_class.renamed(written, config, target, about)
    if target.settings(name) is None:
        about.refuse(without_effect.missing_class(name, target.release))
        return None
    around = by_class.rewrite(name, by_class.Case(config, source, target, about))
    nested_objects.rewrite_common(config, target, about)
    _rewrite_inside(config, path, source, target, report)
    accepted = target.settings(name) or set()
    nested_objects.rewrite(config, source, target, about)
    without_effect.drop(name, config, accepted, about)
    if len(report.refusals) > before:
        return None
    return Rewritten({"class_name": name, "config": config}, around)


def _rewrite_inside(config: Dict[str, Any], path: str, source: KerasRelease, target: Any, report: Report) -> None:
    """The layers in wrappers and the cells of recurrent layers. A model inside one is left for the builder."""
    for key in _LAYERS_INSIDE:
        if _is_node(config.get(key)):
            config[key] = _inside(config[key], f"{path}/{key}", source, target, report)
    if isinstance(config.get("cells"), list):
        config["cells"] = [
            _inside(cell, f"{path}/cells[{number}]", source, target, report) if _is_node(cell) else cell
            for number, cell in enumerate(config["cells"])
        ]


def _inside(node: Node, path: str, source: KerasRelease, target: Any, report: Report) -> Node:
    if isinstance(node["config"], list) or "layers" in node["config"]:
        return node
    found = rewrite(node, path, source, target, report)
    if found is None:
        return node
    if found.around.needed:
        report.of(path, plain_class_name(node)).refuse(
            f"{found.around.why} can be written for a layer of a model, and not inside a wrapper"
        )
    return _for_keras_3(found.node, target) if target.release.is_keras_3 else found.node


def _for_keras_3(node: Node, target: Any) -> Node:
    """Keras 3 finds the class of a layer inside another by its module, or by the name that it is registered with."""
    custom = target.is_custom(node["class_name"])
    return {
        **node,
        "module": None if custom else "keras.layers",
        "registered_name": node["class_name"] if custom else None,
    }


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value and isinstance(value.get("config"), (dict, list))
