"""Builds a model with the Keras of this process from a configuration that any other Keras wrote.

Layers are made one after the other and called as the configuration says, so that what cannot be made has a name.
"""

import contextlib
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.model_graph import (
    ModelGraph,
    Node,
    is_functional,
    is_sequential,
    layers_of_sequential,
    map_tensors,
    tensors_in,
)
from tfkernels.conversion.layer_rules.report import Report
from tfkernels.conversion.target.layer_plans import INSIDE, LayerPlan, layer_plan
from tfkernels.conversion.target.target_keras import TargetKeras
from tfkernels.errors import ConversionError

_MADE_OF_SETTINGS = ("Lambda", "MultiHeadAttention")
"""Classes whose ``from_config`` wants more than settings: code, or the shapes of inputs, which a call gives."""


class Part(NamedTuple):
    """A layer of the new model, with the name and class that it had in the old one, and the layers in it if a model."""

    name: str
    class_name: str
    layer: Any
    parts: "Tuple[Part, ...]"
    time_first: bool = False
    """Whether its sequences had the time as first axis, and have the batch there now."""


def build(node: Node, source: KerasRelease, target: TargetKeras, report: Report, input_shape: Any = None) -> Part:
    """The model that ``node`` describes. ``input_shape`` is for a Sequential that does not know its own.

    Raises ``ConversionError`` with all layers that cannot be written for the target exactly.
    """
    plan = layer_plan(node, "", source, target, report)
    if report.refusals:
        first = report.refusals[0]
        reasons = "; ".join(str(refusal) for refusal in report.refusals)
        raise ConversionError(f"Cannot rebuild the model for {target.release}: {reasons}.", first.layer)
    with target.custom_scope():
        return _Builder(target, source).make(plan, input_shape)


class _Builder:
    """Makes layers and calls them."""

    def __init__(self, target: TargetKeras, source: KerasRelease) -> None:
        self._target = target
        self._keras = target.module
        self._source = source

    def make(self, plan: LayerPlan, input_shape: Any = None) -> Part:
        if plan.graph is not None:
            return self._functional(plan, plan.graph)
        if plan.class_name == "Sequential":
            return self._sequential(plan, input_shape)
        inside = iter(plan.plans)
        made: List[Part] = []
        config = dict(plan.node["config"])
        for key in INSIDE:
            if (
                isinstance(config.get(key), dict)
                and isinstance(config[key].get("config"), (dict, list))
                and (is_functional(config[key]) or is_sequential(config[key]))
            ):
                made.append(self.make(next(inside)))
                config[key] = made[-1].layer
        layer = self._layer(plan, config, with_models=bool(made))
        time_first = plan.around.time_first and bool(config.get("return_sequences"))
        return Part(plan.name, plan.class_name, layer, (), time_first)

    def _layer(self, plan: LayerPlan, config: Dict[str, Any], with_models: bool) -> Any:
        kind = self._target.layer_class(plan.node["class_name"])
        with _naming(plan):
            if "name" in config and "/" in str(config["name"]) and self._target.release.is_keras_3:
                config["name"] = str(config["name"]).replace("/", "_")
            made = with_models or plan.class_name in _MADE_OF_SETTINGS
            return kind(**config) if made else kind.from_config(config)

    def _input(self, config: Dict[str, Any], name: Optional[str] = None) -> Any:
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        given: Dict[str, Any] = {
            "batch_shape": tuple(shape or ()),
            "dtype": _dtype(config.get("dtype")),
            "name": name or config.get("name"),
        }
        for setting in ("sparse", "ragged", "optional"):
            if config.get(setting):
                given[setting] = True
        try:
            return self._keras.layers.Input(**given)
        except (TypeError, ValueError) as error:
            raise ConversionError(
                f"Cannot rebuild the input {config.get('name')} for {self._target.release}: {_first_line(error)}.",
                str(config.get("name")),
            ) from error

    def _functional(self, plan: LayerPlan, graph: ModelGraph) -> Part:
        parts: Dict[str, Part] = {}
        outputs: Dict[Tuple[str, int], List[Any]] = {}
        waiting: Dict[str, List[Any]] = {}
        plans = dict(zip((layer.name for layer in graph.layers), plan.plans))
        for layer in graph.layers:
            one = plans[layer.name]
            if one.class_name == "InputLayer":
                outputs[layer.name, 0] = [self._input(one.node["config"], layer.name)]
                continue
            if one.operation is None:
                parts[layer.name] = self.make(one)
            waiting[layer.name] = list(enumerate(layer.calls))
        while any(waiting.values()):
            went_on = False
            for layer in graph.layers:
                calls = waiting.get(layer.name, [])
                while calls and _ready(calls[0][1], outputs):
                    number, call = calls.pop(0)
                    outputs[layer.name, number] = self._call(plans[layer.name], parts.get(layer.name), call, outputs)
                    went_on = True
            if not went_on:
                name = next(name for name, calls in waiting.items() if calls)
                raise ConversionError(f"Cannot rebuild the model: the inputs of layer {name} depend on itself.", name)

        def tensor(one: Any) -> Any:
            return outputs[one.layer, one.call][one.place]

        given = {
            "inputs": _unpacked(map_tensors(graph.inputs, tensor)),
            "outputs": _unpacked(map_tensors(graph.outputs, tensor)),
        }
        model = self._model(plan, given)
        return Part(
            plan.name, plan.class_name, model, tuple(parts[layer.name] for layer in graph.layers if layer.name in parts)
        )

    def _model(self, plan: LayerPlan, given: Dict[str, Any]) -> Any:
        kind = self._target.custom_objects.get(plan.class_name, self._keras.models.Model)
        with _naming(plan):
            return kind(name=plan.name.replace("/", "_") if self._target.release.is_keras_3 else plan.name, **given)

    def _call(
        self, plan: LayerPlan, part: Optional[Part], call: Any, outputs: Dict[Tuple[str, int], List[Any]]
    ) -> List[Any]:
        def tensor(one: Any) -> Any:
            return outputs[one.layer, one.call][one.place]

        args = [map_tensors(value, tensor) for value in call.args]
        kwargs = {key: map_tensors(value, tensor) for key, value in call.kwargs.items()}
        with _naming(plan):
            if plan.operation is not None:
                return _flat(plan.operation(args, kwargs))
            assert part is not None
            return _flat(self._call_layer(plan, part.layer, args, kwargs))

    def _call_layer(self, plan: LayerPlan, layer: Any, args: List[Any], kwargs: Dict[str, Any]) -> Any:
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        kwargs.update(plan.around.arguments)
        if plan.around.states_as_list and isinstance(args[0], list) and len(args[0]) > 1:
            args, kwargs = [args[0][0]], {**kwargs, "initial_state": args[0][1:]}
        if not plan.around.time_first:
            return layer(*args, **kwargs)
        operations = self._keras.ops
        result = layer(_swapped(args[0], operations), *args[1:], **kwargs)
        if plan.node["config"].get("return_sequences"):
            sequences = result[0] if isinstance(result, (list, tuple)) else result
            swapped = _swapped(sequences, operations)
            return [swapped, *result[1:]] if isinstance(result, (list, tuple)) else swapped
        return result

    def _sequential(self, plan: LayerPlan, input_shape: Any) -> Part:
        """A Sequential; a functional model if one of its layers became an operation, or needs something around it."""
        plans = list(plan.plans)
        first: Dict[str, Any] = {}
        if plans and plans[0].class_name == "InputLayer":
            first = dict(plans.pop(0).node["config"])
        config = plan.node["config"]
        layers = layers_of_sequential(plan.node)
        shape = _shape_of(first) or (_shape_of(layers[0].get("config") or {}) if layers else None)
        if shape is None and isinstance(config, dict):
            shape = config.get("build_input_shape")
        shape = shape or input_shape
        parts = [self.make(one) for one in plans if one.operation is None]
        dtype = first.get("dtype") or _input_dtype(plans[0] if plans else None, layers)
        if not any(one.operation is not None or one.around.needed for one in plans):
            made = [part.layer for part in parts]
            with _naming(plan):
                model = self._keras.models.Sequential(name=plan.name)
                if shape is not None:
                    self._begin(model, {**first, "batch_shape": shape, "dtype": dtype})
                for layer in made:
                    model.add(layer)
            return Part(plan.name, plan.class_name, model, tuple(parts))
        if shape is None:
            raise ConversionError(
                f"Cannot rebuild the model {plan.name}: it does not say the shape of its input.", plan.name
            )
        tensor = start = self._input({**first, "batch_shape": shape, "dtype": dtype}, first.get("name"))
        remaining = iter(parts)
        for one in plans:
            with _naming(one):
                if one.operation is not None:
                    tensor = one.operation([tensor], {})
                else:
                    tensor = self._call_layer(one, next(remaining).layer, [tensor], {})
        return Part(plan.name, plan.class_name, self._model(plan, {"inputs": start, "outputs": tensor}), tuple(parts))

    def _begin(self, model: Any, config: Dict[str, Any]) -> None:
        if self._target.release.is_keras_3:
            model.add(self._input(config, config.get("name")))
            return
        given: Dict[str, Any] = {
            "batch_input_shape": tuple(config["batch_shape"]),
            "dtype": _dtype(config.get("dtype")),
        }
        if config.get("name"):
            given["name"] = config["name"]
        for setting in ("sparse", "ragged"):
            if config.get(setting):
                given[setting] = True
        model.add(self._keras.layers.InputLayer(**given))


