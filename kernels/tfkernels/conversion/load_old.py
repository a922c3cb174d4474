"""Loads a saved Keras model with the Keras of this process, of the release that wrote it, and records it.

The architecture comes from the file, made harmless (``untrusted_config``), and Keras's own loader reads the weights
into it. They must be those that ``saved_models`` reads from the file: no weight may get into another's place.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

import numpy as np

from tfkernels.conversion import file_optimizer
from tfkernels.conversion.layer_rules.by_class import without_cudnn
from tfkernels.conversion.optimizer_slots import make_slots
from tfkernels.conversion.record import model_record, written_by
from tfkernels.conversion.record.config_layers import Node, walk_config
from tfkernels.conversion.record.model_record import Record
from tfkernels.conversion.record.optimizer_state import unwrapped
from tfkernels.conversion.record.plain_values import plain
from tfkernels.conversion.target.target_keras import saving_of
from tfkernels.conversion.untrusted_config import harmless
from tfkernels.conversion.users_code import custom_objects_in, model_of
from tfkernels.errors import ConversionError, WeightsError
from tfkernels.imports import own_imports
from tfkernels.models.keras_package import keras_of
from tfkernels.models.weights import each_weight, load_weights
from tfkernels.saved_models.read import read
from tfkernels.saved_models.saved_file import SavedFile

_SUFFIX = {
    "keras-h5": ".h5",
    "keras-h5-weights": ".h5",
    "keras-archive": ".keras",
    "keras-archive-weights": ".weights.h5",
}
"""By format: the end of the name by which Keras knows it."""


class LoadedModel(NamedTuple):
    """A model of this process, its record, and what there is to say about it."""

    model: Any
    record: Record
    notes: List[str]


def load(
    path: str, model: Optional[str] = None, custom_objects: Optional[str] = None, trust: bool = False
) -> LoadedModel:
    """The model in a file. ``trust`` lets code of the file run: byte code, and functions that the file names.

    ``model`` is for files with weights only: ``FILE.py:FUNCTION`` that builds the model, or a JSON file with its
    architecture, or another file of Keras that has it. ``custom_objects`` is the user's Python file. Raises
    ``ConversionError`` with the layer that stands in the way, ``UnreadableFile`` for a file that is no model.
    """
    objects = custom_objects_in(custom_objects)
    keras = keras_here()
    by_function = bool(model) and _is_function(str(model))
    given = _architecture_of(model) if model and not by_function else None
    with custom_scope(keras, objects):
        if by_function:
            (built, _), has_cudnn = model_of(str(model)), False
            if getattr(built, "optimizer", None) is not None:
                make_slots(unwrapped(built.optimizer), list(built.trainable_weights))
            saved = read(path, json.loads(built.to_json()) if _has_config(built) else None)
        else:
            saved = read(path, given.architecture if given else None)
            found = given.architecture if given else saved.architecture
            if found is None:
                raise ConversionError(
                    f"Cannot load {path}: it has weights, but no architecture. Add --model FILE.py:FUNCTION with a "
                    "function that builds the model, or --model FILE.json with what model.to_json() wrote."
                )
            try:
                built, has_cudnn = build(dict(found), objects, trust, keras), bool(_cudnn_layers(dict(found)))
            except ConversionError as error:
                error.advice = _missing(saved, objects)
                raise
        notes = _fill_in_place_of_cudnn(built, saved) if has_cudnn else _fill(built, path, saved)
    record = model_record.record(built, as_written=not by_function)
    training = saved.training_config or (given.training_config if given else None)
    if training:
        inner = training.get("compile_config") or training
        kept = ("loss", "metrics", "weighted_metrics", "loss_weights", "sample_weight_mode")
        record["compile"] = {key: plain(inner[key]) for key in kept if inner.get(key) is not None}
    if by_function and (record["optimizer"] or not training):
        optimizer = file_optimizer.of_model(saved, record["optimizer"])
    else:
        optimizer = file_optimizer.with_settings(saved, training, keras.optimizers)
    record["optimizer"] = file_optimizer.by_names_of(record["weights"], saved, optimizer)
    return LoadedModel(built, record, [*notes, *written_by.add(record, saved.written_by)])


def _missing(saved: SavedFile, objects: Mapping[str, Any]) -> str:
    """Which of the user's classes and functions are missing, each as it is called; empty if none is."""
    lacking = [one for one in saved.custom_objects if one.name not in objects and not one.only_trains]
    calls = []
    for one in lacking:
        settings = ", ".join(f"{name}={value!r}" for name, value in one.settings.items())
        calls.append(f"{one.kind} {one.name}{f'({settings})' if settings else ''} of {one.where}")
    return f"Define these in a Python file, and add --custom-objects FILE.py: {'; '.join(calls)}" if calls else ""


