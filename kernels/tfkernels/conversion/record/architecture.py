"""The architecture of a model that lives in this process: its configuration, inputs, outputs, and what is not Keras's.

No code goes into it: a Lambda's function is its name.
"""

import inspect
import json
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from tfkernels.conversion.record.config_layers import Node, children, name_of
from tfkernels.conversion.record.forgotten_settings import restore
from tfkernels.conversion.record.lambda_operations import operations_of
from tfkernels.conversion.record.plain_values import plain
from tfkernels.errors import ConversionError
from tfkernels.models.keras_package import is_layer, is_of_keras
from tfkernels.models.layer_names import is_a


class Architecture(NamedTuple):
    """Parts of a record; ``model_record`` says what they hold."""

    config: Node
    inputs: List[Dict[str, Any]]
    outputs: List[Dict[str, Any]]
    custom_objects: List[Dict[str, Any]]
    lambdas: List[Dict[str, Any]]


def architecture(model: Any, as_written: bool = False) -> Architecture:
    """Raises ``ConversionError`` with the layer whose configuration cannot be read.

    ``as_written`` says that the model was made from a configuration: settings that are not in that are defaults here,
    and not what the model had when it was saved.
    """
    config = _config(model)
    custom_objects: List[Dict[str, Any]] = []
    lambdas: List[Dict[str, Any]] = []
    for path, node, layer in _with_layers(config, model):
        if is_a(layer, "Lambda"):
            operations = operations_of(layer)
            lambdas.append({"layer": path, "function": _named_function(node, layer), "operations": operations})
        if not as_written:
            restore(node, layer)
        custom_objects += _custom_objects(path, layer)
    return Architecture(config, _specs(model, "input"), _specs(model, "output"), custom_objects, lambdas)


def _config(model: Any) -> Node:
    try:
        found: Node = json.loads(model.to_json())
    except Exception as error:  # every release has its own
        layer, cause = _unreadable_layer(model) or (model, error)
        name = type(layer).__name__
        what = "the model" if layer is model else f"layer {layer.name}"
        # Keras's own layers raise this error for a class without the method.
        reason = "it has no get_config()" if isinstance(cause, NotImplementedError) else f"get_config() failed: {cause}"
        raise ConversionError(
            f"Cannot record the model {model.name}: {what} is of class {name}, and {reason}. Give {name} a "
            "get_config() that returns the arguments of its __init__, or build the model there and pass only its "
            "weights, tfkernels.weights(model).",
            layer=layer.name,
        ) from error
    return found


def _unreadable_layer(model: Any) -> Optional[Tuple[Any, Exception]]:
    """The innermost layer without a readable configuration, and the reason."""
    for layer in getattr(model, "layers", ()):
        if is_a(layer, "Model") and not _overrides_config(layer):
            found = _unreadable_layer(layer)
            if found:
                return found
            continue
        try:
            json.dumps(plain(layer.get_config()))
        except Exception as error:  # noqa: BLE001 (the user's own code)
            return layer, error
    return None


def _overrides_config(layer: Any) -> bool:
    author = next(kind for kind in type(layer).__mro__ if "get_config" in vars(kind))
    return not is_of_keras(author)


def _with_layers(node: Node, layer: Any, path: str = "") -> Iterator[Tuple[str, Node, Any]]:
    """The nodes of a configuration with the layers that they describe. The user's own layers have no known inside."""
    yield path, node, layer
    for name, child in children(node):
        found = _layer_inside(layer, name, child)
        if found is not None:
            yield from _with_layers(child, found, f"{path}/{name}" if path else name)


def _layer_inside(layer: Any, name: str, child: Node) -> Any:
    if is_a(layer, "Model"):
        return next((inner for inner in layer.layers if inner.name == name_of(child)), None)
    if name.startswith("cells["):
        return layer.cells[int(name[6:-1])]
    if name == "layer" and is_a(layer, "Bidirectional"):
        return layer.forward_layer
    return getattr(layer, name, None)


def _named_function(node: Node, layer: Any) -> Optional[str]:
    """The name of a Lambda's function, which takes the place of its code in ``node``."""
    name = getattr(layer.function, "__name__", "<lambda>")
    known = None if name == "<lambda>" else name
    config = node["config"]
    config["function"], config["function_type"] = known, "function"
    if config.get("output_shape_type") == "lambda" or not _is_shape(config.get("output_shape")):
        shape = getattr(layer, "_output_shape", None)
        config["output_shape"] = plain(shape) if isinstance(shape, (list, tuple)) else None
        config["output_shape_type"] = "raw"
    mask = getattr(layer, "mask", None)
    if "mask" in config and callable(mask):
        config["mask"] = None
    return known


def _is_shape(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(item is None or isinstance(item, int) for item in value))


def _custom_objects(path: str, layer: Any) -> Iterator[Dict[str, Any]]:
    kind = type(layer)
    if not is_of_keras(kind):
        yield _custom_object("model" if is_a(layer, "Model") else "layer", path, kind)
    for name, value in sorted(vars(layer).items()):
        if is_layer(value) or isinstance(value, (list, dict, tuple)) or name.startswith("__"):
            continue
        if name == "function" and is_a(layer, "Lambda"):
            continue
        if inspect.isfunction(value) and _is_users(value) and name in _FUNCTIONS:
            yield _custom_object("function", path, value)
        elif name in _OBJECTS and value is not None and not inspect.isfunction(value) and not is_of_keras(type(value)):
            yield _custom_object("function", path, type(value))


_PACKAGES = ("keras", "tf_keras", "tensorflow", "tensorflow_core")
_FUNCTIONS = {"activation", "recurrent_activation", "_activation"}
_OBJECTS = {
    f"{weight}{kind}"
    for weight in (
        "kernel_", "bias_", "recurrent_", "embeddings_", "gamma_", "beta_", "depthwise_", "pointwise_", "alpha_",
        "moving_mean_", "moving_variance_", "activity_",
    )
    for kind in ("initializer", "regularizer", "constraint")
}  # fmt: skip


def _is_users(function: Any) -> bool:
    return getattr(function, "__module__", "").split(".")[0] not in (
        "keras",
        "tf_keras",
        "tensorflow",
        "tensorflow_core",
    )


def _custom_object(kind: str, path: str, value: Any) -> Dict[str, Any]:
    try:
        signature = str(inspect.signature(value))
    except (TypeError, ValueError):
        signature = ""
    return {"name": value.__name__, "kind": kind, "layer": path, "signature": signature}


def _specs(model: Any, side: str) -> List[Dict[str, Any]]:
    tensors = getattr(model, side + "s", None) or []
    names = getattr(model, side + "_names", None) or [tensor.name.split(":")[0] for tensor in tensors]
    return [
        {"name": name, "shape": plain(_shape(tensor)), "dtype": plain(_dtype(tensor))}
        for name, tensor in zip(names, tensors)
    ]


def _shape(tensor: Any) -> Any:
    shape = tensor.shape
    return shape.as_list() if hasattr(shape, "as_list") else list(shape)


def _dtype(tensor: Any) -> Any:
    dtype = tensor.dtype
    return getattr(dtype, "name", dtype)
