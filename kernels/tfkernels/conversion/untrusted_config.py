"""Makes the configuration of a stranger's model harmless: nothing in it names code to run that is not Keras's.

Keras loads more than layers. Byte code of a Lambda runs, and so does any function whose module and name a configuration
tells, such as ``os.system`` or ``keras.utils.get_file``; ``safe_mode`` did not stop that before Keras 3.11. Operations
of TensorFlow write files.
"""

import copy
import re
from typing import Any, Dict, Iterator, Mapping, Tuple

from tfkernels.conversion.config_layers import Node, is_node, name_of, walk_config
from tfkernels.errors import ConversionError

_CLASSES_IN = (
    "activations", "constraints", "dtype_policies", "engine", "initializers", "layers", "losses", "metrics",
    "mixed_precision", "models", "ops", "optimizers", "quantizers", "random", "regularizers", "trainers",
)  # fmt: skip
_FUNCTIONS_IN = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers")
_KERAS = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")

_TENSORFLOW = re.compile(
    r"(compat\.v[12]\.)?((math|nn|linalg|signal|strings|image|bitwise|ragged|sparse|sets|dtypes|random|quantization"
    r"|__operators__|keras\.backend|keras\.activations)\.)*[a-z_]\w*"
)
_OUTSIDE = re.compile(
    r"(?i)py_?func|numpy_function|file|dataset|reader|save|restore|summary|debug|print|rpc|iterator|checkpoint|trtengine"
    r"|load_|library|decode_.*raw_from|session|queue"
)
"""Functions and operations of TensorFlow that reach outside of the process, or run code."""


def harmless(architecture: Node, custom_objects: Mapping[str, Any], trust: bool) -> Node:
    """A copy of the configuration that can be loaded. Raises ``ConversionError`` with the layer that has code in it.

    A Lambda gets its function from ``custom_objects``, by its own name or by the layer's, and keeps its byte code only
    with ``trust``.
    """
    config = copy.deepcopy(dict(architecture))
    for path, node in walk_config(config):
        if node["class_name"].split(">")[-1] == "Lambda":
            _set_function(path, node["config"], custom_objects, trust)
        if not trust:
            _check_operation(path, node)
    if not trust:
        for path, value in _modules(config, ""):
            _check_module(path, value, custom_objects)
    return config


def function_name(config: Mapping[str, Any]) -> str:
    """What a Lambda's configuration calls its function; empty if it has its byte code."""
    function = config.get("function")
    if isinstance(function, dict):  # Keras 3
        return str(function["config"]) if isinstance(function.get("config"), str) else ""
    return function if isinstance(function, str) else ""


def _set_function(path: str, config: Dict[str, Any], custom_objects: Mapping[str, Any], trust: bool) -> None:
    called = function_name(config)
    own = path.rpartition("/")[2]
    name = next((name for name in (called, own) if name and name in custom_objects), "")
    if name:
        keras_3 = isinstance(config.get("function"), dict)
        of_users = {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
        config["function"] = of_users if keras_3 else name
        config.update({} if keras_3 else {"function_type": "function", "module": None})
        if trust:
            return
    elif not trust:
        what = f"the function {called}" if called else "Python byte code"
        raise ConversionError(
            f"Cannot load layer {path}: it is a Lambda with {what}, which does not run unasked. Define a function "
            f"{called or own} in a Python file and add --custom-objects FILE.py, or if you trust the model add "
            "--trust.",
            layer=path,
        )
    else:
        return
    for key in ("output_shape", "mask"):  # they can be code, too; Keras finds the shape itself
        value = config.get(key)
        if isinstance(value, (dict, str)) or config.get(f"{key}_type") == "lambda":
            config[key] = None
            config.pop(f"{key}_type", None)
            config.pop(f"{key}_module", None)


def _check_operation(path: str, node: Node) -> None:
    config = node["config"] if isinstance(node["config"], dict) else {}
    kind = node["class_name"]
    if kind == "TFOpLambda":
        name = str(config.get("function"))
        if not _TENSORFLOW.fullmatch(name) or _OUTSIDE.search(name):
            raise _outside(path, f"tf.{name}")
    if kind == "TensorFlowOpLayer":
        text = str(config.get("node_def"))
        found = re.search(r'"?op"?\s*:\s*"(\w+)"', text)
        name = found.group(1) if found else text[:40]
        if _OUTSIDE.search(name):
            raise _outside(path, name)


def _outside(path: str, name: str) -> ConversionError:
    return ConversionError(
        f"Cannot load layer {path}: its operation {name} may reach outside of the model, to files or to code. If you "
        "trust the model, add --trust.",
        layer=path,
    )


def _modules(value: Any, path: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """All objects in a configuration that name a module, each with the path of keys to it."""
    if isinstance(value, dict):
        if "class_name" in value and value.get("module") is not None:
            yield path, value
        for key, item in value.items():
            yield from _modules(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _modules(item, f"{path}.{name_of(item) if is_node(item) else number}")


def _check_module(path: str, value: Dict[str, Any], custom_objects: Mapping[str, Any]) -> None:
    is_function = value["class_name"] in ("function", "builtin_function_or_method")
    name = str(value.get("config") if is_function else value["class_name"])
    if name.split(">")[-1] in custom_objects or str(value.get("registered_name")) in custom_objects:
        value["module"] = "builtins" if is_function else None  # nothing is imported for it
        return
    module = str(value["module"])
    inside = next((module[len(root) + 1 :] for root in _KERAS if f"{module}.".startswith(f"{root}.")), None)
    parts = [part for part in (inside or "").split(".") if part not in ("", "src", "_tf_keras", "keras")]
    allowed = _FUNCTIONS_IN if is_function else _CLASSES_IN
    if inside is not None and (parts[0] in allowed if parts else not is_function):
        return
    if module == "builtins" and (not is_function or re.fullmatch(r"[a-z]\w*", name)) and name not in vars(_builtins()):
        return  # Keras looks in its own activations and the like
    raise ConversionError(
        f"Cannot load the model: its setting {path} names {module}.{name}, which is not Keras's. Define {name} in a "
        "Python file and add --custom-objects FILE.py, or if you trust the model add --trust.",
        layer=str(path),
    )


def _builtins() -> Any:
    import builtins

    return builtins