def keras_here() -> Any:
    """``tf.keras``. TensorFlow up to 1.3 has it elsewhere."""
    tensorflow = sys.modules["tensorflow"]
    return getattr(tensorflow, "keras", None) or tensorflow.contrib.keras


@contextlib.contextmanager
def custom_scope(keras: Any, objects: Mapping[str, Any]) -> Iterator[None]:
    """Keras knows the user's classes and functions meanwhile."""
    scope = getattr(keras.utils, "CustomObjectScope", None) or keras.utils.custom_object_scope
    with scope(dict(objects)):
        yield


def build(architecture: Node, objects: Mapping[str, Any], trust: bool, keras: Any) -> Any:
    """The model of a configuration that this Keras wrote. Raises ``ConversionError`` with the first bad layer."""
    config = harmless(architecture, objects, trust)
    for node in _cudnn_layers(config):
        node["class_name"] = without_cudnn(node["class_name"], node["config"])
    config.pop("compile_config", None)  # Keras 3 would make the optimizer anew, or another one
    try:
        return _from_config(config, objects, keras, trust)
    except Exception as error:
        layer, cause = _first_bad_layer(config, objects, keras) or ("", error)
        where = f"layer {layer} cannot be made" if layer else "it cannot be made"
        raise ConversionError(
            f"Cannot load the model with TensorFlow {sys.modules['tensorflow'].__version__}: {where}: "
            f"{_first_lines(cause)}. If it needs classes or functions of yours, add --custom-objects FILE.py.",
            layer=layer,
        ) from error


def _cudnn_layers(config: Node) -> List[Node]:
    """The layers that Keras can make, but not run, without a GPU."""
    return [node for _, node in walk_config(config) if node["class_name"] in ("CuDNNLSTM", "CuDNNGRU")]


def _from_config(config: Node, objects: Mapping[str, Any], keras: Any, trust: bool) -> Any:
    with _safe_mode(not trust):
        if "registered_name" in config or "build_config" in config:
            return _deserialized(config, objects, keras)
        with contextlib.suppress(ImportError):  # Keras 3 reads .h5 files by the rules of Keras 2
            with own_imports():
                older = importlib.import_module("keras.src.legacy.saving.saving_utils")
            return older.model_from_config(config, custom_objects={**_operations(config, keras), **objects})
        return keras.models.model_from_json(json.dumps(config), custom_objects=dict(objects))


_OPERATIONS = ("numpy", "nn", "math", "core", "image", "linalg")


def _operations(config: Node, keras: Any) -> Dict[str, Any]:
    """Keras 3's classes of operations in a model. Its own reader of .h5 files does not look for them."""
    with own_imports():
        places = [importlib.import_module(f"keras.src.ops.{name}") for name in _OPERATIONS]
    names = {node["class_name"] for _, node in walk_config(config) if not hasattr(keras.layers, node["class_name"])}
    return {name: getattr(place, name) for place in places for name in names if isinstance(vars(place).get(name), type)}


def _deserialized(node: Node, objects: Mapping[str, Any], keras: Any) -> Any:
    """The object of a configuration in the form since 2.12."""
    return saving_of(keras).deserialize_keras_object(node, custom_objects=dict(objects))


@contextlib.contextmanager
def _safe_mode(safe: bool) -> Iterator[None]:
    """Keras itself refuses byte code, too, unless it is trusted. Releases before 2.12 cannot."""
    for name in ("keras.src.saving.serialization_lib", "keras.saving.serialization_lib"):
        with own_imports(), contextlib.suppress(ImportError):
            scope = importlib.import_module(name).SafeModeScope
            break
    else:
        yield
        return
    with scope(safe_mode=safe):
        yield


def _first_bad_layer(config: Node, objects: Mapping[str, Any], keras: Any) -> Any:
    """The innermost layer of a configuration that cannot be made, and the error; ``None`` if it is not known."""
    if not hasattr(keras.layers, "deserialize"):  # 1.4
        return None
    for path, node in reversed(list(walk_config(config))):
        if not path or path.rpartition("/")[2] in ("forward_layer", "backward_layer", "cell"):
            continue
        try:
            if "registered_name" in node:
                _deserialized(node, objects, keras)
            else:
                keras.layers.deserialize(node, custom_objects=dict(objects))
        except Exception as error:  # noqa: BLE001 (Keras raises any kind)
            return path, error
    return None


