"""How to make each layer of a model that any other Keras wrote: planned before the first one is made.

So one error names all layers that stand in the way.
"""

import functools
from typing import Any, NamedTuple, Optional, Tuple

from tfkernels.conversion.layer_rules.by_class import Around
from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.model_graph import (
    ModelGraph,
    Node,
    is_functional,
    is_sequential,
    layer_name,
    layers_of_sequential,
    model_graph,
    plain_class_name,
)
from tfkernels.conversion.layer_rules.report import Report
from tfkernels.conversion.layer_rules.rewriting import rewrite
from tfkernels.conversion.target.operations import Operation, operation_of
from tfkernels.conversion.target.target_keras import TargetKeras

_MODELS = {"Functional", "Model", "Network", "Sequential"}
INSIDE = ("layer", "backward_layer")
"""Settings of wrappers that hold another layer."""


class LayerPlan(NamedTuple):
    """How to make one layer: from a configuration for the target, or as a model of other layers, or as an operation."""

    name: str
    class_name: str
    node: Node
    around: Around
    graph: Optional[ModelGraph]
    plans: "Tuple[LayerPlan, ...]"
    operation: Optional[Operation]


def layer_plan(node: Node, path: str, source: KerasRelease, target: TargetKeras, report: Report) -> LayerPlan:
    """``path`` is where the layer is, ``inner/conv1``. What cannot be written exactly is refused in ``report``."""
    name, kind = layer_name(node), plain_class_name(node)
    about = path or name
    plan = LayerPlan(name, kind, node, Around(), None, (), None)
    if is_functional(node):
        if kind not in _MODELS and not target.is_custom(kind):
            report.of(about, kind).refuse(
                f"{kind} is a model class of your own. Pass the module that defines it: --custom-objects module.py"
            )
        graph = model_graph(node)
        plans = tuple(
            layer_plan(layer.node, f"{path}/{layer.name}" if path else layer.name, source, target, report)
            for layer in graph.layers
        )
        return plan._replace(graph=graph, plans=plans)
    if is_sequential(node):
        layers = layers_of_sequential(node)
        plans = tuple(
            layer_plan(layer, f"{path}/{layer_name(layer)}" if path else layer_name(layer), source, target, report)
            for layer in layers
        )
        return plan._replace(plans=plans)
    if kind == "InputLayer":
        return plan
    if kind in _MODELS:
        report.of(about, kind).refuse("its configuration names no layers, so that it cannot be rebuilt")
        return plan
    if kind == "Lambda":
        node = _with_function(node, name, about, target, report)
    before = len(report.refusals)
    operation = None if target.is_custom(kind) else operation_of(node, source, target, report.of(about, kind))
    if operation is not None or len(report.refusals) > before:
        return plan._replace(operation=operation)
    models = {key: _plan_model_inside(node, key, about, source, target, report) for key in INSIDE}
    found = rewrite(node, about, source, target, report)
    if found is None:
        return plan
    return plan._replace(
        node=found.node, around=found.around, plans=tuple(model for model in models.values() if model is not None)
    )


def _plan_model_inside(
    node: Node, key: str, about: str, source: KerasRelease, target: TargetKeras, report: Report
) -> Optional[LayerPlan]:
    """The model in a wrapper such as TimeDistributed."""
    inside = (node.get("config") or {}).get(key)
    if not isinstance(inside, dict) or not (is_functional(inside) or is_sequential(inside)):
        return None
    return layer_plan(inside, f"{about}/{key}", source, target, report)


def _with_function(node: Node, name: str, about: str, target: TargetKeras, report: Report) -> Node:
    """A Lambda with its function, which is one of the user's, by its own name or by that of the layer."""
    config = dict(node["config"])
    written = config.get("function")
    if isinstance(written, dict):  # Keras 3: code, or a function's name
        code = written.get("class_name") == "__lambda__"
        written = None if code else written.get("config")
    known = [one for one in (written, name) if isinstance(one, str) and one in target.custom_objects]
    if not known:
        called = f"its function {written}" if isinstance(written, str) and len(written) < 80 else "its function"
        report.of(about, "Lambda").refuse(
            f"{called} is Python code, which no file carries from release to release. Define it under the name "
            f"{written if isinstance(written, str) and len(written) < 80 else name} in a module, and pass that: "
            "--custom-objects module.py"
        )
        return {**node, "config": {**config, "function": None}}
    config["function"] = by_name(target.custom_objects[known[0]], known[0], target)
    return {**node, "config": config}


def by_name(function: Any, name: str, target: TargetKeras) -> Any:
    """A function that the new file names, in place of its code.

    Keras 3 writes the code of a ``lambda`` only. Keras 2 writes that of any Python function, which its safe mode then
    refuses; of another callable it writes the name.
    """
    if target.release.is_keras_3:
        if getattr(function, "__name__", "") == "<lambda>":
            function.__name__ = name
        return function
    found = functools.partial(function)
    functools.update_wrapper(found, function)
    found.__name__ = name  # type: ignore[attr-defined]
    return found
