"""A functional model as its configuration describes it: layers, their calls, and the tensors between them.

Every release of Keras writes this in its own way. Here it has one form.
"""

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from tfkernels.errors import ConversionError

Node = Dict[str, Any]
"""What stands for one layer: ``{"class_name": …, "config": …}``, and more in newer releases."""

_CONSTANT = "_CONSTANT_VALUE"
_OPERATIONS = {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty"}
"""Layers whose first argument is as it was given: a list of one tensor is not that tensor."""


class Tensor(NamedTuple):
    """The output number ``place`` of call number ``call`` of a layer."""

    layer: str
    call: int
    place: int


class Call(NamedTuple):
    """Arguments of a call of a layer: values with ``Tensor`` in them."""

    args: List[Any]
    kwargs: Dict[str, Any]


class LayerCalls(NamedTuple):
    """A layer of a model, by its name there, and its calls."""

    name: str
    node: Node
    calls: List[Call]


class ModelGraph(NamedTuple):
    """``inputs`` and ``outputs`` are tensors, or lists and dicts of tensors."""

    layers: List[LayerCalls]
    inputs: Any
    outputs: Any


def is_functional(node: Node) -> bool:
    config = node.get("config")
    return isinstance(config, dict) and {"layers", "input_layers", "output_layers"} <= set(config)


def is_sequential(node: Node) -> bool:
    config = node.get("config")
    return plain_class_name(node) == "Sequential" and isinstance(
        config.get("layers") if isinstance(config, dict) else config, list
    )


def plain_class_name(node: Node) -> str:
    """The name of a class without the package that it is registered for: ``Scale`` of ``Custom>Scale``."""
    return str(node.get("class_name")).split(">")[-1]


def layer_name(node: Node) -> str:
    """A functional model's layers have their names beside their configuration."""
    config = node.get("config")
    inside = config.get("name") if isinstance(config, dict) else None
    return str(node.get("name") or inside or node.get("class_name"))


def layers_of_sequential(node: Node) -> List[Node]:
    config = node["config"]
    found: List[Node] = list(config["layers"] if isinstance(config, dict) else config)  # a list up to Keras 2.2.2
    return found


def model_graph(node: Node) -> ModelGraph:
    """The graph of a functional model. Raises ``ConversionError`` if its parts do not fit together."""
    config = node["config"]
    names = {layer_name(layer) for layer in config["layers"]}
    raw = [
        LayerCalls(layer_name(layer), layer, [_call(layer, data, names) for data in layer.get("inbound_nodes") or ()])
        for layer in config["layers"]
    ]
    inputs = _tensors(config["input_layers"], names)
    outputs = _tensors(config["output_layers"], names)
    first = _first_numbers(raw, [call for layer in raw for call in layer.calls], inputs=None)
    first_outside = _first_numbers(raw, [], inputs=outputs, inner=first)
    layers = [layer._replace(calls=[_renumbered(call, first) for call in layer.calls]) for layer in raw]
    graph = ModelGraph(layers, _shifted(inputs, {}), _shifted(outputs, first_outside))
    _check(graph)
    return graph


def _call(layer: Node, data: Any, names: Set[str]) -> Call:
    if isinstance(data, dict) and "args" in data:  # Keras 3
        return Call(list(_value(data["args"], names)), dict(_value(data.get("kwargs") or {}, names)))
    kwargs: Dict[str, Any] = {}

    def first_argument(value: Any) -> Any:
        if _is_entry(value, names):
            if len(value) > 3 and isinstance(value[3], dict):
                kwargs.update({key: _value(item, names) for key, item in value[3].items()})
            if value[0] == _CONSTANT:
                return _value(value[2], names)
            return Tensor(value[0], int(value[1]), int(value[2]))
        if isinstance(value, dict):
            return {key: first_argument(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [first_argument(item) for item in value]
        raise ConversionError(
            f"Cannot read layer {layer_name(layer)}: its inputs are described in an unknown way.", layer_name(layer)
        )

    argument = first_argument(data)
    single = isinstance(argument, list) and len(argument) == 1 and layer.get("class_name") not in _OPERATIONS
    return Call([argument[0] if single else argument], kwargs)


def _is_entry(value: Any, names: Set[str]) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and (value[0] in names or value[0] == _CONSTANT)
        and isinstance(value[1], int)
    )


def _value(value: Any, names: Set[str]) -> Any:
    """A further argument. Keras 2 writes a tensor as ``["dense", 0, 0]``, Keras 3 as an object with its history."""
    if _is_entry(value, names) and value[0] != _CONSTANT and isinstance(value[2], int):
        return Tensor(value[0], int(value[1]), int(value[2]))
    if isinstance(value, (list, tuple)):
        return [_value(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    if kind == "__keras_tensor__":
        name, call, index = value["config"]["keras_history"]
        return Tensor(name, int(call), int(index))
    if kind == "__tuple__":
        return tuple(_value(item, names) for item in value["config"].get("value", value.get("items", ())))
    if kind == "__slice__":
        settings = value["config"]
        return slice(settings.get("start"), settings.get("stop"), settings.get("step"))
    if kind == "__ellipsis__":
        return Ellipsis
    if kind in ("__numpy__", "__tensor__"):
        return value["config"]["value"]
    return {key: _value(item, names) for key, item in value.items()}


def _tensors(value: Any, names: Set[str]) -> Any:
    if _is_entry(value, names):
        return Tensor(value[0], int(value[1]), int(value[2]))
    if isinstance(value, dict):
        return {key: _tensors(item, names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tensors(item, names) for item in value]
    raise ConversionError(
        "Cannot read the model's configuration: its inputs or outputs are described in an unknown way."
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def _first_numbers(
    layers: List[LayerCalls], calls: List[Call], inputs: Any, inner: Optional[Mapping[str, int]] = None
) -> Dict[str, int]:
    """The number that a configuration gives to the first call of each layer: a model inside may begin with 1.

    Its own making counts as call 0 in most releases. Keras 3 counts it in ``output_layers`` only.
    """
    used: Dict[str, Set[int]] = {}
    for tensor in [*tensors_in([[call.args, call.kwargs] for call in calls]), *tensors_in(inputs)]:
        used.setdefault(tensor.layer, set()).add(tensor.call)
    first = {}
    for layer in layers:
        numbers, count = used.get(layer.name, set()), len(layer.calls)
        begins_with_1 = bool(layer.calls) and 0 not in numbers and _has_own_call(layer.node)
        if count in numbers and count:
            begins_with_1 = True
        elif begins_with_1 and not numbers:
            begins_with_1 = bool((inner or {}).get(layer.name))
        first[layer.name] = int(begins_with_1)
    return first


def _has_own_call(node: Node) -> bool:
    return is_functional(node) or is_sequential(node)


def _renumbered(call: Call, first: Mapping[str, int]) -> Call:
    return Call(_shifted(call.args, first), _shifted(call.kwargs, first))


def _shifted(value: Any, first: Mapping[str, int]) -> Any:
    return map_tensors(value, lambda tensor: tensor._replace(call=tensor.call - first.get(tensor.layer, 0)))


def map_tensors(value: Any, change: Any) -> Any:
    """``value`` with every ``Tensor`` in it replaced."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map_tensors(item, change) for item in value)
    if isinstance(value, list):
        return [map_tensors(item, change) for item in value]
    return value


def _check(graph: ModelGraph) -> None:
    calls: Dict[str, int] = {}
    for layer in graph.layers:
        if layer.name in calls:
            raise ConversionError(
                f"Cannot read the model's configuration: two layers are called {layer.name}.", layer.name
            )
        calls[layer.name] = max(1, len(layer.calls))
    used: List[Tuple[str, Tensor]] = [("the model", tensor) for tensor in tensors_in([graph.inputs, graph.outputs])]
    for layer in graph.layers:
        used += [
            (f"layer {layer.name}", tensor) for call in layer.calls for tensor in tensors_in([call.args, call.kwargs])
        ]
    for user, tensor in used:
        if tensor.layer not in calls or not 0 <= tensor.call < calls[tensor.layer] or tensor.place < 0:
            raise ConversionError(
                f"Cannot read the model's configuration: {user} uses output {tensor.place} of call {tensor.call} of "
                f"layer {tensor.layer}, which is not there.",
                tensor.layer,
            )
