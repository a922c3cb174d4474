"""Operations of TensorFlow that stand as layers in a functional model (``x + 1``, ``tf.nn.relu(x)``), for the target.

Keras 2 keeps them as they are. Keras 3 has no such layers, but operations of its own: ``keras_operations`` has those
that compute the same, and ``tensorflow_functions`` leads back. Two ways of writing them are read: ``TFOpLambda`` names
a function, ``TensorFlowOpLayer`` a node (``keras_nodes``).
"""

import base64
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional

import numpy as np

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.model_graph import Node
from tfkernels.conversion.layer_rules.report import LayerReport
from tfkernels.conversion.target import keras_nodes, keras_operations, tensorflow_functions
from tfkernels.conversion.target.target_keras import TargetKeras, saving_of

Operation = Callable[[List[Any], Dict[str, Any]], Any]

_LAYERS = {"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "AddLoss", "AddMetric"}
_UNREADABLE = {"ClassMethod", "InstanceMethod", "InstanceProperty"}


def operation_of(node: Node, source: KerasRelease, target: TargetKeras, about: LayerReport) -> Optional[Operation]:
    """What the layer computes, or ``None`` if it is an ordinary layer or was refused."""
    kind, config = str(node.get("class_name")), dict(node.get("config") or {})
    if source.is_keras_3 and not target.release.is_keras_3:
        return _of_keras_3(node, config, target, about)
    if _is_keras_operation(node):
        return _deserialized(target, node)
    if kind in _UNREADABLE and target.release.is_keras_3:
        about.refuse(f"it works on ragged or sparse tensors, for which {target.release} has no operations")
        return None
    if kind not in _LAYERS:
        return None
    if kind in ("AddLoss", "AddMetric"):
        about.refuse("it adds a loss or metric to the model. Write the model's training step for the target")
        return None
    if not target.release.is_keras_3:
        return _deserialized(target, {"class_name": kind, "config": config, "name": node.get("name")})
    if kind == "TensorFlowOpLayer":
        return _of_node(config, target, about)
    symbol = str(config.get("function"))
    operation = keras_operations.by_symbol(symbol)
    if operation is None:
        about.refuse(
            f"it is the operation tf.{symbol}, for which tfkernels knows none of {target.release} that computes "
            "exactly the same. Write it as a custom layer"
        )
        return None
    function = operation

    def call(args: List[Any], kwargs: Dict[str, Any]) -> Any:
        kwargs = {key: value for key, value in kwargs.items() if key != "name"}
        return function(target.module.ops, *args, **kwargs)

    return call


def _of_keras_3(node: Node, config: Mapping[str, Any], target: TargetKeras, about: LayerReport) -> Optional[Operation]:
    """An operation of Keras 3, or one of its activations, for Keras 2."""
    kind = str(node.get("class_name"))
    if kind == "Activation" and config.get("activation") == "hard_sigmoid":
        about.changed("relu6(x + 3) / 6", f"{target.release} has hard_sigmoid with another slope")
        kind = "HardSigmoid"
    elif not _is_keras_operation(node):
        return None
    function = tensorflow_functions.by_class(kind)
    if function is None:
        about.refuse(
            f"it is the operation {kind} of Keras 3, for which tfkernels knows no function of TensorFlow that computes "
            "exactly the same. Write it as a custom layer"
        )
        return None
    known = function

    def call(args: List[Any], kwargs: Dict[str, Any]) -> Any:
        return known(sys.modules["tensorflow"], config, *args, **kwargs)

    return call


def _is_keras_operation(node: Node) -> bool:
    module = str(node.get("module") or "")
    return module.startswith(("keras.src.ops", "keras.ops", "keras.src.activations"))


def _deserialized(target: TargetKeras, node: Node) -> Operation:
    """The operation as the target's own Keras reads it."""
    made: List[Any] = []

    def call(args: List[Any], kwargs: Dict[str, Any]) -> Any:
        if not made:
            if target.release.is_keras_3:
                made.append(saving_of(target.module).deserialize_keras_object(node))
            else:
                plain = {key: value for key, value in node.items() if key != "name" or value}
                made.append(target.module.layers.deserialize(plain))
        return made[0](*args, **kwargs)

    return call


def _of_node(config: Mapping[str, Any], target: TargetKeras, about: LayerReport) -> Optional[Operation]:
    """The operation in a ``TensorFlowOpLayer``: a node of a graph, and the inputs that are constants."""
    node = config.get("node_def")
    if not isinstance(node, dict) or "op" not in node:
        about.refuse("its node is not written in a form that can be read without TensorFlow")
        return None
    kind = str(node["op"])
    operation = keras_nodes.by_node(kind)
    if operation is None:
        about.refuse(
            f"it is the operation {kind}, for which tfkernels knows none of {target.release} that computes exactly the "
            "same. Write it as a custom layer"
        )
        return None
    function = operation
    attributes = {name: _attribute(value) for name, value in (node.get("attr") or {}).items()}
    constants = {int(place): value for place, value in (config.get("constants") or {}).items()}

    def call(args: List[Any], _: Dict[str, Any]) -> Any:
        tensors = list(args[0]) if isinstance(args[0], (list, tuple)) else [args[0]]
        inputs: List[Any] = []
        while tensors or len(inputs) in constants:
            place = len(inputs)
            inputs.append(constants[place] if place in constants else tensors.pop(0))
        return function(target.module.ops, inputs, attributes)

    return call


def _attribute(value: Any) -> Any:
    """A value as protobuf's JSON writes it: ``{"i": "1"}``, ``{"list": {"i": ["1", "2"]}}``."""
    if not isinstance(value, dict):
        return value
    if "list" in value:
        return [_scalar(kind, item) for kind, items in value["list"].items() for item in items]
    for kind, item in value.items():
        return _scalar(kind, item)
    return None


def _scalar(kind: str, item: Any) -> Any:
    if kind == "i":
        return int(item)
    if kind == "f":
        return float(np.float32(item))
    if kind == "s":
        return base64.b64decode(item).decode("utf-8", "replace")
    return item