@contextlib.contextmanager
def _naming(plan: LayerPlan) -> Iterator[None]:
    """An error of Keras becomes one that names the layer."""
    try:
        yield
    except ConversionError:
        raise
    except Exception as error:  # Keras raises any kind, and the user's layers do, too
        raise ConversionError(
            f"Cannot rebuild layer {plan.name} ({plan.class_name}): {type(error).__name__}: {_first_line(error)}.",
            plan.name,
        ) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".")[:400] if lines else type(error).__name__


def _ready(call: Any, outputs: Dict[Tuple[str, int], List[Any]]) -> bool:
    return all((one.layer, one.call) in outputs for one in tensors_in([call.args, call.kwargs]))


def _flat(value: Any) -> List[Any]:
    if isinstance(value, dict):
        return [item for key in sorted(value) for item in _flat(value[key])]
    if isinstance(value, (list, tuple)) and not hasattr(value, "shape"):
        return [item for one in value for item in _flat(one)]
    return [value]


def _unpacked(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _dtype(value: Any) -> Any:
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("name")
    return None if str(value).startswith(("mixed", "infer", "_infer")) else value


def _shape_of(config: Any) -> Any:
    if not isinstance(config, dict):
        return None
    return config.get("batch_shape") or config.get("batch_input_shape")


def _input_dtype(plan: Optional[LayerPlan], layers: List[Node]) -> Any:
    """The dtype of the input of a Sequential whose first layer makes it: that of the layer, as Keras 2 does."""
    config = layers[0].get("config") if layers else None
    if isinstance(config, dict) and plan is not None and plan.class_name != "Embedding":
        return _dtype(config.get("dtype"))
    return None


def _swapped(tensor: Any, operations: Any) -> Any:
    return operations.swapaxes(tensor, 0, 1)