def _fill_in_place_of_cudnn(model: Any, saved: SavedFile) -> List[str]:
    load_weights(model, saved.arrays())  # it changes the layout, which not every Keras does
    return ["Layers of CuDNN were loaded as LSTM and GRU, which compute the same and need no GPU."]


def _fill(model: Any, path: str, saved: SavedFile) -> List[str]:
    """Sets the weights. Returns what is to be said about it."""
    problem = None
    try:
        with _named_for_keras(path, saved.format) as name:
            loaded = model.load_weights(name)
            if hasattr(loaded, "expect_partial"):
                loaded.expect_partial()
        if hasattr(loaded, "assert_existing_objects_matched"):
            loaded.assert_existing_objects_matched()
        if hasattr(loaded, "initialize_or_restore"):
            loaded.initialize_or_restore(keras_session(model))
    except Exception as error:  # noqa: BLE001 (Keras raises any kind)
        problem = error
    if problem is None:
        return _compared(model, path, saved)
    try:
        load_weights(model, saved.arrays())
    except WeightsError as error:
        raise ConversionError(
            f"Cannot load the weights of {path}: {_first_lines(problem)}. Its weights by name do not fit, either: "
            f"{_first_lines(error)}"
        ) from problem
    return [f"Keras could not load the weights ({_first_lines(problem)}). They were set by their names."]


def _compared(model: Any, path: str, saved: SavedFile) -> List[str]:
    """Raises ``ConversionError`` if the model's weights are not those of the file. One after the other is read."""
    others = []
    for name, value in each_weight(model):
        try:
            found = saved.weights[name].read() if name in saved.weights else value
        except Exception as error:  # noqa: BLE001 (Keras may read what our readers cannot)
            return [f"The loaded weights were not compared with those in the file: {_first_lines(error)}."]
        if not _same(found, value):
            others.append(name)
    if others:
        raise ConversionError(
            f"Cannot load {path}: Keras and tfkernels read different weights for {', '.join(others[:3])}. Please "
            "report this, with the file if you can.",
            layer=others[0].rpartition("/")[0],
        )
    return []


def keras_session(model: Any) -> Any:
    backend = keras_of(model).backend
    return backend.get_session() if hasattr(backend, "get_session") else None


@contextlib.contextmanager
def _named_for_keras(path: str, kind: str) -> Iterator[str]:
    """A name of the file by which Keras knows its format."""
    path = os.path.abspath(os.path.expanduser(path))
    if kind == "saved-model":
        yield os.path.join(path, "variables", "variables")
        return
    suffix = _SUFFIX.get(kind)
    if suffix is None:
        yield path[: -len(".index")] if path.endswith(".index") else path
        return
    with tempfile.TemporaryDirectory(prefix="tfkernels-") as folder:
        name = os.path.join(folder, f"model{suffix}")
        os.symlink(path, name)
        yield name


def _same(one: Any, other: Any) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other) or one.tobytes() == other.tobytes())


def _is_function(model: str) -> bool:
    file, colon, name = model.rpartition(":")
    return bool(colon) and file.endswith(".py") and name.isidentifier()


class _Given(NamedTuple):
    architecture: Node
    training_config: Optional[Mapping[str, Any]] = None


def _architecture_of(file: str) -> _Given:
    """The architecture in a JSON file; or in another file of Keras, with how it was compiled."""
    if os.path.isfile(file) and file.endswith(".json"):
        try:
            with open(file, encoding="utf-8") as opened:
                found = json.load(opened)
        except ValueError as error:
            raise ConversionError(f"Cannot use --model {file}: it is not JSON ({error}). Correct the file.") from error
        if isinstance(found, dict) and isinstance(found.get("class_name"), str) and "config" in found:
            return _Given(found)
        raise ConversionError(
            f"Cannot use --model {file}: it has no architecture of Keras. Write one with: model.to_json()"
        )
    saved = read(file)
    if saved.architecture is None:
        raise ConversionError(f"Cannot use --model {file}: it has no architecture. Give the file of a whole model.")
    return _Given(dict(saved.architecture), saved.training_config)


def _has_config(model: Any) -> bool:
    try:
        model.to_json()
    except Exception:  # noqa: BLE001 (a class of the user's, without a configuration)
        return False
    return True


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:400].rstrip(".")
