"""Makes the configuration of a stranger's model harmless: nothing in it names code to run that is not Keras's.

Keras loads more than layers. Byte code of a Lambda runs, and so does any function whose module and name a configuration
tells, such as ``os.system`` or ``keras.utils.get_file``; ``safe_mode`` did not stop that before Keras 3.11. Operations
of TensorFlow write files.
"""

import builtins
import copy
import re
from typing import Any, Dict, Iterator, Mapping, Set, Tuple

from tfkernels.conversion.graphs.outside_access import may_reach_outside
from tfkernels.conversion.record.config_layers import Node, is_node, name_of, walk_config
from tfkernels.errors import ConversionError, UnreadableFile
from tfkernels.saved_models.containers.protobuf import Message

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
_RAGGED = {"RaggedTensor", "SparseTensor", "sparse.SparseTensor"}
"""Classes whose methods a layer ``ClassMethod`` may call."""

_CODE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper"}
"""Classes whose objects run code that is in the configuration, or in a file that it names."""
_FILES = {"vocabulary", "vocabulary_file", "vocab_file", "idf_weights", "filepath"}
"""Settings that are values, or the path of a file with them."""


def harmless(architecture: Node, custom_objects: Mapping[str, Any], trust: bool) -> Node:
    """A copy of the configuration that can be loaded. Raises ``ConversionError`` with the layer that has code in it.

    A Lambda gets its function from ``custom_objects``, by its own name or by the layer's, and keeps its byte code only
    with ``trust``.
    """
    config = copy.deepcopy(dict(architecture))
    known: Set[int] = set()
    for path, node in walk_config(config):
        if node["class_name"].split(">")[-1] == "Lambda":
            _set_function(path, node["config"], custom_objects, trust)
            known.add(id(node))
    if not trust:
        for path, value in _objects(config, ""):
            if id(value) not in known and str(value["class_name"]).split(">")[-1] not in custom_objects:
                _check_class(path, value)
            if value.get("module") is not None:
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


def _check_class(path: str, value: Mapping[str, Any]) -> None:
    """Keras makes layers of any setting that describes one, such as an activation, and not only where layers stand."""
    kind = str(value["class_name"]).split(">")[-1]
    config = value["config"] if isinstance(value.get("config"), dict) else {}
    if kind in _CODE:
        raise _refused(path, f"it is a {kind}, which runs code that the model brings")
    named = next((key for key in _FILES if isinstance(config.get(key), str)), None)
    if named is not None:
        raise _refused(path, f"its {named} is the path of a file, {config[named][:80]!r}")
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        name = str(config.get("function"))
        if not _TENSORFLOW.fullmatch(name) or may_reach_outside(name):
            raise _outside(path, f"tf.{name}")
    if kind == "ClassMethod" and config.get("cls_symbol") not in _RAGGED:
        raise _outside(path, f"tf.{config.get('cls_symbol')}")
    if kind == "TensorFlowOpLayer":
        name = _operation(config.get("node_def"))
        if not name or may_reach_outside(name):
            raise _outside(path, name or "without a name")


def _operation(node: Any) -> str:
    """The operation of a node, as Keras reads it: a dict, or the bytes of the message as text."""
    if isinstance(node, dict):
        return str(node.get("op") or "")
    try:
        return Message(str(node).encode("utf-8")).text(2)
    except UnreadableFile:
        return ""


def _outside(path: str, name: str) -> ConversionError:
    return _refused(path, f"its operation {name} may reach outside of the model, to files or to code")


def _refused(path: str, why: str) -> ConversionError:
    return ConversionError(f"Cannot load layer {path}: {why}. If you trust the model, add --trust.", layer=path)


def _objects(value: Any, path: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """All objects in a configuration, at any depth, each with its layers' names and the keys below the last one."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield path or "model", value
        for key, item in value.items():
            step = "" if key in ("config", "layers") else str(key)
            yield from _objects(item, "/".join(part for part in (path, step) if part))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            step = name_of(item) if is_node(item) else str(number)
            yield from _objects(item, f"{path}/{step}" if path else step)


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
    if module == "builtins" and (not is_function or re.fullmatch(r"[a-z]\w*", name)) and name not in vars(builtins):
        return  # Keras looks in its own activations and the like
    raise ConversionError(
        f"Cannot load the model: its setting {path} names {module}.{name}, which is not Keras's. Define {name} in a "
        "Python file and add --custom-objects FILE.py, or if you trust the model add --trust.",
        layer=str(path),
    )
