"""The function of a Lambda as operations of TensorFlow: what it computes, without its Python code.

Byte code belongs to one Python, and a ``lambda`` has no name to be found by. The operations that the function makes for
the layer's inputs are the same in every release. They are written as a functional model of ``TensorFlowOpLayer``s.
"""

import inspect
from typing import Any, Dict, List, Mapping, Optional, Tuple

from tfkernels.conversion.record.config_layers import Node, children
from tfkernels.conversion.record.plain_values import plain
from tfkernels.imports import own_imports
from tfkernels.models.tensorflow_api import v1

_MOST = 200
"""Operations. More are a whole model, and no Lambda."""


def operations_of(layer: Any) -> Optional[Node]:
    """The layer as a configuration of a functional model, or ``None`` if its function is more than operations.

    So it is if the function draws random numbers, has variables, loops, or wants the mask or the learning phase.
    """
    try:
        if {"mask", "training"} & set(inspect.signature(layer.function).parameters):
            return None
        inputs, structure = _inputs(layer)
        graph = v1().Graph()
        with graph.as_default():
            places = [
                v1().placeholder(dtype, shape, name=f"input_{number}") for number, (dtype, shape) in enumerate(inputs)
            ]
            given = places[0] if structure is None else structure(places)
            result = layer.function(given, **dict(getattr(layer, "arguments", None) or {}))
        outputs = list(result) if isinstance(result, (list, tuple)) else [result]
        return _Traced(layer.name, graph, places).model(outputs)
    except Exception:  # noqa: BLE001 (the user's function may raise anything where it is not in its model)
        return None


def _inputs(layer: Any) -> Tuple[List[Tuple[str, List[Optional[int]]]], Any]:
    """Dtypes and shapes of the layer's inputs, and what puts several ones together."""
    given = layer.get_input_at(0) if hasattr(layer, "get_input_at") else layer.input
    tensors = list(given) if isinstance(given, (list, tuple)) else [given]
    specs = []
    for tensor in tensors:
        shape = tensor.shape.as_list() if hasattr(tensor.shape, "as_list") else list(tensor.shape)
        specs.append((str(getattr(tensor.dtype, "name", tensor.dtype)), [None, *shape[1:]]))
    return specs, (type(given) if isinstance(given, (list, tuple)) else None)


class _Traced:
    """The operations in a graph that lie between placeholders and outputs, as layers."""

    def __init__(self, name: str, graph: Any, places: List[Any]) -> None:
        self._name = name
        self._graph = graph
        self._layers: Dict[str, Node] = {}
        self._places = {place.op.name for place in places}
        for place in places:
            shape = place.shape.as_list()
            self._layers[place.op.name] = {
                "class_name": "InputLayer",
                "name": place.op.name,
                "config": {
                    "name": place.op.name,
                    "batch_input_shape": shape,
                    "dtype": place.dtype.name,
                    "sparse": False,
                },
                "inbound_nodes": [],
            }
        self._depends: Dict[str, bool] = {}

    def model(self, outputs: List[Any]) -> Node:
        ends = []
        for output in outputs:
            if not self._depends_on_input(output.op) or output.op.name in self._places:
                raise ValueError("an output that is an input, or does not depend on one")
            self._add(output.op)
            ends.append([_layer_name(output.op), 0, output.value_index])
        starts = [[name, 0, 0] for name in self._layers if name in self._places]
        config = {"name": self._name, "layers": list(self._layers.values())}
        return {
            "class_name": "Functional",
            "name": self._name,
            "config": {**config, "input_layers": starts, "output_layers": ends},
        }

    def _depends_on_input(self, operation: Any) -> bool:
        if operation.name not in self._depends:
            self._depends[operation.name] = operation.name in self._places or any(
                self._depends_on_input(tensor.op) for tensor in operation.inputs
            )
        return self._depends[operation.name]

    def _add(self, operation: Any) -> None:
        """Adds a layer for an operation, after those that it depends on."""
        name = _layer_name(operation)
        if operation.name in self._places or name in self._layers:
            return
        _check(operation)
        constants: Dict[str, Any] = {}
        calls: List[List[Any]] = []
        for place, tensor in enumerate(operation.inputs):
            if not self._depends_on_input(tensor.op):
                constants[str(place)] = plain(self._value(tensor))
                continue
            self._add(tensor.op)
            is_place = tensor.op.name in self._places
            calls.append([tensor.op.name if is_place else _layer_name(tensor.op), 0, tensor.value_index, {}])
        if len(self._layers) > _MOST:
            raise ValueError("too many operations")
        self._layers[name] = {
            "class_name": "TensorFlowOpLayer",
            "name": name,
            "config": {
                "name": operation.name,
                "trainable": True,
                "dtype": None,
                "node_def": _node_def(operation),
                "constants": constants,
            },
            "inbound_nodes": [calls],
        }

    def _value(self, tensor: Any) -> Any:
        """The value of a tensor that is the same for all inputs."""
        stack = [tensor.op]
        while stack:
            operation = stack.pop()
            _check(operation)
            stack += [one.op for one in operation.inputs]
        with v1().Session(graph=self._graph) as session:
            return session.run(tensor)


def _check(operation: Any) -> None:
    """Raises ``ValueError`` for what is no pure operation: a variable, a random number, a function, a placeholder."""
    kind = operation.op_def
    if operation.type == "Const":  # in 1.4 it has no definition
        return
    functions = any(attribute.type in ("func", "list(func)") for attribute in kind.attr)
    if kind.is_stateful or functions or operation.type.startswith(("Placeholder", "Switch", "Merge", "Enter")):
        raise ValueError(f"{operation.type} is more than an operation on its inputs")


def _node_def(operation: Any) -> Any:
    with own_imports():
        from google.protobuf import json_format  # TensorFlow brings it

    found = json_format.MessageToDict(operation.node_def)
    attributes = found.get("attr", {})
    kept = sorted(name for name in attributes if not name.startswith("_"))  # they come in the order of a hash table
    return {**found, "attr": {name: attributes[name] for name in kept}}


def _layer_name(operation: Any) -> str:
    return f"tf_op_layer_{operation.name}"


def without_lambdas(record: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Dict[str, Any]:
    """The record with operations in place of each Lambda whose function is not among ``custom_objects``.

    A function is found by its own name or by the layer's.
    """
    operations = {
        entry["layer"]: entry["operations"]
        for entry in record["lambdas"]
        if entry.get("operations")
        and entry.get("function") not in custom_objects
        and entry["layer"].rpartition("/")[2] not in custom_objects
    }
    return {**record, "config": _replaced(record["config"], "", operations)} if operations else dict(record)


def _replaced(node: Node, path: str, operations: Mapping[str, Node]) -> Node:
    if path in operations:
        kept: Dict[str, Any] = {key: node[key] for key in ("inbound_nodes", "name") if key in node}
        return {**operations[path], **kept}
    inside = {
        id(child): _replaced(child, f"{path}/{name}" if path else name, operations) for name, child in children(node)
    }

    def exchanged(value: Any) -> Any:
        if id(value) in inside:
            return inside[id(value)]
        return [exchanged(item) for item in value] if isinstance(value, list) else value

    config = node["config"]
    config = {key: exchanged(value) for key, value in config.items()} if isinstance(config, dict) else exchanged(config)
    return {**node, "config": config}
