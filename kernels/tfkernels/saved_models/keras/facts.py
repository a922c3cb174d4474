"""What a configuration of Keras tells: the table of layers, the user's objects that it needs, and its Lambdas."""

import base64
import binascii
from collections import defaultdict
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from tfkernels.saved_models.keras.configs import Config, Node
from tfkernels.saved_models.keras.known_names import is_known, kind_of_setting
from tfkernels.saved_models.saved_file import COMPILATION, CustomObject, Lambda, Layer, SavedFile

_OF_KERAS = ("keras", "builtins", "tensorflow", "tf_keras")
_KIND_OF_MODULE = ("activation", "initializer", "regularizer", "constraint", "loss", "metric", "optimizer", "layer")
_FUNCTIONS = ("function", "__lambda__", "__typespec__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__",
              "__keras_tensor__", "__tuple__", "__slice__", "__complex__")  # fmt: skip


def facts(saved: SavedFile, root: Optional[Node]) -> SavedFile:
    """The file with what the configuration of its model tells."""
    if root is None:
        return saved
    custom: Dict[Tuple[str, str], CustomObject] = {}
    lambdas: List[Lambda] = []
    for node in root.walk():
        where = node.path or node.name
        if node.class_name == "Lambda":
            lambdas.append(_lambda(where, node.config))
        for one in _custom_in(node, where):
            custom.setdefault((one.kind, one.name), one)
    for one in _custom_in_training(saved.training_config or {}):
        custom.setdefault((one.kind, one.name), one)
    return saved._replace(
        layers=tuple(_rows(root, saved)), custom_objects=tuple(custom.values()), lambdas=tuple(lambdas)
    )


def _rows(root: Node, saved: SavedFile) -> Iterator[Layer]:
    weights: Dict[str, List[str]] = defaultdict(list)
    for name in saved.weights:
        weights[name.rpartition("/")[0]].append(name)

    def rows(node: Node, depth: int) -> Iterator[Layer]:
        seen = set()
        for child in node.children:
            if child.path in seen and child.counts:
                continue
            seen.add(child.path)
            inside = child.class_name in ("RNN", *_CELLS)
            own = weights.get(child.path, []) if child.counts else []
            yield Layer(
                child.path if child.counts else child.name,
                child.name,
                child.class_name,
                depth,
                _settings(child),
                child.inputs,
                tuple(own),
            )
            if not inside:
                yield from rows(child, depth + 1)

    return rows(root, 0)


_CELLS = ("StackedRNNCells",)
_NOT_SHOWN = {"name", "layers", "layer", "input_layers", "output_layers", "backward_layer", "build_config"}


def _settings(node: Node) -> Dict[str, Any]:
    return {setting: value for setting, value in node.config.items() if setting not in _NOT_SHOWN}


def _custom_in(node: Node, where: str) -> Iterator[CustomObject]:
    if node.class_name and node.weights is None:
        own = {setting: value for setting, value in node.config.items() if setting not in _OF_EVERY_LAYER}
        yield CustomObject(node.class_name, "layer" if node.path else "model", where, "", own)
    for setting, value in node.config.items():
        if setting not in _NOT_SHOWN and not (node.class_name == "Lambda" and setting == "function"):
            yield from _custom_in_value(value, kind_of_setting(setting), where, 0)


_OF_EVERY_LAYER = {"name", "trainable", "dtype", "batch_input_shape", "layers"}


def _custom_in_value(value: Any, kind: str, where: str, depth: int) -> Iterator[CustomObject]:
    if depth > 20:
        return
    if isinstance(value, str):
        if kind and kind not in ("dtype policy", "schedule") and not is_known(kind, value):
            yield CustomObject(value, kind, where)
    elif isinstance(value, list):
        for one in value:
            yield from _custom_in_value(one, kind if kind in ("loss", "metric") else "", where, depth + 1)
    elif isinstance(value, dict):
        named = value.get("class_name")
        if isinstance(named, str):
            yield from _custom_object(named, value, kind, where)
            value = value.get("config")
        for key, one in value.items() if isinstance(value, dict) else ():
            yield from _custom_in_value(one, kind_of_setting(str(key)), where, depth + 1)


def _custom_object(named: str, value: Config, kind: str, where: str) -> Iterator[CustomObject]:
    module = str(value.get("module") or "")
    name = named.rpartition(">")[2]
    if named == "function":
        name = str(value.get("config"))
    elif named in _FUNCTIONS:
        return
    if "registered_name" in value or "module" in value:  # Keras 3 and Keras from 2.12 on say whose it is
        if module.split(".")[0] not in _OF_KERAS and not (kind and not module and is_known(kind, name)):
            yield CustomObject(name, kind or _kind_of_module(module), where, module)
    elif (">" in named and not named.startswith("Custom>")) or (kind and not is_known(kind, name)):
        yield CustomObject(name, kind or "object", where)


def _kind_of_module(module: str) -> str:
    return next((kind for kind in _KIND_OF_MODULE if kind in module), "object")


def _custom_in_training(training: Mapping[str, Any]) -> Iterator[CustomObject]:
    for setting, kind in (("loss", "loss"), ("metrics", "metric"), ("weighted_metrics", "metric")):
        for value in _leaves(training.get(setting)):
            yield from _custom_in_value(value, kind, f"{COMPILATION}{setting}=…)", 0)
    optimizer = training.get("optimizer_config") or training.get("optimizer")
    if optimizer:
        yield from _custom_in_value(optimizer, "optimizer", f"{COMPILATION}optimizer=…)", 0)


def _leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    """Losses and metrics stand alone, in lists, or in dicts by output."""
    if isinstance(value, dict) and not isinstance(value.get("class_name"), str):
        value = list(value.values())
    if isinstance(value, list) and depth < 20:
        for one in value:
            yield from _leaves(one, depth + 1)
    elif value is not None:
        yield value


def _lambda(where: str, config: Config) -> Lambda:
    function = config.get("function")
    if isinstance(function, dict) and isinstance(function.get("items"), list):  # a tuple in a SavedModel
        function = function["items"]
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":
        inner = function.get("config")
        return Lambda(where, "", _python_of(inner.get("code") if isinstance(inner, dict) else None))
    if isinstance(function, dict):
        return Lambda(where, str(function.get("config")))
    if isinstance(function, list):
        return Lambda(where, "", _python_of(function[0] if function else None))
    return Lambda(where, str(function))


def _python_of(code: Any) -> str:
    """The Pythons of byte code, by the place of its instructions behind the numbers. It is not loaded."""
    if not isinstance(code, str):
        return ""
    try:  # Keras before 2.0.9 wrote each byte as one letter
        raw = code.encode("raw_unicode_escape") if code[:1] in ("\xe3", "c") else base64.b64decode(code)
    except (binascii.Error, ValueError):
        return ""
    if raw[:1] not in (b"\xe3", b"\x63"):
        return ""
    if raw[25:26] in (b"\x73", b"\xf3"):
        return "3.8 to 3.10"
    if raw[21:22] in (b"\x73", b"\xf3"):
        return "3.6 or 3.7" if raw[26:27] and raw[26] not in _RESUME else "3.11 or newer"
    return ""


_RESUME = (128, 149, 151, 135, 94, 62)  # RESUME and COPY_FREE_VARS, with which code starts since 3.11
